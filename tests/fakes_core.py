"""A core of our own behind the real endpoint, for tests of what talks to it: work from a list, calls remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.endpoint import Endpoint, Refusal, WorkerHealth
from edge_sim.agent.functions.invocations import Invocation

TOKEN = "let-me-in"


class FakeCore:
    """Gives out ``work`` once, then says that the worker is to end; calls are answered from ``answers`` by ARN."""

    def __init__(self) -> None:
        self.work: list[Invocation] = []
        self.finished: dict[str, tuple[bytes, str]] = {}
        self.loaded: list[str | None] = []
        self.calls: list[tuple[str, bytes, str, str]] = []
        self.answers: dict[str, tuple[bytes, Any]] = {}
        self.posted: dict[str, Invocation] = {}
        self.too_large_for: list[str] = []
        self._lock = threading.Lock()

    def _check(self, token: str) -> None:
        if token != TOKEN:
            raise Refusal(403, "who is that?")

    def invoke(self, token: str, arn: str, payload: bytes, client_context: str, kind: str) -> str:
        self._check(token)
        if arn not in self.answers:
            raise Refusal(404, f"nobody is {arn}")
        invocation = Invocation(function_id=arn, payload=payload)
        invocation.end(*self.answers[arn])
        with self._lock:
            self.calls.append((arn, payload, client_context, kind))
            self.posted[invocation.id] = invocation
        return invocation.id

    def result(self, token: str, invocation_id: str) -> Invocation:
        self._check(token)
        return self.posted[invocation_id]

    def take(self, token: str, arn: str) -> Invocation | None:
        self._check(token)
        with self._lock:
            return self.work.pop(0) if self.work else None

    def finish(self, token: str, arn: str, invocation_id: str, result: bytes, error: str) -> None:
        self._check(token)
        self.finished[invocation_id] = result, error

    def too_large(self, token: str, arn: str, invocation_id: str, limit: int) -> None:
        self._check(token)
        self.too_large_for.append(invocation_id)

    def initialized(self, token: str, arn: str, reason: str | None) -> None:
        self._check(token)
        self.loaded.append(reason)

    def health(self) -> list[WorkerHealth]:
        return [WorkerHealth(arn=arn, worker_id=arn, pid=7, state="Waiting") for arn in ("a", "b")]

    def call(self, token: str, function_id: str, payload: bytes) -> Mapping[str, Any]:
        self._check(token)
        return {"outcome": {"ok": True, "function": function_id}}


@contextmanager
def serving(core: FakeCore, tmp_path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(core, 0, LogFile(tmp_path / "runtime.log"))
    try:
        yield endpoint
    finally:
        endpoint.close()
