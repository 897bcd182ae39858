"""Asks AWS IoT Jobs and waits for the answer.

Requests go out through the channel; the loop hands every reply to ``deliver``, which matches it by its client token.
An answer that does not come, and the two codes that say "later", are tried again with the same token; every other
code is an answer. Work calls this from one thread, the loop from another.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, Protocol
from uuid import uuid4

from edge_sim.agent.mqtt import OfflineError, Publisher, backoff
from edge_sim.errors import UpdateError
from edge_sim.jobs import messages, requests, topics, wire
from edge_sim.jobs.messages import JobExecutionData, Rejected
from edge_sim.jobs.requests import MAX_PENDING_SHOWN
from edge_sim.jobs.update import JOB_ID_PREFIX, is_software_update
from edge_sim.printing import printable
from edge_sim.redaction import redact

ANSWER_LIMIT_S = 10.0
"""How long one attempt waits: what AWS's own device client waits."""
ATTEMPTS = 3
LATER = frozenset({"RequestThrottled", "InternalError"})
ENDED = frozenset({"InvalidStateTransition", "ResourceNotFound", "TerminalStateReached"})

HOLDER = "holder"
"""In statusDetails: which board has the job (ours). Two boards with one thing's name see the same jobs."""


class JobEndedError(UpdateError):
    """The cloud has ended the job execution. ``status`` is the one it has now, ``deleted`` when it is gone."""

    def __init__(self, job: str, status: str) -> None:
        super().__init__(f"job {job} has ended in the cloud: {status}")
        self.status = status


class JobTakenError(JobEndedError):
    """Another board that goes by this thing's name has the job."""

    def __init__(self, job: str) -> None:
        UpdateError.__init__(self, f"job {job} is carried out by another board with this thing's name")
        self.status = "IN_PROGRESS"


class RefusedError(UpdateError):
    """The cloud will never take this request as it is (a bug here or there); asking again is useless."""


class Jobs(Protocol):
    """What an update needs of AWS IoT Jobs."""

    def next(self) -> JobExecutionData | None:
        """Return the first pending software update, its document freshly presigned.

        Jobs of others are passed over, however many there are.

        Raises OfflineError, RefusedError.
        """

    def update(self, job: str, change: requests.Update, *, attempts: int = ATTEMPTS) -> int:
        """Report ``change`` and return the execution's new version; a client token is made up when it has none.

        Raises JobEndedError when the execution is over or another board's, OfflineError when no answer came,
        RefusedError.
        """


OnMessage = Callable[[Literal["sent", "received"], str, str | None], None]
"""Hears of a message: which way it went, its topic, and the job status that it reports, if it does."""


