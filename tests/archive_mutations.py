"""Archives that are damaged by chance: bytes changed, fields that lie, headers doubled, ends cut off."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import zipfile

from tests import sweeps
from tests.archive_build import longname, pax, record

SEED = 20261127
LONG = "m/" + "l" * 120
FILES = {
    "m": None,
    "m/a.bin": b"a" * 1500,
    "m/sub": None,
    "m/sub/b": b"b\n",
    "m/empty": b"",
    "m/ü": b"u",
    LONG: b"l" * 800,
}
NAMES = (
    b"../x",
    b"/abs",
    b"m/../x",
    b"m//a",
    b"./m/q",
    b"",
    b"m/a.bin",
    b"M/A.BIN",
    b"m/sub",
    b"m/\xff",
    b"m\\x",
    b"m/x",
)
HEADER_FIELDS = ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))
CENTRAL_FIELDS = (
    (4, 2),
    (6, 2),
    (8, 2),
    (10, 2),
    (16, 4),
    (20, 4),
    (24, 4),
    (28, 2),
    (30, 2),
    (32, 2),
    (38, 4),
    (42, 4),
)


def a_tar(form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            entry.size = len(data or b"")
            archive.addfile(entry, io.BytesIO(data or b""))
    return made.getvalue()


def a_zip(*, streamed: bool, wide: bool) -> bytes:
    made = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return made.write(data)  # type: ignore[arg-type]

    with zipfile.ZipFile(Pipe() if streamed else made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            entry = zipfile.ZipInfo(f"{name}/" if data is None else name)
            entry.compress_type = zipfile.ZIP_STORED if data is None else zipfile.ZIP_DEFLATED
            if data is None:
                archive.writestr(entry, b"")
                continue
            with archive.open(entry, "w", force_zip64=wide) as file:
                file.write(data)
    return made.getvalue()


TARS = tuple(map(a_tar, (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)))
ZIPS = tuple(a_zip(streamed=s, wide=w) for s, w in ((False, False), (True, False), (False, True)))


def mutations() -> int:
    """Return how many archives each test changes; more of them take longer and find more."""
    return int(os.environ.get("EDGE_SIM_MUTATIONS", sweeps.size(whole=400, sample=80)))


def headers(tar: bytearray) -> list[int]:
    found, at = [], 0
    while at + 512 <= len(tar) and any(tar[at : at + 512]):
        found.append(at)
        size = tar[at + 124 : at + 136].strip(b"\0 ")
        at += 512 + (int(size, 8) + 511) // 512 * 512 if size and not size.strip(b"01234567") else 1 << 30
    return found


def damaged_tar(dice: random.Random) -> bytes:
    tar = bytearray(dice.choice(TARS))
    for _ in range(dice.choice((1, 1, 2))):
        at = dice.choice(headers(tar) or [0])
        kind = dice.randrange(8)
        if kind == 0:
            tar[at + dice.randrange(512)] = dice.randrange(256)
        elif kind == 1:
            tar[at : at + 100] = dice.choice(NAMES).ljust(100, b"\0")
        elif kind == 2:
            tar[at + 156 : at + 157] = bytes([dice.choice(b"0\x001234567LKxgSDVZ")])
        elif kind == 3:
            size = dice.choice((b"%011o\0" % dice.choice((0, 1, 511, 512, 1500)), b"\x80" + bytes(11), b"\xff" * 12))
            tar[at + 124 : at + 136] = size
        elif kind == 4:
            value = dice.choice(((b"path", dice.choice(NAMES)), (b"size", b"5"), (b"uid", b"x"), (b"mtime", b"1e400")))
            tar[at:at] = pax(record(*value), kind=dice.choice((b"x", b"g")))
        elif kind == 5:
            tar[at:at] = longname(dice.choice(NAMES) + dice.choice((b"", b"\0")), dice.choice((b"L", b"K")))
        elif kind == 6:
            tar[at:at] = dice.choice((bytes(512), tar[at : at + 512]))
        else:
            del tar[dice.randrange(1024, len(tar)) :]
        if kind < 4 and dice.random() < 0.9 and at + 512 <= len(tar):
            tar[at + 148 : at + 156] = b" " * 8
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + 512])
    packed = bytearray(gzip.compress(tar, mtime=0))
    if dice.random() < 0.1:
        packed[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
    return bytes(packed + dice.choice((b"", b"", b"", b"", bytes(8), gzip.compress(b"", mtime=0))))


def damaged_zip(dice: random.Random) -> bytes:
    data = bytearray(dice.choice(ZIPS))
    for _ in range(dice.choice((1, 1, 2))):
        kind = dice.randrange(6)
        if kind < 3:
            mark, fields = (
                (b"PK\3\4", HEADER_FIELDS),
                (b"PK\1\2", CENTRAL_FIELDS),
                (b"PK\5\6", ((8, 2), (12, 4), (16, 4))),
            )[kind]
            places = [at for at in range(len(data) - 46) if data.startswith(mark, at)] or [0]
            offset, width = dice.choice(fields)
            at = dice.choice(places) + offset
            was = int.from_bytes(data[at : at + width], "little")
            value = dice.choice((0, 1, 8, was + 1, was - 1, was ^ 0x800, 256**width - 1, dice.randrange(256**width)))
            data[at : at + width] = (value % 256**width).to_bytes(width, "little")
        elif kind == 3:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        elif kind == 4:
            old, new = dice.choice(((b"m/a.bin", b"../abin"), (b"m/a.bin", b"m/empty"), (b"m/sub/b", b"/tmp/xx")))
            data = data.replace(old, new, dice.choice((1, 2)))
        else:
            cut = data[: dice.randrange(100, len(data))]
            data = bytearray(dice.choice((data + b"x", b"x" + data, cut, data + dice.choice(ZIPS))))
    return bytes(data)
