"""Inflating: gzip with its header and trailer checked, and the raw streams inside a zip.

Nothing that follows a stream is ignored: a second member, a cut trailer, or one byte too many is an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from edge_sim.agent.archives.errors import ArchiveError, raising
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.stream import CHUNK, Chunk, Stream

_SMALL = 64 * 1024
_MAGIC = b"\x1f\x8b"
_LONGEST_TEXT = 512
"""Bytes of a name or comment, its NUL included, that Go reads."""
_HEADER_CRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0


@cache
def engine() -> Any:
    """Return the module that inflates: ISA-L's (extra ``[fast]``) where it is installed, else zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


class Inflater:
    """One raw deflate stream of about ``length`` bytes. ``rest`` is what came after its end."""

    def __init__(self, length: int) -> None:
        # ISA-L's state is so large that small streams are quicker with zlib.
        self._engine = engine() if length > _SMALL else zlib
        self._inflate = self._engine.decompressobj(-zlib.MAX_WBITS)

    @property
    def ended(self) -> bool:
        return bool(self._inflate.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._inflate.unused_data)

    def feed(self, raw: Chunk) -> Iterator[bytes]:
        """Yield what ``raw`` inflates to, at most CHUNK bytes at once. Raises ValueError for damaged data."""
        while raw and not self._inflate.eof:
            if chunk := self._some(raw):
                yield chunk
            raw = self._inflate.unconsumed_tail

    def finish(self) -> Iterator[bytes]:
        """Yield what is still held back; the stream is cut off unless it has ended then."""
        while not self._inflate.eof and (chunk := self._some(b"")):
            yield chunk

    def _some(self, raw: Chunk) -> bytes:
        try:
            return bytes(self._inflate.decompress(raw, CHUNK))
        except self._engine.error as error:
            raise ValueError(str(error)) from error


def gunzip(raw: Stream, budget: Budget) -> Iterator[bytes]:
    """Yield the inflated bytes of a source that holds exactly one gzip member, from its beginning to its end."""
    _header(raw, budget.limits.extension_bytes)
    checksum, size, crc32 = 0, 0, engine().crc32
    inflater = Inflater(budget.archive_bytes)
    try:
        for chunk in _inflated(raw, inflater):
            checksum = crc32(chunk, checksum)
            size += len(chunk)
            budget.produced(len(chunk))
            yield chunk
    except ValueError as error:
        raise ArchiveError("DAMAGED", "its gzip stream is damaged") from error
    if not inflater.ended:
        raise _cut("the gzip stream")
    _trailer(inflater.rest, raw, checksum, size)


def inflated(pieces: Iterable[Chunk], length: int, label: str) -> Iterator[bytes]:
    """Yield what raw deflate ``pieces`` of ``length`` bytes inflate to; the stream must end exactly with them."""
    inflater = Inflater(length)
    try:
        for piece in pieces:
            if inflater.ended:
                raise _early(label)
            yield from inflater.feed(piece)
        yield from inflater.finish()
    except ValueError as error:
        raise ArchiveError("DAMAGED", f"the data of {label} is damaged", member=label) from error
    if not inflater.ended:
        raise ArchiveError("TRUNCATED", f"the data of {label} is cut off", member=label)
    if inflater.rest:
        raise _early(label)


def _inflated(raw: Stream, inflater: Inflater) -> Iterator[bytes]:
    for piece in raw.rest():
        yield from inflater.feed(piece)
        if inflater.ended:
            return


def _trailer(rest: bytes, raw: Stream, checksum: int, size: int) -> None:
    trailer = rest[:8] + raw.read(8 - len(rest[:8]))
    if len(trailer) < 8:
        raise _cut("the gzip trailer")
    if int.from_bytes(trailer[:4], "little") != checksum:
        raise ArchiveError("DAMAGED", "the checksum (CRC) in its gzip trailer does not match")
    if int.from_bytes(trailer[4:], "little") != size & 0xFFFFFFFF:
        raise ArchiveError("DAMAGED", "the length (ISIZE) in its gzip trailer does not match")
    following = rest[8:] or raw.read(2)
    if following.startswith(_MAGIC):
        brief = "it consists of several gzip streams, one after the other"
        raise ArchiveError("TRAILING", brief, hint="merge them: zcat OLD.tar.gz | gzip > NEW.tar.gz")
    if following:
        raise ArchiveError("TRAILING", "there is data after the end of its gzip stream")


def _header(raw: Stream, limit: int) -> None:
    head = _take(raw, 10)
    flags = head[3]
    if head[:3] != _MAGIC + b"\x08" or flags & _RESERVED:
        raise ArchiveError("DAMAGED", "its gzip header is damaged")
    seen = head
    if flags & _EXTRA:
        length = _take(raw, 2)
        seen += length + _take(raw, int.from_bytes(length, "little"))
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            seen += _text(raw, limit)
    if flags & _HEADER_CRC and _take(raw, 2) != zlib.crc32(seen).to_bytes(4, "little")[:2]:
        raise ArchiveError("DAMAGED", "the checksum of its gzip header does not match")


def _text(raw: Stream, limit: int) -> bytes:
    """Return the zero-terminated text that comes next (a name or comment that nobody uses)."""
    longest = min(limit, _LONGEST_TEXT)
    head = raw.peek(longest)
    end = head.find(b"\0")
    if end < 0 and len(head) < longest:
        raise _cut("the gzip header")
    if end < 0 and limit < _LONGEST_TEXT:
        raise ArchiveError(
            "LIMIT_SIZE", f"its gzip header is larger than {limit:,} bytes", hint=raising("extension_bytes")
        )
    if end < 0:
        brief = f"the name or comment in its gzip header is longer than {_LONGEST_TEXT - 1} bytes, which Go refuses"
        raise ArchiveError("LIMIT_SIZE", brief, hint="compress it again, without a name: gzip -n")
    return raw.read(end + 1)


def _take(raw: Stream, count: int) -> bytes:
    data = raw.read(count)
    if len(data) < count:
        raise _cut("the gzip header")
    return data


def _cut(what: str) -> ArchiveError:
    return ArchiveError("TRUNCATED", f"it is cut off in {what}")


def _early(label: str) -> ArchiveError:
    return ArchiveError("CONFLICT", f"the data of {label} ends before its declared end", member=label)
