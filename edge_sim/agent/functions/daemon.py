"""The part of the core that runs functions: what answers the local endpoint's calls.

    worker ──HTTP──► endpoint ──► Daemon ─┬─ Workers    calls of the group's functions
                                          └─ System     publish, shadows, secrets: the core's own functions

A caller is known by its token. Each worker has one of its own, in its environment as V1 had it; one more is for
``edge-sim agent invoke``, in a file that only root may read.
"""

from __future__ import annotations

import contextlib
import os
import secrets as tokens
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Any

from edge_sim.agent import coreconfig
from edge_sim.agent.events import LogFile
from edge_sim.agent.functions import launch
from edge_sim.agent.functions.endpoint import Endpoint, Refusal, WorkerHealth
from edge_sim.agent.functions.invocations import Invocation, InvocationOutcome, outcome
from edge_sim.agent.functions.router import ToCloud
from edge_sim.agent.functions.system import System
from edge_sim.agent.functions.userlog import UserLog
from edge_sim.agent.functions.worker import Site, Worker
from edge_sim.agent.functions.workers import Workers
from edge_sim.agent.rooted import inside
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UsageError
from edge_sim.facts import HostFacts
from edge_sim.greengrass import prefix
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import function_process
from edge_sim.greengrass.subscriptions import CLOUD
from edge_sim.greengrass.tree import BELOW, Tree

MAX_UNFETCHED = 1024
"""How many results may wait to be fetched; the oldest is dropped then."""
_LOGGED = f"See the function's log in {BELOW.user_logs}."


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who shows a token: a function, with the worker where it is one's."""

    function: Function
    worker: Worker | None = None


