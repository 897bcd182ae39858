"""A zip's end record, and zip64's where there is one: where the central directory lies, and how many entries it has."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from edge_sim.agent.archives.errors import ArchiveError

FULL = 0xFFFFFFFF
"""The value that says "look in zip64's record or extra field"."""
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END_MARK = b"PK\5\6"
_MARKS = (_END_MARK, b"PK\1\2", b"PK\3\4")
_MAX_COMMENT = 0xFFFF


@dataclass(frozen=True, kw_only=True)
class EndRecord:
    """``start`` is where the first end record lies, ``offset`` where the central directory of ``size`` bytes does."""

    start: int
    count: int
    size: int
    offset: int


def read_at(source: BinaryIO, offset: int, count: int) -> bytes:
    """Return exactly ``count`` bytes at ``offset``, or raise ``TRUNCATED``."""
    source.seek(offset)
    data = source.read(count)
    if len(data) < count:
        raise ArchiveError("TRUNCATED", "the zip is cut off")
    return data


def end(source: BinaryIO, length: int) -> EndRecord:
    """Return where the central directory of a zip of ``length`` bytes lies. Raises ArchiveError."""
    tail_length = min(length, _END.size + _MAX_COMMENT)
    tail = read_at(source, length - tail_length, tail_length)
    at = _end_position(tail)
    fields = _END.unpack_from(tail, at)
    _, disk, first_disk, here, count, size, offset, _ = fields
    start = length - tail_length + at
    wide_end = _end64(source, start, fields)
    if wide_end is not None:
        return wide_end
    if disk or first_disk or here != count:
        raise ArchiveError("UNSUPPORTED", "it is one part of a multi-disk zip")
    return EndRecord(start=start, count=count, size=size, offset=offset)


def _end_position(tail: bytes) -> int:
    """Return where the one end record lies whose comment reaches to the end of the file."""
    records = end_records(tail)
    if not records:
        raise ArchiveError("TRUNCATED", "the zip has no end record, or there is data after it")
    if len(records) > 1:
        raise ArchiveError("CONFLICT", "it has two end records")
    if any(mark in tail[records[0] + _END.size :] for mark in _MARKS):
        raise ArchiveError("CONFLICT", "its comment contains parts of another zip")
    return records[0]


def end_records(tail: bytes) -> list[int]:
    """Return the places in a file's last bytes that read as a zip's end record.

    Zeros may follow it: bsdtar fills its last block with them when it writes to a pipe.
    """
    records = []
    at = tail.find(_END_MARK)
    while at >= 0:
        if at + _END.size <= len(tail):
            end = at + _END.size + _END.unpack_from(tail, at)[7]
            if end <= len(tail) and not any(tail[end:]):
                records.append(at)
        at = tail.find(_END_MARK, at + 1)
    return records


def _end64(source: BinaryIO, start: int, end: tuple[int, ...]) -> EndRecord | None:
    """Return what the zip64 end record says, None without one.

    Programs that write to a pipe (``zip -``, bsdtar) write one that repeats what the end record has.
    """
    narrow = end[1:7]
    locator_at = start - _END64_LOCATOR.size
    blob = read_at(source, locator_at, _END64_LOCATOR.size) if locator_at >= 0 else b""
    if not blob.startswith(b"PK\6\7"):
        return None  # 65,535 entries and no zip64 are legal; a lie fails at the count
    _, disk, at, disks = _END64_LOCATOR.unpack(blob)
    if disk or disks > 1 or at + _END64.size != locator_at:
        raise ArchiveError("CONFLICT", "its zip64 end record is not where it should be")
    mark, size, _, _, *values = _END64.unpack(read_at(source, at, _END64.size))
    agrees = all(n in (w, FULL if i > 3 else 0xFFFF) for i, (n, w) in enumerate(zip(narrow, values, strict=True)))
    if mark != b"PK\6\6" or size != _END64.size - 12 or not agrees or any(values[:2]) or values[2] != values[3]:
        raise ArchiveError("CONFLICT", "its zip64 end record contradicts its end record")
    return EndRecord(start=at, count=values[3], size=values[4], offset=values[5])
