"""The pytest plugin in sessions that need no board: options, definitions, and how an error of ours ends a test."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_sim.testing import fixtures
from edge_sim.testing.environment import Environment
from edge_sim.testing.page import SessionReport, page, write
from edge_sim.testing.reporter import _Reporter
from edge_sim.testing.tests import PytestResult, add
from tests.reports import failed_board
from tests.small_group import write_group
from tests.unit.greengrass.build import device

pytest_plugins = ["pytester"]
PI = "--edge-profile=raspberry-pi-3"


def session(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    """Run a module of tests as its author would; what ``fixtures`` imports stays, and is not imported each time."""
    pytester.makepyfile(f"from edge_sim.errors import UnsupportedEnvironmentError\n\n{body}")
    return pytester.runpytest_inprocess("-p", "edge_sim", "-p", "no:cacheprovider", *options)


def output(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


@pytest.fixture(autouse=True)
def no_other_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be imported anew by every session."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--edge-profile=raspberrypi3"], "Did you mean raspberry-pi-3?"),
        (["--edge-report=report.pdf"], "the name must end in one of .html, .md, .json"),
        (["--edge-report=no/such/report.html"], "the directory no/such does not exist"),
        (["--edge-driver=qemu"], "--edge-driver qemu: expected local, docker or ssh://"),
        (["--edge-driver=ssh://pi@gateway", PI], "--edge-profile names simulated boards, and --edge-driver a real one"),
    ],
)
def test_wrong_options_end_the_session_before_any_test(
    pytester: pytest.Pytester, options: list[str], problem: str
) -> None:
    result = session(pytester, "def test_it(): ...", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert problem in output(result)
    assert "Traceback" not in output(result)


def test_a_real_board_is_the_users_choice_and_not_a_repositorys(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a configuration names needs a line in the user's own file; the command line is the user's word."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(pytester.path))
    result = session(pytester, "def test_it(): ...", "--edge-driver", "ssh://pi@gateway")
    result.assert_outcomes(passed=1)
    pytester.makeini("[pytest]\naddopts = --edge-driver=ssh://pi@gateway\n")
    result = session(pytester, "def test_it(): ...")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "pytest's configuration names the real board ssh://pi@gateway, which you have not" in output(result)
    session(pytester, "def test_it(): ...", "--edge-driver=ssh://pi@gateway").assert_outcomes(passed=1)
    (pytester.path / "edge-sim").mkdir()
    (pytester.path / "edge-sim/boards").write_text("ssh://pi@gateway\n")
    session(pytester, "def test_it(): ...").assert_outcomes(passed=1)


WRONG = {
    "edge_group('broken.json')": "broken.json:1:17: not valid JSON",
    "edge_group('none.json')": "none.json: no such file or folder",
    "edge_board('rpi3')": "Did you mean raspberry-pi-3",
    "edge_board()": "add --edge-profile NAME",
    "edge_deploy('alone.json')": "edge-sim init writes a first one",
    "assert_access('f', 'r', 'ro')": "Call edge_deploy(group) first.",
    "edge_update('1.11.6', expect='QUEUED')": "no update ends with 'QUEUED'",
    "assert_valid('alone.json')": "For a file or directory, use a volume",
}
"""What a test may do wrong, and what it is told."""


def test_what_is_wrong_is_said_at_the_line_of_the_test_and_not_in_ours(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("broken.json").write_text('{"Resources": [{,')
    pytester.path.joinpath("alone.json").write_text(json.dumps({"Resources": [device(source="/etc/passwd")]}))
    tests = [f"def test_{number}({line.partition('(')[0]}):\n    {line}\n" for number, line in enumerate(WRONG)]
    result = session(pytester, "\n".join(tests))
    result.assert_outcomes(failed=len(WRONG))
    shown = output(result).split("____ test_")[1:]
    assert len(shown) == len(WRONG)
    for (line, problem), part in zip(WRONG.items(), shown, strict=True):
        assert problem in part
        assert [text for text in part.splitlines() if text.startswith(">")] == [f">       {line}"]


def test_a_valid_group_passes_and_one_that_a_profile_does_not_decide_is_no_pass(
    pytester: pytest.Pytester,
) -> None:
    write_group(pytester.path / "good", [], [])
    write_group(pytester.path / "open", [device(source="/dev/ttyACM7")], [])
    body = """
def test_good(assert_valid): assert_valid("good")
def test_open(assert_valid): assert_valid("open")
def test_without_a_board(assert_valid, edge_group): assert_valid(edge_group("open"))
"""
    session(pytester, body).assert_outcomes(passed=3)
    result = session(pytester, body, PI, "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    assert "whether /dev/ttyACM7 exists" in output(result)
    session(pytester, body, PI, "--edge-require").assert_outcomes(passed=1, failed=2)


NOT_HERE = """
def test_ours(edge_group):
    raise UnsupportedEnvironmentError("no namespaces", hint="As root: sysctl kernel.it=1")

def test_of_somebody_else():
    raise UnsupportedEnvironmentError("no namespaces")
"""


def test_what_cannot_be_proven_here_is_skipped_with_what_helps_and_only_in_our_tests(pytester: pytest.Pytester) -> None:
    result = session(pytester, NOT_HERE, "-rs")
    result.assert_outcomes(skipped=1, failed=1)
    assert "not proven here: no namespaces; As root: sysctl kernel.it=1 (edge-sim doctor)" in output(result)
    result = session(pytester, NOT_HERE, "--edge-require")
    result.assert_outcomes(failed=2)
    assert "(--edge-require)" in output(result)


def test_each_test_runs_on_every_profile_that_is_named(pytester: pytest.Pytester) -> None:
    body = """
