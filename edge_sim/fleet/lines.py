"""What the processes of a fleet say to each other, as JSON lines.

A core's lines are ``[number, time, kind, members]`` (epoch seconds); all others are objects with ``say`` or ``do``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_sim.agent.update.journal import Record, Report
from edge_sim.jobs.update import Phase

Line = tuple[int, float, str, Mapping[str, Any]]
"""A core's number, when (epoch seconds), kind and members."""


@dataclass(slots=True)
class ModelDisk:
    """What a core keeps over a restart: the version that is to run, the last good one, an update under way."""

    version: str
    good: str | None = None
    record: Record | None = None

    def as_json(self) -> dict[str, Any]:
        return {"version": self.version, "good": self.good, "record": self.record and _fields(self.record)}


def of_event(event: str, fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return kind and members of what an agent's event says of the end of its job, None for any other event."""
    if event == "reported":
        return "reported", {"job": fields["job"], "status": fields["status"]}
    if event == "update" and fields.get("phase") == "CANCELED":
        return "canceled", {"job": fields["job"], "text": fields.get("detail")}
    if event == "error":
        kind = "refused" if fields.get("status") else "error"  # an error with a status: the cloud did not take this end
        return kind, {"text": str(fields.get("error", ""))}
    return None


def disk(fields: Mapping[str, Any]) -> ModelDisk:
    """Return what ``ModelDisk.as_json`` was made of."""
    return ModelDisk(version=fields["version"], good=fields["good"], record=_record(fields["record"]))


def encode(line: object) -> bytes:
    """Return a line as it is written."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _fields(record: Record) -> dict[str, Any]:
    report = record.report
    more = {"phase": record.phase.name, "report": report and {"status": report.status, "details": dict(report.details)}}
    return {**vars(record), **more}


def _record(fields: Mapping[str, Any] | None) -> Record | None:
    if fields is None:
        return None
    report = fields["report"]
    return Record(**{**fields, "phase": Phase[fields["phase"]], "report": Report(**report) if report else None})
