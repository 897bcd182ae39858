"""Gives out work: which calls wait for which function, which workers there are, and when a new one is needed.

On-demand functions (lambda-functions.md): a worker for each call that finds none idle, up to ``maxConcurrentLimit``
altogether; idle ones are used again, and end after IDLE_LIMIT_S (ours: silent). Long-lived (pinned) functions have
exactly one worker, whose calls wait in a line, and which is restarted when it dies (ours, with growing pauses).
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from edge_sim.agent.coreconfig import CoreConfig
from edge_sim.agent.functions.invocations import FunctionError, Invocation
from edge_sim.agent.functions.worker import END_LIMIT_S, START_LIMIT_S, Worker
from edge_sim.agent.mqtt import backoff
from edge_sim.greengrass.functions import Function

IDLE_LIMIT_S = 60.0
QUEUE_LIMIT_S = 60.0
"""How long a call may wait for a worker (ours); its function's Timeout counts from when a worker takes it."""
_IDLE, _CLOSED = "it was idle", "the core stops its functions"

Make = Callable[[Function], Worker]


class Workers:
    """All workers of one core. ``make`` makes one, not started yet."""

    def __init__(self, functions: Mapping[str, Function], make: Make, config: CoreConfig) -> None:
        self._functions = functions
        self._make = make
        self._config = config
        self._waiting: dict[str, deque[Invocation]] = {id_: deque() for id_ in functions}
        self._all: list[Worker] = []
        self._failed: dict[str, tuple[Worker, str]] = {}
        self._deaths: dict[str, int] = {}
        self._restarts: list[threading.Timer] = []
        self._closing = False
        self._changed = threading.Condition()

    def submit(self, invocation: Invocation) -> bool:
        """Have a call carried out; False when too many are waiting already (``maxWorkItemCount``)."""
        with self._changed:
            if self._closing or sum(map(len, self._waiting.values())) >= self._config.max_work_items:
                return False
            self._waiting[invocation.function_id].append(invocation)
            self._start_what_is_missing()
            self._changed.notify_all()
            return True

    def wait(self, invocation: Invocation) -> None:
        """Return when the call has ended, which it does within its function's limits."""
        limit = START_LIMIT_S + QUEUE_LIMIT_S + self._functions[invocation.function_id].call_limit_s
        if not invocation.done.wait(limit):
            with self._changed:
                queue = self._waiting[invocation.function_id]
                if invocation in queue:
                    queue.remove(invocation)
                _fail(invocation, f"no worker took the call within {limit:g} s")

    def keep_running(self) -> None:
        """Start the pinned functions that have no worker."""
        with self._changed:
            for function in self._functions.values():
                if function.pinned and not self._closing and not self._of(function):
                    self._start(function)

    def wait_for_pinned(self, limit_s: float) -> dict[str, tuple[Worker, str]]:
        """Wait until no pinned function is starting any more, one has failed, or the time is over.

        Returns the failed ones with the reason. One that loops while its module is loaded never gets further.
        """

        def settled() -> bool:
            starting = any(w.state == "Starting" and w.process.function.pinned for w in self._all)
            return any(not worker.forbidden for worker, _ in self._failed.values()) or not starting

        with self._changed:
            self._changed.wait_for(settled, limit_s)
            return dict(self._failed)

    def everyone(self) -> list[Worker]:
        """Return the workers as they are now."""
        with self._changed:
            return list(self._all)

    def failed(self) -> list[Worker]:
        """Return the last worker of each pinned function that could not start, while no other one is being tried."""
        with self._changed:
            return [w for w, _ in self._failed.values() if not self._of(w.process.function)]

    def take(self, worker: Worker) -> Invocation | None:
        """Wait until there is work for ``worker`` and return it; None when its process is to end.

        Without a time limit: a worker waits as long as it lives, and its end wakes this.
        """
        with self._changed:
            if worker.current:
                _fail(worker.current, "the worker asked for other work instead of answering")
            self._rest(worker)
            queue = self._waiting[worker.process.function.id]
            self._changed.wait_for(lambda: queue or worker not in self._all)
            if worker not in self._all:
                return None
            worker.state, worker.current = "Working", queue.popleft()
            worker.deadline = time.monotonic() + worker.process.function.call_limit_s
            return worker.current

    def finish(self, worker: Worker, invocation_id: str, result: bytes, error: FunctionError) -> bool:
        """Take a worker's result; False when it is not for the call that it has."""
        with self._changed:
            invocation = worker.current
            if invocation is None or invocation.id != invocation_id:
                return False
            _tell(invocation, worker)
            invocation.end(result, error)
            self._rest(worker)
            return True

    def refuse(self, worker: Worker, invocation_id: str, cause: str) -> None:
        """End a worker's call because of what it answered."""
        with self._changed:
            if worker.current is not None and worker.current.id == invocation_id:
                _tell(worker.current, worker)
                _fail(worker.current, cause)
                self._rest(worker)

    def initialized(self, worker: Worker, reason: str | None) -> None:
        """Take a worker's word on loading its handler; ``reason`` says why it could not."""
        with self._changed:
            if reason is None:
                self._deaths.pop(worker.process.function.id, None)
                self._failed.pop(worker.process.function.id, None)
                self._rest(worker)
            else:
                worker.state, worker.reason = "FailedInitialization", reason

    def overdue(self, worker: Worker) -> str | None:
        with self._changed:
            if worker.deadline is None or time.monotonic() < worker.deadline:
                return None
            if worker.state == "Waiting":
                self._let_go(worker)
                worker.kill(_IDLE, intended=True)
                return _IDLE
            if worker.state == "Working":
                return f"no answer within its Timeout of {worker.process.function.call_limit_s:g} s"
            return f"no answer within {START_LIMIT_S:g} s to start"

    def ended(self, worker: Worker, cause: str) -> None:
        function = worker.process.function
        cause = worker.reason or cause
        with self._changed:
            never_ready = worker.state in ("Starting", "FailedInitialization")
            worker.state = "FailedInitialization" if never_ready else "Terminated"
            self._let_go(worker)
            victims = [worker.current] if worker.current else []
            queue = self._waiting[function.id]
            if never_ready and not self._closing:
                victims += [queue.popleft() for _ in range(len(queue) if function.pinned else min(len(queue), 1))]
            for invocation in victims:
                _tell(invocation, worker)
                _fail(invocation, cause)
            if function.pinned and not self._closing:
                self._start_again_later(worker, cause, never_ready=never_ready)
            self._start_what_is_missing()

    def close(self) -> None:
        """End every worker and every call."""
        with self._changed:
            self._closing = True
            for timer in self._restarts:
                timer.cancel()
            workers = list(self._all)
            for invocation in (i for queue in self._waiting.values() for i in queue):
                _fail(invocation, _CLOSED)
        for worker in workers:
            worker.kill(_CLOSED, intended=True)
        deadline = time.monotonic() + END_LIMIT_S
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    # From here on: with the lock held.

    def _of(self, function: Function) -> list[Worker]:
        return [w for w in self._all if w.process.function is function]

    def _rest(self, worker: Worker) -> None:
        worker.state, worker.current = "Waiting", None
        worker.deadline = None if worker.process.function.pinned else time.monotonic() + IDLE_LIMIT_S
        self._start_what_is_missing()
        self._changed.notify_all()

    def _start(self, function: Function) -> None:
        worker = self._make(function)
        self._all.append(worker)
        worker.start()

    def _start_what_is_missing(self) -> None:
        for id_, queue in self._waiting.items():
            function = self._functions[id_]
            free = sum(w.state in ("Starting", "Waiting") for w in self._of(function))
            for _ in range(len(queue) - free):
                if self._closing or (self._of(function) if function.pinned else not self._has_room()):
                    break
                self._start(function)

    def _has_room(self) -> bool:
        """Return whether one more on-demand worker may run; an idle one makes room for it."""
        running = [w for w in self._all if not w.process.function.pinned]
        if len(running) < self._config.max_concurrent:
            return True
        idle = next((w for w in running if w.state == "Waiting" and not self._waiting[w.process.function.id]), None)
        if idle is not None:
            self._let_go(idle)
            idle.kill(_IDLE, intended=True)
        return idle is not None

    def _let_go(self, worker: Worker) -> None:
        if worker in self._all:
            self._all.remove(worker)
            self._changed.notify_all()

    def _start_again_later(self, worker: Worker, cause: str, *, never_ready: bool) -> None:
        id_ = worker.process.function.id
        if never_ready:
            self._failed[id_] = worker, cause
            self._changed.notify_all()
        self._deaths[id_] = self._deaths.get(id_, 0) + 1
        timer = threading.Timer(backoff(self._deaths[id_] - 1), self.keep_running)
        timer.daemon = True
        self._restarts = [t for t in self._restarts if t.is_alive()] + [timer]
        timer.start()


def _tell(invocation: Invocation, worker: Worker) -> None:
    invocation.log = worker.output()
    invocation.notes = tuple(dict.fromkeys((*worker.notes, *worker.call_notes)))
    invocation.forbidden = worker.forbidden
    worker.call_notes.clear()


def _fail(invocation: Invocation, cause: str) -> None:
    if not invocation.done.is_set():
        invocation.cause = cause
        invocation.end(json.dumps({"errorMessage": cause}).encode(), "Unhandled")
