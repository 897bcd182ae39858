"""One job execution, and what may happen to it: the service's state machine, without a clock or a store.

Rules: AWS IoT developer guide, ``iot-jobs-lifecycle``, ``jobs-mqtt-api`` and ``job-states``; where only a third
party's capture of the service is known (MiniStack #1535) or nothing at all, the rule says so. Every function takes
the time (epoch seconds) and returns a new value; a refused change raises JobsError and changes nothing.

    QUEUED ──► IN_PROGRESS ──► SUCCEEDED | FAILED | REJECTED       the device says so
       │            └────────► TIMED_OUT                           a timer ran out
       ├──────────────────────► SUCCEEDED | FAILED | REJECTED      straight from the queue is allowed
       └── either ───────────► CANCELED                            the cloud says so (running: only with force)

QUEUED also goes to REMOVED, when the thing is no target any more. A retry, and a thing that becomes a target again, is
an execution of its own with the next number: whether AWS makes a new one for a retry is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_sim.jobs.messages import ExecutionState, JobExecutionData, Summary, state_fields
from edge_sim.jobs.requests import DISCARD_STEP_TIMER, PENDING, StartNext, Update
from edge_sim.jobs.wire import JobsError

DEVICE_MAY_SET = frozenset({"IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"})
MINUTE = 60.0


@dataclass(frozen=True, kw_only=True)
class JobExecution:
    """One job on one thing. Times are epoch seconds; ``version`` grows by 1 with every accepted change.

    ``timeout_minutes`` is the job's inProgressTimeoutInMinutes; its timer starts with IN_PROGRESS and is never
    reset. ``job_deadline`` and ``step_deadline`` are None when no timer runs. ``retry_attempt``: how many tries the job
    had on this thing before, since the thing became a target.
    """

    job_id: str
    thing_name: str
    queued_at: float
    last_updated_at: float
    status: str = "QUEUED"
    status_details: Mapping[str, str] | None = None
    started_at: float | None = None
    number: int = 1
    version: int = 1
    timeout_minutes: int | None = None
    job_deadline: float | None = None
    step_deadline: float | None = None
    force_canceled: bool = False
    retry_attempt: int = 0

    @property
    def pending(self) -> bool:
        return self.status in PENDING

    @property
    def deadline(self) -> float | None:
        """When the first of the running timers ends; None when none runs."""
        running = [at for at in (self.job_deadline, self.step_deadline) if at is not None]
        return min(running) if running and self.status == "IN_PROGRESS" else None

    @property
    def state(self) -> ExecutionState:
        return ExecutionState(status=self.status, version_number=self.version, status_details=self.status_details)


@dataclass(frozen=True, kw_only=True)
class Notices:
    """Which notifications a change of a thing's executions calls for."""

    notify: bool
    notify_next: bool


def pending(executions: Iterable[JobExecution]) -> tuple[JobExecution, ...]:
    """Return what is still to do, in the order to do it: running ones, then queued ones, oldest first.

    The first is what ``$next`` means. Executions queued at the same moment keep their order.
    """
    todo = (e for e in executions if e.pending)
    return tuple(sorted(todo, key=lambda e: (PENDING.index(e.status), e.queued_at)))


def notices(before: Sequence[JobExecution], after: Sequence[JobExecution]) -> Notices:
    """Return what to send when a thing's pending executions change from ``before`` to ``after``.

    ``notify`` when one joins or leaves the pending ones, ``notify-next`` when another one is the first. So a step
    from QUEUED to IN_PROGRESS sends nothing, unless it overtakes: the documented example says so, against the
    same page's prose.
    """
    old, new = [_key(e) for e in before], [_key(e) for e in after]
    return Notices(notify=set(old) != set(new), notify_next=old[:1] != new[:1])


def start(execution: JobExecution, request: StartNext, now: float) -> JobExecution:
    """Return what start-next makes of the next execution. One that runs already is handed out unchanged.

    Whether handing it out again resets the step timer is not known; here it does not.
    """
    if execution.status == "IN_PROGRESS":
        return execution
    return _moved(execution, "IN_PROGRESS", request.status_details, request.step_timeout_minutes, now)


def update(execution: JobExecution, request: Update, now: float) -> JobExecution:
    """Return the execution as the device's update leaves it.

    Raises JobsError in the order a capture of the service shows: settable status, execution number, version, state.
    REJECTED after IN_PROGRESS is taken: AWS's device client relies on it, its embedded OTA library says the opposite.
    """
    check_settable(request.status)
    check_number(execution, request.execution_number)
    if request.expected_version not in (None, execution.version):
        raise JobsError(
            "VersionMismatch",
            f"Expected version {request.expected_version}, but the job execution has version {execution.version}.",
            state=state_fields(execution.state),
        )
    if not execution.pending:
        raise JobsError(
            "InvalidStateTransition",
            f"A job execution cannot go from {execution.status} to {request.status}.",
            state=state_fields(execution.state),
        )
    return _moved(execution, request.status, request.status_details, request.step_timeout_minutes, now)


