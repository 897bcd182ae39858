"""A zip's local headers, each compared with the central directory, before anything is written.

The entries must lie one behind the other from the file's first byte to the central directory: nothing hidden,
nothing overlapping.
"""

from __future__ import annotations

import re
import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

from edge_sim.agent.archives.errors import COPYING, RENAME, REPACK, ArchiveError, Refuse
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.links import LONGEST_TARGET
from edge_sim.agent.archives.names import Parts, parts
from edge_sim.agent.archives.zip_end import FULL, read_at
from edge_sim.agent.archives.zip_index import ZIP64, ZipEntry, entries, extras, is_old, member_name, wide
from edge_sim.limits import Limits

Kind = Literal["file", "directory", "link"]

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIBED = 0x0008
_DESCRIPTOR_MARK = b"PK\7\x08"
_LINUX, _MACOS = 3, 19
_UNIX = (_LINUX, _MACOS)
_HOSTS = (0, 10, 11, 14, *_UNIX)
"""MS-DOS, Windows (three numbers for it) and Unix: those that everyday programs write."""
_ALL_BITS = 0xF000
"""Old versions of Maven give directories the mode 0xFFFF."""
_DOS_DIRECTORY, _DOS_SPECIAL = 0x0010, 0x0448
_SPECIAL_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}
_FROM_PIPE = "zip stores input from a pipe as a FIFO: pack the folder instead, with: zip -r model.zip ./model"
_VERSION = re.compile(rb";[0-9]*\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocatedEntry:
    """What has to be known of a checked entry. ``start`` is where its packed data lies in the file."""

    name: str | None
    """Its place in the package; None when it may not be unpacked."""
    kind: Kind
    executable: bool
    method: int
    crc: int
    packed: int
    size: int
    start: int

    @property
    def path(self) -> Parts:
        return tuple(self.name.split("/")) if self.name else ()


def locate(source: BinaryIO, length: int, budget: Budget, refuse: Refuse) -> list[LocatedEntry]:
    """Return all entries of a zip in the file's order, checked; ``refuse`` is called for those that are not allowed."""
    waiting, directory_start = entries(source, length, budget, refuse)
    waiting.sort(key=lambda entry: entry.offset, reverse=True)
    if (waiting[-1].offset if waiting else directory_start) != 0:
        raise ArchiveError("CONFLICT", "there is data before its first entry")
    locations = []
    directories = {hash(entry.name.removeprefix(b"./")[:-1]) for entry in waiting if entry.name.endswith(b"/")}
    while waiting:  # each is forgotten when it has been checked: there may be many
        entry = waiting.pop()
        end = waiting[-1].offset if waiting else directory_start
        locations.append(_locate(source, entry, end, budget, refuse))
        _count_implied(locations[-1].path, directories, budget)
    return locations


def _count_implied(path: Parts, directories: set[int], budget: Budget) -> None:
    """Account for the directories above ``path`` that are not among ``directories`` (hashes of their paths) yet."""
    for depth in range(len(path) - 1, 0, -1):
        raw = "/".join(path[:depth]).encode()
        if hash(raw) in directories:
            break  # and so are those above it
        directories.add(hash(raw))
        budget.entry()
        budget.name(raw)


def conflict(label: str, what: str) -> ArchiveError:
    """Return the refusal of a zip that contradicts itself about one entry."""
    return ArchiveError("CONFLICT", f"{label} {what}", member=label)


def _locate(source: BinaryIO, entry: ZipEntry, end: int, budget: Budget, refuse: Refuse) -> LocatedEntry:
    """Check one local header, and that its data reaches exactly to ``end``."""
    path, kind = _accepted(entry, budget.limits, refuse)
    budget.file(entry.size, entry.label)
    if end < entry.offset + _LOCAL.size:
        raise conflict(entry.label, "overlaps another entry")
    fields = _LOCAL.unpack(read_at(source, entry.offset, _LOCAL.size))
    mark, version_needed, flags, method, clock, day, crc, packed, size, name_length, extra_length = fields
    if mark != b"PK\3\4":
        raise conflict(entry.label, "has no local header")
    start = entry.offset + _LOCAL.size + name_length + extra_length
    blob = read_at(source, entry.offset + _LOCAL.size, name_length + extra_length)
    budget.header(_LOCAL.size + len(blob))
    extra = extras(blob[name_length:], entry.label)
    if blob[:name_length] != entry.raw_name or member_name(entry.raw_name, flags, extra) != entry.name:
        raise conflict(entry.label, "has another name in its local header")
    alike = (flags, method, day << 16 | clock) == (entry.flags, entry.method, entry.time)
    if not alike or not (entry.refused or is_old(version_needed)):
        raise conflict(entry.label, "has a local header that contradicts the central directory")
    size, packed = _wide(extra.get(ZIP64), (size, packed), entry)
    _check_numbers(source, entry, (crc, packed, size), start, end, zip64=ZIP64 in extra)
    if entry.method == 0 and entry.packed != entry.size:
        raise conflict(entry.label, "is stored with two different sizes")
    return LocatedEntry(
        name=None if path is None else "/".join(path),
        kind=kind,
        executable=entry.host in _UNIX and bool(entry.attributes >> 16 & 0o111),
        method=entry.method,
        crc=entry.crc,
        packed=entry.packed,
        size=entry.size,
        start=start,
    )


def _accepted(entry: ZipEntry, limits: Limits, refuse: Refuse) -> tuple[Parts | None, Kind]:
    """Return where an entry goes, and as what; None (after a call of ``refuse``) when it is not allowed."""
    if entry.refused:
        return None, "file"
    try:
        kind = _kind(entry, limits)
        return parts(entry.name, directory=kind == "directory", limits=limits), kind
    except ArchiveError as error:
        refuse(error)
        return None, "file"


def _kind(entry: ZipEntry, limits: Limits) -> Kind:
    """Tell a directory from a file; refuse anything else, and what only some readers take for something else.

    7-Zip goes by the Unix mode whatever the host, Go by that of Unix and macOS, Info-ZIP by what each host means.
    """
    is_directory = entry.name.endswith(b"/")
    kind = stat.S_IFMT(entry.attributes >> 16)
    if entry.host not in _HOSTS:
        brief = f"{entry.label} was packed on a system (number {entry.host}) whose attributes only Info-ZIP reads"
        raise ArchiveError("UNSUPPORTED", brief, member=entry.label)
    if kind == stat.S_IFLNK and entry.host == _LINUX:
        return _link(entry, limits)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) and not (is_directory and kind == _ALL_BITS):
        raise _special(entry, kind)
    if entry.attributes & _DOS_SPECIAL:
        brief = f"{entry.label} is a volume label, a device or a reparse point to some readers, by its DOS attributes"
        raise ArchiveError("SPECIAL", brief, member=entry.label)
    if not is_directory and _VERSION.search(entry.name):
        brief = f"the name “{entry.label}” ends in what Info-ZIP takes for a version number and cuts off"
        raise ArchiveError("NAME", brief, member=entry.label, hint=RENAME)
    if (kind == stat.S_IFDIR or entry.attributes & _DOS_DIRECTORY) and not is_directory:
        raise conflict(entry.label, "is marked as a directory but named as a file")
    if is_directory and (kind == stat.S_IFREG or entry.size):
        raise conflict(entry.label, "is named as a directory but is a file")
    return "directory" if is_directory else "file"


