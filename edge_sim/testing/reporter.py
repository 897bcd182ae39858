"""``--edge-report``: one file for a session, also where its tests ran in several processes (pytest-xdist)."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_sim.errors import REPORT_INSTALL, EdgeSimError, UsageError
from edge_sim.folders import check_file
from edge_sim.profiles import load_profiles
from edge_sim.testing.driver import check_driver

if TYPE_CHECKING:
    from edge_sim.runs.results import BoardReport
    from edge_sim.testing.fixtures import Session
    from edge_sim.testing.tests import PytestResult

_KEY = "edge_sim"
_SUFFIXES = (".html", ".md", ".json")


def configure(config: pytest.Config, session: Callable[[], Session]) -> None:
    """Check the options, and register what writes the report; in a worker, what hands its part over."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(_Worker(session))
        return
    file = config.option.edge_report
    try:
        check_driver(config)
        load_profiles(config.option.edge_profile)
        if file:
            _check(file)
    except EdgeSimError as error:
        raise pytest.UsageError("\n".join(filter(None, (error.brief, error.hint)))) from error
    if file:
        config.pluginmanager.register(_Reporter(config.rootpath.name, file, session))


def _check(file: Path) -> None:
    if file.suffix not in _SUFFIXES:
        raise UsageError(f"--edge-report {file}: the name must end in one of {', '.join(_SUFFIXES)}")
    check_file(file)
    if file.suffix == ".html" and find_spec("jinja2") is None:
        raise UsageError(f"--edge-report {file}: an HTML report needs the package Jinja2", hint=REPORT_INSTALL)


class _Worker:
    """In a process of pytest-xdist: hands over what was done on its boards."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, object] = session.config.workeroutput  # type: ignore[attr-defined]
        output[_KEY] = pickle.dumps(self._session().bench.reports())


class _Reporter:
    """Collects the outcomes of tests and what was done on boards, and writes it when the session is over."""

    def __init__(self, name: str, file: Path, session: Callable[[], Session]) -> None:
        self._name = name
        self._file = file
        self._session = session
        self._results: dict[str, PytestResult] = {}
        self._boards: list[BoardReport] = []
        self._lost: list[str] = []
        self._summary = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from edge_sim.testing.tests import add

        add(self._results, report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker has done; one that crashed has said nothing."""
        output = getattr(node, "workeroutput", None) or {}
        if _KEY in output:
            self._boards += pickle.loads(output[_KEY])  # noqa: S301 - from a process of this session
        else:
            self._lost.append(f"worker {node.gateway.id} ended early: what it did on boards is missing here")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        from edge_sim.testing.page import SessionReport, write

        boards = _named([*self._boards, *self._session().bench.reports()])
        report = SessionReport(name=self._name, tests=[*self._results.values()], boards=boards, lost=self._lost)
        try:
            write(report, self._file)
            self._summary = f"edge-sim report: {self._file} ({report.verdict})"
        except EdgeSimError as error:
            self._summary = f"edge-sim report: {error.brief}"
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(self._summary)


def _named(boards: Sequence[BoardReport]) -> list[BoardReport]:
    """Give boards of the same name numbers: every process counts its own."""
    counts: dict[str, int] = {}
    for board in boards:
        counts[board.profile] = counts.get(board.profile, 0) + 1
        if counts[board.profile] > 1:
            board.profile = f"{board.profile} ({counts[board.profile]})"
    return [*boards]
