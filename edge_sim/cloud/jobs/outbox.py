"""Messages to devices: stored with the change that they tell of, sent after COMMIT, kept until the broker has them.

So nothing is said that is not stored, and what a cloud that was killed had stored but not yet sent is sent when it
starts again. A device may get a message twice, as with any message of QoS 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

from edge_sim.cloud.store import Store


class Receipt(Protocol):
    """What a broker's client says of a message that it was handed."""

    def is_published(self) -> bool:
        """Return whether the broker has acknowledged the message."""


Publish = Callable[[str, bytes], Receipt | None]
"""Hands one message to the broker's client, in order; must not block or raise. None: it cannot take any more now."""


class _Message(NamedTuple):
    """``position`` is its place in the outbox; None for one that is not stored."""

    position: int | None
    topic: str
    payload: bytes


class Outbox:
    """The one way to devices. ``publish`` may be replaced at any time.

    Everything but ``publish`` is called inside a transaction of the store, which is the only lock.
    """

    def __init__(self, store: Store, publish: Publish) -> None:
        self.publish = publish
        self._store = store
        self._waiting: deque[_Message] = deque()
        self._unacknowledged: deque[tuple[int, Receipt]] = deque()
        rows = store.execute("SELECT coalesce(max(position), 0) FROM outbox")
        self._positions = count(rows[0][0] + 1)

    def add(self, topic: str, payload: bytes, *, thing: str | None = None) -> None:
        """Send a message when the open transaction is stored. ``thing``: it is a notification of this thing's."""
        message = _Message(next(self._positions), topic, payload)
        self._store.execute(
            "INSERT INTO outbox (position, thing, topic, payload) VALUES (?, ?, ?, ?)",
            (
                message.position,
                thing,
                topic,
                payload,
            ),
        )
        self._store.on_commit(partial(self._send, message))

    def pass_on(self, topic: str, payload: bytes) -> None:
        """Send a message that tells of no change, so that it need not outlive this process."""
        self._store.on_commit(partial(self._send, _Message(None, topic, payload)))

    def tidy(self) -> None:
        """Send what could not be sent before, and forget what the broker has acknowledged."""
        self._flush()
        last = None
        while self._unacknowledged and self._unacknowledged[0][1].is_published():
            last, _ = self._unacknowledged.popleft()
        if last is not None:
            self._store.execute("DELETE FROM outbox WHERE position <= ?", (last,))

    def left_behind(self) -> list[str]:
        """Take up what an earlier process left: send its replies, and return the things that it had notices for.

        Those notices are dropped, as they may be out of date: the caller makes new ones in the same transaction.
        """
        things = self._store.execute("SELECT DISTINCT thing FROM outbox WHERE thing IS NOT NULL ORDER BY thing")
        self._store.execute("DELETE FROM outbox WHERE thing IS NOT NULL")
        for row in self._store.execute("SELECT position, topic, payload FROM outbox ORDER BY position"):
            self._store.on_commit(partial(self._send, _Message(*row)))
        return [thing for (thing,) in things]

    @property
    def idle(self) -> bool:
        """Whether everything was handed to the broker's client."""
        return not self._waiting

    def _send(self, message: _Message) -> None:
        self._waiting.append(message)
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            position, topic, payload = self._waiting[0]
            receipt = self.publish(topic, payload)
            if receipt is None:
                return
            self._waiting.popleft()
            if position is not None:
                self._unacknowledged.append((position, receipt))
