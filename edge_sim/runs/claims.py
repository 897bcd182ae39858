"""A run's problems as results of checks: what SARIF and annotations are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from edge_sim.runs.results import BoardReport, Kind, RunReport
from edge_sim.validation.results import Check, Result

_WHAT: Mapping[Kind, tuple[str, str]] = {
    "disagreement": (
        "Computed and probed access are the same",
        "This is a fault of edge-sim. Please report it with the definition.",
    ),
    "definition": ("The core takes the deployment", "Correct the definition, or what it refers to."),
    "access": (
        "Every function can open what the definition gives it, and nothing else",
        "edge-sim access GROUP --function ID shows the way to each path, and which change would alter the answer.",
    ),
    "function": (
        "Functions return what the scenario expects",
        "Correct the function, or what the scenario expects of it.",
    ),
    "update": (
        "Updates end as the scenario expects",
        "The HTML report shows each phase, message and journal entry; correct the build, or what the scenario expects.",
    ),
}
HELP: Mapping[Kind, str] = {kind: todo for kind, (_, todo) in _WHAT.items()}
"""What to do about a problem of which nothing more is known."""
_NOT_PROVEN = Check(
    id="run/not-proven",
    what="This machine can prove the claim",
    level="note",
    description="A claim that this machine could not try is neither a pass nor a failure.",
    help="edge-sim doctor says what is missing.",
)
CHECKS: tuple[Check, ...] = (
    *(
        Check(id=f"run/{kind}", what=what, level="error", description=f"{what}, on every board of the run.", help=todo)
        for kind, (what, todo) in _WHAT.items()
    ),
    _NOT_PROVEN,
)


def of_run(report: RunReport) -> list[Result]:
    """Return the results of a run; one that several boards have is one."""
    merged: dict[Result, list[str]] = {}
    for board in report.boards:
        for result in _results(board):
            merged.setdefault(result, []).append(board.profile)
    return [
        replace(result, boards=boards, text=f"{', '.join(boards)}: {result.text}") for result, boards in merged.items()
    ]


def _results(board: BoardReport) -> Iterator[Result]:
    for problem in board.problems:
        text = "\n".join(filter(None, (f"{problem.where}: {problem.message}", problem.hint)))
        yield Result(check=f"run/{problem.kind}", level="error", text=text, about=problem.where, position=problem.place)
    for claim in board.not_proven:
        yield Result(check=_NOT_PROVEN.id, level="note", text=claim, about=claim, unknown=True)
