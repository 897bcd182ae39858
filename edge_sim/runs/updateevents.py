"""What a board's agent said of an update, as rows of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_sim.runs.rows import CoreEvent, JobMessage, JournalEntry, Step


def timeline(events: Sequence[dict[str, Any]], job_id: str) -> tuple[Step, ...]:
    """Return the phases an update went through."""
    steps = [e for e in events if e.get("event") == "update" and e.get("job") == job_id]
    start = _began(events, job_id)
    return tuple(Step(phase=e["phase"], detail=e.get("detail"), seconds=_since(start, e)) for e in steps)


def core_events(events: Sequence[dict[str, Any]], job_id: str) -> tuple[CoreEvent, ...]:
    """Return what the guard said of the core while an update was under way."""
    start = _began(events, job_id)
    return tuple(
        CoreEvent(
            status=e["status"],
            version=e.get("version"),
            error=e.get("error"),
            next_try_s=e.get("next_try_s"),
            seconds=_since(start, e),
        )
        for e in events
        if e.get("event") == "core"
    )


def messages(events: Sequence[dict[str, Any]], job_id: str) -> tuple[JobMessage, ...]:
    """Return the messages of AWS IoT Jobs while an update was under way."""
    start = _began(events, job_id)
    return tuple(
        JobMessage(way=e["way"], topic=e["topic"], status=e.get("status"), seconds=_since(start, e))
        for e in events
        if e.get("event") == "message"
    )


def journal(events: Sequence[dict[str, Any]], job_id: str) -> tuple[JournalEntry, ...]:
    """Return what the journal of an update was told, in order."""
    start = _began(events, job_id)
    return tuple(
        JournalEntry(phase=e["phase"], confirmed=e["confirmed"], report=e.get("report"), seconds=_since(start, e))
        for e in events
        if e.get("event") == "journal" and e.get("job") == job_id
    )


def _since(start: float, event: dict[str, Any]) -> float:
    return round(float(event["at"]) - start, 2) + 0.0  # no -0.0


def _began(events: Sequence[dict[str, Any]], job_id: str) -> float:
    """Return when an update's first event came."""
    return next((float(e["at"]) for e in events if e.get("event") == "update" and e.get("job") == job_id), 0.0)
