"""The hostile and damaged archives, made here: one or more for each case id of the project's catalogue.

``cases`` returns (id, label, file name, bytes, expectation): a refusal's code (several where more than one reading is
right), or ACCEPT. Names and structure of tars first, then gzip, then zip.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

from tests.archive_build import (
    END,
    Zipped,
    directory,
    entry,
    extra_field,
    gz_member,
    header,
    link,
    longname,
    ordinary_zip,
    padded,
    pax,
    record,
    tgz,
    zipped,
)

ACCEPT: tuple[str, ...] = ()
TAR, ZIP = "model.tar.gz", "model.zip"
ALL_IDS = tuple(
    f"{letter}{number:02d}"
    for letter, count in (("A", 25), ("B", 27), ("C", 16), ("D", 19), ("E", 12), ("F", 28))
    for number in range(1, count + 1)
)


@dataclass(frozen=True)
class Case:
    id: str
    label: str
    file_name: str
    data: bytes
    codes: tuple[str, ...]
    """What may refuse it; empty when it must be accepted."""

    def __str__(self) -> str:
        return f"{self.id}-{self.label}"


@cache
def cases() -> tuple[Case, ...]:
    return tuple(chain(_names(), _links(), _special(), _tar_structure(), _gzip(), _zip()))


def _tar(case_id: str, label: str, *blocks: bytes, codes: tuple[str, ...] = ("NAME",), end: bytes = END) -> Case:
    return Case(case_id, label, TAR, tgz(*blocks, end=end), codes)


def _zipped(case_id: str, label: str, data: bytes, *codes: str) -> Case:
    return Case(case_id, label, ZIP, data, codes)


_BAD_NAMES: dict[str, list[bytes]] = {
    "A01": [b"../evil", b".."],
    "A02": [b"tmp/../../evil"],
    "A03": [b"a/../b"],
    "A04": [b"../x/../dest/f"],
    "A05": [b"/abs"],
    "A06": [b"//abs", b"///abs"],
    "A07": [b"C:\\x", b"C:x", b"C:../x"],
    "A08": [b"\\\\h\\s", b"\\\\?\\C:\\x", b"//./C:"],
    "A09": [b"..\\..\\x"],
    "A10": [b"\xc0\xae\xc0\xae/x", b"a\xc0\xafb"],
    "A11": [b"a//b", b"a/./b", b"file/", b"././x"],
    "A12": [b"", b"/", b"."],
    "A14": [b"a\r\nb", b"a\x1b[31mb", b"a\x7fb"],
    "A15": [b"caf\xe9", b"\x82.txt"],
    "A16": [
        "e\u0301".encode(),
        "\uff0e\uff0e/evil".encode(),
        "a\uff0fb".encode(),
        "a\u200db".encode(),
        "a\u202egpj.exe".encode(),
        "\ufeffx".encode(),
    ],
    "A18": [b"FOO~1", b"CON", b"NUL", b"lpt1", b"x:ads"],
    "A19": [b"a" * 256],
    "A21": [b"../dest-evil/x"],
    "A22": [b".manifest", b"current", b"journal", b"JOURNAL"],
}


def _names() -> Iterator[Case]:
    for case_id, names in _BAD_NAMES.items():
        for number, name in enumerate(names):
            yield _tar(case_id, f"tar{number}", *_named(name))
            if case_id != "A15":
                yield _zipped(case_id, f"zip{number}", zipped(Zipped(name=name, flags=0x800)), "NAME", "CONFLICT")
    yield _tar("A11", "leading-dot", entry("./x"), codes=ACCEPT)
    yield _tar("A13", "name", entry(b"good\0evil"))
    yield _tar("A13", "pax", pax(record(b"path", b"good\0evil")), entry("good"))
    yield _tar("A13", "linkname", header("x", link=b"a\0b"))
    yield _zipped("A13", "zip", zipped(Zipped(name=b"good\0evil")), "NAME")
    yield _zipped("A15", "no-flag", zipped(Zipped(name="café".encode())), "NAME")
    yield _zipped("A15", "latin1-flagged", zipped(Zipped(name=b"caf\xe9", flags=0x800)), "NAME")
    for label, one, two in (
        ("full-width", "a", "\uff41"),
        ("case", "Tmp", "tmp"),
        ("ligature", "fi", "\ufb01"),
        ("sharp-s", "STRASSE", "straße"),
    ):
        case_id = "A17" if label == "case" else "A16"
        yield _tar(case_id, label, entry(one), entry(two), codes=("DUPLICATE",))
    yield _tar("A17", "link", link("Tmp", b"/etc"), directory("tmp/"), entry("tmp/x"), codes=("LINK",))
    yield _tar("A17", "directory", directory("Tmp/"), entry("tmp/x"), codes=("DUPLICATE",))
    for length in (1025, 65_535):
        yield _tar("A20", str(length), longname(b"a/" * (length // 2) + b"bb"[: length % 2 + 1] + b"\0"), entry("a"))
    yield _tar("A20", "depth", longname(b"/".join([b"a"] * 400) + b"\0"), entry("a"))
    yield _tar("A20", "33", entry("/".join("a" * 33)))
    yield _tar("A23", "same", entry("x"), entry("x"), codes=("DUPLICATE",))
    yield _tar("A23", "other", entry("x"), entry("x", b"more"), codes=("DUPLICATE",))
    yield _tar("A24", "child", entry("x"), entry("x/y"), codes=("DUPLICATE",))
    yield _tar("A24", "dir-file", directory("x/"), entry("x"), codes=("DUPLICATE",))
    yield _tar("A24", "file-dir", entry("x"), directory("x/"), codes=("DUPLICATE",))
    yield _zipped("A24", "zip", zipped(Zipped(name=b"x"), Zipped(name=b"x/y")), "DUPLICATE")
    yield _tar("A25", "dot", directory(".", mode=0), entry("x"), codes=ACCEPT)
    yield _tar("A25", "dot-slash", directory("./", mode=0), entry("./x"), codes=ACCEPT)


def _named(name: bytes) -> tuple[bytes, ...]:
    return (entry(name),) if len(name) <= 100 else (longname(name + b"\0"), entry(name[:100]))


def _links() -> Iterator[Case]:
    made: dict[str, tuple[bytes, ...]] = {
        "B01": (link("l", b"/etc/passwd"),),
        "B02": (link("l", b"../.."),),
        "B03": (link("l", b"/tmp"), entry("l/x")),
        "B04": (link("cur", b"."), link("par", b"cur/.."), entry("par/x")),
        "B05": (link("cur", b"."), link("cur/par", b".."), entry("par/x")),
        "B07": (directory("d/"), link("d", b"/tmp"), directory("d/")),
        "B08": (link("d", b"/tmp"), directory("d/", mode=0o777)),
        "B09": (link("h", b"/etc/passwd", b"1"),),
        "B10": (link("d", b"/etc"), link("h", b"d/passwd", b"1")),
        "B11": (link("s", b"/etc/passwd"), link("h", b"s", b"1"), entry("h")),
        "B12": (link("h", b"missing", b"1"),),
        "B13": (directory("d" * 90 + "/"), link("d" * 90 + "/a", b"../" * 30)),
        "B14": (link("l", b"a/../../b"),),
        "B15": (link("l", b"/tmp/x"), entry("l", mode=0o777)),
        "B16": (entry("good"), link("bad", b"/etc"), entry("after")),
        "B18": (directory("d/", mode=0o777), link("d", b"/tmp")),
        "B19": (link("a", b"b"), link("b", b"a")),
        "B21": (header("l", kind=b"2", link=b"x", size=512) + entry("inner", b"")[:512],),
        "B22": (link("l", b"/proc/self/root/.."),),
        "B23": (link("l", b"/tmp"),),
    }
    for case_id, blocks in made.items():
        yield _tar(case_id, "tar", *blocks, codes=("LINK", "DUPLICATE"))
    yield _tar("B06", "trailing-slash", link("l/", b"/etc"), codes=("LINK", "NAME"))
    yield _tar("B09", "long", longname(b"/etc/" + b"x" * 200 + b"\0", b"K"), link("h", b"/etc", b"1"), codes=("LINK",))
    yield _tar("B17", "empty-names", link("", b"x"), link("", b"y"), codes=("LINK", "NAME"))
    yield _tar("B19", "self", link("a", b"a"), codes=("LINK",))
    target = record(b"linkpath", b"x/" * 3000)
    yield _tar("B20", "long-target", pax(target), link("l", b"x"), codes=("LINK",))
    mode = 0o120777
    yield _zipped("B25", "zip", zipped(Zipped(name=b"l", data=b"/etc", mode=mode)), "LINK")
    yield _zipped("B26", "deflated", zipped(Zipped(name=b"l", data=b"/etc", mode=mode, method=8)), "LINK")
    yield _zipped("B26", "encrypted", zipped(Zipped(name=b"l", mode=mode, flags=1)), "LINK", "ENCRYPTED")
    yield _zipped("B26", "huge", zipped(Zipped(name=b"l", data=b"x" * 100_000, mode=mode)), "LINK")


def _special() -> Iterator[Case]:
    for kind in b"34":
        yield _tar("C01", chr(kind), header("node", kind=bytes([kind])), codes=("SPECIAL",))
    yield _zipped("C01", "zip", zipped(Zipped(name=b"node", data=b"", mode=0o020666)), "SPECIAL")
    yield _tar("C02", "fifo", header("pipe", kind=b"6"), codes=("SPECIAL",))
    yield _zipped("C02", "zip", zipped(Zipped(name=b"pipe", data=b"", mode=0o010666)), "SPECIAL")
    for kind in b"7DMVN":
        yield _tar("C03", chr(kind), entry("x", kind=bytes([kind])), codes=("SPECIAL",))
    for kind in b"ABEQXZ":
        yield _tar("C04", chr(kind), entry("x", kind=bytes([kind])), codes=("SPECIAL",))
        yield _tar("C04", f"{chr(kind)}-empty", header("x", kind=bytes([kind])), codes=("SPECIAL",))
    yield _tar("C05", "dir-with-tar", entry("d/", entry("inner", b""), kind=b"5"), codes=("CONFLICT",))
    yield _tar("C05", "fifo-with-tar", entry("p", entry("inner", b""), kind=b"6"), codes=("SPECIAL",))
    yield _tar("C06", "v7-slash", longname(b"d" * 120 + b"/\0"), entry(b"d" * 99 + b"/", kind=b"\0"))
    yield _tar("C07", "setuid", entry("x", mode=0o6755), directory("d/", mode=0o7777), codes=ACCEPT)
    yield _tar("C08", "modes", entry("a", mode=0), entry("b", mode=0o777), entry("c", mode=0xFFFF), codes=ACCEPT)
    huge = b"\x80" + b"\xff" * 7
    yield _tar("C09", "base256", entry("x", uid=huge, gid=b"\xff" * 8), codes=ACCEPT)
    yield _tar("C09", "pax", pax(record(b"uid", b"4294967296"), record(b"gid", b"-1")), entry("x"), codes=ACCEPT)
    yield _tar("C09", "unparsable", entry("x", uid=b"12three\0"), codes=("DAMAGED",))
    yield _tar("C09", "no-base256", entry("x", uid=b"\x85" + b"\0" * 7), codes=("DAMAGED",))
    yield _tar("C09", "pax-unparsable", pax(record(b"uid", b"12three")), entry("x"), codes=("DAMAGED",))
    yield _tar("C09", "global-unparsable", pax(record(b"gid", b""), kind=b"g"), entry("x"), codes=("DAMAGED",))
    yield _tar("C10", "names", entry("x", uname=b"root", gname=b"\xff\xfe\0x"), codes=ACCEPT)
    yield _tar("C10", "long", pax(record(b"uname", b"r" * 65_536)), entry("x"), codes=ACCEPT)
    yield _tar("C10", "nul", pax(record(b"gname", b"a\0b")), entry("x"))
    yield _tar("C10", "not-utf8", pax(record(b"gname", b"\xff")), entry("x"), codes=("DAMAGED",))
    yield _tar("C11", "negative", entry("x", mtime=b"\xff" * 12), codes=ACCEPT)
    for value in (b"nan", b"1e400", b"-1", b"1267650600228229401496703205376"):
        codes = ACCEPT if value == b"-1" else ("DAMAGED",)  # Go refuses the others
        yield _tar("C11", value.decode(), pax(record(b"mtime", value)), entry("x"), codes=codes)
    yield _zipped("C11", "1979", zipped(Zipped(name=b"x", local={"day": 0}, central={"day": 0})))
    yield _zipped("C11", "2108", zipped(Zipped(name=b"x", local={"day": 0xFFFF}, central={"day": 0xFFFF})))
    capability = bytes.fromhex("0100000202040000000000000000000000000000")
    yield _tar(
        "C12", "capability", pax(record(b"SCHILY.xattr.security.capability", capability)), entry("x"), codes=ACCEPT
    )
    acl = [record(k, b"user::rwx") for k in (b"SCHILY.acl.access", b"RHT.security.selinux", b"SCHILY.fflags")]
    yield _tar("C13", "acl", pax(*acl, record(b"LIBARCHIVE.xattr.user.x", b"eA")), entry("x"), codes=ACCEPT)
    mac = (entry(".wh.gone"), entry("._x"), directory("__MACOSX/"), entry("__MACOSX/._x"))
    yield _tar("C14", "plain", *mac, codes=ACCEPT)


def _tar_structure() -> Iterator[Case]:
    conflict = ("CONFLICT",)
    yield _tar("D01", "differs", pax(record(b"path", b"other")), entry("name"), codes=conflict)
    for evil, good in ((b"../evil", b"good"), (b"good", b"../evil")):
        yield _tar(
            "D01",
            f"twice-{good[:2]!r}",
            pax(record(b"path", evil), record(b"path", good)),
            entry("good"),
            codes=conflict,
        )
    yield _tar("D01", "evil-header", pax(record(b"path", b"a" * 120)), entry("../evil"), codes=conflict)
    inner = entry("inner", b"x")
    yield _tar("D02", "smuggled", pax(record(b"size", b"%d" % len(inner))), entry("x", b"") + inner, codes=conflict)
    yield _tar(
        "D03", "next-extension", pax(record(b"size", b"1024")), longname(b"x" * 120 + b"\0"), entry("x"), codes=conflict
    )
    yield _tar("D04", "mixed", pax(record(b"path", b"a")), longname(b"b\0"), entry("a"), codes=conflict)
    yield _tar("D04", "mixed-gnu-first", longname(b"b\0"), pax(record(b"path", b"a")), entry("a"), codes=conflict)
    for key in (b"path", b"linkpath", b"size"):
        yield _tar("D05", key.decode(), pax(record(key, b"1"), kind=b"g"), entry("x"), codes=conflict)
    yield _tar("D05", "comment", pax(record(b"comment", b"0123abcd"), kind=b"g"), entry("x"), codes=ACCEPT)
    for number, bad in enumerate(
        (
            b"0 path=x\n",
            b"9 pathx=\n"[:8],
            b"10 pathxyz",
            b"8 pathx\n",
            b"99 path=x\n",
            b"+9 path=x\n",
            b"-9 path=x\n",
            b"09 path=x\n",
            b"9path=xy\n",
            b"\xd9\xa9 path=x\n",
        )
    ):
        yield _tar("D06", str(number), pax(bad), entry("x"), codes=("DAMAGED",))
    yield _tar("D07", "declared", header("x", kind=b"x", size=300 << 20), codes=("LIMIT_SIZE",))
    yield _tar("D07", "real", pax(record(b"comment", b"c" * (1 << 20))), entry("x"), codes=("LIMIT_SIZE",))
    for charset in (b"BINARY", b"UTF-16", b"ISO-IR 8859 1 1998"):
        codes = ACCEPT if charset == b"BINARY" else ("UNSUPPORTED",)
        yield _tar("D08", charset.decode(), pax(record(b"hdrcharset", charset)), entry("x"), codes=codes)
    binary = pax(record(b"hdrcharset", b"BINARY"), record(b"path", b"caf\xe9"))
    yield _tar("D08", "BINARY-latin1", binary, entry(b"caf\xe9"))
    yield _tar("D09", "dangling", entry("x"), pax(record(b"path", b"y")), codes=conflict)
    yield _tar("D09", "stacked", longname(b"a\0"), longname(b"b\0"), entry("x"), codes=conflict)
    yield _tar(
        "D09",
        "interrupted",
        pax(record(b"path", b"y")),
        pax(record(b"comment", b"z"), kind=b"g"),
        entry("y"),
        codes=conflict,
    )
    yield _tar("D10", "no-nul", longname(b"name"), entry("name"))
    yield _tar("D10", "nul-inside", longname(b"na\0me\0"), entry("name"))
    yield _tar("D10", "huge", header("x", kind=b"L", size=1 << 30), codes=("LIMIT_SIZE",))
    yield _tar("D10", "truncated", header("x", kind=b"L", size=2000) + b"name", codes=("TRUNCATED",), end=b"")
    for key in (b"GNU.sparse.size", b"GNU.sparse.map", b"GNU.sparse.major"):
        yield _tar("D11", key.decode(), pax(record(key, b"1152921504606846976")), entry("x"), codes=("SPARSE",))
    yield _tar("D11", "old-gnu", entry("x", kind=b"S"), codes=("SPARSE",))
    for number, size in enumerate(
        (b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\4", b"-0000000004\0", b"000000009zz\0", bytes(12))
    ):
        yield _tar("D12", str(number), header("x", size_field=size) + padded(b"data"), codes=("DAMAGED",))
    yield _tar("D12", "8GiB", header("x", size=8**11 - 1), codes=("LIMIT_SIZE",))
    yield _tar("D13", "second", entry("a"), entry("b", checksum=b"000000\0 "), entry("c"), codes=("DAMAGED",))
    whole = entry("a", b"a" * 700) + entry("b", b"b" * 700)
    for label, data in (
        ("body", whole[:900]),
        ("header", whole[:1736]),
        ("boundary", whole[:1536]),
        ("no-end", whole),
        ("one-zero-block", whole + bytes(512)),
    ):
        yield _tar("D14", label, data, codes=("TRUNCATED",), end=b"")
    yield _tar("D15", "zero-block", entry("a"), bytes(512), entry("b"), codes=("TRAILING",))
    yield _tar("D15", "data", entry("a"), END, b"x", codes=("TRAILING",), end=b"")
    yield _tar("D15", "second-tar", entry("a"), END, entry("b"), codes=("TRAILING",))
    yield _tar("D15", "record-padding", entry("a"), END, bytes(8192), codes=ACCEPT)
    yield _tar("D16", "blow-up", pax(b"1" * 500_000), entry("x"), codes=("DAMAGED",))
    yield _tar("D17", "V7", entry("x", magic=bytes(8)), codes=ACCEPT)
    yield _tar("D17", "no-magic", entry("x", magic=bytes(8), uname=b"root"), codes=("TYPE",))
    for magic in (b"ustar\0\0\0", b"ustar \x000", b"ustar  0"):
        yield _tar("D17", magic.hex(), entry("x", magic=magic), codes=("TYPE",))
    for number, (field, value) in enumerate((("prefix", b"../../other"), ("prefix", b"14772016217\0x"))):
        yield _tar("D17", f"gnu-{field}-{number}", entry("x", magic=b"ustar  \0", prefix=value), codes=("CONFLICT",))
    yield _tar("D17", "device", _with(entry("x"), 329, b"garbage\0"), codes=("DAMAGED",))
    for key in (b"SCHILY.realsize", b"SUN.holesdata", b"GNU.dumpdir"):
        yield _tar("D11", key.decode(), pax(record(key, b"30")), entry("x"), codes=("SPARSE", "UNSUPPORTED"))
    yield _tar("D18", "entries", b"".join(entry(f"{n}", b"") for n in range(2001)), codes=("LIMIT_ENTRIES",))
    yield _tar("D18", "directories", b"".join(directory(f"{n}/") for n in range(2001)), codes=("LIMIT_ENTRIES",))
    yield _tar("D18", "globals", pax(kind=b"g") * 2001, entry("x"), codes=("LIMIT_ENTRIES",))
    yield _tar("D19", "nothing", codes=("EMPTY",))
    yield _tar("D19", "only-root", directory("./"), codes=("EMPTY",))


def _with(block: bytes, at: int, field: bytes) -> bytes:
    """Return a tar header with one field replaced, and its checksum right."""
    changed = block[:at] + field + block[at + len(field) :]
    total = sum(changed[:148]) + 8 * 0x20 + sum(changed[156:512])
    return changed[:148] + b"%06o\0 " % total + changed[156:]


def _gzip() -> Iterator[Case]:
    good = entry("x", b"data") + END

    def made(case_id: str, label: str, data: bytes, *codes: str, file_name: str = TAR) -> Case:
        return Case(case_id, label, file_name, data, codes)

    yield made("E01", "crc", gz_member(good, crc=1), "DAMAGED")
    yield made("E01", "isize", gz_member(good, size=1), "DAMAGED")
    whole = gz_member(good, flags=8, fields=b"name\0")
    for label, cut in (
        ("magic", 5),
        ("name", 13),
        ("body", 25),
        ("trailer", len(whole) - 3),
        ("no-trailer", len(whole) - 8),
    ):
        yield made("E02", label, whole[:cut], "TRUNCATED")
    yield made("E03", "two", gz_member(entry("x")) + gz_member(END), "TRAILING")
    yield made("E04", "garbage", gz_member(good) + b"x", "TRAILING")
    yield made("E04", "zeros", gz_member(good) + bytes(512), "TRAILING")
    yield made("E05", "extra", gz_member(good, flags=4, fields=b"\xff\xff" + b"e" * 65_535))
    yield made("E05", "name", gz_member(good, flags=8, fields=b"../x\0"))
    yield made("E05", "comment", gz_member(good, flags=16, fields=b"c" * 511 + b"\0"))
    yield made("E05", "long", gz_member(good, flags=16, fields=b"c" * 512 + b"\0"), "LIMIT_SIZE")
    yield made("E05", "endless", gz_member(good, flags=16, fields=b"c" * (2 << 20)), "LIMIT_SIZE")
    yield made("E05", "reserved", gz_member(good, flags=0x80), "DAMAGED")
    packed = gz_member(good)
    good_header = packed[:10]
    for number, bad in enumerate(
        (
            b"\x07",
            b"\xff" * 20,
            b"\x01\x04\x00\x00\x00",
            b"\x04\x80\x49\x92\x24\x49\x92\x24",
            b"\x05\xe0\x81\x91\x24\xcb",
        )
    ):
        yield made("E06", str(number), good_header + bad + packed[-8:], "DAMAGED", "TRUNCATED")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = (header("x", size=70 << 20), bytes(1 << 20))
    first, mebibyte = (deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH) for part in parts)
    bomb = good_header + first + 70 * mebibyte
    yield made("E07", "ratio", bomb, "LIMIT_RATIO")
    yield made("E08", "gz-in-gz", gzip.compress(gzip.compress(good, mtime=0), mtime=0), "TYPE")
    zip_file = ordinary_zip({"x": b"data"})
    others = {
        "tar": good,
        "bz2": bz2.compress(good),
        "xz": lzma.compress(good),
        "zstd": b"\x28\xb5\x2f\xfd" + good,
        "zip": zip_file,
    }
    for label, data in others.items():
        yield made("E09", f"targz-is-{label}", data, "TYPE")
    yield made("E09", "zip-is-targz", gzip.compress(good, mtime=0), "TYPE", file_name=ZIP)
    yield made("E10", "zip-after-gzip", gzip.compress(good, mtime=0) + zip_file, "TYPE", "TRAILING")
    inside = b"\0" * 4 + zipped(Zipped(name=b"x"))[:-2]
    rest = gz_member(good)[10:]
    fields = struct.pack("<H", len(inside) + 2) + inside + struct.pack("<H", len(rest))
    yield made("E10", "zip-in-extra", gz_member(good, flags=4, fields=fields), "TYPE")
    yield made("E10", "tar-then-zip", good + zip_file, "TYPE", file_name=ZIP)
    yield made("E11", "empty", b"", "TYPE")
    yield made("E11", "html", b"<html><body>403</body></html>", "TYPE")
    yield made("E11", "part", gzip.compress(good, mtime=0), "TYPE", file_name="model.tar.gz.part")


def _zip() -> Iterator[Case]:
    x, y = Zipped(name=b"x"), Zipped(name=b"y", data=b"other")
    yield _zipped("F01", "names", zipped(Zipped(name=b"x", local={"name": b"z"})), "CONFLICT")
    for field, value in (("size", 9), ("packed", 9), ("method", 8), ("flags", 0x800), ("crc", 1), ("clock", 1)):
        yield _zipped("F02", field, zipped(Zipped(name=b"x", local={field: value})), "CONFLICT")
    yield _zipped("F03", "hidden", zipped(x, y, hidden=(1,)), "CONFLICT")
    yield _zipped("F03", "hidden-first", zipped(x, y, hidden=(0,)), "CONFLICT")
    yield _zipped("F03", "gap", zipped(x, Zipped(name=b"y", before=b"gap")), "CONFLICT")
    yield _zipped("F04", "only-central", zipped(x, Zipped(name=b"y", central={"offset": 5})), "CONFLICT")
    yield _zipped("F05", "duplicate", zipped(x, x), "DUPLICATE")
    yield _zipped("F05", "twins", zipped(x, Zipped(name=b"x", data=b"tada")), "DUPLICATE")
    yield _zipped("F06", "same-offset", zipped(x, Zipped(name=b"y", central={"offset": 0})), "CONFLICT")
    quoted = zipped(y)
    yield _zipped(
        "F06",
        "quoted",
        zipped(Zipped(name=b"x", data=quoted[:40]), Zipped(name=b"y", data=b"other", central={"offset": 31})),
        "CONFLICT",
    )
    nested = ordinary_zip({"0.zip": ordinary_zip({"a": bytes(100_000)})})
    yield _zipped("F07", "nested", ordinary_zip({"lib.zip": nested, "x": b"1"}))
    yield _zipped("F07", "stored", zipped(Zipped(name=b"lib.zip", data=nested), x))
    for size in (2, 9):
        both = {"size": size}
        yield _zipped(
            "F08", f"declared-{size}", zipped(Zipped(name=b"x", method=8, local=both, central=both)), "CONFLICT"
        )
    for crc in (0, 1):
        both = {"crc": crc}
        yield _zipped("F09", f"crc-{crc}", zipped(Zipped(name=b"x", local=both, central=both)), "DAMAGED")
    for flag in (0x0001, 0x0041, 0x2000):
        yield _zipped("F10", hex(flag), zipped(Zipped(name=b"x", flags=flag)), "ENCRYPTED")
    for method in (1, 6, 9, 12, 14, 93, 95, 96, 97, 98, 99, 12345):
        yield _zipped(
            "F11", str(method), zipped(Zipped(name=b"x", method=method, packed=b"data")), "UNSUPPORTED", "ENCRYPTED"
        )
    yield from _zip64()
    yield _zipped("F14", "end", zipped(x, end={"disk": 1}), "UNSUPPORTED")
    yield _zipped("F14", "count", zipped(x, end={"here": 0}), "UNSUPPORTED")
    yield _zipped("F14", "entry", zipped(Zipped(name=b"x", central={"disk": 1})), "UNSUPPORTED")
    yield _zipped("F15", "sfx", zipped(x, prepend=b"#!/bin/sh\n"), "TYPE")
    yield _zipped("F15", "prepended", zipped(x, prepend=b"PK\3\4junk"), "CONFLICT")
    yield _zipped("F15", "adjusted", zipped(Zipped(name=b"x", before=b"PK\3\4junk")), "CONFLICT")
    yield _zipped("F16", "zeros", zipped(x, append=bytes(512)))
    yield _zipped("F16", "appended", zipped(x, append=b"more"), "TRUNCATED")
    yield _zipped("F16", "comment", zipped(x, comment=b"hello")[:-1], "TRUNCATED")
    yield _zipped("F16", "good-comment", zipped(x, comment=b"hello"))
    yield _zipped("F17", "two-ends", zipped(x, comment=zipped(y)), "CONFLICT")
    yield _zipped("F17", "zip-in-comment", zipped(x, comment=zipped(y) + b"!"), "CONFLICT")
    yield _zipped("F17", "zip-in-stored", _stored_zip_reaching_the_end(), "CONFLICT")
    yield from _descriptors()
    yield from _extra_fields()
    yield _zipped("F21", "dir-with-data", zipped(Zipped(name=b"d/", mode=0o040755)), "CONFLICT")
    yield _zipped("F21", "attr-dir", zipped(Zipped(name=b"d", mode=0o040755)), "CONFLICT")
    yield _zipped("F21", "attr-file", zipped(Zipped(name=b"d/", data=b"", mode=0o100644)), "CONFLICT")
    yield _zipped("F21", "dos-dir", zipped(Zipped(name=b"d", central={"attributes": 0x10})), "CONFLICT")
    for label, lies in (
        ("offset", {"offset": 1}),
        ("size", {"size": 1}),
        ("count", {"count": 2, "here": 2}),
        ("past", {"offset": 1 << 30}),
    ):
        yield _zipped("F22", label, zipped(x, end=lies), "CONFLICT", "DAMAGED")
    for flag in (0x0010, 0x0020, 0x0080, 0x4000):
        yield _zipped("F23", hex(flag), zipped(Zipped(name=b"x", flags=flag)), "UNSUPPORTED")
    yield _zipped(
        "F23", "version", zipped(Zipped(name=b"x", local={"needed": 255}, central={"needed": 255})), "UNSUPPORTED"
    )
    for host, mode in ((0, 0o120777), (2, 0o100644), (11, 0o010644), (19, 0o120777), (19, 0o020644)):
        central = {"made_by": host << 8 | 30, "attributes": mode << 16}
        made_by = zipped(Zipped(name=b"x", central=central))
        yield _zipped("C01", f"made-by-{host}-{mode:o}", made_by, "SPECIAL", "UNSUPPORTED")
    yield _zipped("F20", "xl", zipped(Zipped(name=b"x", extra=extra_field(0x6C78, b"\7" + bytes(8)))), "CONFLICT")
    yield _zipped("F21", "dos-label", zipped(Zipped(name=b"x", central={"attributes": 0x08})), "SPECIAL")
    for name in (b"x;1", b"x;"):
        yield _zipped("A18", name.decode(), zipped(Zipped(name=name)), "NAME")
    yield _zipped("F24", "setuid", zipped(Zipped(name=b"x", mode=0o107755)))
    yield _zipped("F24", "fat", zipped(Zipped(name=b"x", central={"made_by": 20, "attributes": 0x27})))
    for number, name in enumerate((b"//", b"./", b"a//", b"/./", b"a/../a")):
        codes = ("EMPTY",) if name == b"./" else ("NAME",)
        yield _zipped("F25", str(number), zipped(Zipped(name=name, data=b"", mode=0o755)), *codes, "CONFLICT")
    endless = Zipped(name=b"x", data=b"z" * 100_000, method=8, local={"size": 10}, central={"size": 10})
    yield _zipped("F26", "endless", zipped(endless), "CONFLICT")
    yield _zipped(
        "F27",
        "count",
        zipped(*(Zipped(name=b"%d" % n, data=b"") for n in range(1500)), end={"count": 1, "here": 1}),
        "CONFLICT",
    )
    yield _zipped("F28", "not", b"PK\3\4" + b"nothing" * 30, "TRUNCATED")
    yield _zipped("F28", "cut", zipped(x)[:-1], "TRUNCATED")
    yield _zipped("D19", "zip", zipped(), "EMPTY")


def _stored_zip_reaching_the_end() -> bytes:
    """A stored member that ends like a zip whose comment is the rest of the outer file."""
    outer = Zipped(name=b"z.zip", data=zipped(Zipped(name=b"y")))
    rest = len(zipped(outer)) - (30 + 5 + len(outer.data))
    outer.data = outer.data[:-2] + struct.pack("<H", rest)
    return zipped(outer)


def _zip64() -> Iterator[Case]:
    full = 0xFFFFFFFF
    plain = zipped(Zipped(name=b"x"))
    start = len(plain) - 22
    offset, size = struct.unpack_from("<L", plain, start + 16)[0], struct.unpack_from("<L", plain, start + 12)[0]

    def ended(at: int = start, count: int = 1, locator: bool = True, sentinel: bool = True) -> bytes:
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
        where = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) if locator else b""
        narrow = (0xFFFF, 0xFFFF, full, full) if sentinel else (1, 1, size, offset)
        return plain[:start] + wide + where + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *narrow, 0)

    yield _zipped("F12", "good", ended())
    yield _zipped("F12", "wrong-place", ended(at=start - 1), "CONFLICT")
    yield _zipped("F12", "missing", ended(locator=False), "CONFLICT")
    yield _zipped("F12", "not-needed", ended(sentinel=False))
    yield _zipped("F12", "confusing", ended(sentinel=False, count=2), "CONFLICT")
    yield _zipped("F12", "count", ended(count=2), "CONFLICT")
    good = extra_field(1, struct.pack("<Q", 4))
    for label, extra in (
        ("short", extra_field(1, b"1234")),
        ("long", extra_field(1, struct.pack("<2Q", 4, 4))),
        ("twice", good * 2),
        ("missing", b""),
    ):
        one = Zipped(name=b"x", central_extra=extra, central={"size": full})
        yield _zipped("F13", label, zipped(one), "CONFLICT", "DAMAGED")
    yield _zipped("F13", "no-sentinel", zipped(Zipped(name=b"x", central_extra=good)))
    other = extra_field(1, struct.pack("<Q", 5))
    yield _zipped("F13", "no-sentinel-other", zipped(Zipped(name=b"x", central_extra=other)), "CONFLICT")
    yield _zipped(
        "F13",
        "local",
        zipped(Zipped(name=b"x", extra=extra_field(1, struct.pack("<2Q", 9, 9)), central_extra=b"")),
        "CONFLICT",
    )
    yield _zipped("F13", "good", zipped(Zipped(name=b"x", central_extra=good, central={"size": full})))


def _descriptors() -> Iterator[Case]:
    crc = zlib.crc32(b"data")
    zeros = {"crc": 0, "packed": 0, "size": 0}

    def made(label: str, descriptor: bytes, *codes: str, flags: int = 8, extra: bytes = b"") -> Case:
        one = Zipped(name=b"x", flags=flags, descriptor=descriptor, local=dict(zeros), extra=extra, central_extra=b"")
        return _zipped("F18", label, zipped(one), *codes)

    mark = b"PK\7\x08"
    yield made("good", mark + struct.pack("<3L", crc, 4, 4))
    yield made("no-signature", struct.pack("<3L", crc, 4, 4))
    yield made("zip64", mark + struct.pack("<L2Q", crc, 4, 4), extra=extra_field(1, bytes(16)))
    yield made("bad-crc", mark + struct.pack("<3L", 1, 4, 4), "CONFLICT")
    yield made("bad-size", mark + struct.pack("<3L", crc, 4, 5), "CONFLICT")
    yield made("wide-unannounced", mark + struct.pack("<L2Q", crc, 4, 4), "CONFLICT")
    yield made("none", b"", "CONFLICT")
    yield made("flag-off", mark + struct.pack("<3L", crc, 4, 4), "CONFLICT", flags=0)


def _extra_fields() -> Iterator[Case]:
    def unicode_path(name: bytes, raw: bytes = b"x") -> bytes:
        return extra_field(0x7075, b"\1" + struct.pack("<L", zlib.crc32(raw)) + name)

    yield _zipped("F19", "differs", zipped(Zipped(name=b"x", extra=unicode_path(b"../evil"))), "CONFLICT")
    yield _zipped("F19", "twice", zipped(Zipped(name=b"x", extra=unicode_path(b"x") * 2)), "DAMAGED")
    yield _zipped(
        "F19", "local-only", zipped(Zipped(name=b"x", extra=unicode_path(b"y"), central_extra=b"")), "CONFLICT"
    )
    stale = extra_field(0x7075, b"\1" + bytes(4) + "é".encode())
    yield _zipped("F19", "stale", zipped(Zipped(name="é".encode(), extra=stale)), "CONFLICT")
    yield _zipped("F19", "same", zipped(Zipped(name="é".encode(), extra=unicode_path("é".encode(), "é".encode()))))
    for number, bad in enumerate((b"abc", b"\1\0\xff\xff", b"UT\x09\0short")):
        yield _zipped("F20", str(number), zipped(Zipped(name=b"x", extra=bad)), "DAMAGED")
    yield _zipped("F20", "known-good", zipped(Zipped(name=b"x", extra=extra_field(0x5455, b"\1abcd"))))
