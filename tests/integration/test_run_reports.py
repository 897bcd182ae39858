"""Reports of whole runs: canaries that a function tells are found in no format, a red cell leads to what helps."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_sim.redaction import HIDDEN
from edge_sim.scenario import SCENARIO
from tests import needs

EXAMPLE = Path("examples/no-container-ml")
CANARIES = ("canary-in-a-secret", "canary-in-a-variable")
LIMIT_S = 300
ENDINGS = ("html", "md", "json", "xml", "sarif", "txt")
LEAK = """
    import base64
    told = token()
    print("the token is", told, "or", base64.b64encode(told.encode()).decode())
    print("https://bucket.s3.amazonaws.com/key?X-Amz-Signature=canary-in-a-query")
    print("-----BEGIN PRIVATE KEY-----\\\\nY2FuYXJ5LWluLWEta2V5\\\\n-----END PRIVATE KEY-----")
    raise RuntimeError(f"{dict(os.environ)} {told}")
"""

pytestmark = [pytest.mark.network, pytest.mark.root]


def talkative(folder: Path) -> Path:
    """The example with canaries, a function that tells them, and no updates."""
    copied = folder / "example"
    shutil.copytree(EXAMPLE, copied)
    scenario, functions, code = (
        copied / name for name in ("edge-sim.yaml", "functions.json", "functions/read_digits/read_digits.py")
    )
    text = scenario.read_text("utf-8").partition("stableWindow:")[0]
    assert "not-a-real-token" in text
    scenario.write_text(text.replace("not-a-real-token", CANARIES[0]), "utf-8")
    document = json.loads(functions.read_text("utf-8"))
    document["Functions"][0]["FunctionConfiguration"]["Environment"]["Variables"] = {"TOKEN": CANARIES[1]}
    functions.write_text(json.dumps(document, indent=2), "utf-8")
    text = code.read_text("utf-8")
    handler = next(line for line in text.splitlines() if line.startswith("def function_handler"))
    code.write_text(text.replace(handler, f"{handler}{LEAK}", 1), "utf-8")
    return copied


@needs.mounts
def test_what_a_function_tells_of_secrets_is_in_no_report(tmp_path: Path) -> None:
    scenario = talkative(tmp_path)
    files = [tmp_path / f"report.{ending}" for ending in ENDINGS]
    reports = [word for file in files for word in ("--report", str(file))]
    words = ["run", str(scenario), "--profile", "raspberry-pi-3", "--format", "github", *reports]
    argv = [sys.executable, "-m", "edge_sim.cli.main", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 4, done.stderr
    encoded = [base64.b64encode(canary.encode()).decode().rstrip("=") for canary in CANARIES]
    for text in (done.stdout, done.stderr, *(file.read_text("utf-8") for file in files)):
        assert not any(word in text for word in ("canary", "Y2FuYXJ5LWluLWEta2V5", *encoded))
    for file in files:
        text = file.read_text("utf-8")
        assert "RuntimeError" in text, file
        assert HIDDEN in text or file.suffix == ".md", file


@needs.mounts
@pytest.mark.slow
def test_a_function_that_cannot_open_its_model_is_a_red_cell_with_reason_remedy_and_line(tmp_path: Path) -> None:
    """A directory above the models that only root may search, as on a hardened board."""
    scenario, reports = tmp_path / "example", [tmp_path / "report.html", tmp_path / "report.json"]
    shutil.copytree(EXAMPLE, scenario)
    text = (scenario / SCENARIO).read_text("utf-8").partition("stableWindow:")[0]
    hardened = 'files:\n  - {path: /greengrass, directory: true, mode: "0700"}\n  #'
    (scenario / SCENARIO).write_text(text.replace("files: ", hardened, 1), "utf-8")
    words = ["run", str(scenario), "--profile", "raspberry-pi-3", *(f"--report={file}" for file in reports)]
    argv = [sys.executable, "-m", "edge_sim.cli.main", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 4, done.stderr
    assert "next: read-digits × digits-model on raspberry-pi-3: To allow read: chmod o+x /greengrass" in done.stdout
    (board,) = json.loads(reports[1].read_text("utf-8"))["boards"]
    wrong = {(row["function"], row["resource"]): row for row in board["access"] if not row["ok"]}
    assert [*wrong] == [("read-digits", "digits-model"), ("sort-wine", "wine-model")]
    assert all(row["agree"] for row in wrong.values())
    failures = [problem for problem in board["problems"] if problem["kind"] == "function"]
    assert [failure["where"] for failure in failures] == ["read-digits", "sort-wine"]
    assert {failure["hint"] for failure in failures} == {"Its access is not as defined: correct that first."}
    cause, paths = wrong["read-digits", "digits-model"]["reasons"]
    assert cause == "no search permission: /greengrass is 0700 0:0; the process uses the other permission bits"
    assert paths.startswith("/greengrass/ggc/deployment/workdir/read-digits/models/digits and 3 more paths: computed")
    page = re.sub(r">\s+<", "><", reports[0].read_text("utf-8"))
    anchors = re.findall(r'<td class="bad code"><a href="#([^"]*)">✗ --</a><small>expected r[ow]</small>', page)
    assert len(anchors) == len(wrong)
    issue = page[page.index(f'id="{anchors[0]}"') :].partition("</article>")[0]
    for part in (cause, "To allow read: chmod o+x /greengrass", "resources.json:3:5"):
        assert part in issue
