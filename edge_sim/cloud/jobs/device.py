"""AWS IoT Jobs as devices see it: the four calls over MQTT or HTTP, the notifications and the timers.

Rules are in ``jobs.execution``; this file adds the store, the clock and the order of things. A call's reply goes out
first, then ``notify``, then ``notify-next`` (captured from the service by a third party). The store's transaction is
the only lock around changes; messages are queued inside it and sent behind it, so no thing hears old news after new.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from edge_sim.cloud.jobs.records import Presign, Records, handed_out
from edge_sim.cloud.store import Store
from edge_sim.jobs import execution as rules
from edge_sim.jobs import messages, requests, topics
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.messages import ExecutionReply, ExecutionsChanged, PendingReply, UpdateReply
from edge_sim.jobs.requests import Body, Describe, StartNext, Update
from edge_sim.jobs.wire import JobsError

_log = logging.getLogger(__name__)

Publish = Callable[[str, bytes], None]
"""Hands one message to the broker; must not block and must not raise."""

SWEEP_EVERY_S = 1.0
"""How late a TIMED_OUT may come; AWS says up to a minute."""
STOP_LIMIT_S = 5.0


class DevicePlane:
    """The state of all job executions, and who has to hear of a change.

    ``publish`` may be replaced while running (the bridge sets itself). ``now`` gives epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        presign: Presign,
        publish: Publish | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.records = Records(store)
        self.publish: Publish = publish or _nowhere
        self.now = now
        self._presign = presign
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._publishing = threading.Lock()
        self._deadlines = {_key(e): e.deadline for e in self.records.executions() if e.deadline is not None}
        self._stopping = threading.Event()
        self._sweeper: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sweep the timers."""
        self._sweeper = threading.Thread(target=self._sweep_on, name="job-timers", daemon=True)
        self._sweeper.start()

    def stop(self) -> None:
        """Stop sweeping; returns when the thread has ended."""
        self._stopping.set()
        if self._sweeper is not None:
            self._sweeper.join(STOP_LIMIT_S)

    def message(self, topic: str, payload: bytes) -> None:
        """Take one MQTT message and publish the reply and what follows from it; never raises.

        Topics that map to no call are left alone: whether and where AWS answers them is not known.
        """
        request = topics.request(topic)
        if request is None:
            _log.debug("no jobs request: %.300s", topic)
            return
        self._answer(request, payload)
        self._drain()

    def call(self, request: topics.Request, body: Body) -> messages.Message:
        """Do one call that came another way (HTTP). Raises JobsError."""
        try:
            with self.records.transaction():
                reply, notices = self._do(request, body)
                self._outbox.extend(notices)
        finally:
            self._drain()
        return reply

    @contextmanager
    def changing(self, things: Sequence[str]) -> Iterator[None]:
        """Change executions of ``things`` all at once; afterwards they are notified as the change demands.

        Not to be used inside a transaction that may still be undone: the things would have been told.
        """
        with self.records.transaction():
            before = {thing: self.pending(thing) for thing in things}
            yield
            for thing in things:
                self._outbox.extend(self._notices(thing, before[thing]))
        self._drain()

    def pending(self, thing: str) -> tuple[JobExecution, ...]:
        """Return what a thing still has to do, in order."""
        return rules.pending(self.records.executions(thing))

    def save(self, execution: JobExecution) -> None:
        """Write an execution, inside ``changing``; completes its job when it was the last one."""
        self.records.put_execution(execution)
        if execution.deadline is None:
            self._deadlines.pop(_key(execution), None)
        else:
            self._deadlines[_key(execution)] = execution.deadline
        if not execution.pending:
            self.settle(execution.job_id)

    def sweep(self) -> None:
        """Time out every execution whose timer has run out."""
        now = self.now()
        with self.records.transaction():
            due = [key for key, at in self._deadlines.items() if at <= now]
        for thing, job_id in due:
            with self.changing([thing]):
                found = self.records.execution(thing, job_id)
                self._deadlines.pop((thing, job_id), None)
                expired = rules.expire(found, now) if found else None
                if expired is not None:
                    self.save(expired)

    def _answer(self, request: topics.Request, payload: bytes) -> None:
        token: str | None = None
        try:
            body = requests.decode(request.call, payload)
            token = body.client_token
            with self.records.transaction():
                reply, notices = self._do(request, body)
                self._outbox.append((request.accepted, messages.encode(reply)))
                self._outbox.extend(notices)
            return
        except JobsError as error:
            refused = error
        except Exception:
            _log.exception("%s failed", request.topic)
            refused = JobsError("InternalError", "The request failed because of an error in edge-sim.")
        refused.client_token = refused.client_token or token
        self._outbox.append((request.rejected, messages.encode(messages.rejected(refused, int(self.now())))))

    def _do(self, request: topics.Request, body: Body) -> tuple[messages.Message, list[tuple[str, bytes]]]:
        """Return a call's reply and the notifications that follow it. Raises JobsError."""
        before = self.pending(request.thing)
        reply = self._reply(request, body, before)
        return reply, self._notices(request.thing, before)

    def _reply(self, request: topics.Request, body: Body, queue: Sequence[JobExecution]) -> messages.Message:
        if isinstance(body, StartNext):
            return self._start_next(queue, body)
        if isinstance(body, Describe):
            return self._describe(request, body, queue)
        if isinstance(body, Update):
            return self._update(request.thing, request.job_id or "", body)
        shown = queue[: rules.MAX_PENDING_SHOWN]
        return PendingReply(
            timestamp=int(self.now()),
            in_progress=_summaries(shown, "IN_PROGRESS"),
            queued=_summaries(shown, "QUEUED"),
            client_token=body.client_token,
        )

    def _start_next(self, queue: Sequence[JobExecution], body: StartNext) -> ExecutionReply:
        if not queue:
            return self._told(None, body.client_token)
        started = rules.start(queue[0], body, self.now())
        if started != queue[0]:
            self.save(started)
        return self._told(started, body.client_token)

    def _describe(self, request: topics.Request, body: Describe, queue: Sequence[JobExecution]) -> ExecutionReply:
        if request.job_id == topics.NEXT:
            found = queue[0] if queue else None
        else:
            found = self._existing(request.thing, request.job_id or "")
        if found is not None:
            rules.check_number(found, body.execution_number)
            if not found.pending:
                raise JobsError("TerminalStateReached", f"The job execution is {found.status}.")
        return self._told(found, body.client_token, document=body.include_document)

    def _update(self, thing: str, job_id: str, body: Update) -> UpdateReply:
        now = self.now()
        rules.check_settable(body.status)
        found = self._existing(thing, job_id)
        updated = rules.update(found, body, now)
        if body.status == "REJECTED" and found.status == "IN_PROGRESS":
            _log.warning("job %s: REJECTED after IN_PROGRESS; AWS may refuse this, its sources disagree", job_id)
        self.save(updated)
        job = self.records.job(job_id) if body.include_document else None
        return UpdateReply(
            timestamp=int(now),
            state=updated.state if body.include_state else None,
            document=handed_out(job, self._presign) if job else None,
            client_token=body.client_token,
        )

    def _existing(self, thing: str, job_id: str) -> JobExecution:
        found = self.records.execution(thing, job_id)
        if found is None:
            raise JobsError("ResourceNotFound", f"Thing {thing} has no execution of job {job_id}.")
        return found

    def _told(self, execution: JobExecution | None, token: str | None, *, document: bool = True) -> ExecutionReply:
        """Return an execution as a device is told of it; a document goes with fresh URLs every time."""
        now = self.now()
        if execution is None:
            return ExecutionReply(timestamp=int(now), client_token=token)
        job = self.records.job(execution.job_id) if document else None
        content = handed_out(job, self._presign) if job else None
        told = rules.data(execution, content, now)
        return ExecutionReply(timestamp=int(now), execution=told, client_token=token)

    def _notices(self, thing: str, before: Sequence[JobExecution]) -> list[tuple[str, bytes]]:
        """Return what ``thing`` has to hear, now that its executions may differ from ``before``."""
        after = self.pending(thing)
        due, found = rules.notices(before, after), []
        if due.notify:
            shown = after[: rules.MAX_PENDING_SHOWN]
            jobs = {status: _summaries(shown, status) for status in rules.PENDING}
            changed = ExecutionsChanged(timestamp=int(self.now()), jobs=jobs)
            found.append((topics.notify(thing), messages.encode(changed)))
        if due.notify_next:
            head = self._told(after[0] if after else None, None)
            found.append((topics.notify_next(thing), messages.encode(head)))
        return found

    def _drain(self) -> None:
        with self._publishing:
            while self._outbox:
                self.publish(*self._outbox.popleft())

    def settle(self, job_id: str) -> None:
        """A SNAPSHOT job is COMPLETED when all of its executions are final."""
        job, now = self.records.job(job_id), self.now()
        if job is None or job.status != "IN_PROGRESS" or any(e.pending for e in self.records.executions_of(job)):
            return
        self.records.put_job(replace(job, status="COMPLETED", completed_at=now, last_updated_at=now))

    def _sweep_on(self) -> None:
        while not self._stopping.wait(SWEEP_EVERY_S):
            try:
                self.sweep()
            except Exception:  # a broken store must not end the timers for good
                _log.exception("sweeping the job timers failed")


def _summaries(executions: Sequence[JobExecution], status: str) -> tuple[messages.Summary, ...]:
    return tuple(rules.summary(e) for e in executions if e.status == status)


def _key(execution: JobExecution) -> tuple[str, str]:
    return execution.thing_name, execution.job_id


def _nowhere(topic: str, payload: bytes) -> None:
    del payload
    _log.debug("no broker yet for %s", topic)
