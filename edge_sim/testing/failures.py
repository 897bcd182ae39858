"""Errors of ours as pytest shows them: a sentence, what helps, and the lines of the user's test."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pytest

import edge_sim
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.printing import printable

_OURS = Path(edge_sim.__file__).parent


def ended(error: EdgeSimError, *, require: bool) -> BaseException:
    """Return how a test ends by an error: skipped where this machine cannot prove it, otherwise failed."""
    if error.exit_status != UnsupportedEnvironmentError.exit_status:
        return pytest.fail.Exception("\n".join(map(printable, error.explained().removeprefix("error: ").splitlines())))
    lines = [
        f"not proven here: {error.brief}",
        *(error.details or "").splitlines(),
        *([error.hint] if error.hint else []),
    ]
    reason = "; ".join(printable(line).strip().rstrip(".") for line in lines)
    if require:
        return pytest.fail.Exception(f"{reason} (--edge-require)")
    return pytest.skip.Exception(f"{reason} (edge-sim doctor)")


def brief(error: EdgeSimError) -> str:
    """Return an error in a line, with what helps."""
    return printable(error.brief + (f" ({error.hint})" if error.hint else ""))


def users_lines(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error without what was called in edge_sim: it ends in the test, or its fixture."""
    steps: list[TracebackType] = []
    step = error.__traceback__
    while step is not None:
        steps.append(step)
        step = step.tb_next
    ours = {number for number, step in enumerate(steps) if _is_ours(step)}
    inner = next((number for number in sorted(ours) if number and number - 1 not in ours), None)
    if inner is None:
        return error.__traceback__
    outer: TracebackType | None = None
    for step in reversed(steps[:inner]):
        outer = TracebackType(outer, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return outer


def _is_ours(step: TracebackType) -> bool:
    return Path(step.tb_frame.f_code.co_filename).is_relative_to(_OURS)
