"""Whole archives with odd header fields, by chance: every field of every header, each time one or two of them."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import replace

from tests.archive_build import Zipped, directory, entry, extra_field, link, longname, record, tgz, zipped
from tests.archive_mutations import NAMES

_MAGICS = (b"ustar\x0000", b"ustar  \0", bytes(8))
_TEXTS = ("name", "link", "uname", "gname", "prefix")
TAR_FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "checksum": (148, 8),
    "kind": (156, 1),
    "link": (157, 100),
    "magic": (257, 8),
    "uname": (265, 32),
    "gname": (297, 32),
    "major": (329, 8),
    "minor": (337, 8),
    "prefix": (345, 155),
    "gnu-atime": (345, 12),
    "gnu-ctime": (357, 12),
    "gnu-offset": (369, 12),
    "gnu-long-names": (381, 5),
    "gnu-sparse": (386, 96),
    "gnu-extended": (482, 1),
    "gnu-size": (483, 12),
    "star-prefix-end": (475, 1),
    "star-atime": (476, 12),
    "star-ctime": (488, 12),
    "rest": (500, 12),
}
"""Place and width of every field of a tar header, in all its formats."""
_ODD_NAMES = (
    *(b"x", b"m/x", b"m/sub/", b"m/;1", b"m/a;1", b"m/a;", b"-x", b"m/a b", b"m/a%20b", b"m/*", b"m/[a]", b"m/.x"),
    *(b"m/x.", b"m/x ", b" x", b"~x", b"m/\xc3\xa9", b"m/'\"$", b"m/#x", b"./m/y", b"..x", b"m/a:b", b"m/x,y"),
)
_PAX_KEYS = (
    *(b"path", b"linkpath", b"size", b"uid", b"gid", b"uname", b"gname", b"mtime", b"atime", b"ctime", b"comment"),
    *(b"charset", b"hdrcharset", b"SCHILY.realsize", b"SCHILY.dev", b"SCHILY.ino", b"SCHILY.nlink", b"SCHILY.fflags"),
    *(b"SCHILY.devmajor", b"SCHILY.devminor", b"SCHILY.xattr.user.x", b"SCHILY.acl.access", b"SCHILY.acl.default"),
    *(
        b"SCHILY.acl.ace",
        b"SCHILY.filetype",
        b"SCHILY.offset",
        b"SCHILY.tarfiletype",
        b"SUN.holesdata",
        b"SUN.devmajor",
    ),
    *(b"LIBARCHIVE.creationtime", b"LIBARCHIVE.xattr.user.x", b"LIBARCHIVE.symlinktype", b"RHT.security.selinux"),
    *(b"GNU.sparse.major", b"GNU.sparse.name", b"GNU.sparse.size", b"GNU.sparse.map", b"GNU.sparse.realsize"),
    *(b"GNU.sparse.numblocks", b"GNU.dumpdir", b"GNU.volume.label", b"GNU.volume.filename", b"GNU.volume.size"),
    *(b"VENDOR.x", b"a\0b", b"a b", b"path ", b"\xff"),
)
_PAX_VALUES = (
    *(b"", b"0", b"1", b"-1", b"+1", b"01", b"1500000000.25", b"1.", b".5", b"1e3", b"nan", b"abc", b"4294967296"),
    *(b"9223372036854775807", b"9223372036854775808", b"1.5.5", b" 1", b"BINARY", b"ISO-IR 10646 2000 UTF-8"),
    *(b"user::rwx", b"a\0b", b"m/x", b"m/a.bin", b"m/\xc3\xa9", b"m/\xff", b"0 3 9", b"file", b"-1.5", b"1" * 30),
    b"1." + b"2" * 40,
)


def odd_tar(dice: random.Random) -> bytes:
    """Return a tar.gz in which one or two header fields, in any format, are other than usual; checksums are right."""
    magic = dice.choice(_MAGICS)
    blocks = [_plain_member(name, data, magic) for name, data in (("m/", None), ("m/a", b"aaa"), ("m/b", b""))]
    at, kind = dice.randrange(3), dice.random()
    if kind < 0.3:
        records = {dice.choice(_PAX_KEYS): dice.choice(_PAX_VALUES) for _ in range(dice.choice((1, 1, 2)))}
        body = b"".join(record(key, value) for key, value in records.items())
        blocks[at] = entry("PaxHeaders/x", body, kind=dice.choice((b"x", b"x", b"g"))) + blocks[at]
    elif kind < 0.4:
        blocks[at] = longname(dice.choice(_ODD_NAMES) + b"\0", dice.choice((b"L", b"K"))) + blocks[at]
    else:
        for _ in range(dice.choice((1, 1, 2))):
            blocks[at] = _changed(dice, blocks[at])
    return tgz(*blocks)


def _plain_member(name: str, data: bytes | None, magic: bytes) -> bytes:
    old = magic == _MAGICS[2]
    if data is None:
        block = directory(name, magic=magic, kind=b"\0" if old else b"5")
    else:
        block = entry(name, data, magic=magic)
    return _summed(block[:257] + bytes(255) + block[512:]) if old else block


def _changed(dice: random.Random, block: bytes) -> bytes:
    field = dice.choice(tuple(TAR_FIELDS))
    start, width = TAR_FIELDS[field]
    if field == "kind":
        value = bytes([dice.choice(b"0\x001234567LKxgSDVZ")])
    elif field == "magic":
        value = dice.choice((*_MAGICS, b"ustar\0  ", b"ustar\0\0\0", b"USTAR\x0000"))
    elif field in _TEXTS or (start > 344 and dice.random() < 0.5):
        value = _odd_text(dice, width)
    else:
        value = _odd_number(dice, width)
    changed = block[:start] + value + block[start + width :]
    return changed if field == "checksum" else _summed(changed)


def _odd_number(dice: random.Random, width: int) -> bytes:
    number = dice.choice((0, 1, 0o644, 8 ** max(width - 1, 1) - 1))
    digits = b"%o" % number
    forms = (
        b"%0*o\0" % (width - 1, number),
        b"%*o " % (width - 1, number),
        digits + b" \0",
        digits.rjust(width, b"0"),
        digits + b"\0x",
        b"",
        b" " * width,
        b"garbage",
        b"-1",
        b"+1",
        b"\x80" + number.to_bytes(max(width, 16), "big")[1 - width :],
        b"\x80" + b"\xff" * (width - 1),
        b"\xff" * width,
        b"\xff" + bytes(width - 1),
        b"\x81" + bytes(width - 1),
    )
    return dice.choice(forms)[:width].ljust(width, b"\0")


def _odd_text(dice: random.Random, width: int) -> bytes:
    name = dice.choice((*_ODD_NAMES, *NAMES))
    value = dice.choice((name, name, name + b"\0x", b"m/" + b"n" * width, b"\xff\xfe", b"\0" + name, b"tar\0"))
    return value[:width].ljust(width, b"\0")


def _summed(block: bytes) -> bytes:
    """Return the header, and what follows it, with its right checksum."""
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:512])
    return block[:148] + b"%06o\0 " % total + block[156:]


_TARGETS = (
    *(b"f", b"d/f", b"../f", b"d/../f", b"nope/../f", b"f/../f", b"d/e/../f", b"./f", b"d/./f", b"d//f", b"../d/f"),
    *(b"l0", b"d/l1", b"l2", b"../l0", b"d", b"d/l0/../f", b"l1/../f"),
)


def linked(dice: random.Random) -> bytes:
    """Return a tar.gz with files of one name in two directories, and links to these, to each other, or beside."""
    blocks = [directory("d/"), directory("d/e/"), entry("f", b"outer"), entry("d/f", b"inner")]
    for number in range(dice.choice((1, 1, 2, 3))):
        name = dice.choice(("", "d/", "d/e/")) + f"l{number}"
        blocks.insert(
            dice.randrange(2, len(blocks) + 1), link(name, dice.choice(_TARGETS), dice.choice((b"1", b"2", b"2")))
        )
    return tgz(*blocks)


def linked_zip(dice: random.Random) -> bytes:
    """Return a zip like that, with symbolic links."""
    entries = [Zipped(name=b"d/e/x"), Zipped(name=b"f", data=b"outer"), Zipped(name=b"d/f", data=b"inner")]
    for number in range(dice.choice((1, 1, 2, 3))):
        name = dice.choice((b"", b"d/", b"d/e/")) + b"l%d" % number
        target = dice.choice(_TARGETS)
        entries.insert(dice.randrange(len(entries) + 1), Zipped(name=name, data=target, mode=0o120777))
    return zipped(*entries)


_EXTRAS = (
    (0x0001, bytes(8)),
    (0x0001, struct.pack("<Q", 4)),
    (0x0001, struct.pack("<2Q", 4, 4)),
    (0x0001, struct.pack("<3Q", 4, 4, 0)),
    (0x000A, bytes(4) + struct.pack("<2H3Q", 1, 24, 0, 0, 0)),
    (0x000D, bytes(12)),
    (0x5455, b"\1abcd"),
    (0x5455, b"\7"),
    (0x5855, bytes(8)),
    (0x7855, bytes(4)),
    (0x7875, b"\1\4\0\0\0\0\4\0\0\0\0"),
    (0x7875, b"\1\x09"),
    (0x6375, b"\1" + bytes(4) + b"remark"),
    (0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"m/a")) + b"m/a"),
    (0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"m/a")) + b"m/other"),
    (0x7075, b"\1" + bytes(4) + b"m/other"),
    (0x756E, struct.pack("<LHL2H", 0, 0o120777, 4, 0, 0) + b"m/zz"),
    (0x6C78, b"\x07\x1e\x03\x00\x00\x00\x00\xff\xa1"),
    (0x9901, b"\2\0AE\3\0\0"),
    (0xCAFE, b""),
    (0xD935, b"\0\4\0\0"),
    (0x4690, b"junk"),
    (0x0065, b"junk"),
)
"""Extra fields that some reader knows: sizes, times, owners, names, links, modes."""
_TYPES = (0, 0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000, 0o170000)
ZIP_FIELDS = {
    "made_by": 2,
    "needed": 2,
    "flags": 2,
    "method": 2,
    "clock": 2,
    "day": 2,
    "crc": 4,
    "packed": 4,
    "size": 4,
    "disk": 2,
    "internal": 2,
    "attributes": 4,
    "offset": 4,
}
"""The numbers in a zip's headers, by width; some stand in one of the two headers only."""


