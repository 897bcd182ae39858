"""What the agent's threads hand each other: entries of the inbox for the main thread, tasks for the work thread."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Question = Literal["jobs", "deployment"]
Task = Question | Mapping[str, Any]
"""What the work thread does: ask for something, or carry out a deployment."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Time to end; ``error`` says why when nobody asked for it."""

    error: BaseException | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """What the broker brought."""

    topic: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Connected:
    """The broker has taken us, at first or again."""


@dataclass(frozen=True, kw_only=True)
class Disconnected:
    """The connection is gone; the client tries to get it back. ``lasting``: that is likely to fail, for the reason."""

    reason: str
    lasting: bool = False


Entry = Stopped | Message | Connected | Disconnected


@contextmanager
def signals(inbox: queue.SimpleQueue[Entry]) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into an inbox entry (a SimpleQueue may be used in a handler)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: inbox.put(Stopped()))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Work:
    """Tasks waiting for the work thread; a question that waits already is not asked twice."""

    tasks: queue.SimpleQueue[Task | None] = field(default_factory=queue.SimpleQueue)
    questions: set[Question] = field(default_factory=set)

    def ask(self, question: Question) -> None:
        if question not in self.questions:
            self.questions.add(question)
            self.tasks.put(question)
