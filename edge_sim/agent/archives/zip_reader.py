"""Reads a zip's entries, after every local header has been compared with the central directory.

The entries must lie one behind the other from the file's first byte to the central directory: nothing hidden,
nothing overlapping. Stored and deflated data are read, each to its declared length and checksum.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edge_sim.agent.archives import zip_index
from edge_sim.agent.archives.errors import ArchiveError
from edge_sim.agent.archives.inflate import CHUNK, inflated
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.member import Member
from edge_sim.agent.archives.names import Parts, parts
from edge_sim.agent.archives.zip_index import FULL, ZIP64, Entry, extras, member_name, read_at, wide

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIBED = 0x0008
_DESCRIPTOR_MARK = b"PK\7\x08"


@dataclass(frozen=True, kw_only=True)
class _Located:
    entry: Entry
    path: Parts
    directory: bool
    start: int


def members(source: BinaryIO, length: int, budget: Budget) -> Iterator[Member]:
    """Yield the members in the file's order; the whole index has been checked before the first one."""
    found, directory_start = zip_index.entries(source, length, budget)
    found.sort(key=lambda entry: entry.offset)
    starts = [*(entry.offset for entry in found), directory_start]
    if starts[0] != 0:
        raise ArchiveError("CONFLICT", "it has something before its first entry")
    located = [_locate(source, entry, end, budget) for entry, end in zip(found, starts[1:], strict=True)]
    for one in located:
        yield Member(
            path=one.path,
            directory=one.directory,
            executable=bool(one.entry.mode & 0o111),
            data=_data(source, one, budget),
        )


def _locate(source: BinaryIO, entry: Entry, end: int, budget: Budget) -> _Located:
    """Check one local header, and that its data reaches exactly to ``end``."""
    directory = _is_directory(entry)
    path = parts(entry.name, directory=directory, limits=budget.limits)
    budget.file(entry.size, entry.shown)
    if end < entry.offset + _LOCAL.size:
        raise _conflict(entry, "overlaps another entry")
    fields = _LOCAL.unpack(read_at(source, entry.offset, _LOCAL.size))
    mark, needed, flags, method, clock, day, crc, packed, size, name_length, extra_length = fields
    if mark != b"PK\3\4":
        raise _conflict(entry, "has no local header")
    start = entry.offset + _LOCAL.size + name_length + extra_length
    blob = read_at(source, entry.offset + _LOCAL.size, name_length + extra_length)
    extra = extras(blob[name_length:], entry.shown)
    if blob[:name_length] != entry.raw_name or member_name(entry.raw_name, flags, extra) != entry.name:
        raise _conflict(entry, "has another name in its local header")
    if (flags, method, day << 16 | clock) != (entry.flags, entry.method, entry.time) or needed > 45:
        raise _conflict(entry, "has a local header that contradicts the central directory")
    size, packed = _wide(extra.get(ZIP64), (size, packed), entry)
    _check_numbers(source, entry, (crc, packed, size), start, end, zip64=ZIP64 in extra)
    if entry.method == 0 and entry.packed != entry.size:
        raise _conflict(entry, "is stored with two different sizes")
    return _Located(entry=entry, path=path, directory=directory, start=start)


def _check_numbers(
    source: BinaryIO, entry: Entry, local: tuple[int, int, int], start: int, end: int, *, zip64: bool
) -> None:
    """Check checksum and sizes in the local header, or in the descriptor behind the data; nothing may follow."""
    truth = (entry.crc, entry.packed, entry.size)
    behind = end - (start + entry.packed)
    if behind < 0:
        raise _conflict(entry, "overlaps another entry")
    if not entry.flags & _DESCRIBED:
        if local != truth:
            raise _conflict(entry, "has a local header that contradicts the central directory")
        if behind:
            raise _conflict(entry, "is followed by something that no entry names")
        return
    if any(mine not in (0, true) for mine, true in zip(local, truth, strict=True)):
        raise _conflict(entry, "has a local header that contradicts the central directory")
    if behind not in (12, 16, 20, 24):
        raise _conflict(entry, "has no data descriptor, or is followed by something that no entry names")
    descriptor = read_at(source, start + entry.packed, behind)
    if behind in (16, 24) and not descriptor.startswith(_DESCRIPTOR_MARK):
        raise _conflict(entry, "has a damaged data descriptor")
    layout = "<L2Q" if behind > 16 else "<3L"
    wide_sizes = behind > 16
    if struct.unpack(layout, descriptor[-struct.calcsize(layout) :]) != truth or wide_sizes != zip64:
        raise _conflict(entry, "has a data descriptor that contradicts the central directory")


def _wide(value: bytes | None, sizes: tuple[int, int], entry: Entry) -> tuple[int, ...]:
    """Return a local header's sizes; Python writes the zip64 field of a stream beside narrow sizes, repeating them."""
    if value == struct.pack("<2Q", *sizes) and FULL not in sizes:
        return sizes
    return wide(value, sizes, entry.shown)


def _is_directory(entry: Entry) -> bool:
    """Tell a directory from a file; refuse anything else, and entries that are both."""
    named = entry.name.endswith(b"/")
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        hint = "repack it without links (zip without --symlinks)"
        raise ArchiveError("LINK", f"{entry.shown} is a symbolic link", member=entry.shown, hint=hint)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError("SPECIAL", f"{entry.shown} is neither a file nor a directory", member=entry.shown)
    if (kind == stat.S_IFDIR or entry.dos_directory) and not named:
        raise _conflict(entry, "is marked as a directory but named as a file")
    if named and (kind == stat.S_IFREG or entry.size):
        raise _conflict(entry, "is named as a directory but is a file")
    return named


def _data(source: BinaryIO, one: _Located, budget: Budget) -> Iterator[bytes]:
    entry = one.entry
    packed = _packed(source, one.start, entry.packed)
    size = crc = 0
    for chunk in inflated(packed, entry.shown) if entry.method else packed:
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
        budget.produced(len(chunk))
        if size > entry.size:
            raise _conflict(entry, "is larger than declared")
        yield chunk
    if size != entry.size:
        raise _conflict(entry, "is smaller than declared")
    if crc != entry.crc:
        raise ArchiveError("DAMAGED", f"the checksum (CRC) of {entry.shown} does not match", member=entry.shown)


def _packed(source: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    at = start
    while at < start + length:
        chunk = read_at(source, at, min(CHUNK, start + length - at))
        at += len(chunk)
        yield chunk


def _conflict(entry: Entry, what: str) -> ArchiveError:
    return ArchiveError("CONFLICT", f"{entry.shown} {what}", member=entry.shown)