import pytest
def test_name(edge_profile, edge_group): assert edge_profile.startswith("raspberry")
@pytest.mark.parametrize("edge_profile", ["generic-x86_64"], indirect=True)
def test_own(edge_profile): assert edge_profile == "generic-x86_64"
def test_none(): ...
"""
    result = session(pytester, body, PI, "--edge-profile=raspberry-pi-4", "-v")
    result.assert_outcomes(passed=4)
    assert "test_name[raspberry-pi-4]" in output(result)


def test_the_report_says_what_our_tests_came_to(pytester: pytest.Pytester) -> None:
    body = f"""{NOT_HERE}
def test_bad(edge_board): edge_board("rpi3")
def test_own(edge_group): assert "a secret of the test's" == ""
def test_fine(edge_group): ...
"""
    result = session(pytester, body, "--edge-report=report.json")
    assert "edge-sim report: report.json (2 failed, 1 skipped, 1 passed)" in output(result)
    text = pytester.path.joinpath("report.json").read_text()
    tests = {one["name"].partition("::")[2]: (one["outcome"], one["why"]) for one in json.loads(text)["tests"]}
    assert tests.pop("test_bad")[1].startswith("rpi3: no such device profile (Did you mean")
    assert tests == {
        "test_ours": ("skipped", "no namespaces (As root: sysctl kernel.it=1)"),
        "test_own": ("failed", ""),
        "test_fine": ("passed", ""),
    }
    assert "a secret" not in text


def phase(when: str, outcome: str, **more: Any) -> Any:
    return SimpleNamespace(nodeid="t", when=when, outcome=outcome, skipped=outcome == "skipped", **more)


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "failed"),
        ([("setup", "skipped"), ("teardown", "passed")], "skipped"),
        ([("setup", "failed")], "failed"),
    ],
)
def test_the_worst_phase_of_a_test_counts(phases: list[tuple[str, str]], outcome: str) -> None:
    results: dict[str, PytestResult] = {}
    for when, how in phases:
        add(results, phase(when, how, edge_sim_why=""))
    assert results["t"].outcome == outcome


def test_an_expected_failure_is_none_and_a_test_that_is_not_ours_is_left_out() -> None:
    results: dict[str, PytestResult] = {}
    add(results, phase("call", "failed"))
    assert results == {}
    add(results, phase("call", "skipped", edge_sim_why="", wasxfail="why"))
    assert results["t"].outcome == "xfailed"


def test_a_session_is_green_only_when_its_tests_are_and_nothing_was_lost(tmp_path: Path) -> None:
    passed = PytestResult(name="t", outcome="passed")
    green = SessionReport(name="s", tests=[passed], boards=[])
    assert (green.state, page(green).state) == ("good", "good")
    assert SessionReport(name="s", tests=[passed], boards=[], lost=["worker gw0 ended early"]).state == "bad"
    assert SessionReport(name="s", tests=[], boards=[]).state == "open"
    open_ = SessionReport(name="s", tests=[passed], boards=[failed_board(problems=[])])
    assert (open_.state, open_.verdict) == ("open", "1 passed; not everything on the boards was proven")
    red = SessionReport(
        name="s", tests=[passed, PytestResult(name="u", outcome="failed", why="because")], boards=[failed_board()]
    )
    for ending in ("html", "md", "json"):
        file = tmp_path / f"report.{ending}"
        write(red, file)
        text = file.read_text()
        assert "because" in text
        assert "resources.json" in text


def test_a_worker_that_ends_early_is_missed_in_the_report(tmp_path: Path) -> None:
    empty = fixtures.Session(driver="local", require=False)
    reporter = _Reporter("s", tmp_path / "report.md", lambda: empty)
    reporter.pytest_testnodedown(SimpleNamespace(gateway=SimpleNamespace(id="gw1")), "crashed")
    reporter.pytest_sessionfinish(SimpleNamespace(exitstatus=0))  # type: ignore[arg-type]
    assert "worker gw1 ended early: what it did on boards is missing here" in (tmp_path / "report.md").read_text()


def test_boto3_is_led_to_the_cloud_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("AWS_ENDPOINT_URL_GREENGRASS", raising=False)
    before = dict(os.environ)
    environment = Environment({"AWS_ENDPOINT_URL_GREENGRASS": "http://127.0.0.1:1"}, "127.0.0.1")
    for _ in range(2):
        environment.enter()
        environment.enter()
        assert os.environ["AWS_ENDPOINT_URL_GREENGRASS"] == "http://127.0.0.1:1"
        assert os.environ["NO_PROXY"] == "intranet,127.0.0.1"
        assert "AWS_PROFILE" not in os.environ
        environment.leave()
        environment.leave()
        assert dict(os.environ) == before


def test_every_example_on_the_page_is_in_the_suite_that_is_run() -> None:
    page = Path("docs/pytest.md").read_text("utf-8")
    suite = Path("examples/pytest/test_no_container_ml.py").read_text("utf-8")
    examples = [part.partition("```")[0] for part in page.split("```python\n")[1:]]
    assert len(examples) > 5
    for example in examples:
        assert example in suite
