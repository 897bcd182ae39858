"""What an extension header (pax ``x`` and ``g``, GNU long names) says about the member after it.

Only a name may come from it. A size or a name that two readers could understand differently is a conflict;
owners, times, extended attributes and ACLs are read over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edge_sim.agent.archives.errors import ArchiveError, escaped

_MEANINGFUL = (b"path", b"linkpath", b"size", b"hdrcharset")
_HEADER_NAME = 100
_MOST_DIGITS = 20


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Records for one member. ``long_name`` is GNU's; pax keeps its name under ``path``."""

    records: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))
    long_name: bytes | None = None

    def name(self, header_name: bytes) -> bytes:
        """Return the member's name; ``header_name`` is what its own header says."""
        path = self.long_name if self.long_name is not None else self.records.get(b"path")
        if path is None:
            return header_name
        if path == header_name:
            return path
        if not _may_stand_for(header_name, path):
            raise ArchiveError(
                "CONFLICT",
                f"one member has two names, “{escaped(path)}” and “{escaped(header_name)}”",
                member=escaped(path),
            )
        return path

    def check_size(self, header_size: int, shown: str) -> None:
        """Raise when the records and the header disagree about the size."""
        size = self.records.get(b"size")
        if size is not None and (not _is_number(size) or int(size) != header_size):
            raise ArchiveError("CONFLICT", f"{shown} has two different sizes", member=shown)


NONE = Extension()


def from_records(body: bytes) -> Extension:
    """Read the body of a pax ``x`` header."""
    records = _records(body)
    charset = records.get(b"hdrcharset")
    if charset not in (None, b"ISO-IR 10646 2000 UTF-8"):
        raise ArchiveError("UNSUPPORTED", f"its names are in the character set {escaped(charset or b'')}")
    if b"linkpath" in records:
        raise ArchiveError("LINK", "it holds a link, which is not unpacked")
    if any(key.startswith(b"GNU.sparse.") for key in records):
        raise ArchiveError("SPARSE", "it holds a sparse file, which is not unpacked", hint="repack it without --sparse")
    if b"\0" in records.get(b"path", b""):
        raise ArchiveError("NAME", f"a NUL is inside the name “{escaped(records[b'path'])}”")
    return Extension(records=records)


def from_gnu(kind: bytes, body: bytes) -> Extension:
    """Read the body of a GNU ``L`` (long name) header; ``K`` (long link name) is refused."""
    if kind == b"K":
        raise ArchiveError("LINK", "it holds a link with a long target, which is not unpacked")
    name = body[:-1]
    if not body.endswith(b"\0") or b"\0" in name or not name:
        raise ArchiveError("NAME", f"a GNU long name is damaged: “{escaped(body)}”")
    return Extension(long_name=name)


def check_global(body: bytes) -> None:
    """Check a pax ``g`` header: remarks may stand in it (git writes one), nothing that changes members."""
    for key in _records(body):
        if key in _MEANINGFUL or key.startswith(b"GNU.sparse."):
            raise ArchiveError("CONFLICT", f"a global pax header sets “{escaped(key)}” for all members")


def _records(body: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        key, value, length = _record(body, at)
        if key in found:
            raise ArchiveError("CONFLICT", f"a pax header sets “{escaped(key)}” twice")
        found[key] = value
        at += length
    return found


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
