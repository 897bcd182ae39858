"""AWS IoT Jobs as devices see it: the four calls over MQTT or HTTP, the notifications and the timers.

Rules are in ``jobs.execution``; this file adds the store, the clock and the order of things. A call's reply goes out
first, then ``notify``, then ``notify-next`` (captured from the service by a third party). The store's transaction is
the only lock around changes; what is said of a change goes through the outbox, so it leaves after COMMIT or never.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from edge_sim.cloud.jobs.delivery import Presign, handed_out
from edge_sim.cloud.jobs.outbox import Outbox, Publish, Receipt
from edge_sim.cloud.jobs.records import Records
from edge_sim.cloud.jobs.rollouts import MINUTE_S, Rollouts
from edge_sim.cloud.store import Store
from edge_sim.jobs import execution as rules
from edge_sim.jobs import messages, requests, topics
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.messages import ExecutionReply, ExecutionsChanged, PendingReply, Summary, UpdateReply
from edge_sim.jobs.requests import Body, Describe, StartNext, Update
from edge_sim.jobs.wire import JobsError

_log = logging.getLogger(__name__)

SWEEP_EVERY_S = 1.0
"""How late a TIMED_OUT may come; AWS says up to a minute."""
STOP_LIMIT_S = 5.0
ANNOUNCED_AT_ONCE = 100
ANNOUNCE_EVERY_S = 0.1


class DevicePlane:
    """The state of all job executions, and who has to hear of a change.

    ``outbox.publish`` may be replaced while running (the bridge sets itself). ``now`` gives epoch seconds,
    ``minute_s`` is how long a minute of a rollout's rate lasts.
    """

    def __init__(
        self,
        store: Store,
        *,
        presign: Presign,
        publish: Publish | None = None,
        now: Callable[[], float] = time.time,
        minute_s: float = MINUTE_S,
    ) -> None:
        self.records = Records(store)
        self.rollouts = Rollouts(self.records, self.changing, now, minute_s)
        self.outbox = Outbox(store, publish or _nowhere)
        self.now = now
        self._store = store
        self._presign = presign
        self._stopping = threading.Event()
        self._sweeper: threading.Thread | None = None

    def start(self) -> None:
        """Announce what is to be done, and begin to sweep the timers."""
        self._sweeper = threading.Thread(target=self._sweep_on, name="job-timers", daemon=True)
        self._sweeper.start()

    def stop(self) -> None:
        """Stop sweeping; returns when the thread has ended, and what devices have heard is forgotten."""
        self._stopping.set()
        if self._sweeper is not None:
            self._sweeper.join(STOP_LIMIT_S)
        with contextlib.suppress(sqlite3.Error), self.records.transaction():
            self.outbox.tidy()

    def take(self, batch: Sequence[tuple[str, bytes]]) -> None:
        """Take MQTT messages (topic, payload) and publish the replies and what follows from them; never raises.

        They share one COMMIT. When one breaks or that fails, each is tried alone, and rejected if it cannot be stored.
        Topics that map to no call are left alone: whether and where AWS answers them is not known.
        """
        calls = [(topics.request(topic), payload) for topic, payload in batch]
        known = [(request, payload) for request, payload in calls if request is not None]
        try:
            with self.records.transaction():
                changes = self._store.changes
                for request, payload in known:
                    self._answer(request, payload)
                if self._store.changes > changes:  # what only asks is not to wait for the disk
                    self.outbox.tidy()
        except Exception:
            for request, payload in known:
                self._answer_alone(request, payload)

    def call(self, request: topics.Request, body: Body) -> messages.Message:
        """Do one call that came another way (HTTP). Raises JobsError."""
        with self.records.transaction():
            return self._do(request, body)

    @contextmanager
    def changing(self, things: Sequence[str]) -> Iterator[None]:
        """Change executions of ``things`` all at once; afterwards they are notified as the change demands."""
        with self.records.transaction():
            before = {thing: self.pending(thing) for thing in things}
            yield
            for thing in things:
                after = self.pending(thing)
                self._notify(thing, rules.notices(before[thing], after), after)

    def pending(self, thing: str) -> tuple[JobExecution, ...]:
        """Return what a thing still has to do, in order."""
        return rules.pending(self.records.pending(thing))

    def sweep(self) -> None:
        """Time out executions whose timer has run out, advance rollouts, and send what waits for the broker."""
        with self.records.transaction():
            self.outbox.tidy()
        now = self.now()
        for thing, job_id in self.records.due(now):
            with self.records.transaction():
                execution = self.records.execution(thing, job_id)
                if execution is None:
                    continue
                expired = rules.expire(execution, now)
                with self.changing([thing]):
                    self.records.put_execution(expired)
                if not expired.pending:
                    self.rollouts.conclude(expired)
        with self.records.transaction():
            self.rollouts.advance()

    def announce(self) -> None:
        """Send what an earlier process had stored and not sent, and every thing's next job.

        AWS has no such moment. A device that stays connected to a broker of its own may have missed what happened
        around the end of the earlier process; one that connects asks by itself.
        """
        with self.records.transaction():
            for thing in self.outbox.left_behind():
                self._notify(thing, rules.Notices(notify=True, notify_next=True), self.pending(thing))
        name = ""
        while not self._stopping.is_set():
            with self.records.transaction():
                self.outbox.tidy()
                things = self.records.busy_things(name, ANNOUNCED_AT_ONCE) if self.outbox.idle else []
                for name in things:
                    self.outbox.pass_on(topics.notify_next(name), self._next_of(self.pending(name)))
            if self.outbox.idle and len(things) < ANNOUNCED_AT_ONCE:
                return
            self._stopping.wait(ANNOUNCE_EVERY_S)

    def _answer(self, request: topics.Request, payload: bytes) -> None:
        """Carry out one request and reply. What it raises undoes the transaction."""
        token: str | None = None
        try:
            body = requests.decode(request.call, payload)
            token = body.client_token
            self._do(request, body, answered=True)
        except JobsError as error:  # raised ahead of any change
            error.client_token = error.client_token or token
            self._reject(request, error)

    def _answer_alone(self, request: topics.Request, payload: bytes) -> None:
        """Carry out one request, or reject it when it breaks or cannot be stored (a full disk, a broken one)."""
        try:
            with self.records.transaction():
                self._answer(request, payload)
            return
        except sqlite3.Error as error:
            _log.error("%s cannot be stored: %s", request.topic, error)
            refusal = JobsError("InternalError", f"edge-sim cannot write its state: {error}.")
        except Exception:
            _log.exception("%s failed", request.topic)
            refusal = JobsError("InternalError", "The request failed because of an error in edge-sim.")
        with contextlib.suppress(JobsError):
            refusal.client_token = requests.decode(request.call, payload).client_token
        self._reject(request, refusal)

    def _reject(self, request: topics.Request, error: JobsError) -> None:
        payload = messages.encode(messages.rejected(error, int(self.now())))
        self.outbox.pass_on(request.rejected, payload)

    def _do(self, request: topics.Request, body: Body, *, answered: bool = False) -> messages.Message:
        """Carry out a call and return its reply; ``answered``: the reply goes out by MQTT. Raises JobsError."""
        queued = self.records.pending(request.thing)
        before = rules.pending(queued)
        reply, changed = self._reply(request, body, before)
        if answered:
            send = self.outbox.pass_on if changed is None else self.outbox.add
            send(request.accepted, messages.encode(reply))
        if changed is not None:
            after = rules.pending(changed if e.job_id == changed.job_id else e for e in queued)
            self._notify(request.thing, rules.notices(before, after), after)
            if not changed.pending:
                self.rollouts.conclude(changed)
        return reply

    def _reply(
        self, request: topics.Request, body: Body, queue: Sequence[JobExecution]
    ) -> tuple[messages.Message, JobExecution | None]:
        """Return the reply to a call, and the execution that it has changed. Raises JobsError."""
        if isinstance(body, StartNext):
            return self._start_next(queue, body)
        if isinstance(body, Update):
            return self._update(request, body, queue)
        if isinstance(body, Describe):
            return self._describe(request, body, queue), None
        head = queue[body.skip :][: requests.MAX_PENDING_SHOWN]
        reply = PendingReply(
            timestamp=int(self.now()),
            in_progress=_summaries(head, "IN_PROGRESS"),
            queued=_summaries(head, "QUEUED"),
            client_token=body.client_token,
        )
        return reply, None

    def _start_next(self, queue: Sequence[JobExecution], body: StartNext) -> tuple[ExecutionReply, JobExecution | None]:
        if not queue:
            return self._execution_reply(None, body.client_token), None
        started = rules.start(queue[0], body, self.now())
        changed = None if started == queue[0] else started
        if changed is not None:
            self.records.put_execution(changed)
        return self._execution_reply(started, body.client_token), changed

    def _describe(self, request: topics.Request, body: Describe, queue: Sequence[JobExecution]) -> ExecutionReply:
        if request.job_id == topics.NEXT:
            execution = queue[0] if queue else None
        else:
            execution = self._existing(request.thing, request.job_id or "", queue)
        if execution is not None:
            rules.check_number(execution, body.execution_number)
            if not execution.pending:
                raise JobsError("TerminalStateReached", f"The job execution is {execution.status}.")
        return self._execution_reply(execution, body.client_token, document=body.include_document)

    def _update(
        self, request: topics.Request, body: Update, queue: Sequence[JobExecution]
    ) -> tuple[UpdateReply, JobExecution]:
        now, job_id = self.now(), request.job_id or ""
        rules.check_settable(body.status)
        execution = self._existing(request.thing, job_id, queue)
        updated = rules.update(execution, body, now)
        if body.status == "REJECTED" and execution.status == "IN_PROGRESS":
            _log.warning("job %s: REJECTED after IN_PROGRESS; AWS may refuse this, its sources disagree", job_id)
        self.records.put_execution(updated)
        job = self.records.job(job_id) if body.include_document else None
        reply = UpdateReply(
            timestamp=int(now),
            state=updated.state if body.include_state else None,
            document=handed_out(job, request.thing, self._presign) if job else None,
            client_token=body.client_token,
        )
        return reply, updated

    def _existing(self, thing: str, job_id: str, queue: Sequence[JobExecution]) -> JobExecution:
        """Return a thing's execution of a job; ``queue`` are those of its executions that are not final."""
        execution = next((e for e in queue if e.job_id == job_id), None) or self.records.execution(thing, job_id)
        if execution is None:
            raise JobsError("ResourceNotFound", f"Thing {thing} has no execution of job {job_id}.")
        return execution

    def _execution_reply(
        self, execution: JobExecution | None, token: str | None, *, document: bool = True
    ) -> ExecutionReply:
        """Return an execution as a device sees it, its document with fresh URLs every time."""
        now = self.now()
        if execution is None:
            return ExecutionReply(timestamp=int(now), client_token=token)
        job = self.records.job(execution.job_id) if document else None
        content = handed_out(job, execution.thing_name, self._presign) if job else None
        data = rules.data(execution, content, now)
        return ExecutionReply(timestamp=int(now), execution=data, client_token=token)

    def _notify(self, thing: str, due: rules.Notices, queue: Sequence[JobExecution]) -> None:
        """Tell ``thing`` what it has to hear of its executions that are not final."""
        if due.notify:
            head = queue[: requests.MAX_PENDING_SHOWN]
            jobs: dict[str, tuple[Summary, ...]] = {status: _summaries(head, status) for status in requests.PENDING}
            changed = ExecutionsChanged(timestamp=int(self.now()), jobs=jobs)
            self.outbox.add(topics.notify(thing), messages.encode(changed), thing=thing)
        if due.notify_next:
            self.outbox.add(topics.notify_next(thing), self._next_of(queue), thing=thing)

    def _next_of(self, queue: Sequence[JobExecution]) -> bytes:
        return messages.encode(self._execution_reply(queue[0] if queue else None, None))

    def _sweep_on(self) -> None:
        work = self.announce
        while True:
            try:
                work()
            except sqlite3.Error as error:
                _log.error("the job timers wait for the state: %s", error)
            except Exception:  # this thread must not end
                _log.exception("sweeping the job timers failed")
            work = self.sweep
            if self._stopping.wait(SWEEP_EVERY_S):
                return


def _summaries(executions: Sequence[JobExecution], status: str) -> tuple[messages.Summary, ...]:
    return tuple(rules.summary(e) for e in executions if e.status == status)


def _nowhere(topic: str, payload: bytes) -> Receipt | None:
    del payload
    _log.debug("no broker yet for %s", topic)
    return None
