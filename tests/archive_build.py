"""Small builders for archives that no ordinary program would write: every field can be set, rightly or not."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.greengrass.plan import Modes

BLOCK = 512
END = bytes(2 * BLOCK)
OURS = Modes(uid=-1, gid=-1, file=0o640, executable=0o750, directory=0o750)
"""Of files that stay this user's."""


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def header(
    name: bytes | str,
    *,
    size: int = 0,
    kind: bytes = b"0",
    mode: int = 0o644,
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: bytes | None = None,
    **fields: bytes,
) -> bytes:
    """One tar header; ``fields`` (uid, gid, size_field, mtime, uname, gname) replace whole raw fields."""
    raw = name.encode() if isinstance(name, str) else name
    before = (
        raw[:100].ljust(100, b"\0")
        + octal(mode, 8)
        + fields.get("uid", octal(0, 8))
        + fields.get("gid", octal(0, 8))
        + fields.get("size_field", octal(size, 12))
        + fields.get("mtime", octal(1_500_000_000, 12))
    )
    after = (
        kind
        + link[:100].ljust(100, b"\0")
        + magic
        + fields.get("uname", b"").ljust(32, b"\0")[:32]
        + fields.get("gname", b"").ljust(32, b"\0")[:32]
        + octal(0, 8) * 2
        + prefix[:155].ljust(155, b"\0")
        + bytes(12)
    )
    if checksum is None:
        checksum = b"%06o\0 " % (sum(before) + sum(b" " * 8) + sum(after))
    return before + checksum + after


def padded(body: bytes) -> bytes:
    return body + bytes(-len(body) % BLOCK)


def entry(name: bytes | str, body: bytes = b"data", **options: Any) -> bytes:
    """A header, its body and the padding. A body is left out for everything but files unless given."""
    return header(name, size=len(body), **options) + padded(body)


def directory(name: bytes | str, **options: Any) -> bytes:
    return header(name, **{"kind": b"5", "mode": 0o755, **options})


def link(name: bytes | str, target: bytes, kind: bytes = b"2") -> bytes:
    return header(name, kind=kind, link=target)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    return entry("PaxHeaders/x", b"".join(records), kind=kind)


def longname(name: bytes, kind: bytes = b"L") -> bytes:
    return entry("././@LongLink", name, kind=kind, magic=b"ustar  \0")


def tgz(*blocks: bytes, end: bytes = END) -> bytes:
    return gzip.compress(b"".join(blocks) + end, compresslevel=1, mtime=0)


def gz_member(
    body: bytes, *, flags: int = 0, fields: bytes = b"", crc: int | None = None, size: int | None = None
) -> bytes:
    """A gzip member whose header and trailer can lie."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = deflate.compress(body) + deflate.flush()
    trailer = struct.pack("<2L", zlib.crc32(body) if crc is None else crc, len(body) % 2**32 if size is None else size)
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\0\xff" + fields + packed + trailer


@dataclass(kw_only=True)
class Zipped:
    """One zip entry; ``local`` and ``central`` override single header fields by name."""

    name: bytes
    data: bytes = b"data"
    method: int = 0
    flags: int = 0
    mode: int = 0o100644
    packed: bytes | None = None
    extra: bytes = b""
    comment: bytes = b""
    central_extra: bytes | None = None
    descriptor: bytes = b""
    local: Mapping[str, int | bytes] | None = None
    central: Mapping[str, int | bytes] | None = None
    before: bytes = b""
    """Bytes between the entry before and this one."""

    def fields(self) -> dict[str, int | bytes]:
        packed = self.payload()
        return {
            "mark": b"PK\3\4",
            "made_by": 3 << 8 | 20,
            "needed": 20,
            "flags": self.flags,
            "method": self.method,
            "clock": 0x6000,
            "day": 0x5521,
            "crc": zlib.crc32(self.data),
            "packed": len(packed),
            "size": len(self.data),
            "name": self.name,
            "disk": 0,
            "internal": 0,
            "attributes": self.mode << 16,
        }

    def payload(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == 8 else self.data


def deflated(data: bytes) -> bytes:
    compress = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compress.compress(data) + compress.flush()


_LOCAL = ("mark", "needed", "flags", "method", "clock", "day", "crc", "packed", "size")
_CENTRAL = ("mark", "made_by", "needed", "flags", "method", "clock", "day", "crc", "packed", "size")


def zipped(
    *entries: Zipped,
    comment: bytes = b"",
    prepend: bytes = b"",
    append: bytes = b"",
    hidden: Iterable[int] = (),
    end: Mapping[str, int] | None = None,
) -> bytes:
    """A zip file. ``hidden`` are indexes left out of the central directory; ``end`` overrides the end record."""
    body, central = bytearray(), bytearray()
    count = 0
    for index, one in enumerate(entries):
        body += one.before
        offset = len(body)
        values = {**one.fields(), **(one.local or {})}
        name = values["name"]
        assert isinstance(name, bytes)
        body += struct.pack("<4s5H3L2H", *(values[k] for k in _LOCAL), len(name), len(one.extra))
        body += name + one.extra + one.payload() + one.descriptor
        if index in tuple(hidden):
            continue
        count += 1
        values = {**one.fields(), "mark": b"PK\1\2", "offset": offset, **(one.central or {})}
        name = values["name"]
        assert isinstance(name, bytes)
        extra = one.extra if one.central_extra is None else one.central_extra
        central += struct.pack(
            "<4s6H3L5H2L",
            *(values[k] for k in _CENTRAL),
            len(name),
            len(extra),
            len(one.comment),
            values["disk"],
            values["internal"],
            values["attributes"],
            values["offset"],
        )
        central += name + extra + one.comment
    fields: dict[str, int] = {
        "disk": 0,
        "first": 0,
        "here": count & 0xFFFF,
        "count": count & 0xFFFF,
        "size": len(central),
        "offset": len(body),
        "comment": len(comment),
        **(end or {}),
    }
    record = struct.pack("<4s4H2LH", b"PK\5\6", *fields.values())
    return b"".join((prepend, body, central, record, comment, append))


def extra_field(tag: int, value: bytes) -> bytes:
    return struct.pack("<2H", tag, len(value)) + value


def ordinary_zip(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return held.getvalue()


def zeros_tgz(path: Path, size: int, *, step: int = 16 << 20) -> None:
    """Write a tar.gz of one file with ``size`` zeros (a multiple of ``step``): one block, deflated once, many times."""
    block, head = bytes(step), header("weights", size=size)
    checksum = zlib.crc32(head)
    for _ in range(size // step):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(END, checksum)
    packed = _piece(block, zlib.Z_FULL_FLUSH)
    with path.open("wb") as file:
        file.write(b"\x1f\x8b\x08\0" + bytes(4) + b"\0\xff" + _piece(head, zlib.Z_FULL_FLUSH))
        for _ in range(size // step):
            file.write(packed)
        file.write(_piece(END, zlib.Z_FINISH))
        file.write(struct.pack("<2L", checksum, (len(head) + size + len(END)) % 2**32))


def _piece(data: bytes, flush: int) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush(flush)


GOOD = tgz(directory("d/"), entry("d/one", b"1" * 5000), directory("d/e/"), entry("d/e/two", b"2" * 5000), entry("z"))
"""An archive with nothing wrong about it."""
