"""The pytest plugin's boards: kept, reset, replaced; and whole sessions as somebody would start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from edge_sim.errors import AccessError, InvalidDefinitionError, UpdateError, UsageError
from edge_sim.scenario import SCENARIO, ExpectedUpdate, Scenario, load
from edge_sim.testing.bench import Bench
from tests import needs
from tests.small_group import ml, write_group
from tests.unit.greengrass.build import function

CHECKOUT = Path(__file__).parents[2]
BOARD = "raspberry-pi-3"
HANDLER = """
import sys
def handler(event, context):
    if event:
        sys.exit("it broke")
    return {"n": 1}
"""


def group(folder: Path, *models: str, gid: str = "100") -> Scenario:
    """A scenario with models that one function reads, and another function that does not."""
    resources = [ml(name, gid) for name in models]
    reader = function("reader", *((name, None) for name in models))
    file = write_group(folder, resources, [reader, function("other")], code={"main.py": HANDLER}) / SCENARIO
    file.write_text(file.read_text("utf-8").replace("python3.8", "python3.7"), "utf-8")  # the factory's core is 1.10
    return load(file)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench("local")
    yield bench
    bench.close()


@pytest.fixture
def cleared(bench: Bench) -> Iterator[Bench]:
    yield bench
    bench.end_test()


@pytest.mark.slow
@needs.whole_board
@pytest.mark.root
@pytest.mark.network
def test_a_board_is_kept_and_reset_until_something_runs_on_it(cleared: Bench, tmp_path: Path) -> None:
    bench = cleared
    first = bench.deploy(group(tmp_path / "one", "birds"), BOARD)
    first.assert_access("reader", "birds", "ro")
    live = bench.plain(BOARD).live
    bench.end_test()
    assert bench.deploy(load(tmp_path / "one"), BOARD) is first  # it has that already
    bench.end_test()
    second = bench.deploy(group(tmp_path / "two", "fish"), BOARD)
    assert bench.plain(BOARD).live is live
    assert {row.resource for row in second.report.layout} & {"birds", "fish"} == {"fish"}
    second.assert_access("reader", "fish", "ro")
    assert second.invoke("reader") == {"n": 1}
    bench.end_test()
    third = bench.deploy(load(tmp_path / "two"), BOARD)
    assert third is not second
    assert bench.plain(BOARD).live is not live


@pytest.mark.slow
@needs.whole_board
@pytest.mark.root
@pytest.mark.network
def test_what_is_not_so_is_said_with_reason_remedy_and_place(cleared: Bench, tmp_path: Path) -> None:
    deployment = cleared.deploy(group(tmp_path / "one", "birds"), BOARD)
    with pytest.raises(AccessError, match="other × birds: expected ro, but other cannot read it") as access:
        deployment.assert_access("other", "birds", "ro")
    assert access.value.hint == "To allow read: {ResourceId: birds} in the ResourceAccessPolicies of other"
    assert "resources.json:" in str(access.value.details)
    deployment.assert_access("other", "birds", "none")
    with pytest.raises(AccessError, match="expected rw, but reader cannot write to it"):
        deployment.assert_access("reader", "birds", "rw")
    with pytest.raises(UsageError, match="no function 'read'"):
        deployment.assert_access("read", "birds", "ro")
    with pytest.raises(AccessError, match="reader") as failed:
        deployment.invoke("reader", {"break": 1})
    assert "it broke" in f"{failed.value.brief} {failed.value.details}"
    with pytest.raises(AccessError, match=r"result\.n: expected 2, got 1"):
        deployment.invoke("other", expect={"n": 2})
    with pytest.raises(UsageError, match="this test has already changed the board"):
        cleared.deploy(load(tmp_path / "one"), BOARD)
    kinds = [problem.kind for problem in deployment.report.problems]
    assert kinds == ["access", "access", "function", "function"]


@pytest.mark.slow
@needs.whole_board
@pytest.mark.root
@pytest.mark.network
def test_a_refused_group_and_an_update_that_ends_otherwise(cleared: Bench, tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinitionError):
        cleared.deploy(group(tmp_path / "one", "birds", gid="-1"), BOARD)
    cleared.end_test()
    build = ExpectedUpdate(version="1.11.7", starts=False, software="core", status="SUCCEEDED", running="1.11.7")
    with pytest.raises(UpdateError, match=r"1\.10\.0 → 1\.11\.7: ended FAILED .* with 1\.10\.0 running"):
        cleared.update(BOARD, lambda before: build, 1)
    (report,) = [report for report in cleared.reports() if report.updates]
    assert report.profile == f"{BOARD}: no group"


def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.slow
@needs.whole_board
@pytest.mark.root
@pytest.mark.network
def test_the_examples_suite_in_two_processes_makes_one_report(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run("-n", "2", f"--edge-report={report}", f"--edge-profile={BOARD}", cwd=CHECKOUT / "examples/pytest")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(report.read_text("utf-8"))
    assert {test["outcome"] for test in document["tests"]} == {"passed"}
    assert (document["ok"], document["lost"]) == (True, [])
    assert any(row["ok"] for board in document["boards"] for row in board["access"])
    assert any(update["ok"] for board in document["boards"] for update in board["updates"])


LOADED = """
import sys
def pytest_sessionfinish(): print("loaded:", sorted(name for name in sys.modules if name.startswith("edge_sim")))
"""


def test_a_session_that_uses_none_of_it_loads_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(LOADED)
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path): ...\n")
    done = run("-q", "-p", "edge_sim", cwd=tmp_path, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert done.returncode == 0, done.stdout
    assert "loaded: ['edge_sim', 'edge_sim.testing', 'edge_sim.testing.plugin']" in done.stdout


EXTRAS = ("boto3", "botocore", "moto", "jinja2")
NEEDS_MORE = """
def test_definition(assert_valid): assert_valid("Resources.json")
def test_cloud(edge_cloud): ...
"""


def test_without_the_extra_one_sentence_names_it_and_nothing_passes_for_proven(tmp_path: Path) -> None:
    packages, suite = tmp_path / "packages", tmp_path / "suite"
    packages.mkdir()
    suite.mkdir()
    for entry in Path(str(pytest.__file__)).parents[1].iterdir():
        if not entry.name.lower().startswith(EXTRAS):
            (packages / entry.name).symlink_to(entry)
    (suite / "Resources.json").write_text('{"Resources": []}')
    (suite / "test_it.py").write_text(NEEDS_MORE)
    argv = [sys.executable, "-S", "-m", "pytest", "-p", "edge_sim", "-p", "no:cacheprovider", "-rs"]
    env = {**os.environ, "PYTHONPATH": f"{packages}:{CHECKOUT}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(argv, cwd=suite, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert "1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "not proven here: Python packages: without " in done.stdout
    assert "boto3" in done.stdout
    assert "python3 -m pip install '.[sim]'" in done.stdout
    argv.append("--edge-report=report.html")
    done = subprocess.run(argv, cwd=suite, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "needs the package Jinja2" in done.stderr
    assert "'.[report]'" in done.stderr
