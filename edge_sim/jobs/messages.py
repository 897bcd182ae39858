"""What AWS IoT Jobs says to a device: replies and notifications, as values and as bytes.

The service encodes, the agent decodes; both by the tables below, so that they cannot drift apart. All times are whole
epoch seconds (milliseconds in some of AWS's examples are a mistake; real answers have ten digits). ``jobDocument`` is
an object on MQTT. What a device says is in ``jobs.requests``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_sim.jobs import wire
from edge_sim.jobs.wire import JobsError


@dataclass(frozen=True, kw_only=True)
class Summary:
    """JobExecutionSummary: one pending execution in a list."""

    job_id: str
    queued_at: int
    last_updated_at: int
    version_number: int
    execution_number: int
    started_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobExecutionData:
    """JobExecution as a device sees it. ``seconds_left`` is approximateSecondsBeforeTimedOut."""

    job_id: str
    status: str
    queued_at: int
    last_updated_at: int
    version_number: int
    execution_number: int
    started_at: int | None = None
    status_details: Mapping[str, str] | None = None
    seconds_left: int | None = None
    document: Mapping[str, object] | None = None
    """The job document with its presigned URLs filled in; None when it was not asked for."""
    passed_over: int = 0
    """How many pending jobs lie before this one, where it was found with a member of ours (``edgeSimSkip``)."""


@dataclass(frozen=True, kw_only=True)
class ExecutionState:
    """JobExecutionState."""

    status: str
    version_number: int
    status_details: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class PendingReply:
    """Answer to get-pending. Both lists are always on the wire, also when empty: AWS's samples count on it."""

    timestamp: int
    in_progress: tuple[Summary, ...] = ()
    queued: tuple[Summary, ...] = ()
    client_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionReply:
    """Answer to start-next and describe, and the body of notify-next. No execution: nothing is pending."""

    timestamp: int
    execution: JobExecutionData | None = None
    client_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class UpdateReply:
    """Answer to update; ``state`` and ``document`` only when asked for."""

    timestamp: int
    state: ExecutionState | None = None
    document: Mapping[str, object] | None = None
    client_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionsChanged:
    """Body of notify: pending executions by status; a status without any is left out."""

    timestamp: int
    jobs: Mapping[str, tuple[Summary, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Body of every ``…/rejected``. ``code`` is one of ``wire.Code``."""

    code: str
    message: str
    timestamp: int
    client_token: str | None = None
    state: ExecutionState | None = None


Message = PendingReply | ExecutionReply | UpdateReply | ExecutionsChanged | Rejected

_Table = dict[str, tuple[str, Callable[[Mapping[str, object], str], object]]]
"""Of one class: attribute → its member on the wire, and what reads that."""

_SUMMARY: _Table = {
    "job_id": ("jobId", wire.needed_text),
    "queued_at": ("queuedAt", wire.needed_whole),
    "started_at": ("startedAt", wire.whole),
    "last_updated_at": ("lastUpdatedAt", wire.needed_whole),
    "version_number": ("versionNumber", wire.needed_whole),
    "execution_number": ("executionNumber", wire.needed_whole),
}
_EXECUTION: _Table = {  # on MQTT it has no thing name (a third party's capture)
    "job_id": ("jobId", wire.needed_text),
    "status": ("status", wire.needed_text),
    "status_details": ("statusDetails", wire.mapping),
    "queued_at": ("queuedAt", wire.needed_whole),
    "started_at": ("startedAt", wire.whole),
    "last_updated_at": ("lastUpdatedAt", wire.needed_whole),
    "version_number": ("versionNumber", wire.needed_whole),
    "execution_number": ("executionNumber", wire.needed_whole),
    "seconds_left": ("approximateSecondsBeforeTimedOut", wire.whole),
    "document": ("jobDocument", wire.mapping),
}
_STATE: _Table = {
    "status": ("status", wire.needed_text),
    "status_details": ("statusDetails", wire.mapping),
    "version_number": ("versionNumber", wire.needed_whole),
}
_REPLY: _Table = {"timestamp": ("timestamp", wire.needed_whole), "client_token": ("clientToken", wire.text)}


def encode(message: Message) -> bytes:
    """Return the bytes that the service publishes."""
    return wire.encode(fields_of(message))


def rejected(error: JobsError, timestamp: int) -> Rejected:
    """Return the refusal that ``error`` means."""
    return Rejected(
        code=error.code,
        message=str(error),
        timestamp=timestamp,
        client_token=error.client_token,
        state=_state({"state": error.state}, "state"),
    )


def fields_of(message: Message) -> dict[str, Any]:
    """Return a message's members as on the wire."""
    if isinstance(message, ExecutionsChanged):
        jobs = {status: _plain(rows) for status, rows in message.jobs.items() if rows}
        return {"timestamp": message.timestamp, "jobs": jobs}
    return _members(message)


def state_fields(state: ExecutionState) -> dict[str, object]:
    """Return an execution state's members as on the wire."""
    return _members(state)


def decode_pending(payload: bytes) -> PendingReply:
    """Read ``get/accepted``. Raises JobsError."""
    return PendingReply(**_values(PendingReply, wire.decode(payload)))


def decode_execution(payload: bytes) -> ExecutionReply:
    """Read ``start-next/accepted``, ``…/get/accepted`` or ``notify-next``. Raises JobsError."""
    return ExecutionReply(**_values(ExecutionReply, wire.decode(payload)))


def decode_update(payload: bytes) -> UpdateReply:
    """Read ``…/update/accepted``. Raises JobsError."""
    return UpdateReply(**_values(UpdateReply, wire.decode(payload)))


def decode_rejected(payload: bytes) -> Rejected:
    """Read any ``…/rejected``. Raises JobsError."""
    return Rejected(**_values(Rejected, wire.decode(payload)))


def _members(value: object) -> dict[str, object]:
    """Return the members that ``value`` has on the wire; what is None is left out."""
    members = {name: getattr(value, attribute) for attribute, (name, _) in _TABLES[type(value)].items()}
    return {name: _plain(item) for name, item in members.items() if item is not None}


def _plain(item: object) -> object:
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, tuple):
        return [_plain(value) for value in item]
    return _members(item) if type(item) in _TABLES else item


def _values(kind: type, fields: Mapping[str, object]) -> dict[str, Any]:
    return {attribute: read(fields, name) for attribute, (name, read) in _TABLES[kind].items()}


def _summaries(fields: Mapping[str, object], name: str) -> tuple[Summary, ...]:
    return tuple(Summary(**_values(Summary, item)) for item in wire.objects(fields, name))


def _execution(fields: Mapping[str, object], name: str) -> JobExecutionData | None:
    # An idle notify-next or $next is a bare timestamp; an empty object has been seen to mean the same.
    members = wire.mapping(fields, name)
    return JobExecutionData(**_values(JobExecutionData, members)) if members else None


def _state(fields: Mapping[str, object], name: str) -> ExecutionState | None:
    members = wire.mapping(fields, name)
    return None if members is None else ExecutionState(**_values(ExecutionState, members))


_TABLES: Mapping[type, _Table] = {
    Summary: _SUMMARY,
    JobExecutionData: _EXECUTION,
    ExecutionState: _STATE,
    PendingReply: {
        **_REPLY,
        "in_progress": ("inProgressJobs", _summaries),
        "queued": ("queuedJobs", _summaries),
    },
    ExecutionReply: {**_REPLY, "execution": ("execution", _execution)},
    UpdateReply: {**_REPLY, "state": ("executionState", _state), "document": ("jobDocument", wire.mapping)},
    Rejected: {
        "timestamp": ("timestamp", lambda fields, name: wire.whole(fields, name) or 0),
        "client_token": ("clientToken", wire.text),
        "code": ("code", wire.needed_text),
        "message": ("message", lambda fields, name: wire.text(fields, name) or ""),
        "state": ("executionState", _state),
    },
}
