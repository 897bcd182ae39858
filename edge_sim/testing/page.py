"""The report of a pytest session: its tests, then what was done on boards, from all of its processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sim.folders import write_file
from edge_sim.pages.page import Cell, Lines, Page, Section, State, Table, first, worst
from edge_sim.runs import page as run_page
from edge_sim.runs.results import BoardReport, RunReport
from edge_sim.testing.tests import STATES, PytestResult

MOST = 1000
"""Tests that a page lists."""


@dataclass(frozen=True, kw_only=True)
class SessionReport:
    """The outcomes of a session's tests, and what they did on boards; ``lost`` says what is missing in it."""

    name: str
    tests: Sequence[PytestResult]
    boards: Sequence[BoardReport]
    lost: Sequence[str] = ()

    @property
    def state(self) -> State:
        states: list[State] = [STATES[test.outcome] for test in self.tests]
        states += ["open"] if self.open else []
        return "bad" if self.lost else worst(states) if states else "open"

    @property
    def open(self) -> bool:
        """Whether a board could not prove all that was done on it."""
        return any(board.not_proven for board in self.boards)

    @property
    def verdict(self) -> str:
        counts = Counter(test.outcome for test in self.tests)
        parts = [f"{count} {outcome}" for outcome in STATES if (count := counts[outcome])]
        rest = ["not everything on the boards was proven"] if self.open else []
        return "; ".join((", ".join(parts) or "No test used a board", *rest, *self.lost))

    def as_json(self) -> dict[str, object]:
        run = RunReport(scenario=self.name, boards=list(self.boards)).as_json()
        return {**run, "ok": self.state == "good", "tests": [vars(test) for test in self.tests], "lost": [*self.lost]}


def write(report: SessionReport, file: Path) -> None:
    """Write a report in the format that the file's name says. Raises UsageError where that is not possible."""
    if file.suffix == ".json":
        text = json.dumps(report.as_json(), indent=2) + "\n"
    elif file.suffix == ".md":
        from edge_sim.pages import markdown

        text = markdown.render(page(report))
    else:
        from edge_sim.pages import html

        text = html.render(page(report))
    write_file(file, text)


def page(report: SessionReport) -> Page:
    """Return the session's page."""
    of_boards = run_page.page(RunReport(scenario=report.name, boards=list(report.boards)))
    about = {key: value for key, value in of_boards.about.items() if key != "exit status"}
    return replace(
        of_boards,
        command="pytest",
        state=report.state,
        verdict=report.verdict,
        about=about,
        sections=[_tests(report), *of_boards.sections],
        data=report.as_json(),
    )


def _tests(report: SessionReport) -> Section:
    order = sorted(report.tests, key=lambda test: [*STATES].index(test.outcome))
    some, left_out = first(order, MOST, "tests")
    rows = [
        [Cell(text=test.name), Cell(text=test.outcome, state=STATES[test.outcome], detail=_why(test))] for test in some
    ]
    columns = ["test", "outcome"]
    table = Table(caption="Tests that used a board or the cloud", columns=columns, rows=rows, left_out=left_out)
    lost = [Lines(lines=report.lost)] if report.lost else []
    return Section(title="Tests", blocks=[*lost, *([table] if rows else [])])


def _why(test: PytestResult) -> str | None:
    """Return why a test failed or was skipped; what an assertion of the user's compares may be a secret."""
    if test.why or test.outcome not in ("failed", "skipped"):
        return test.why or None
    return "by the test itself: pytest's output says why"
