"""Options, fixtures and hooks for pytest. Every pytest near edge-sim imports this module: it imports nothing of ours.

What a fixture does is in ``fixtures``, loaded when a test asks for one. An error of ours ends a test here, once: with
status 6, "this machine cannot prove it", it is a skip (``--edge-require``: a failure), otherwise a failure that says
reason and remedy without our tracebacks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from edge_sim.testing.fixtures import EdgeBoard, EdgeCloud, Session, Trial

_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_WHY: pytest.StashKey[str] = pytest.StashKey()
_PREFIXES = ("edge_", "assert_access", "assert_valid")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("edge-sim", "AWS IoT Greengrass V1 boards")
    group.addoption(
        "--edge-driver",
        default="local",
        metavar="local|docker|ssh://[USER@]HOST[:PORT]",
        help="where boards come from: local (namespaces of this machine, the default), docker (containers, QEMU), or a "
        "real board, by your own OpenSSH",
    )
    group.addoption(
        "--edge-profile",
        action="append",
        default=[],
        metavar="NAME",
        help="the boards' profile; may be repeated to run each test that uses edge_profile on every board",
    )
    group.addoption(
        "--edge-report",
        type=Path,
        metavar="FILE",
        help="write a report of everything done on boards to one file: .html, .md or .json",
    )
    group.addoption(
        "--edge-require",
        action="store_true",
        help="fail tests that this machine cannot prove, instead of skipping them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options before any test runs, and collect for a report that was asked for."""
    if config.option.edge_driver != "local" or config.option.edge_profile or config.option.edge_report:
        from edge_sim.testing import reporter

        reporter.configure(config, lambda: _session(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat tests for every profile where several are named."""
    names = [*dict.fromkeys(metafunc.config.option.edge_profile)]
    own = any("edge_profile" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if len(names) > 1 and "edge_profile" in metafunc.fixturenames and not own:
        metafunc.parametrize("edge_profile", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def edge_profile(request: pytest.FixtureRequest) -> str | None:
    """The profile of ``--edge-profile``; None where none is named: then it is the first board of a scenario."""
    names = request.config.option.edge_profile
    name: str | None = getattr(request, "param", names[0] if names else None)
    return name


@pytest.fixture(scope="session")
def _edge_bench(pytestconfig: pytest.Config) -> Iterator[None]:
    with _session(pytestconfig).lasting():
        yield


@pytest.fixture(scope="session")
def edge_cloud(pytestconfig: pytest.Config, _edge_bench: None) -> Iterator[EdgeCloud]:
    """The local cloud, for boto3 as it comes: tests that use it find the environment set, others do not."""
    session = _session(pytestconfig)
    with session.boto3():
        yield session.cloud()


@pytest.fixture
def _edge_trial(request: pytest.FixtureRequest, edge_profile: str | None, _edge_bench: None) -> Iterator[Trial]:
    with _session(request.config).trial(request.path.parent, edge_profile) as trial:
        yield trial


@pytest.fixture
def edge_group(_edge_trial: Trial) -> Callable[..., Any]:
    """``edge_group(path)``: a group's scenario or definition, read; the path is relative to the test's file."""
    return _edge_trial.group


@pytest.fixture
def edge_board(_edge_trial: Trial) -> Callable[..., EdgeBoard]:
    """``edge_board(profile=None, stable_window=None)``: a board that is kept, and as it was made."""
    return _edge_trial.board


@pytest.fixture
def edge_deploy(_edge_trial: Trial) -> Callable[..., Any]:
    """``edge_deploy(group, board=None)``: a group on a board; returns its deployment."""
    return _edge_trial.deploy


@pytest.fixture
def edge_update(_edge_trial: Trial) -> Callable[..., Any]:
    """``edge_update(version, board=None, ...)``: a software update by an IoT job, followed to its end."""
    return _edge_trial.update


@pytest.fixture
def assert_access(_edge_trial: Trial) -> Callable[..., None]:
    """``assert_access(function, resource, "ro")``: on every board that this test has deployed to."""
    return _edge_trial.assert_access


@pytest.fixture
def assert_valid(_edge_trial: Trial) -> Callable[..., None]:
    """``assert_valid(path)``: no rule of V1 refuses the group, on no board of ``--edge-profile``."""
    return _edge_trial.assert_valid


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Have boto3 find the cloud in the tests that use it only."""
    session = item.config.stash.get(_SESSION, None)
    if session:
        session.lead_boto3("edge_cloud" in getattr(item, "fixturenames", ()))
    return (yield from _translated(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _translated(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Have boto3 find the cloud when the session's own fixtures end."""
    session = item.config.stash.get(_SESSION, None)
    if session and nextitem is None:
        session.lead_boto3(True)
    return (yield from _translated(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note with each phase of a test of ours why it ended as it did."""
    report = yield
    if _is_ours(item):
        why = item.stash.get(_WHY, "") if report.outcome != "passed" else ""
        report.edge_sim_why = why  # type: ignore[attr-defined]
    return report


def _translated(item: pytest.Item) -> Generator[None, object, object]:
    """Turn an error of ours into pytest's, with the lines of the user's test and none of ours."""
    __tracebackhide__ = True
    try:
        return (yield)
    except Exception as error:
        errors = sys.modules.get("edge_sim.errors")
        if errors is None or not isinstance(error, errors.EdgeSimError) or not _is_ours(item):
            raise
        from edge_sim.testing import failures

        end = failures.ended(error, require=item.config.option.edge_require)
        item.stash[_WHY] = failures.brief(error)
        traceback = failures.users_lines(error)
    raise end.with_traceback(traceback) from None


def _is_ours(item: pytest.Item) -> bool:
    """Say whether a test uses a fixture of ours."""
    return any(name.startswith(_PREFIXES) for name in getattr(item, "fixturenames", ()))


def _session(config: pytest.Config) -> Session:
    """Return what the tests of this process share."""
    session = config.stash.get(_SESSION, None)
    if session is None:
        from edge_sim.testing.fixtures import Session

        session = config.stash[_SESSION] = Session(driver=config.option.edge_driver, require=config.option.edge_require)
    return session
