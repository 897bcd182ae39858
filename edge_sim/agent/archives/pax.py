"""What an extension header (pax ``x`` and ``g``, GNU long names) says about the member after it.

Only a name, or a link's target, may come from it. What two readers could understand differently is a conflict;
owners, times, extended attributes and ACLs are ignored once their values are such as every reader takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from edge_sim.agent.archives.errors import ArchiveError, escaped
from edge_sim.agent.archives.names import is_utf8

_MEANINGFUL = (b"path", b"linkpath", b"size", b"hdrcharset")
_CHARSETS = (b"ISO-IR 10646 2000 UTF-8", b"BINARY")
"""``BINARY`` is what bsdtar writes in a C locale; names must be UTF-8 in any case."""
_SPARSE = re.compile(rb"GNU\.sparse\.|SCHILY\.realsize$|SUN\.holesdata$")
_TEXTS = (b"path", b"linkpath", b"uname", b"gname")
_TIMES = (b"atime", b"ctime", b"mtime")
_TIME = re.compile(rb"-?[0-9]{1,18}(\.[0-9]{1,100})?")
"""As Go reads them: 64 bits of seconds."""
_IDS = (b"uid", b"gid")
_HEADER_NAME = 100
_MOST_DIGITS = 20


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Records for one member. ``long_name`` and ``long_link`` are GNU's; pax has ``path`` and ``linkpath`` for them."""

    records: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))
    long_name: bytes | None = None
    long_link: bytes | None = None

    def name(self, header_name: bytes) -> bytes:
        """Return the member's name; ``header_name`` is what its own header says."""
        path = self.long_name if self.long_name is not None else self.records.get(b"path")
        if path is not None and path != header_name and not _may_stand_for(header_name, path):
            brief = f"one member has two names, “{escaped(path)}” and “{escaped(header_name)}”"
            raise ArchiveError("CONFLICT", brief, member=escaped(path))
        return header_name if path is None else path

    def link(self, header_link: bytes, label: str) -> bytes:
        """Return where the link ``label`` leads to; ``header_link`` is what its own header says."""
        target = self.long_link if self.long_link is not None else self.records.get(b"linkpath")
        if target is None:
            return header_link
        if target != header_link and target.isascii() and len(target) <= _HEADER_NAME:
            raise ArchiveError("CONFLICT", f"the link {label} has two different targets", member=label)
        return target

    def check_no_link(self, label: str) -> None:
        """Raise when something that is no link has a link's target."""
        if self.long_link is not None or b"linkpath" in self.records:
            raise ArchiveError("CONFLICT", f"{label} has a link target, but is not a link", member=label)

    def joined(self, other: Extension) -> Extension:
        """Return this and ``other`` for one member: GNU's long name and long link target may come together."""
        if self is NONE:
            return other
        if self.long_link is None or self.long_name is not None or other.long_name is None:
            raise ArchiveError("CONFLICT", "it has two extension headers for one member")
        return replace(self, long_name=other.long_name)

    def check_size(self, header_size: int, label: str) -> None:
        """Raise when the records and the header disagree about the size."""
        size = self.records.get(b"size")
        if size is not None and (not _is_number(size) or int(size) != header_size):
            raise ArchiveError("CONFLICT", f"{label} has two different sizes", member=label)


NONE = Extension()


def from_records(body: bytes) -> Extension:
    """Read the body of a pax ``x`` header."""
    records = _records(body)
    charset = records.get(b"hdrcharset", _CHARSETS[0])
    if charset not in _CHARSETS:
        raise ArchiveError("UNSUPPORTED", f"its names are in the character set {escaped(charset)}, not in UTF-8")
    return Extension(records=records)


def from_gnu(kind: bytes, body: bytes) -> Extension:
    """Read the body of a GNU ``L`` (long name) or ``K`` (long link target) header."""
    name = body[:-1]
    if not body.endswith(b"\0") or b"\0" in name or not name:
        raise ArchiveError("NAME", f"a GNU long name is damaged: “{escaped(body)}”")
    return Extension(long_link=name) if kind == b"K" else Extension(long_name=name)


def check_global(body: bytes) -> None:
    """Check a pax ``g`` header: remarks may stand in it (git writes one), nothing that changes members."""
    for key in _records(body):
        if key in _MEANINGFUL:
            raise ArchiveError("CONFLICT", f"a global pax header sets “{escaped(key)}” for all members")


def _records(body: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        key, value, length = _record(body, at)
        if key in records:
            raise ArchiveError("CONFLICT", f"a pax header sets “{escaped(key)}” twice")
        _check_value(key, value)
        records[key] = value
        at += length
    return records


def _check_value(key: bytes, value: bytes) -> None:
    """Raise when some reader takes this record for more than a remark, or gives up over it."""
    if _SPARSE.match(key):
        brief = f"it holds a sparse file (“{escaped(key)}” in a pax header): each reader fills its holes differently"
        raise ArchiveError("SPARSE", brief, hint="repack it without --sparse")
    if key.startswith(b"GNU."):
        raise ArchiveError(
            "UNSUPPORTED", f"“{escaped(key)}” in a pax header makes GNU tar read what follows differently"
        )
    if b"\0" in key or (b"\0" in value and key in _TEXTS):
        raise ArchiveError("NAME", f"a pax header has a NUL inside “{escaped(key)}”: Go refuses it, others cut it off")
    if key in (b"uname", b"gname") and not is_utf8(value):
        brief = f"“{escaped(key)}” in a pax header is not UTF-8: bsdtar refuses it, others ignore it"
        raise ArchiveError("DAMAGED", brief)
    number = _is_number(value.removeprefix(b"-")) if key in _IDS else _TIME.fullmatch(value) or key not in _TIMES
    if not number:
        brief = f"“{escaped(key)}” in a pax header is “{escaped(value)}”, not a number: Go refuses it, others ignore it"
        raise ArchiveError("DAMAGED", brief)


def _record(body: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Return key, value and length of ``<length> <key>=<value>\\n`` at ``at``."""
    space = body.find(b" ", at, at + _MOST_DIGITS)
    digits = body[at:space] if space > 0 else b""
    if not _is_number(digits):
        raise _damaged(body, at)
    length = int(digits)
    record = body[at : at + length]
    key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
    if len(record) != length or not record.endswith(b"\n") or not equals or not key:
        raise _damaged(body, at)
    return key, value, length


def _is_number(digits: bytes) -> bool:
    return digits.isdigit() and len(digits) <= _MOST_DIGITS and (digits == b"0" or digits[:1] != b"0")


def _may_stand_for(header_name: bytes, path: bytes) -> bool:
    """Tell whether a header may carry ``header_name`` beside the extension's ``path``.

    Where the name fits the header they must be equal; writers shorten the others each in their way, so that
    only a harmless name is asked for.
    """
    if path.isascii() and len(path) <= _HEADER_NAME:
        return False
    return not header_name.startswith(b"/") and b".." not in header_name.split(b"/")


def _damaged(body: bytes, at: int) -> ArchiveError:
    return ArchiveError("DAMAGED", f"a pax header has a damaged record “{escaped(body[at : at + 40])}”")