def odd_zip(dice: random.Random) -> bytes:
    """Return a zip in which one or two fields of an entry are other than usual, in one header or in both."""
    entries = [
        Zipped(name=b"m/", data=b"", mode=0o040755),
        Zipped(name=b"m/a"),
        Zipped(name=b"m/b", data=b"b" * 99, method=8),
    ]
    at = dice.randrange(3)
    for _ in range(dice.choice((1, 1, 2))):
        entries[at] = _odd_entry(dice, entries[at])
    return zipped(*entries, comment=dice.choice((b"", b"", b"", b"a comment")))


def _odd_entry(dice: random.Random, one: Zipped) -> Zipped:
    kind = dice.randrange(10)
    local, central = dict(one.local or {}), dict(one.central or {})
    if kind < 5:
        field = dice.choice(tuple(ZIP_FIELDS))
        value = {field: _odd_value(dice, field)}
        where = dice.choice(("local", "central", "both", "both"))
        return replace(
            one,
            local=local | (value if where != "central" else {}),
            central=central | (value if where != "local" else {}),
        )
    if kind == 5:
        host, mode = dice.choice((*range(21), 30, 255)), dice.choice(_TYPES) | dice.choice((0, 0o644, 0o755))
        made_by, dos = host << 8 | dice.choice((0, 20, 30, 63)), dice.choice((0, 0, 1, 8, 0x10, 0x20, 0x400, 0xFFFF))
        return replace(one, central=central | {"made_by": made_by, "attributes": mode << 16 | dos})
    if kind == 6:
        return replace(one, name=dice.choice((*_ODD_NAMES, *NAMES)), flags=dice.choice((0, 0x800)))
    if kind == 7:
        return replace(one, comment=dice.choice((b"remark", b"\xff", "ü".encode(), b"PK\5\6")))
    tag, value_bytes = dice.choice(_EXTRAS)
    extra = extra_field(tag, value_bytes) + dice.choice((b"", b"", b"", bytes(1), bytes(3), b"abc"))
    return replace(
        one, extra=extra if kind == 8 else b"", central_extra=dice.choice((b"", extra)) if kind == 8 else extra
    )


def _odd_value(dice: random.Random, field: str) -> int:
    if field == "flags":
        return dice.choice((0, 2, 4, 6, 8, 0x800, 0x802, 1 << dice.randrange(16)))
    if field in ("made_by", "needed"):
        return dice.randrange(32) << 8 | dice.choice((0, 10, 20, 30, 45, 46, 63, 255))
    bits = 8 * ZIP_FIELDS[field]
    return dice.choice((0, 1, 8, 0xFFFF, (1 << bits) - 1, 1 << dice.randrange(bits), dice.randrange(1 << bits)))
