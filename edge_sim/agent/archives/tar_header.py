"""One tar header block: V7, POSIX ustar (also with star's times) or GNU, and nothing that readers take differently.

A field that nobody here uses is checked all the same where another reader gives up over it, or takes it for a part of
the name: Go, in which V1's core was written, parses every number and falls back to a prefix in GNU headers.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_sim.agent.archives.errors import ArchiveError, escaped

BLOCK = 512

_V7, _POSIX, _GNU = bytes(8), b"ustar\x0000", b"ustar  \0"
_NUMBERS = (
    (108, 116, "uid"),
    (116, 124, "gid"),
    (136, 148, "mtime"),
    (329, 337, "major device number"),
    (337, 345, "minor device number"),
)
"""What nobody here uses, in every format."""
_GNU_TIMES = ((345, 357, "atime"), (357, 369, "ctime"))
_STAR_TIMES = ((476, 488, "atime"), (488, 500, "ctime"))
_STAR_PREFIX_END = 476
_PADDING = b"\0"
_INT64 = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Header:
    """The fields that say what a member is. A V7 header's directory, a name that ends in ``/``, has ``kind`` 5 here."""

    name: bytes
    mode: int
    size: int
    kind: bytes
    link: bytes


def parse(block: bytes) -> Header:
    """Read one header. Raises ArchiveError when it is damaged, or when readers differ about it."""
    name = _text(block[0:100], "name")
    label = escaped(name)
    if not checksum_matches(block):
        raise ArchiveError("DAMAGED", f"the tar header of {label} has a wrong checksum", member=label)
    magic = block[257:265]
    if magic not in (_POSIX, _GNU) and (any(block[257:329]) or any(block[345:])):
        raise ArchiveError("TYPE", f"the tar header of {label} is not POSIX (ustar), GNU or V7", member=label)
    for start, end, what in _NUMBERS:
        _check_number(block[start:end], what, label)
    kind = block[156:157]
    return Header(
        name=_prefix(block, magic, label) + name,
        mode=_octal(block[100:108], "mode", label, empty=True),
        size=_octal(block[124:136], "size", label),
        kind=b"5" if magic == _V7 and kind == b"\0" and name.endswith(b"/") else kind,
        link=_text(block[157:257], "link name"),
    )


def checksum_matches(block: bytes) -> bool:
    """Tell whether a block is a tar header, by the checksum in it."""
    digits = _digits(block[148:156])
    return _is_octal(digits) and int(digits, 8) == sum(block[:148]) + 8 * 0x20 + sum(block[156:BLOCK])


def _prefix(block: bytes, magic: bytes, label: str) -> bytes:
    """Return what comes before the name, with the ``/`` between them."""
    if magic == _V7:
        return b""
    if magic == _GNU:
        _check_gnu(block, label)
        return b""
    if block[508:] == b"tar\0" or _has_star_times(block):
        for start, end, what in _STAR_TIMES:
            _check_number(block[start:end], what, label)
        prefix = _text(block[345:_STAR_PREFIX_END], "prefix")
    else:
        prefix = _text(block[345:500], "prefix")
    return prefix + b"/" if prefix else b""


def _has_star_times(block: bytes) -> bool:
    """Tell whether star's times (npm's tar writes them as well) follow a prefix that ends before them."""
    times = block[_STAR_PREFIX_END:500]
    return block[_STAR_PREFIX_END - 1] == 0 and any(times) and not times.strip(b"01234567 \0")


def _check_gnu(block: bytes, label: str) -> None:
    """Check that the place of the prefix holds times or nothing, as in what GNU tar writes."""
    times = [block[start:end] for start, end, _ in _GNU_TIMES]
    if any(block[369:500]) or not all(map(_is_time, times)):
        brief = (
            f"the GNU header of {label} has text in the prefix field: Go and Python put it before the name, "
            "GNU tar and bsdtar ignore it"
        )
        raise ArchiveError("CONFLICT", brief, member=label)


def _is_time(field: bytes) -> bool:
    return not any(field) or _is_base256(field) or (field[0] != 0 and _is_octal(_digits(field)))


def _text(field: bytes, what: str) -> bytes:
    text, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise ArchiveError("NAME", f"a tar header has a NUL inside its {what} “{escaped(field.rstrip(_PADDING))}”")
    return text


def _octal(field: bytes, what: str, label: str, *, empty: bool = False) -> int:
    digits = _digits(field)
    if empty and not any(field):
        return 0
    if not _is_octal(digits):
        raise ArchiveError("DAMAGED", f"the {what} of {label} is not an octal number", member=label)
    return int(digits, 8)


def _check_number(field: bytes, what: str, label: str) -> None:
    """Check a number nobody uses: nothing, octal, or GNU's base-256 (of 64 bits at most: Go refuses larger ones)."""
    if any(field) and not _is_base256(field) and not _is_octal(_digits(field)):
        brief = f"the {what} of {label} is not a number: Go refuses it, others ignore it"
        raise ArchiveError("DAMAGED", brief, member=label)


def _is_base256(field: bytes) -> bool:
    return field[0] in (0x80, 0xFF) and -_INT64 <= _base256(field) < _INT64


def _base256(field: bytes) -> int:
    return int.from_bytes(field[1:], "big") - (1 << 8 * (len(field) - 1) if field[0] == 0xFF else 0)


def _is_octal(digits: bytes) -> bool:
    return bool(digits) and not digits.strip(b"01234567")


def _digits(field: bytes) -> bytes:
    return field.rstrip(b"\0 ").lstrip(b" ")
