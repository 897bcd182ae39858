"""What a run sees of writes to models, and what a migration says of them."""

from __future__ import annotations

import json

import pytest

from tests import needs
from tests.root.test_nucleus import BOARDS, open_folder
from tests.small_group import answer, ml, write_group
from tests.unit.greengrass.build import function

pytestmark = [pytest.mark.root, pytest.mark.process, pytest.mark.slow, needs.mounts]
CODE = """
import os

def handler(event, context):
    top = os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/m/net/"
    with open(top + "labels.txt") as file:
        first = file.readline()
    if event.get("write"):
        with open(top + "weights.bin", "r+b") as file:
            file.write(b"W")
        os.mkdir(top + "cache")
        with open(top + "cache/a", "w") as file:
            file.write(first)
        os.unlink(top + "old.txt")
    else:
        open(top + "labels.txt", "a").close()
"""
FILES = {"net/weights.bin": "w" * 3000, "net/labels.txt": "cat\n", "net/old.txt": "old"}


def test_a_run_names_the_files_that_a_function_wrote_and_a_migration_warns_of_them() -> None:
    calls = [{"function": "f", "event": {}}, {"function": "f", "event": {"write": True}}]
    with open_folder() as folder:
        functions = [function("f", ("m", None), Executable="main.handler")]
        resources, more = [ml("m", "users", "rw")], {"invocations": calls}
        group = write_group(
            folder / "group", resources, functions, models={"m": FILES}, code={"main.py": CODE}, more=more
        )
        scenario = group / "edge-sim.yaml"
        scenario.write_text(scenario.read_text().replace("python3.8", "python3.7"))
        report = answer("run", group, status=None)
        assert report["boards"], report["error"]
        rows = report["boards"][0]["functions"]
        assert [row["error"] for row in rows] == [None, None]
        assert rows[0]["writes"] == [], "a file that was opened for writing, and not written to"
        assert [(one["change"], one["path"]) for one in rows[1]["writes"]] == [
            ("created", "net/cache"),
            ("created", "net/cache/a"),
            ("removed", "net/old.txt"),
            ("changed", "net/weights.bin"),
        ]
        assert {one["resource"] for one in rows[1]["writes"]} == {"m"}
        (folder / "run.json").write_text(json.dumps(report))
        for words, expected in (((), 0), (("--run", folder / "run.json"), 1)):
            findings = answer("migrate", group, *BOARDS, *words, status=3)["findings"]
            written = [one for one in findings if one["id"] == "v2-model-written"]
            assert len(written) == expected
        assert "it write to m: net/cache, net/cache/a, net/old.txt, net/weights.bin" in written[0]["message"]
        assert written[0]["labels"]["condition"] == "inferred"
