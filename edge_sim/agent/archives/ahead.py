"""Runs an iterator ahead of its consumer, in a thread of its own and through a bounded queue.

Reading, inflating and writing wait for different things, and zlib, hashlib and write(2) let other threads run; so an
archive goes through a chain of these: read and hash, inflate and checksum, parse and write.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE_S = 3600.0
"""Longest wait for one item: longer than any budget, so that a thread that hangs ends in an error."""


class Ahead(Iterator[T], Generic[T]):
    """The items of another iterator, in order, its exception included; at most ``depth`` of them wait.

    Use it as a context: leaving it stops the thread after the item it is at, and waits for that.
    """

    def __init__(self, items: Iterator[T], *, depth: int = 4) -> None:
        self._items = items
        self._depth = depth
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._at_end = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def __enter__(self) -> Ahead[T]:
        try:
            self._thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "cannot start a thread") from error
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE_S)

    def __next__(self) -> T:
        with self._changed:
            self._wait_until(lambda: self._ready or self._at_end)
            if self._ready:
                self._changed.notify_all()
                return self._ready.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # the consumer gets it
            self._error = error
        with self._changed:
            self._at_end = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Hand one item over; False when the consumer has left."""
        with self._changed:
            self._wait_until(lambda: len(self._ready) < self._depth or self._stopped)
            self._ready.append(item)
            self._changed.notify_all()
            return not self._stopped

    def _wait_until(self, true: Callable[[], object]) -> None:
        if not self._changed.wait_for(true, _PATIENCE_S):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