class JobClient:
    """Jobs over a channel, for one thing."""

    def __init__(
        self,
        thing: str,
        *,
        stop: threading.Event,
        new_token: Callable[[], str] = lambda: uuid4().hex,
        answer_limit_s: float = ANSWER_LIMIT_S,
        on_message: OnMessage = lambda *_: None,
    ) -> None:
        self._publisher: Publisher | None = None
        self._thing = thing
        self._stop = stop
        self._new_token = new_token
        self._answer_limit_s = answer_limit_s
        self._on_message = on_message
        self._waiting: dict[str, queue.SimpleQueue[tuple[bool, bytes] | None]] = {}

    def attach(self, publisher: Publisher) -> None:
        """Ask over ``publisher`` from now on."""
        self._publisher = publisher

    @property
    def reply_filters(self) -> tuple[str, ...]:
        """What the loop must subscribe to before anything is asked."""
        jobs = f"$aws/things/{self._thing}/jobs"
        return f"{jobs}/get/+", f"{jobs}/+/get/+", f"{jobs}/+/update/+"

    def deliver(self, topic: str, payload: bytes) -> None:
        """Hand in a message of ``reply_filters``. An answer that nobody waits for (any more) is dropped."""
        reply = topics.reply(topic)
        try:
            token = wire.text(wire.decode(payload), "clientToken") if reply else None
        except wire.JobsError:
            return
        self._on_message("received", topic, None)
        waiting = self._waiting.get(token or "")
        if reply is not None and waiting is not None:
            waiting.put((reply.accepted, payload))

    def next(self) -> JobExecutionData | None:
        first = self._describe(topics.NEXT)
        if first is None or is_software_update(first.job_id, first.document):
            return first
        for number, job in enumerate(self._pending()):
            execution = self._describe(job) if job.startswith(JOB_ID_PREFIX) else None
            if execution is not None and is_software_update(job, execution.document):
                return replace(execution, passed_over=number if number >= MAX_PENDING_SHOWN else 0)
        return None

    def interrupt(self) -> None:
        """End every wait for an answer now (the agent is stopping)."""
        for waiting in list(self._waiting.values()):
            waiting.put(None)

    def _describe(self, job: str) -> JobExecutionData | None:
        token = self._new_token()
        answer = self._ask("describe", job, requests.Describe(client_token=token), token)
        if isinstance(answer, Rejected):
            if answer.code in ENDED:
                return None
            raise RefusedError(f"job {job} could not be requested: {answer.code}: {answer.message}")
        return messages.decode_execution(answer).execution

    def _pending(self) -> Iterator[str]:
        """Yield the ids of the pending jobs, in order.

        AWS IoT lists the first ten; what is behind them comes into the list when they end. Our cloud goes on where it
        is asked to skip some; AWS has no such member, and its answer brings nothing new.
        """
        known: set[str] = set()
        while True:
            page = self._pending_page(len(known))
            new = [job for job in page if job not in known]
            yield from new
            known.update(new)
            if not new or len(page) < MAX_PENDING_SHOWN:
                return

    def _pending_page(self, skip: int) -> list[str]:
        token = self._new_token()
        answer = self._ask("get-pending", None, requests.GetPending(skip=skip, client_token=token), token)
        if isinstance(answer, Rejected):
            if skip:
                return []
            raise RefusedError(f"the pending jobs could not be requested: {answer.code}: {answer.message}")
        pending = messages.decode_pending(answer)
        return [summary.job_id for summary in (*pending.in_progress, *pending.queued)]

    def update(self, job: str, change: requests.Update, *, attempts: int = ATTEMPTS) -> int:
        body = replace(
            change,
            status_details=clean(change.status_details or {}),
            include_state=True,
            client_token=change.client_token or self._new_token(),
        )
        for _ in range(ATTEMPTS):
            answer = self._send_update(job, body, attempts)
            if not isinstance(answer, Rejected):
                return answer
            if answer.code != "VersionMismatch" or answer.state is None:
                break
            body = replace(body, expected_version=self._our_version(job, answer.state, body))
        else:
            raise OfflineError(f"job {job}: its version changed {ATTEMPTS} times")
        if answer.code in ENDED:
            raise JobEndedError(job, answer.state.status if answer.state else "deleted")
        raise RefusedError(f"job {job}: {change.status} was refused: {answer.code}: {answer.message}")

    def _our_version(self, job: str, state: messages.ExecutionState, body: requests.Update) -> int:
        """Return the version of an execution that moved on: by an earlier message of ours, or the job is not ours."""
        holder = (body.status_details or {}).get(HOLDER)
        if state.status not in requests.PENDING:
            raise JobEndedError(job, state.status)
        if (state.status_details or {}).get(HOLDER, holder) != holder:
            raise JobTakenError(job)
        return state.version_number

    def _send_update(self, job: str, body: requests.Update, attempts: int) -> int | Rejected:
        """Send an update; return the execution's new version, or the refusal."""
        answer = self._ask("update", job, body, body.client_token or "", attempts)
        if isinstance(answer, Rejected):
            return answer
        state = messages.decode_update(answer).state
        return state.version_number if state else (body.expected_version or 0) + 1

    def _ask(
        self, call: topics.Call, job: str | None, body: requests.Body, token: str, attempts: int = ATTEMPTS
    ) -> bytes | Rejected:
        """Send until there is an answer; return its bytes, or the refusal. Raises OfflineError."""
        request = topics.Request(thing=self._thing, call=call, job_id=job)
        waiting = self._waiting[token] = queue.SimpleQueue()
        try:
            for attempt in range(attempts):
                status = body.status if isinstance(body, requests.Update) else None
                self._on_message("sent", request.topic, status)
                answer = self._attempt(request.topic, requests.encode(body), waiting)
                if answer is not None:
                    return answer
                if attempt + 1 < attempts and self._stop.wait(backoff(attempt)):
                    break
        except wire.JobsError as error:
            raise RefusedError(f"{request.topic}: the response cannot be read: {error.brief}") from error
        finally:
            del self._waiting[token]
        raise OfflineError(f"{request.topic}: no usable response ({attempts} attempts)")

    def _attempt(
        self, topic: str, payload: bytes, waiting: queue.SimpleQueue[tuple[bool, bytes] | None]
    ) -> bytes | Rejected | None:
        """Send once; None means that it is worth trying again."""
        if self._publisher is None:
            raise OfflineError(f"message to {topic}: not connected to the broker")
        self._publisher.publish(topic, payload)
        try:
            reply = waiting.get(timeout=self._answer_limit_s)
        except queue.Empty:
            return None
        if reply is None:
            return None
        accepted, answer = reply
        if accepted:
            return answer
        rejected = messages.decode_rejected(answer)
        return None if rejected.code in LATER else rejected


def clean(details: Mapping[str, str]) -> dict[str, str]:
    """Return details that fit AWS's limits: no empty or over-long values, no control characters, no presigned query."""
    return {name: printable(redact(value))[: requests.MAX_DETAIL_CHARS] for name, value in details.items() if value}
