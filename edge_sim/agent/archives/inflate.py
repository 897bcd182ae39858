"""Inflating: gzip with its header and trailer checked, and the raw streams inside a zip.

Nothing that follows a stream is ignored: a second member, a cut trailer, or one byte too many is an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from edge_sim.agent.archives.errors import ArchiveError
from edge_sim.agent.archives.limits import Budget

CHUNK = 64 * 1024

_HEADER_CRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0


class GzipReader:
    """The inflated bytes of a source that holds exactly one gzip member, from its beginning to its end."""

    def __init__(self, source: BinaryIO, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._raw = b""
        self._ready = b""
        self._ended = False
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._crc = 0
        self._size = 0
        self._header()

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes, fewer only at the end."""
        while len(self._ready) < count and not self._ended:
            self._more()
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    def peek(self, count: int) -> bytes:
        """Return what the next ``read`` of ``count`` bytes will return."""
        self._ready = self.read(count) + self._ready
        return self._ready[:count]

    def _more(self) -> None:
        if not self._raw:
            self._raw = self._source.read(CHUNK)
        if not self._raw:
            raise _cut("the gzip stream")
        try:
            made = self._inflate.decompress(self._raw, CHUNK)
        except zlib.error as error:
            raise ArchiveError("DAMAGED", "its gzip stream is damaged") from error
        self._raw = self._inflate.unconsumed_tail
        self._crc = zlib.crc32(made, self._crc)
        self._size += len(made)
        self._ready += made
        self._budget.produced(len(made))
        if self._inflate.eof:
            self._raw = self._inflate.unused_data
            self._trailer()

    def _trailer(self) -> None:
        trailer = self._take(8, "the gzip trailer")
        if int.from_bytes(trailer[:4], "little") != self._crc:
            raise ArchiveError("DAMAGED", "the checksum (CRC) in its gzip trailer does not match")
        if int.from_bytes(trailer[4:], "little") != self._size & 0xFFFFFFFF:
            raise ArchiveError("DAMAGED", "the length (ISIZE) in its gzip trailer does not match")
        if self._raw or self._source.read(1):
            raise ArchiveError("TRAILING", "there is something after the end of its gzip stream")
        self._ended = True

    def _header(self) -> None:
        head = self._take(10, "the gzip header")
        flags = head[3]
        if head[:3] != b"\x1f\x8b\x08" or flags & _RESERVED:
            raise ArchiveError("DAMAGED", "its gzip header is damaged")
        seen = head
        if flags & _EXTRA:
            length = self._take(2, "the gzip header")
            seen += length + self._take(int.from_bytes(length, "little"), "the gzip header")
        for flag in (_NAME, _COMMENT):
            if flags & flag:
                seen += self._text()
        if flags & _HEADER_CRC and self._take(2, "the gzip header") != zlib.crc32(seen).to_bytes(4, "little")[:2]:
            raise ArchiveError("DAMAGED", "the checksum of its gzip header does not match")

    def _text(self) -> bytes:
        """Return the zero-terminated text that comes next (a name or comment that nobody uses)."""
        limit = self._budget.limits.extension_bytes
        while b"\0" not in self._raw:
            more = self._source.read(CHUNK)
            if not more:
                raise _cut("the gzip header")
            self._raw += more
            if len(self._raw) > limit:
                raise ArchiveError("LIMIT_SIZE", f"its gzip header is larger than {limit:,} bytes")
        return self._take(self._raw.index(b"\0") + 1, "the gzip header")

    def _take(self, count: int, what: str) -> bytes:
        while len(self._raw) < count:
            more = self._source.read(CHUNK)
            if not more:
                raise _cut(what)
            self._raw += more
        taken, self._raw = self._raw[:count], self._raw[count:]
        return taken


def inflated(chunks: Iterator[bytes], shown: str) -> Iterator[bytes]:
    """Yield what raw deflate ``chunks`` inflate to; the stream must end exactly where the chunks end."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    for chunk in chunks:
        raw = chunk
        while raw and not inflate.eof:
            try:
                made = inflate.decompress(raw, CHUNK)
            except zlib.error as error:
                raise ArchiveError("DAMAGED", f"the data of {shown} is damaged", member=shown) from error
            raw = inflate.unconsumed_tail
            yield made
        if inflate.eof and (raw or inflate.unused_data):
            raise ArchiveError("CONFLICT", f"the data of {shown} ends before its declared end", member=shown)
    while not inflate.eof:
        made = inflate.decompress(b"", CHUNK)
        if not made:
            raise ArchiveError("TRUNCATED", f"the data of {shown} is cut off", member=shown)
        yield made


def _cut(what: str) -> ArchiveError:
    return ArchiveError("TRUNCATED", f"it is cut off in {what}")
