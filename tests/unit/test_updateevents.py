"""What a board's agent said of an update, as rows: phases, messages and journal entries of that job, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_sim.agent.update.journal import Journal, Record
from edge_sim.jobs.update import Phase
from edge_sim.runs.rows import JobMessage, JournalEntry, UpdateStep
from edge_sim.runs.updateevents import journal, messages, timeline

EVENTS: list[dict[str, Any]] = [
    {"event": "message", "way": "received", "topic": "jobs/notify", "at": 9.998},
    {"event": "journal", "job": "j", "phase": "PREFLIGHT", "confirmed": False, "at": 9.9999},
    {"event": "update", "job": "j", "phase": "PREFLIGHT", "at": 10.0},
    {"event": "message", "way": "sent", "topic": "jobs/j/update", "status": "IN_PROGRESS", "at": 10.5},
    {"event": "journal", "job": "other", "phase": "STAGE", "confirmed": False, "at": 11.0},
    {"event": "journal", "job": "j", "phase": "CONFIRM", "confirmed": True, "report": "SUCCEEDED", "at": 12.0},
]


def test_seconds_count_from_the_updates_first_event() -> None:
    assert [step.seconds for step in timeline(EVENTS, "j")] == [0.0]
    assert messages(EVENTS, "j") == (
        JobMessage(way="received", topic="jobs/notify", status=None, seconds=0.0),
        JobMessage(way="sent", topic="jobs/j/update", status="IN_PROGRESS", seconds=0.5),
    )
    assert str(messages(EVENTS, "j")[0].seconds) == "0.0"


def test_an_agent_that_hands_over_is_a_step_of_its_own_update_only() -> None:
    def phase(name: str, at: float, **more: str) -> dict[str, Any]:
        return {"event": "update", "job": "j", "phase": name, "at": at, **more}

    def handed_over(at: float) -> dict[str, Any]:
        return {"event": "handed over", "version": "1.2.0", "at": at}

    events = [
        handed_over(1.0),
        phase("ACTIVATE", 2.0),
        handed_over(3.0),
        phase("FAILED", 4.0, detail="no"),
        handed_over(5),
    ]
    assert timeline(events, "j") == (
        UpdateStep(phase="ACTIVATE", detail=None, seconds=0.0),
        UpdateStep(phase="HAND_OVER", detail="OTA agent 1.2.0 ends", seconds=1.0),
        UpdateStep(phase="FAILED", detail="no", seconds=2.0),
    )
    assert timeline(events, "other") == ()


def test_the_journals_entries_are_those_of_the_job() -> None:
    assert journal(EVENTS, "j") == (
        JournalEntry(phase="PREFLIGHT", confirmed=False, report=None, seconds=0.0),
        JournalEntry(phase="CONFIRM", confirmed=True, report="SUCCEEDED", seconds=2.0),
    )


def test_a_record_is_told_once_it_is_on_the_disk(tmp_path: Path) -> None:
    there: list[tuple[str, bool]] = []
    opened = Journal(tmp_path, on_write=lambda record: there.append((record.phase.name, opened.read() == record)))
    opened.write(Record(job="j", execution=1, version_number=1, phase=Phase.STAGE, old="1", new="2"))
    assert there == [("STAGE", True)]
