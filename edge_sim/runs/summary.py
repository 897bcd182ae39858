"""The end of a run's text: every board in one line, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edge_sim.runs.results import BoardReport, Kind, Problem, RunReport

COLUMNS = ("board", "verdict", "deployment", "access", "functions", "updates", "time")


def verdict(board: BoardReport) -> str:
    """Return a board's verdict in one word or two."""
    return "failed" if board.problems else "not proven" if board.not_proven else "ok"


def row(board: BoardReport) -> tuple[str, ...]:
    """Return a board's line of the summary; ``-`` where nothing was tried."""
    return (
        board.profile,
        verdict(board),
        board.deployment.status if board.deployment else "-",
        _share([line.ok is True and line.agree is not False for line in board.access]),
        _share([line.ok for line in board.functions]),
        _share([line.as_expected for line in board.updates]),
        f"{board.seconds:.0f} s" if board.seconds is not None else "-",
    )


def _share(good: Sequence[bool]) -> str:
    return f"{sum(good)} of {len(good)}" if good else "-"


def next_step(report: RunReport, scenario: str) -> str:
    """Return what to do after this run of ``scenario``, the file or folder as the command line named it."""
    run = f"edge-sim run {shlex.quote(scenario)}"
    problems = [(board.profile, problem) for board in report.boards for problem in board.problems]
    if problems:
        return _remedy(*min(problems, key=lambda pair: _GRAVEST.index(pair[1].kind)), run, shlex.quote(scenario))
    if report.exit_status:
        return "edge-sim doctor shows what this machine lacks"
    if any(board.standing_in for board in report.boards):
        return f"{run} --driver docker runs the boards on their own architecture"
    if any(board.driver == "docker" for board in report.boards):
        return f"{run} --board ssh://USER@HOST runs it on a real board"
    return f"{run} --report report.html writes the complete report as a page"


_GRAVEST: Sequence[Kind] = ("disagreement", "definition", "access", "function", "update")
"""What comes first is the cause of what follows."""


def _remedy(board: str, problem: Problem, run: str, scenario: str) -> str:
    if problem.kind == "disagreement":
        return f"report this as a bug of edge-sim, with the file that {run} --report report.html writes"
    if problem.hint:
        return f"{problem.where} on {board}: {problem.hint}"
    if problem.kind == "definition":
        return f"edge-sim validate {scenario} --profile {board} shows the line and the rule"
    if problem.kind == "access":
        return f"edge-sim access {scenario} --profile {board} shows by which permission, and what would change it"
    if problem.kind == "update":
        return f"{run} --profile {board} --verbose shows every message and journal entry of an update"
    return f"{run} --profile {board} --verbose shows what the function logged"