def _special(entry: ZipEntry, kind: int) -> ArchiveError:
    what = _SPECIAL_KINDS.get(kind, "something unknown")
    reader = "Go" if entry.host in _UNIX else "7-Zip" if kind == stat.S_IFLNK else "some readers"
    brief = f"the mode of {entry.label} makes it {what} for {reader}, and a file for others"
    hint = _FROM_PIPE if kind == stat.S_IFIFO and entry.name == b"-" else REPACK
    return ArchiveError("SPECIAL", brief, member=entry.label, hint=hint)


def _link(entry: ZipEntry, limits: Limits) -> Kind:
    if limits.links == "copy" and entry.size <= LONGEST_TARGET:
        return "link"
    hint = "repack it without links (zip without --symlinks)" + (f", or {COPYING}" if limits.links == "refuse" else "")
    raise ArchiveError("LINK", f"{entry.label} is a symbolic link", member=entry.label, hint=hint)


def _check_numbers(
    source: BinaryIO, entry: ZipEntry, local: tuple[int, int, int], start: int, end: int, *, zip64: bool
) -> None:
    """Check checksum and sizes in the local header, or in the descriptor behind the data; nothing may follow."""
    truth = (entry.crc, entry.packed, entry.size)
    behind = end - (start + entry.packed)
    if behind < 0:
        raise conflict(entry.label, "overlaps another entry")
    if not entry.flags & _DESCRIBED:
        if local != truth:
            raise conflict(entry.label, "has a local header that contradicts the central directory")
        if behind:
            raise conflict(entry.label, "is followed by data that belongs to no entry")
        return
    if any(mine not in (0, true) for mine, true in zip(local, truth, strict=True)):
        raise conflict(entry.label, "has a local header that contradicts the central directory")
    if behind not in (12, 16, 20, 24):
        raise conflict(entry.label, "has no data descriptor, or is followed by data that belongs to no entry")
    descriptor = read_at(source, start + entry.packed, behind)
    if behind in (16, 24) and not descriptor.startswith(_DESCRIPTOR_MARK):
        raise conflict(entry.label, "has a damaged data descriptor")
    layout = "<L2Q" if behind > 16 else "<3L"
    wide_sizes = behind > 16
    if struct.unpack(layout, descriptor[-struct.calcsize(layout) :]) != truth or wide_sizes != zip64:
        raise conflict(entry.label, "has a data descriptor that contradicts the central directory")


def _wide(value: bytes | None, sizes: tuple[int, int], entry: ZipEntry) -> tuple[int, ...]:
    """Return a local header's sizes; Python writes the zip64 field of a stream beside narrow sizes, repeating them."""
    if value == struct.pack("<2Q", *sizes) and FULL not in sizes:
        return sizes
    return wide(value, sizes, entry.label)