def check_settable(status: str) -> None:
    """Raise JobsError when a device may never set this status; the answer then has no ``executionState``."""
    if status not in DEVICE_MAY_SET:
        raise JobsError("InvalidStateTransition", f"A device cannot set the status {status}.")


def check_number(execution: JobExecution, number: int | None) -> None:
    """Raise JobsError when ``number`` is given and is not this execution's."""
    if number not in (None, execution.number):
        raise JobsError(
            "ResourceNotFound",
            f"Job {execution.job_id} has no execution {number} for thing {execution.thing_name}.",
        )


def expire(execution: JobExecution, now: float) -> JobExecution:
    """Return the execution as TIMED_OUT when one of its timers has run out, else as it is."""
    if execution.deadline is None or now < execution.deadline:
        return execution
    return _end(execution, "TIMED_OUT", now)


def cancel(execution: JobExecution, now: float, *, force: bool = False) -> JobExecution:
    """Return the execution as CANCELED. Raises JobsError when it is final, or runs and ``force`` is not given."""
    if not execution.pending or (execution.status == "IN_PROGRESS" and not force):
        raise JobsError(
            "InvalidStateTransition",
            f"The execution of job {execution.job_id} on thing {execution.thing_name} is {execution.status}.",
            state=state_fields(execution.state),
        )
    return replace(_end(execution, "CANCELED", now), force_canceled=force)


def remove(execution: JobExecution, now: float) -> JobExecution:
    """Return a queued execution as REMOVED; its version stays (a third party's capture), and a running one goes on."""
    if execution.status != "QUEUED":
        return execution
    return replace(execution, status="REMOVED", last_updated_at=now)


def again(execution: JobExecution, now: float, *, retry: bool) -> JobExecution:
    """Return the execution that follows one that is final: a retry, or the first try of a thing that is back."""
    return JobExecution(
        job_id=execution.job_id,
        thing_name=execution.thing_name,
        queued_at=now,
        last_updated_at=now,
        number=execution.number + 1,
        timeout_minutes=execution.timeout_minutes,
        retry_attempt=execution.retry_attempt + 1 if retry else 0,
    )


def summary(execution: JobExecution) -> Summary:
    """Return the execution as lists show it to a device."""
    return Summary(
        job_id=execution.job_id,
        queued_at=int(execution.queued_at),
        started_at=_seconds(execution.started_at),
        last_updated_at=int(execution.last_updated_at),
        version_number=execution.version,
        execution_number=execution.number,
    )


def data(execution: JobExecution, document: Mapping[str, Any] | None, now: float) -> JobExecutionData:
    """Return the execution as a device sees it, with the document it is to work on."""
    return JobExecutionData(
        job_id=execution.job_id,
        status=execution.status,
        status_details=execution.status_details,
        queued_at=int(execution.queued_at),
        started_at=_seconds(execution.started_at),
        last_updated_at=int(execution.last_updated_at),
        version_number=execution.version,
        execution_number=execution.number,
        seconds_left=seconds_left(execution, now),
        document=document,
    )


def seconds_left(execution: JobExecution, now: float) -> int | None:
    """Return approximateSecondsBeforeTimedOut. Taking the earlier of the two timers is our reading of AWS's text."""
    return None if execution.deadline is None else max(0, int(execution.deadline - now))


def _moved(
    execution: JobExecution,
    status: str,
    details: Mapping[str, str] | None,
    step_minutes: int | None,
    now: float,
) -> JobExecution:
    # The first report starts it, also when it is the last one; a job that was turned down never started.
    started = now if execution.started_at is None and status != "REJECTED" else execution.started_at
    job_deadline, step_deadline = None, None
    if status in PENDING:
        job_deadline = execution.job_deadline
        if execution.started_at is None and execution.timeout_minutes is not None:
            job_deadline = now + execution.timeout_minutes * MINUTE
        step_deadline = _step_deadline(execution.step_deadline, step_minutes, now)
    return replace(
        execution,
        status=status,
        status_details=execution.status_details if details is None else details,
        started_at=started,
        last_updated_at=now,
        version=execution.version + 1,
        job_deadline=job_deadline,
        step_deadline=step_deadline,
    )


def _end(execution: JobExecution, status: str, now: float) -> JobExecution:
    return replace(
        execution,
        status=status,
        last_updated_at=now,
        version=execution.version + 1,
        job_deadline=None,
        step_deadline=None,
    )


def _step_deadline(running: float | None, minutes: int | None, now: float) -> float | None:
    """A new step timer replaces the old one; that it cannot outlive the job's is seen to by ``deadline``."""
    if minutes is None:
        return running
    return None if minutes == DISCARD_STEP_TIMER else now + minutes * MINUTE


def _key(execution: JobExecution) -> tuple[str, int]:
    return execution.job_id, execution.number


def _seconds(at: float | None) -> int | None:
    return None if at is None else int(at)
