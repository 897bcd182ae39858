"""What a board's agent said of an update, as rows of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_sim.runs.rows import CoreEvent, JobMessage, JournalEntry, UpdateStep


def timeline(events: Sequence[dict[str, Any]], job_id: str) -> tuple[UpdateStep, ...]:
    """Return the phases an update went through, and where one agent ended in favour of another (HAND_OVER)."""
    own = [number for number, event in enumerate(events) if _is_phase(event, job_id)]
    during = events[own[0] : own[-1] + 1] if own else ()
    start = _began(events, job_id)
    return tuple(_step(e, start) for e in during if _is_phase(e, job_id) or e.get("event") == "handed over")


def _is_phase(event: dict[str, Any], job_id: str) -> bool:
    return event.get("event") == "update" and event.get("job") == job_id


def _step(event: dict[str, Any], start: float) -> UpdateStep:
    if event["event"] == "handed over":
        return UpdateStep(phase="HAND_OVER", detail=f"OTA agent {event['version']} ends", seconds=_since(start, event))
    return UpdateStep(phase=event["phase"], detail=event.get("detail"), seconds=_since(start, event))


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
    """Return the entries of an update's journal, in order."""
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
    return next((float(e["at"]) for e in events if _is_phase(e, job_id)), 0.0)
