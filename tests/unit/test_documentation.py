"""The pages: what the README shows is what is printed, every page can be found, every link and option exists."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from edge_sim.cli.main import edge_sim
from tests.documentation import PAGES, README, ROOT, Example, examples

QUICK = [one for one in examples(README) if one.command.split()[1] in ("validate", "migrate")]


@pytest.mark.parametrize("shown", QUICK, ids=lambda shown: shown.command.split()[1])
def test_the_readme_shows_what_is_printed(shown: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(edge_sim, shlex.split(shown.command)[1:]).stdout
    assert shown.difference(printed) is None, printed


def test_what_the_readme_shows_is_compared() -> None:
    shown = Example(command="x", folder=ROOT, output=("a", "…", "c d…", "e"))
    assert shown.difference("a\nb\nb\nc d e\ne\n") is None
    assert shown.difference("a  \nc d\ne\n") is None
    assert shown.difference("b\nc d \ne\n") == "a"
    assert shown.difference("a\nc\ne\n") == "c d…"
    assert shown.difference("a\nc d \ne\nf\n") == "(the end)"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them in links."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    wrong = []
    for page in PAGES:
        text = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", page.read_text("utf-8"))
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            file, _, anchor = target.partition("#")
            place = page.parent / file if file else page
            if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
                wrong.append(f"{page.relative_to(ROOT)}: {target}")
    assert wrong == []


def shown_commands() -> set[tuple[str, str]]:
    """Every ``edge-sim …`` in the pages' code, with its page."""
    code = re.compile(r"(?m)^(?:    |\$ )(.*)$|`([^`\n]+)`")
    return {
        (str(page.relative_to(ROOT)), called.strip())
        for page in PAGES
        for line, word in code.findall(page.read_text("utf-8").replace("\\\n", " "))
        for called in re.findall(r"(?<![\w./-])edge-sim ([a-z][^#\n|;&)]*)", (line or word).replace("\\|", " "))
    }


def understood(called: str) -> bool:
    """Say whether there are such a command and its options."""
    words = re.findall(r"[^\s\[\]]+", called)
    command: click.Command | None = edge_sim
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        command = command.get_command(context, words.pop(0))
    known = {name for one in (command.params if command else []) for name in one.opts} | {"--help", "-h"}
    options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return command is not None and known.issuperset(options)


def test_every_command_and_option_in_the_pages_exists() -> None:
    calls = shown_commands()
    assert len(calls) > 50
    assert [f"{page}: edge-sim {called}" for page, called in sorted(calls) if not understood(called)] == []


def test_the_compose_file_starts_a_cloud_on_loopback_that_its_check_asks() -> None:
    """Without --tls the cloud takes no other address, so it has to be the host's loopback."""
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["cloud"]
    assert understood(shlex.join(service["command"]))
    assert (service["network_mode"], "--bind" in service["command"]) == ("host", False)
    port = service["command"][service["command"].index("--port") + 1]
    assert f"http://127.0.0.1:{port}/edge-sim/health" in service["healthcheck"]["test"][-1]


@pytest.mark.parametrize(
    ("row", "kind", "source"),
    [
        ("error codes in that wrapper", "ours", "made from the rule's name"),
        ("-gda/shadow/update/delta", "sourced", "captures in public logs"),
        ("overlay's upper layer on a tmpfs", "inferred", "off by default"),
        ("a volume from `/dev` (except `/dev/shm`) is refused", "inferred", "when and how V1 refused is not known"),
        ("a tar.gz with a nested file but without its directory's entry", "inferred", "ml-console.md"),
        ("the execution ends FAILED", "inferred", "DG names no status"),
        ("kernel 3.17 or newer, 4.4 for functions in containers", "sourced", "what-is-gg.md"),
        ("an alias is one of `$LATEST`, an object is encrypted with a customer's key (SSE-C)", "ours", "does not show"),
    ],
)
def test_a_row_of_the_fidelity_page_is_no_surer_than_its_source(row: str, kind: str, source: str) -> None:
    lines = (ROOT / "docs/fidelity.md").read_text("utf-8").splitlines()
    (cells,) = [line.split("|") for line in lines if row in line]
    assert cells[2].strip() == kind
    assert source in cells[3]


def test_who_makes_the_thing_of_a_board_is_said_by_its_command_and_its_page() -> None:
    helped = CliRunner().invoke(edge_sim, ["board", "up", "--help"]).output
    assert "aws iot create-thing" in helped
    page = (ROOT / "docs/containers.md").read_text("utf-8")
    assert "aws iot create-thing --thing-name raspberry-pi-3" in page


@pytest.mark.parametrize("name", ["validate", "matrix", "run", "plan", "access"])
def test_all_profiles_have_one_spelling(name: str) -> None:
    command = edge_sim.get_command(click.Context(edge_sim), name)
    assert command is not None
    options = {word: option for option in command.params for word in option.opts}
    assert "--all" not in options
    if name in ("validate", "matrix", "run"):
        assert "or all" in str(getattr(options["--profile"], "help", None))


@pytest.mark.parametrize(
    "old",
    [
        *("what about a simulated board is true", "the worst board of --real", "CA certificates (PEM) an mqtts"),
        *("What becomes of a link to a file", "Print for every function and resource", "is watched: no"),
        *("Nothing is wrong with definitions that", "may give this GID to a group that you", "the process counts as"),
        *("file that was being made", "that can be written anew", "forgets nothing of", "Not as it should be"),
        *("no process like that of", "no end after", "it, or the core's key, is not what", "no secret came"),
        *("ended in mid-run with status", "is not there, so that a probe", "gzip around of"),
        *(
            "runs without container",
            "was never V1's",
            "never said so",
            "asked to have one id only",
            "wants certificates",
        ),
        *(
            "Nothing was judged",
            "gave no certificate",
            "nobody is here to",
            "did not come to its end",
            "there is nothing at",
        ),
        *(
            "is in the way: no deployment",
            "name two endpoints",
            "End the run after so long",
            "How many cores.",
            "making the board",
        ),
    ],
)
def test_a_sentence_that_no_native_speaker_would_say_is_gone(old: str) -> None:
    assert [path for path in (ROOT / "edge_sim").rglob("*.py") if old in path.read_text("utf-8")] == []


def test_contributing_names_what_there_is() -> None:
    """Its targets of make, its modules and paths, and the one test that it runs."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    targets = set(re.findall(r"(?m)^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8")))
    assert set(re.findall(r"(?m)^    make ([\w-]+)|`make ([\w-]+)`", page)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
    modules = re.findall(r"python -m (tests\.[\w.]+)", page)
    assert modules
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []
    paths = re.findall(r"`((?:edge_sim|tests|docs|device_profiles|requirements)/[\w./-]*)`", page)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    (test,) = re.findall(r"pytest (tests/\S+\.py) -k (\w+)", page)
    assert re.search(rf"def test_\w*{test[1]}", (ROOT / test[0]).read_text("utf-8"))
