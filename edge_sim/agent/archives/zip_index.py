"""Reads a zip's central directory, before anything is written.

The file must consist of its entries, its central directory and its end record, without a byte before, between or
behind them; what would let two programs see two different archives is refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from edge_sim.agent.archives import zip_end
from edge_sim.agent.archives.errors import ArchiveError, Refuse, escaped
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.names import is_utf8, too_long
from edge_sim.agent.archives.zip_end import FULL, read_at

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_EXTRA = struct.Struct("<2H")
ZIP64, UNICODE_PATH, _LIBARCHIVE = 0x0001, 0x7075, 0x6C78
_NEWEST = 45
"""The version of zip that has zip64, and all that is read here."""
_LEVEL_BITS = 0x0006
"""How hard the packer tried; ``zip -9`` sets them for a stored entry as well."""
_READ_FLAGS = 0x0808 | _LEVEL_BITS
"""Sizes behind the data, names in UTF-8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ZipEntry:
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
    host: int
    """The system it was packed on, as the number that the format has for it."""
    attributes: int
    """Unix mode in the upper half, that of DOS in the lower one, whatever the host."""
    refused: bool
    """It may not be unpacked, and ``refuse`` has been called for it."""

    @property
    def label(self) -> str:
        return escaped(self.name)


def entries(source: BinaryIO, length: int, budget: Budget, refuse: Refuse) -> tuple[list[ZipEntry], int]:
    """Return the entries in the directory's order, and where the directory starts in the file."""
    end = zip_end.end(source, length)
    if end.offset + end.size != end.start:
        raise ArchiveError("CONFLICT", "its central directory does not end where its end record starts")
    index = []
    at = end.offset
    while at < end.start:
        budget.entry()
        entry, size = _entry(source, at, end.start, budget, refuse)
        budget.header(size)
        index.append(entry)
        at += size
    if len(index) != end.count:
        raise ArchiveError("CONFLICT", f"its end record counts {end.count} entries, but there are {len(index)}")
    return index, end.offset


def extras(blob: bytes, label: str) -> Mapping[int, bytes]:
    """Return an entry's extra fields by id; a damaged or repeated one is refused.

    Up to three zeros may follow: Android's zipalign pads with them.
    """
    fields: dict[int, bytes] = {}
    at = 0
    while len(blob) - at >= _EXTRA.size:
        tag, size = _EXTRA.unpack_from(blob, at)
        value = blob[at + _EXTRA.size : at + _EXTRA.size + size]
        if len(value) < size or tag in fields:
            raise ArchiveError("DAMAGED", f"an extra field of {label} is damaged or repeated", member=label)
        if tag == _LIBARCHIVE:
            brief = f"only bsdtar reads the extra field “xl” of {label}, and it may create a link from it"
            raise ArchiveError("CONFLICT", brief, member=label)
        fields[tag] = value
        at += _EXTRA.size + size
    if any(blob[at:]):
        raise ArchiveError("DAMAGED", f"an extra field of {label} is damaged", member=label)
    return fields


def wide(value: bytes | None, fields: tuple[int, ...], label: str) -> tuple[int, ...]:
    """Return ``fields`` with each one that is FULL replaced from the zip64 extra field ``value``.

    Where none is FULL the field may repeat them: nobody reads it then.
    """
    missing = sum(f == FULL for f in fields)
    if value is None:
        if missing:
            raise ArchiveError("CONFLICT", f"{label} lacks its zip64 field", member=label)
        return fields
    if not missing and value and struct.pack(f"<{len(fields)}Q", *fields).startswith(value) and not len(value) % 8:
        return fields
    if not missing or len(value) != 8 * missing:
        raise ArchiveError("CONFLICT", f"the zip64 field of {label} does not fit its header", member=label)
    numbers = iter(struct.unpack(f"<{missing}Q", value))
    return tuple(next(numbers) if f == FULL else f for f in fields)


def member_name(raw: bytes, flags: int, extra: Mapping[int, bytes]) -> bytes:
    """Return the entry's name as UTF-8; a name that readers could understand differently is refused."""
    label = escaped(raw)
    unicode_path = extra.get(UNICODE_PATH)
    known = b"\1" + struct.pack("<L", zlib.crc32(raw)) + raw
    if unicode_path not in (None, known):
        raise ArchiveError("CONFLICT", f"{label} has another name in its Unicode field", member=label)
    if not flags & 0x800 and unicode_path is None and not raw.isascii() and is_utf8(raw):
        hint = "rename it, or pack with a program that marks UTF-8 names: python3 -m zipfile -c model.zip FILES"
        raise ArchiveError("NAME", f"the name “{label}” is not marked as UTF-8", member=label, hint=hint)
    return raw


def _entry(source: BinaryIO, at: int, limit: int, budget: Budget, refuse: Refuse) -> tuple[ZipEntry, int]:
    if at + _CENTRAL.size > limit:
        raise ArchiveError("DAMAGED", "its central directory is damaged")
    fields = _CENTRAL.unpack(read_at(source, at, _CENTRAL.size))
    mark, made_by, version_needed, flags, method, clock, day, crc, packed, size, *rest = fields
    name_length, extra_length, comment_length, disk, _, attributes, offset = rest
    size_of_entry = _CENTRAL.size + name_length + extra_length + comment_length
    if mark != b"PK\1\2" or at + size_of_entry > limit:
        raise ArchiveError("DAMAGED", "its central directory is damaged")
    blob = read_at(source, at + _CENTRAL.size, size_of_entry - _CENTRAL.size)
    raw = blob[:name_length]
    if name_length > budget.limits.path_bytes + len("./" + "/"):  # none is held that could not be taken
        raise too_long(raw, budget.limits)
    budget.name(raw)
    label = escaped(raw)
    refused = _refused(flags, method, version_needed, label, refuse)
    extra = extras(blob[name_length : name_length + extra_length], label)
    size, packed, offset = wide(extra.get(ZIP64), (size, packed, offset), label)
    if disk:
        raise ArchiveError("UNSUPPORTED", "it is one part of a multi-disk zip")
    entry = ZipEntry(
        raw_name=raw,
        name=member_name(raw, flags, extra),
        flags=flags,
        method=method,
        time=day << 16 | clock,
        crc=crc,
        packed=packed,
        size=size,
        offset=offset,
        host=made_by >> 8,
        attributes=attributes,
        refused=refused,
    )
    return entry, size_of_entry


def _refused(flags: int, method: int, version_needed: int, label: str, refuse: Refuse) -> bool:
    """Tell whether the entry cannot be read, after calling ``refuse`` with the reason."""
    try:
        _check_supported(flags, method, version_needed, label)
    except ArchiveError as error:
        refuse(error)
        return True
    return False


def is_old(version_needed: int) -> bool:
    """Tell whether a header's "version needed to extract" is one that is read.

    Its upper byte has no meaning; older versions of 7-Zip write the host there.
    """
    return version_needed & 0xFF <= _NEWEST


def _check_supported(flags: int, method: int, version_needed: int, label: str) -> None:
    if flags & 0x2041:
        raise ArchiveError("ENCRYPTED", f"{label} is encrypted", member=label, hint="repack it without a password")
    if method not in (0, 8):
        hint = "repack it with: zip -r model.zip ."
        raise ArchiveError(
            "UNSUPPORTED", f"{label} is compressed with method {method}, not with deflate", member=label, hint=hint
        )
    if flags & ~_READ_FLAGS or not is_old(version_needed):
        raise ArchiveError("UNSUPPORTED", f"{label} needs a feature of zip that is not supported", member=label)
