"""What a device may ask of AWS IoT Jobs: the four calls as values, read from and written to their bodies.

Field names and limits: AWS IoT developer guide, ``jobs-mqtt-api`` and botocore's ``iot-jobs-data`` model. The same
fields come in over HTTP, so ``from_fields`` serves both ways in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge_sim.jobs import wire
from edge_sim.jobs.topics import Call
from edge_sim.jobs.wire import JobsError

Status = Literal["QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"]
STATUSES: tuple[Status, ...] = get_args(Status)
PENDING: tuple[Status, ...] = ("IN_PROGRESS", "QUEUED")
"""The two statuses that are not final, in the order in which a device is to work on them."""
FINAL: tuple[Status, ...] = tuple(status for status in STATUSES if status not in PENDING)

MAX_DETAILS = 10
MAX_DETAIL_CHARS = 1024
MAX_TIMEOUT_MINUTES = 10080
DISCARD_STEP_TIMER = -1
MAX_PENDING_SHOWN = 10
"""Of a thing's executions, in ``notify`` and in the answer to get-pending (AWS IoT developer guide, job-limits)."""
SKIP = "edgeSimSkip"
"""A member of ours: AWS IoT lists ten pending executions and has no second page."""

_DETAIL_KEY = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


@dataclass(frozen=True, kw_only=True)
class GetPending:
    """GetPendingJobExecutions. ``skip``: how many of the pending ones not to show (ours; AWS shows the first ten)."""

    skip: int = 0
    client_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class StartNext:
    """StartNextPendingJobExecution. ``status_details`` None leaves them as they are."""

    status_details: Mapping[str, str] | None = None
    step_timeout_minutes: int | None = None
    client_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class Describe:
    """DescribeJobExecution."""

    execution_number: int | None = None
    include_document: bool = True
    client_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class Update:
    """UpdateJobExecution. ``status_details`` None leaves them; a map, also an empty one, replaces all of them.

    ``step_timeout_minutes`` -1 discards a running step timer.
    """

    status: str
    status_details: Mapping[str, str] | None = None
    expected_version: int | None = None
    execution_number: int | None = None
    include_state: bool = False
    include_document: bool = False
    step_timeout_minutes: int | None = None
    client_token: str | None = None


Body = GetPending | StartNext | Describe | Update


def encode(body: Body) -> bytes:
    """Return the body of a request as a device publishes it."""
    fields: dict[str, object] = {"clientToken": body.client_token}
    if isinstance(body, GetPending) and body.skip:
        fields |= {SKIP: body.skip}
    if isinstance(body, Describe):
        fields |= {"executionNumber": body.execution_number, "includeJobDocument": body.include_document}
    if isinstance(body, (StartNext, Update)):
        fields |= {"stepTimeoutInMinutes": body.step_timeout_minutes}
        fields |= {"statusDetails": None if body.status_details is None else dict(body.status_details)}
    if isinstance(body, Update):
        fields |= {
            "status": body.status,
            "expectedVersion": body.expected_version,
            "executionNumber": body.execution_number,
            "includeJobExecutionState": body.include_state or None,
            "includeJobDocument": body.include_document or None,
        }
    return wire.encode(fields)


def decode(call: Call, payload: bytes) -> Body:
    """Return what ``payload`` asks. Raises JobsError, with the client token when the body had one."""
    fields = wire.decode(payload)
    try:
        return from_fields(call, fields)
    except JobsError as error:
        token = fields.get("clientToken")
        error.client_token = token if isinstance(token, str) else None
        raise


def from_fields(call: Call, fields: Mapping[str, object]) -> Body:
    """Return what the members of a body, or of an HTTP call, ask; unknown members are ignored.

    Raises JobsError, InvalidRequest.
    """
    token = wire.text(fields, "clientToken")
    if call == "get-pending":
        return GetPending(skip=max(0, wire.whole(fields, SKIP) or 0), client_token=token)
    if call == "start-next":
        return StartNext(
            status_details=_details(fields),
            step_timeout_minutes=_step_timeout(fields, discard=False),
            client_token=token,
        )
    if call == "describe":
        return Describe(
            execution_number=wire.whole(fields, "executionNumber"),
            include_document=wire.flag(fields, "includeJobDocument", default=True),
            client_token=token,
        )
    return Update(
        status=_status(fields),
        status_details=_details(fields),
        expected_version=wire.whole(fields, "expectedVersion"),
        execution_number=wire.whole(fields, "executionNumber"),
        include_state=wire.flag(fields, "includeJobExecutionState", default=False),
        include_document=wire.flag(fields, "includeJobDocument", default=False),
        step_timeout_minutes=_step_timeout(fields, discard=True),
        client_token=token,
    )


def details_of(value: Mapping[str, Any]) -> dict[str, str]:
    """Return ``value`` when it may be a ``statusDetails`` map.

    Raises JobsError. Line ends are let through although the model's pattern excludes them: the device client's
    README shows a stored value that ends in one.
    """
    if len(value) > MAX_DETAILS:
        raise JobsError("InvalidRequest", f"Value at 'statusDetails' has more than {MAX_DETAILS} entries.")
    for key, item in value.items():
        if not _DETAIL_KEY.fullmatch(key):
            raise JobsError("InvalidRequest", "A key of 'statusDetails' must match [a-zA-Z0-9:_-]{1,128}.")
        if not isinstance(item, str) or not 1 <= len(item) <= MAX_DETAIL_CHARS:
            raise JobsError(
                "InvalidRequest",
                f"Value at 'statusDetails.{key}' must be a string of 1 to {MAX_DETAIL_CHARS} characters.",
            )
    return dict(value)


def _details(fields: Mapping[str, object]) -> dict[str, str] | None:
    value = wire.mapping(fields, "statusDetails")
    return None if value is None else details_of(value)


def _status(fields: Mapping[str, object]) -> str:
    status = wire.needed_text(fields, "status")
    if status not in STATUSES:
        raise JobsError(
            "InvalidRequest",
            f"Value at 'status' failed to satisfy constraint: Member must satisfy enum value set: {[*STATUSES]}",
        )
    return status


def _step_timeout(fields: Mapping[str, object], *, discard: bool) -> int | None:
    minutes = wire.whole(fields, "stepTimeoutInMinutes")
    if minutes is None or 1 <= minutes <= MAX_TIMEOUT_MINUTES or (discard and minutes == DISCARD_STEP_TIMER):
        return minutes
    raise JobsError(
        "InvalidRequest",
        f"Value at 'stepTimeoutInMinutes' must be between 1 and {MAX_TIMEOUT_MINUTES}"
        + (", or be -1." if discard else "."),
    )