class Daemon:
    """The functions of ``group`` on the board below ``root``, from ``with`` on.

    ``to_cloud`` publishes on the core's MQTT connection; without it a message for the cloud is lost, and said to be.
    ``port`` is the endpoint's, where that is not config.json's.
    Raises UnsupportedEnvironmentError when the endpoint's port is taken, EdgeSimError when the board cannot hold the
    runtime's files.
    """

    def __init__(
        self, group: Group, root: Path, facts: HostFacts, *, to_cloud: ToCloud | None = None, port: int | None = None
    ) -> None:
        self.group = group
        self._root, self._facts = root, facts
        self._port = port
        self._config = coreconfig.read(root, facts.greengrass.root)
        self._log = LogFile(inside(root, Tree(facts.greengrass.root).runtime_log))
        self._site = Site(root=root, facts=facts, log=self._log, environment=self._environment)
        self._user_logs: dict[str, UserLog] = {}
        runnable = {f.id: f for f in group.functions if f.id in group.code}
        self._workers = Workers(runnable, self._make, self._config)
        self._system = System(group, root, facts, submit=self._submit_event, to_cloud=to_cloud, log=self._log)
        self._functions = {f.arn: f for f in runnable.values()}
        self._unfetched: OrderedDict[str, tuple[str, Invocation]] = OrderedDict()
        self._guests: dict[str, Function] = {}
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None
        self.token = tokens.token_urlsafe(32)
        """For calls from outside."""

    def __enter__(self) -> Daemon:
        return self.open()

    def open(self) -> Daemon:
        """Lay the runtime on the board and open the endpoint."""
        launch.install_runtime(self._root, self._facts)
        port = self._config.daemon_port if self._port is None else self._port
        self._endpoint = Endpoint(self, port, self._log)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every worker, then the endpoint. Harmless the second time."""
        self._workers.close()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()

    @property
    def port(self) -> int:
        """The endpoint's, while it is open."""
        if self._endpoint is None:
            raise Refusal(503, "the core's endpoint is closed")
        return self._endpoint.port

    def start_pinned(self, limit_s: float) -> InvalidDefinitionError | None:
        """Start the pinned functions; return V1's sentence when one of them cannot be initialized within the limit.

        Those that this board cannot have a process for are left to ``not_proven``.
        """
        self._workers.keep_running()
        for worker, reason in self._workers.wait_for_pinned(limit_s).values():
            if worker.forbidden:
                continue
            function = worker.process.function
            failed = f"worker with {worker.id} failed to initialize: {function.id}: {reason}"
            return InvalidDefinitionError(failed, hint=prefix.hint(reason, self.group, function) or _LOGGED)
        return None

    def not_proven(self) -> list[str]:
        """Return a sentence for each pinned function that this board cannot have a process for."""
        failed = self._workers.wait_for_pinned(0).values()
        return [f"function {worker.process.function.id}: {reason}" for worker, reason in failed if worker.forbidden]

    def run(self, function_id: str, payload: bytes) -> InvocationOutcome:
        """Call a function of the group and wait for the end. Raises UsageError for an unknown one."""
        function = next((f for f in self.group.functions if f.id == function_id), None)
        if function is None:
            known = ", ".join(f.id for f in self.group.functions) or "none"
            raise UsageError(f"the deployed group has no function {function_id}", hint=f"Functions: {known}.")
        if function_id not in self.group.code:
            raise UsageError(f"function {function_id} has no deployed code")
        refusal = launch.refusal(self.group, function, self._root, self._facts)
        if refusal is not None:
            return InvocationOutcome(ok=False, error=f"{function_id}: {refusal}")
        invocation = Invocation(function_id=function_id, payload=payload)
        if not self._workers.submit(invocation):
            return InvocationOutcome(
                ok=False, error=f"{function_id}: too many calls are waiting already (maxWorkItemCount)"
            )
        self._workers.wait(invocation)
        return outcome(self.group, function, invocation)

    def environment_of(self, function: Function) -> dict[str, str]:
        """Return what the core adds to the environment of a process that asks in ``function``'s name, and a token."""
        token = tokens.token_urlsafe(32)
        self._guests[token] = function
        return self._environment(token)

    def from_cloud(self, topic: str, payload: bytes) -> None:
        """Route a message that came on the core's connection."""
        with contextlib.suppress(ValueError):  # no core takes it; runtime.log has nothing of it either
            self._system.router.publish(CLOUD, topic, payload)

    # What the endpoint asks for.

    def invoke(self, token: str, arn: str, payload: bytes, client_context: str, kind: str) -> str:
        caller = self._caller(token)
        if kind not in ("Event", "RequestResponse"):
            raise Refusal(400, f"{kind!r} is not an invocation type")
        if self._system.has(arn):
            invocation = self._system.carry_out(arn, caller.function, payload, client_context)
            if caller.worker is not None:
                caller.worker.call_notes += invocation.notes
        else:
            invocation = self._posted(arn, payload, client_context)
        if kind == "RequestResponse":
            with self._lock:
                self._unfetched[invocation.id] = token, invocation
                while len(self._unfetched) > MAX_UNFETCHED:
                    self._unfetched.popitem(last=False)
        return invocation.id

    def result(self, token: str, invocation_id: str) -> Invocation:
        self._caller(token)
        with self._lock:
            owner, invocation = self._unfetched.get(invocation_id, ("", None))
            if invocation is None or owner != token:
                raise Refusal(404, f"this caller has no invocation {invocation_id!r} waiting")
        if not invocation.done.is_set():
            self._workers.wait(invocation)
        with self._lock:
            self._unfetched.pop(invocation_id, None)
        return invocation

    def take(self, token: str, arn: str) -> Invocation | None:
        return self._workers.take(self._worker(token, arn))

    def finish(self, token: str, arn: str, invocation_id: str, result: bytes, error: str) -> None:
        if not self._workers.finish(self._worker(token, arn), invocation_id, result, "Handled" if error else ""):
            raise Refusal(404, f"this worker has no invocation {invocation_id!r}")

    def too_large(self, token: str, arn: str, invocation_id: str, limit: int) -> None:
        self._workers.refuse(self._worker(token, arn), invocation_id, f"the response is larger than {limit} bytes")

    def initialized(self, token: str, arn: str, reason: str | None) -> None:
        self._workers.initialized(self._worker(token, arn), reason)

    def health(self) -> list[WorkerHealth]:
        """V1's health check (health-check.md): its workers, and the core's own functions, which run in this process.

        An on-demand function that is idle has no worker.
        """
        own = [
            WorkerHealth(arn=arn, worker_id=id_, pid=os.getpid(), state="Waiting")
            for arn, id_ in self._system.workers.items()
        ]
        workers = [WorkerHealth(arn=w.arn, worker_id=w.id, pid=w.pid, state=w.state) for w in self._workers.everyone()]
        failed = [WorkerHealth(arn=w.arn, worker_id=w.id, pid=None, state="NotStarted") for w in self._workers.failed()]
        return [*own, *workers, *failed]

    def call(self, token: str, function_id: str, payload: bytes) -> dict[str, Any]:
        if not compare_digest(token.encode(), self.token.encode()):
            raise Refusal(403, "this token is not for calls from outside")
        try:
            return {"outcome": asdict(self.run(function_id, payload))}
        except EdgeSimError as error:
            return {"error": {"brief": error.brief, "hint": error.hint, "exit_status": error.exit_status}}

    def _caller(self, token: str) -> Caller:
        for worker in self._workers.everyone():
            if compare_digest(token.encode(), worker.token.encode()):
                return Caller(function=worker.process.function, worker=worker)
        for guest, function in list(self._guests.items()):
            if compare_digest(token.encode(), guest.encode()):
                return Caller(function=function)
        raise Refusal(403, "the Authorization header holds no token of a function of this core")

    def _worker(self, token: str, arn: str) -> Worker:
        worker = self._caller(token).worker
        if worker is None or worker.arn != arn:
            raise Refusal(403, f"this token is not for the work of {arn}")
        return worker

    def _posted(self, arn: str, payload: bytes, client_context: str) -> Invocation:
        function = self._functions.get(arn)
        if function is None:
            raise Refusal(404, f"the group has no function {arn}")
        refusal = launch.refusal(self.group, function, self._root, self._facts)
        if refusal is not None:
            raise Refusal(501, f"{arn}: {refusal}")
        invocation = Invocation(function_id=function.id, payload=payload, client_context=client_context)
        if not self._workers.submit(invocation):
            raise Refusal(503, "too many calls are waiting already (maxWorkItemCount)")
        return invocation

    def _submit_event(self, arn: str, payload: bytes, client_context: str) -> str | None:
        try:
            self._posted(arn, payload, client_context)
        except Refusal as refusal:
            return refusal.sentence
        return None

    def _make(self, function: Function) -> Worker:
        log = self._user_logs.setdefault(function.id, UserLog(function, self._root, self._facts))
        process = function_process(self.group, function, self._facts)
        return Worker(process, self.group.code[function.id], self._site, log, self._workers)

    def _environment(self, token: str) -> dict[str, str]:
        return {
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://localhost:{self.port}/2016-11-01/credentialprovider/",
            "GG_DAEMON_PORT": str(self.port),
        }
