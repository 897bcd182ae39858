"""``edge-sim matrix``: the grid, its exit status, and a cache that answers only the same question."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest

from edge_sim.profiles import list_profiles, load_profile
from edge_sim.runs import onboards
from edge_sim.runs.results import BoardReport, Problem, RunReport
from edge_sim.runs.rows import DeploymentRow
from edge_sim.scenario import load
from edge_sim.validation import cache as caches
from edge_sim.validation.cache import Cache, key, trees
from edge_sim.validation.grid import RunOutcome
from tests.command import answer

EXAMPLE = Path(__file__).parents[3] / "examples" / "no-container-ml"
VOLUME = """\
Resources:
- {Id: v, Name: v, ResourceDataContainer: {LocalVolumeResourceData: {SourcePath: SOURCE, DestinationPath: /v}}}
"""


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Command(Protocol):
    def __call__(self, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]: ...


def matrix(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return answer("matrix", *arguments, folder=folder)


def program(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, with the hash seed of no other."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", "matrix", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONHASHSEED": "random"}
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def grid(
    folder: Path, *arguments: str | Path, command: Command = matrix
) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    done = command(folder, *arguments, "--format", "json")
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] == (done.returncode == 0)
    return done.returncode, {(cell["profile"], cell["ggc"]): cell for cell in told["cells"]}


def test_a_core_that_never_was_is_a_usage_error(tmp_path: Path) -> None:
    done = matrix(tmp_path, EXAMPLE, "--profile", "raspberry-pi-3", "--ggc", "1.10,1.11.99")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the last 1.11 was 1.11.6" in done.stderr


def test_every_board_by_every_version(tmp_path: Path) -> None:
    status, cells = grid(tmp_path, EXAMPLE, "--profile", "all", "--ggc", "1.9,1.10,1.11")
    assert status == 0
    assert len(cells) == 3 * len(list_profiles())
    by_status = {
        s: {place for place, cell in cells.items() if cell["status"] == s} for s in ("pass", "unsupported", "fail")
    }
    assert by_status["fail"] == set()
    openwrt = {name for name in list_profiles() if name.startswith("openwrt")}
    assert {name for name, _ in by_status["pass"]} == {*list_profiles()} - openwrt - {"docker-core"}
    assert all(version != "1.9" for _, version in by_status["pass"])
    cause = cells["openwrt-armv7", "1.11"]["cause"]
    assert (cause["id"], "what-is-gg.md" in cause["source"]) == ("ml-unsupported", True)
    assert (cause["file"].endswith("resources.json"), cause["line"]) == (True, 3)
    assert cells["raspberry-pi-3", "1.9"]["cause"]["aws_text"].endswith("not allowed in IsolationMode='NoContainer'")


def test_the_text_is_a_grid_with_each_cause_once(tmp_path: Path) -> None:
    done = matrix(tmp_path, EXAMPLE, "--profile", "raspberry-pi-3", "--profile", "openwrt-armv7", "--ggc", "1.10,1.11")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:3]}
    assert rows == {"raspberry-pi-3": ["pass", "pass"], "openwrt-armv7": ["unsupported", "unsupported"]}
    assert done.stdout.count("ml-unsupported") == 1
    assert "unsupported on openwrt-armv7 (1.10); openwrt-armv7 (1.11)" in done.stdout


def test_a_board_asked_for_by_name_must_be_supported(tmp_path: Path) -> None:
    assert grid(tmp_path, EXAMPLE, "--profile", "all")[0] == 0
    assert grid(tmp_path, EXAMPLE, "--profile", "all", "--profile", "openwrt-armv7")[0] == 3
    assert grid(tmp_path, EXAMPLE, "--profile", "all", "--ggc", "1.9")[0] == 3, "nothing passes"


def test_a_fault_of_the_definition_fails_everywhere(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(VOLUME.replace("SOURCE", "/sys/x"))
    status, cells = grid(tmp_path, "g.yaml", "--profile", "raspberry-pi-3", "--profile", "openwrt-armv7")
    assert status == 3
    assert {(c["status"], c["cause"]["id"], c["cause"]["line"]) for c in cells.values()} == {
        ("fail", "volume-under-sys", 2)
    }


def test_usage_errors(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(VOLUME.replace("SOURCE", "/srv/x"))
    for arguments in (["--ggc", "2.0"], ["--ggc", "1.10,"], ["--profile", "none-such"], ["--real"]):
        done = matrix(tmp_path, "g.yaml", "--profile", "raspberry-pi-3", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


@pytest.mark.process
def test_the_same_question_is_answered_from_the_cache_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(VOLUME.replace("SOURCE", "/srv/x"))
    question = ("g.yaml", "--profile", "raspberry-pi-3")

    def ask(*more: str) -> tuple[int, set[int]]:
        status, cells = grid(tmp_path, *question, *more, command=program)
        return status, {cell["warnings"] for cell in cells.values()}

    assert ask()[0] == 0
    [entry] = (tmp_path / "cache" / "edge-sim" / "matrix").iterdir()
    kept = json.loads(entry.read_text())
    entry.write_text(json.dumps({**kept, "warnings": 77}))
    assert ask()[1] == {77}, "not judged again"
    assert ask("--no-cache")[1] != {77}
    entry.write_text('{"profile": 1')
    assert ask()[1] != {77}, "a damaged answer is none"
    (tmp_path / "g.yaml").write_text(VOLUME.replace("SOURCE", "/sys/x"))
    assert ask()[0] == 3, "a different content"


def test_a_kept_answer_names_the_file_as_it_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(VOLUME.replace("SOURCE", "/sys/x"))
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, tmp_path / "elsewhere"):
        told = matrix(folder, file, "--profile", "raspberry-pi-3")
        assert f" · {file}:2" in told.stdout
    for name in (file, "g.yaml"):
        _, cells = grid(tmp_path, name, "--profile", "raspberry-pi-3")
        assert [c["cause"]["file"] for c in cells.values()] == [str(name)]


def test_a_scenarios_code_is_part_of_the_question(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario"
    shutil.copytree(EXAMPLE, scenario)
    ask = (scenario, "--profile", "raspberry-pi-3", "--ggc", "1.10")
    assert grid(tmp_path, *ask)[0] == 0
    text = (scenario / "edge-sim.yaml").read_text()
    (scenario / "edge-sim.yaml").write_text(text.replace("runtime: python3.7", "runtime: python3.9"))
    status, cells = grid(tmp_path, *ask)
    assert (status, [c["cause"]["id"] for c in cells.values()]) == (3, ["runtime-known"])


def test_a_cache_that_cannot_be_written_is_only_slower(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    (tmp_path / "g.yaml").write_text(VOLUME.replace("SOURCE", "/srv/x"))
    assert grid(tmp_path, "g.yaml", "--profile", "raspberry-pi-3")[0] == 0


def test_keys_tell_contents_names_and_order_apart(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(text)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "g").write_text("1")
    assert len({trees([tmp_path / name]) for name in "abc"}) == 3
    assert len({key("ab", "c"), key("a", "bc"), key("abc"), key("c", "ab")}) == 4


def test_the_oldest_answers_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MAX_ENTRIES", 3)
    cache = Cache(tmp_path)
    for number in range(5):
        cache.put(str(number), number)
        os.utime(tmp_path / f"{number}.json", (number, number))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2", "3", "4"]


class Boards:
    """Stands in for ``runs.runner.run``: notes what was asked for, and fails boards by core version."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, str]]] = []

    def run(self, scenario: Any, profiles: Any, *, driver: str, progress: Any) -> RunReport:
        self.asked.append([(p.name, p.greengrass.version) for p in profiles])
        return RunReport(scenario=scenario.name, boards=[self._report(profile) for profile in profiles])

    def _report(self, profile: Any) -> BoardReport:
        report = BoardReport(profile=profile.name, architecture="x", operating_system="y")
        if profile.greengrass.version.startswith("1.9"):
            cause = "package" if profile.name == "generic-x86_64" else None
            report.deployment = DeploymentRow(id="d", group_id="g", status="Failure", cause=cause)
            report.problems.append(Problem(kind="definition", where="deployment", message="too old"))
        return report


