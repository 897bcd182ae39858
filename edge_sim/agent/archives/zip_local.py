"""A zip's local headers, each compared with the central directory, before anything is written.

The entries must lie one behind the other from the file's first byte to the central directory: nothing hidden,
nothing overlapping.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

from edge_sim.agent.archives.errors import ArchiveError, Refuse
from edge_sim.agent.archives.limits import Budget, Limits
from edge_sim.agent.archives.links import LONGEST_TARGET
from edge_sim.agent.archives.names import Parts, parts
from edge_sim.agent.archives.zip_index import FULL, ZIP64, Entry, entries, extras, member_name, read_at, wide

Kind = Literal["file", "directory", "link"]

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIBED = 0x0008
_DESCRIPTOR_MARK = b"PK\7\x08"


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """An entry whose packed data lies at ``start``. ``path`` is None when it may not be unpacked."""

    entry: Entry
    path: Parts | None
    kind: Kind
    start: int


def located(source: BinaryIO, length: int, budget: Budget, refuse: Refuse) -> list[Located]:
    """Return all entries of a zip in the file's order, checked; ``refuse`` is told of those that may not be there."""
    found, directory_start = entries(source, length, budget, refuse)
    found.sort(key=lambda entry: entry.offset)
    ends = [*(entry.offset for entry in found), directory_start]
    if ends[0] != 0:
        raise ArchiveError("CONFLICT", "it has something before its first entry")
    return [_locate(source, entry, end, budget, refuse) for entry, end in zip(found, ends[1:], strict=True)]


def conflict(entry: Entry, what: str) -> ArchiveError:
    """Return the refusal of a zip that contradicts itself about one entry."""
    return ArchiveError("CONFLICT", f"{entry.shown} {what}", member=entry.shown)


def _locate(source: BinaryIO, entry: Entry, end: int, budget: Budget, refuse: Refuse) -> Located:
    """Check one local header, and that its data reaches exactly to ``end``."""
    path, kind = _accepted(entry, budget.limits, refuse)
    budget.file(entry.size, entry.shown)
    if end < entry.offset + _LOCAL.size:
        raise conflict(entry, "overlaps another entry")
    fields = _LOCAL.unpack(read_at(source, entry.offset, _LOCAL.size))
    mark, needed, flags, method, clock, day, crc, packed, size, name_length, extra_length = fields
    if mark != b"PK\3\4":
        raise conflict(entry, "has no local header")
    start = entry.offset + _LOCAL.size + name_length + extra_length
    blob = read_at(source, entry.offset + _LOCAL.size, name_length + extra_length)
    extra = extras(blob[name_length:], entry.shown)
    if blob[:name_length] != entry.raw_name or member_name(entry.raw_name, flags, extra) != entry.name:
        raise conflict(entry, "has another name in its local header")
    if (flags, method, day << 16 | clock) != (entry.flags, entry.method, entry.time) or needed > 45:
        raise conflict(entry, "has a local header that contradicts the central directory")
    size, packed = _wide(extra.get(ZIP64), (size, packed), entry)
    _check_numbers(source, entry, (crc, packed, size), start, end, zip64=ZIP64 in extra)
    if entry.method == 0 and entry.packed != entry.size:
        raise conflict(entry, "is stored with two different sizes")
    return Located(entry=entry, path=path, kind=kind, start=start)


def _accepted(entry: Entry, limits: Limits, refuse: Refuse) -> tuple[Parts | None, Kind]:
    """Return where an entry goes, and as what; None (and ``refuse`` has been told) when it may not be there."""
    if entry.refused:
        return None, "file"
    try:
        kind = _kind(entry, limits)
        return parts(entry.name, directory=kind == "directory", limits=limits), kind
    except ArchiveError as error:
        refuse(error)
        return None, "file"


def _kind(entry: Entry, limits: Limits) -> Kind:
    """Tell a directory from a file; refuse anything else, and entries that are both."""
    named = entry.name.endswith(b"/")
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        return _link(entry, limits)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError("SPECIAL", f"{entry.shown} is neither a file nor a directory", member=entry.shown)
    if (kind == stat.S_IFDIR or entry.dos_directory) and not named:
        raise conflict(entry, "is marked as a directory but named as a file")
    if named and (kind == stat.S_IFREG or entry.size):
        raise conflict(entry, "is named as a directory but is a file")
    return "directory" if named else "file"


def _link(entry: Entry, limits: Limits) -> Kind:
    if limits.links == "copy" and entry.size <= LONGEST_TARGET:
        return "link"
    hint = "repack it without links (zip without --symlinks)"
    raise ArchiveError("LINK", f"{entry.shown} is a symbolic link", member=entry.shown, hint=hint)


def _check_numbers(
    source: BinaryIO, entry: Entry, local: tuple[int, int, int], start: int, end: int, *, zip64: bool
) -> None:
    """Check checksum and sizes in the local header, or in the descriptor behind the data; nothing may follow."""
    truth = (entry.crc, entry.packed, entry.size)
    behind = end - (start + entry.packed)
    if behind < 0:
        raise conflict(entry, "overlaps another entry")
    if not entry.flags & _DESCRIBED:
        if local != truth:
            raise conflict(entry, "has a local header that contradicts the central directory")
        if behind:
            raise conflict(entry, "is followed by something that no entry names")
        return
    if any(mine not in (0, true) for mine, true in zip(local, truth, strict=True)):
        raise conflict(entry, "has a local header that contradicts the central directory")
    if behind not in (12, 16, 20, 24):
        raise conflict(entry, "has no data descriptor, or is followed by something that no entry names")
    descriptor = read_at(source, start + entry.packed, behind)
    if behind in (16, 24) and not descriptor.startswith(_DESCRIPTOR_MARK):
        raise conflict(entry, "has a damaged data descriptor")
    layout = "<L2Q" if behind > 16 else "<3L"
    wide_sizes = behind > 16
    if struct.unpack(layout, descriptor[-struct.calcsize(layout) :]) != truth or wide_sizes != zip64:
        raise conflict(entry, "has a data descriptor that contradicts the central directory")


def _wide(value: bytes | None, sizes: tuple[int, int], entry: Entry) -> tuple[int, ...]:
    """Return a local header's sizes; Python writes the zip64 field of a stream beside narrow sizes, repeating them."""
    if value == struct.pack("<2Q", *sizes) and FULL not in sizes:
        return sizes
    return wide(value, sizes, entry.shown)
