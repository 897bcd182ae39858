"""What a board's agent said of an update, as rows of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_sim.runs.rows import CoreEvent, Step


def timeline(events: Sequence[dict[str, Any]], job_id: str) -> tuple[Step, ...]:
    """Return the phases an update went through."""
    steps = [e for e in events if e.get("event") == "update" and e.get("job") == job_id]
    start = _began(events, job_id)
    return tuple(Step(phase=e["phase"], detail=e.get("detail"), seconds=round(e["at"] - start, 2)) for e in steps)


def core_events(events: Sequence[dict[str, Any]], job_id: str) -> tuple[CoreEvent, ...]:
    """Return what the guard said of the core while an update was under way."""
    start = _began(events, job_id)
    return tuple(
        CoreEvent(
            status=e["status"],
            version=e.get("version"),
            error=e.get("error"),
            next_try_s=e.get("next_try_s"),
            seconds=round(e["at"] - start, 2),
        )
        for e in events
        if e.get("event") == "core"
    )


def _began(events: Sequence[dict[str, Any]], job_id: str) -> float:
    """Return when an update's first event came."""
    return next((float(e["at"]) for e in events if e.get("event") == "update" and e.get("job") == job_id), 0.0)
