"""Reads a zip's index: the end record and the central directory, before anything is written.

The file must consist of its entries, its central directory and its end record, without a byte before, between or
behind them; what would let two programs see two different archives is refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from edge_sim.agent.archives.errors import ArchiveError, Refuse, escaped
from edge_sim.agent.archives.limits import Budget

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END_MARK, _CENTRAL_MARK, _LOCAL_MARK = b"PK\5\6", b"PK\1\2", b"PK\3\4"
_MARKS = (_END_MARK, _CENTRAL_MARK, _LOCAL_MARK)
_MAX_COMMENT = 0xFFFF
FULL = 0xFFFFFFFF
"""The value that says "look in the zip64 extra field"."""
ZIP64, UNICODE_PATH = 0x0001, 0x7075


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of the central directory. ``size`` is what comes out, ``packed`` what lies in the file."""

    raw_name: bytes
    name: bytes
    flags: int
    method: int
    time: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int
    """Unix mode, 0 when the zip was made elsewhere."""
    dos_directory: bool
    refused: bool
    """It may not be unpacked, and somebody has been told."""

    @property
    def shown(self) -> str:
        return escaped(self.name)


@dataclass(frozen=True, kw_only=True)
class _End:
    start: int
    count: int
    size: int
    offset: int


def entries(source: BinaryIO, length: int, budget: Budget, refuse: Refuse) -> tuple[list[Entry], int]:
    """Return the entries in the directory's order, and where the directory starts in the file."""
    end = _end(source, length)
    if end.offset + end.size != end.start:
        raise ArchiveError("CONFLICT", "its central directory does not end where its end record starts")
    found = []
    at = end.offset
    while at < end.start:
        budget.entry()
        entry, used = _entry(source, at, end.start, refuse)
        found.append(entry)
        at += used
    if len(found) != end.count:
        raise ArchiveError("CONFLICT", f"its end record counts {end.count} entries, there are {len(found)}")
    return found, end.offset


def read_at(source: BinaryIO, offset: int, count: int) -> bytes:
    """Return exactly ``count`` bytes at ``offset``, or raise ``TRUNCATED``."""
    source.seek(offset)
    data = source.read(count)
    if len(data) < count:
        raise ArchiveError("TRUNCATED", "the zip is cut off")
    return data


def extras(blob: bytes, shown: str) -> Mapping[int, bytes]:
    """Return an entry's extra fields by id; a damaged or repeated one is refused."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(blob):
        if len(blob) - at < 4:
            raise ArchiveError("DAMAGED", f"an extra field of {shown} is damaged", member=shown)
        tag, size = struct.unpack_from("<2H", blob, at)
        value = blob[at + 4 : at + 4 + size]
        if len(value) < size or tag in found:
            raise ArchiveError("DAMAGED", f"an extra field of {shown} is damaged or repeated", member=shown)
        found[tag] = value
        at += 4 + size
    return found


def wide(value: bytes | None, fields: tuple[int, ...], shown: str) -> tuple[int, ...]:
    """Return ``fields`` with each one that is FULL replaced from the zip64 extra field ``value``."""
    missing = sum(f == FULL for f in fields)
    if value is None:
        if missing:
            raise ArchiveError("CONFLICT", f"{shown} lacks its zip64 field", member=shown)
        return fields
    if not missing or len(value) != 8 * missing:
        raise ArchiveError("CONFLICT", f"the zip64 field of {shown} does not fit its header", member=shown)
    numbers = iter(struct.unpack(f"<{missing}Q", value))
    return tuple(next(numbers) if f == FULL else f for f in fields)


def member_name(raw: bytes, flags: int, extra: Mapping[int, bytes]) -> bytes:
    """Return the entry's name as UTF-8; a name that readers could understand differently is refused."""
    shown = escaped(raw)
    unicode_path = extra.get(UNICODE_PATH)
    known = b"\1" + struct.pack("<L", zlib.crc32(raw)) + raw
    if unicode_path not in (None, known):
        raise ArchiveError("CONFLICT", f"{shown} has another name in its Unicode field", member=shown)
    if not raw.isascii() and not flags & 0x800 and unicode_path is None:
        hint = "rename it, or pack with a program that marks UTF-8 names: python3 -m zipfile -c model.zip FILES"
        raise ArchiveError("NAME", f"the name “{shown}” is not marked as UTF-8", member=shown, hint=hint)
    return raw


