"""Bytes that come in chunks, read in the portions somebody needs, without copying the large ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

PACKED_CHUNK = 256 * 1024
"""Bytes read at once. What they inflate to, often about as much, then comes in one piece, which is quickest."""
CHUNK = 512 * 1024
"""Bytes inflated and written at once, at most."""

Chunk = bytes | memoryview


def chunks(source: BinaryIO, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield the rest of ``source``, and hand it to ``seen`` (a digest's ``update``)."""
    while data := source.read(PACKED_CHUNK):
        seen(data)
        yield data


class Stream:
    """Reads from chunks, each of them once. Portions shorter than asked for mean the end."""

    def __init__(self, items: Iterator[bytes]) -> None:
        self._items = items
        self._chunk = b""
        self._at = 0

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes, fewer only at the end."""
        here = self._chunk[self._at : self._at + count]
        self._at += len(here)
        if len(here) == count:
            return here
        return b"".join((here, *self.pieces(count - len(here))))

    def pieces(self, count: int) -> Iterator[Chunk]:
        """Yield ``count`` bytes (fewer only at the end) in the portions in which they come."""
        while count and self._more():
            piece = memoryview(self._chunk)[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece

    def peek(self, count: int) -> bytes:
        """Return what the next ``read`` of ``count`` bytes will return."""
        self._chunk, self._at = self.read(count) + self._chunk[self._at :], 0
        return self._chunk[:count]

    def rest(self) -> Iterator[Chunk]:
        """Yield the rest."""
        while self._more():
            piece = memoryview(self._chunk)[self._at :]
            self._at = len(self._chunk)
            yield piece

    def _more(self) -> bool:
        """Have at least one byte ready, unless everything has been read."""
        while self._at == len(self._chunk):
            chunk = next(self._items, None)
            if chunk is None:
                return False
            self._chunk, self._at = chunk, 0
        return True
