"""The outcomes of tests, as pytest reports them phase by phase, also from its other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge_sim.pages.page import State

if TYPE_CHECKING:
    import pytest

Outcome = Literal["failed", "skipped", "xfailed", "xpassed", "passed"]
STATES: Mapping[Outcome, State] = {
    "failed": "bad",
    "skipped": "open",
    "xfailed": "plain",
    "xpassed": "plain",
    "passed": "good",
}
"""Worst first."""
WHY = "edge_sim_why"
"""The attribute of a phase's report that says why it failed or was skipped, where that was one of our errors.

Nothing else is shown: what an assertion of the user's compares may be a secret. A report with the attribute is of a
test that used our fixtures.
"""


@dataclass(frozen=True, kw_only=True)
class PytestResult:
    """A test and its outcome."""

    name: str
    outcome: Outcome
    why: str = ""


def add(results: dict[str, PytestResult], report: pytest.TestReport) -> None:
    """Take in one phase (set-up, call, tear-down) of a test: the worst counts."""
    why = getattr(report, WHY, None)
    outcome = _outcome(report)
    if why is None or outcome is None:
        return
    known = results.get(report.nodeid)
    order = [*STATES]
    if known is None or order.index(outcome) < order.index(known.outcome):
        results[report.nodeid] = PytestResult(name=report.nodeid, outcome=outcome, why=why)


def _outcome(report: pytest.TestReport) -> Outcome | None:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.outcome == "passed":
        return "passed" if report.when == "call" else None
    return "failed" if report.outcome == "failed" else "skipped"