def _entry(source: BinaryIO, at: int, limit: int, refuse: Refuse) -> tuple[Entry, int]:
    if at + _CENTRAL.size > limit:
        raise ArchiveError("DAMAGED", "its central directory is damaged")
    fields = _CENTRAL.unpack(read_at(source, at, _CENTRAL.size))
    mark, made_by, needed, flags, method, clock, day, crc, packed, size, *rest = fields
    name_length, extra_length, comment_length, disk, _, attributes, offset = rest
    used = _CENTRAL.size + name_length + extra_length + comment_length
    if mark != _CENTRAL_MARK or at + used > limit:
        raise ArchiveError("DAMAGED", "its central directory is damaged")
    blob = read_at(source, at + _CENTRAL.size, used - _CENTRAL.size)
    raw = blob[:name_length]
    shown = escaped(raw)
    refused = _refused(flags, method, needed, shown, refuse)
    extra = extras(blob[name_length : name_length + extra_length], shown)
    size, packed, offset = wide(extra.get(ZIP64), (size, packed, offset), shown)
    if disk:
        raise ArchiveError("UNSUPPORTED", "it is one part of a zip of several disks")
    entry = Entry(
        raw_name=raw,
        name=member_name(raw, flags, extra),
        flags=flags,
        method=method,
        time=day << 16 | clock,
        crc=crc,
        packed=packed,
        size=size,
        offset=offset,
        mode=attributes >> 16 if made_by >> 8 == 3 else 0,
        dos_directory=bool(attributes & 0x10),
        refused=refused,
    )
    return entry, used


def _refused(flags: int, method: int, needed: int, shown: str, refuse: Refuse) -> bool:
    """Tell whether the entry cannot be read, having told ``refuse`` why."""
    try:
        _check_supported(flags, method, needed, shown)
    except ArchiveError as error:
        refuse(error)
        return True
    return False


def _check_supported(flags: int, method: int, needed: int, shown: str) -> None:
    if flags & 0x2041:
        raise ArchiveError("ENCRYPTED", f"{shown} is encrypted", member=shown, hint="repack it without a password")
    if method not in (0, 8):
        hint = "repack it with: zip -r model.zip ."
        raise ArchiveError("UNSUPPORTED", f"{shown} is compressed with method {method}", member=shown, hint=hint)
    if flags & ~0x080E or (method == 0 and flags & 0x0006) or needed > 45:
        raise ArchiveError("UNSUPPORTED", f"{shown} needs a feature of zip that is not read", member=shown)


def _end(source: BinaryIO, length: int) -> _End:
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
        raise ArchiveError("UNSUPPORTED", "it is one part of a zip of several disks")
    return _End(start=start, count=count, size=size, offset=offset)


def _end_position(tail: bytes) -> int:
    """Return where the one end record lies whose comment reaches exactly to the end of the file."""
    found = end_records(tail)
    if not found:
        raise ArchiveError("TRUNCATED", "the zip has no end record, or something follows it")
    if len(found) > 1:
        raise ArchiveError("CONFLICT", "it has two end records")
    if any(mark in tail[found[0] + _END.size :] for mark in _MARKS):
        raise ArchiveError("CONFLICT", "its comment holds parts of another zip")
    return found[0]


def end_records(tail: bytes) -> list[int]:
    """Return the places in a file's last bytes that read as a zip's end record."""
    found = []
    at = tail.find(_END_MARK)
    while at >= 0:
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            found.append(at)
        at = tail.find(_END_MARK, at + 1)
    return found


def _end64(source: BinaryIO, start: int, end: tuple[int, ...]) -> _End | None:
    """Return what the zip64 end record says; None when there is none and none is called for."""
    narrow = end[1:7]
    called_for = 0xFFFF in narrow[:4] or FULL in narrow[4:]
    locator_at = start - _END64_LOCATOR.size
    blob = read_at(source, locator_at, _END64_LOCATOR.size) if locator_at >= 0 else b""
    if not blob.startswith(b"PK\6\7"):
        return None  # 65,535 entries and no zip64 are legal; a lie fails at the count
    _, disk, at, disks = _END64_LOCATOR.unpack(blob)
    if not called_for or disk or disks > 1 or at + _END64.size != locator_at:
        raise ArchiveError("CONFLICT", "its zip64 end record is not where it should be")
    mark, size, _, _, *values = _END64.unpack(read_at(source, at, _END64.size))
    agrees = all(n in (w, FULL if i > 3 else 0xFFFF) for i, (n, w) in enumerate(zip(narrow, values, strict=True)))
    if mark != b"PK\6\6" or size != _END64.size - 12 or not agrees or any(values[:2]) or values[2] != values[3]:
        raise ArchiveError("CONFLICT", "its zip64 end record contradicts its end record")
    return _End(start=at, count=values[3], size=values[4], offset=values[5])