def test_boards_are_run_once_for_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = Boards()
    monkeypatch.setattr(onboards, "run", boards.run)
    folder = tmp_path / "scenario"
    shutil.copytree(EXAMPLE, folder)
    scenario, cache = load(folder), Cache(tmp_path / "cache")
    pi, pc = load_profile("raspberry-pi-3"), load_profile("generic-x86_64")
    places = {(p.name, ggc): p for ggc in ("1.9", "1.10.0") for p in (pi, pc)}

    def ask() -> dict[tuple[str, str], RunOutcome]:
        return onboards.on_boards(scenario, places, "local", cache, lambda _: None)

    first = ask()
    assert boards.asked == [
        [("raspberry-pi-3", "1.9.4"), ("generic-x86_64", "1.9.4")],
        [("raspberry-pi-3", "1.10.0"), ("generic-x86_64", "1.10.0")],
    ]
    assert first["raspberry-pi-3", "1.9"] == RunOutcome(
        status="fail", refused=True, exit_status=3, message="deployment: too old"
    )
    package = first["generic-x86_64", "1.9"]
    assert (package.status, package.refused) == ("fail", False), "the definition is not to blame for a package"
    assert first["generic-x86_64", "1.10.0"].status == "pass"
    assert (ask(), len(boards.asked)) == (first, 2), "answered from the cache"
    weights = next((folder / "models").rglob("*.csv"))
    weights.write_text(weights.read_text() + "\n")
    assert (ask(), len(boards.asked)) == (first, 4), "a model's content is part of the question"


def test_the_boards_with_something_unknown_are_named(tmp_path: Path) -> None:
    boards = ("--profile", "docker-core", "--profile", "raspberry-pi-3")
    last = matrix(tmp_path, EXAMPLE, *boards).stdout.splitlines()[-1]
    assert last == "2 unknown, on docker-core: edge-sim validate --profile NAME lists them"
