"""What AWS IoT Jobs says to a device: replies and notifications, as values and as bytes.

The service encodes, the agent decodes; both through the tables below, so that they cannot drift apart. All times
are whole epoch seconds (milliseconds in some of AWS's examples are a mistake; real answers have ten digits).
``job_document`` is an object on MQTT. What a device says is in ``jobs.requests``, names of both are offered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_sim.jobs import wire
from edge_sim.jobs.requests import Describe, GetPending, StartNext, Update
from edge_sim.jobs.wire import JobsError

__all__ = [
    "Describe",
    "ExecutionReply",
    "ExecutionState",
    "ExecutionsChanged",
    "GetPending",
    "JobExecutionData",
    "JobsError",
    "PendingReply",
    "Rejected",
    "StartNext",
    "Summary",
    "Update",
    "UpdateReply",
    "decode_changed",
    "decode_execution",
    "decode_pending",
    "decode_rejected",
    "decode_update",
    "encode",
    "execution_fields",
    "fields_of",
    "rejected",
    "state_fields",
    "summary_fields",
]


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
    document: Mapping[str, Any] | None = None
    """The job document with its presigned URLs filled in; None when it was not asked for."""


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
    document: Mapping[str, Any] | None = None
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
        state=_state(error.state),
    )


def fields_of(message: Message) -> dict[str, Any]:
    """Return a message's members as on the wire; None means "leave it out"."""
    if isinstance(message, ExecutionsChanged):
        jobs = {status: [summary_fields(s) for s in rows] for status, rows in message.jobs.items() if rows}
        return {"timestamp": message.timestamp, "jobs": jobs}
    common: dict[str, Any] = {"timestamp": message.timestamp, "clientToken": message.client_token}
    if isinstance(message, PendingReply):
        common["inProgressJobs"] = [summary_fields(s) for s in message.in_progress]
        common["queuedJobs"] = [summary_fields(s) for s in message.queued]
    elif isinstance(message, ExecutionReply):
        common["execution"] = execution_fields(message.execution) if message.execution else None
    elif isinstance(message, UpdateReply):
        common["executionState"] = state_fields(message.state) if message.state else None
        common["jobDocument"] = message.document
    else:
        common |= {"code": message.code, "message": message.message}
        common["executionState"] = state_fields(message.state) if message.state else None
    return common


def summary_fields(summary: Summary) -> dict[str, Any]:
    """Return a summary's members as on the wire."""
    return _present(
        jobId=summary.job_id,
        queuedAt=summary.queued_at,
        startedAt=summary.started_at,
        lastUpdatedAt=summary.last_updated_at,
        versionNumber=summary.version_number,
        executionNumber=summary.execution_number,
    )


def execution_fields(execution: JobExecutionData) -> dict[str, Any]:
    """Return an execution's members as on the wire (MQTT carries no thing name: a third party's capture)."""
    return _present(
        jobId=execution.job_id,
        status=execution.status,
        statusDetails=None if execution.status_details is None else dict(execution.status_details),
        queuedAt=execution.queued_at,
        startedAt=execution.started_at,
        lastUpdatedAt=execution.last_updated_at,
        versionNumber=execution.version_number,
        executionNumber=execution.execution_number,
        approximateSecondsBeforeTimedOut=execution.seconds_left,
        jobDocument=execution.document,
    )


def state_fields(state: ExecutionState) -> dict[str, Any]:
    """Return an execution state's members as on the wire."""
    return _present(
        status=state.status,
        statusDetails=None if state.status_details is None else dict(state.status_details),
        versionNumber=state.version_number,
    )


def decode_pending(payload: bytes) -> PendingReply:
    """Read ``get/accepted``. Raises JobsError."""
    fields = wire.decode(payload)
    return PendingReply(
        timestamp=wire.needed_whole(fields, "timestamp"),
        in_progress=tuple(_summary(item) for item in wire.objects(fields, "inProgressJobs")),
        queued=tuple(_summary(item) for item in wire.objects(fields, "queuedJobs")),
        client_token=wire.text(fields, "clientToken"),
    )


def decode_execution(payload: bytes) -> ExecutionReply:
    """Read ``start-next/accepted``, ``…/get/accepted`` or ``notify-next``. Raises JobsError."""
    fields = wire.decode(payload)
    # An idle notify-next or $next is a bare timestamp; an empty object has been seen to mean the same.
    found = wire.mapping(fields, "execution")
    return ExecutionReply(
        timestamp=wire.needed_whole(fields, "timestamp"),
        execution=_execution(found) if found else None,
        client_token=wire.text(fields, "clientToken"),
    )


def decode_update(payload: bytes) -> UpdateReply:
    """Read ``…/update/accepted``. Raises JobsError."""
    fields = wire.decode(payload)
    return UpdateReply(
        timestamp=wire.needed_whole(fields, "timestamp"),
        state=_state(wire.mapping(fields, "executionState")),
        document=wire.mapping(fields, "jobDocument"),
        client_token=wire.text(fields, "clientToken"),
    )


def decode_changed(payload: bytes) -> ExecutionsChanged:
    """Read ``notify``. Raises JobsError."""
    fields = wire.decode(payload)
    jobs = wire.mapping(fields, "jobs") or {}
    return ExecutionsChanged(
        timestamp=wire.needed_whole(fields, "timestamp"),
        jobs={status: tuple(_summary(item) for item in wire.objects(jobs, status)) for status in jobs},
    )


def decode_rejected(payload: bytes) -> Rejected:
    """Read any ``…/rejected``. Raises JobsError."""
    fields = wire.decode(payload)
    return Rejected(
        code=wire.needed_text(fields, "code"),
        message=wire.text(fields, "message") or "",
        timestamp=wire.whole(fields, "timestamp") or 0,
        client_token=wire.text(fields, "clientToken"),
        state=_state(wire.mapping(fields, "executionState")),
    )


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _summary(fields: Mapping[str, Any]) -> Summary:
    return Summary(
        job_id=wire.needed_text(fields, "jobId"),
        queued_at=wire.needed_whole(fields, "queuedAt"),
        started_at=wire.whole(fields, "startedAt"),
        last_updated_at=wire.needed_whole(fields, "lastUpdatedAt"),
        version_number=wire.needed_whole(fields, "versionNumber"),
        execution_number=wire.needed_whole(fields, "executionNumber"),
    )


def _execution(fields: Mapping[str, Any]) -> JobExecutionData:
    return JobExecutionData(
        job_id=wire.needed_text(fields, "jobId"),
        status=wire.needed_text(fields, "status"),
        status_details=wire.mapping(fields, "statusDetails"),
        queued_at=wire.needed_whole(fields, "queuedAt"),
        started_at=wire.whole(fields, "startedAt"),
        last_updated_at=wire.needed_whole(fields, "lastUpdatedAt"),
        version_number=wire.needed_whole(fields, "versionNumber"),
        execution_number=wire.needed_whole(fields, "executionNumber"),
        seconds_left=wire.whole(fields, "approximateSecondsBeforeTimedOut"),
        document=wire.mapping(fields, "jobDocument"),
    )


def _state(fields: Mapping[str, Any] | None) -> ExecutionState | None:
    if fields is None:
        return None
    return ExecutionState(
        status=wire.needed_text(fields, "status"),
        status_details=wire.mapping(fields, "statusDetails"),
        version_number=wire.needed_whole(fields, "versionNumber"),
    )
