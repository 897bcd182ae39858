"""What everyday tools make of one small model: by those that are installed, and byte for byte as the rarer ones do."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
from pathlib import Path

from tests.archive_build import Zipped, directory, entry, extra_field, header, pax, record, tgz, zipped

_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
_COMMIT = "git -c user.name=x -c user.email=x commit -qm x"
_GIT = f"git init -q . && git add model && {_COMMIT} && git archive -o OUT HEAD"
_TARS = {
    **{f"GNU tar {form}": f"tar --format={form} -cf OUT model" for form in ("v7", "oldgnu", "gnu", "ustar", "pax")},
    **{f"bsdtar {form}": f"bsdtar --format={form} -cf OUT model" for form in ("v7", "ustar", "pax", "gnutar")},
    "bsdtar in a C locale": "LC_ALL=C bsdtar --format=pax -cf OUT model",
    "git": _GIT,
    "7-Zip": "7zz a -ttar -bd OUT model",
    "7-Zip pax": "7zz a -ttar -mm=pax -bd OUT model",
    "Python": "python3 -m tarfile -c OUT model",
    "busybox": "busybox tar -cf OUT model",
    "cmake": "cmake -E tar cf OUT model",
}
_ZIPS = {
    "zip": "zip -qr OUT plain",
    "zip -9": "zip -9qr OUT plain",
    "zip -0": "zip -0qr OUT plain",
    "zip without directories": "zip -qrD OUT plain",
    "zip to a pipe": "zip -qr - plain | cat > OUT",
    "zip from standard input": "tar -cf m.tar plain && zip -q OUT - < m.tar",
    "zip with zip64 forced": "zip -fzqr OUT plain",
    "bsdtar": "bsdtar --format=zip -cf OUT model",
    "bsdtar stored": "bsdtar --format=zip --options zip:compression=store -cf OUT model",
    "bsdtar to a pipe": "bsdtar --format=zip -cf - model | cat > OUT",
    "7-Zip": "7zz a -tzip -bd OUT model",
    "7-Zip stored": "7zz a -tzip -mx=0 -bd OUT model",
    "Python": "python3 -m zipfile -c OUT model",
    "git": _GIT,
    "jar": "jar cf OUT model",
    "cmake": "cmake -E tar cf OUT --format=zip model",
}
"""``plain`` has ASCII names only: Info-ZIP's zip does not mark the others as UTF-8."""


def archives(top: Path, kind: str) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Return label and bytes of each archive of ``tar.gz`` or ``zip``, and the labels whose tool is missing."""
    made = [*(_rare_tars() if kind == "tar.gz" else _rare_zips()).items()]
    missing = []
    for label, command in (_TARS if kind == "tar.gz" else _ZIPS).items():
        tool = next(word for word in command.split() if "=" not in word)
        if not shutil.which(tool):
            missing.append(label)
            continue
        folder = top / label.replace(" ", "-")
        _make_model(folder)
        out = folder / f"out.{'tar' if kind == 'tar.gz' else 'zip'}"
        subprocess.run(
            ["sh", "-c", command.replace("OUT", out.name)],
            cwd=folder,
            env=_ENVIRONMENT | {"HOME": str(folder)},
            check=True,
            capture_output=True,
            timeout=120,
        )
        data = out.read_bytes()
        made.append((label, gzip.compress(data, mtime=0) if kind == "tar.gz" else data))
    return made, missing


def _make_model(folder: Path) -> None:
    for name in ("model", "plain"):
        top = folder / name
        (top / "sub").mkdir(parents=True)
        (top / "main.py").write_text("#!/usr/bin/python3\n")
        (top / "main.py").chmod(0o755)
        (top / "weights").write_bytes(bytes(range(256)) * 8)
        (top / "zeros").write_bytes(bytes(70_000))
        (top / "empty").touch()
        (top / "sub" / ("long" * 9)).write_text("long\n")
    (folder / "model" / "ü").mkdir()
    (folder / "model" / "ü" / "é").write_text("é\n")


def _rare_tars() -> dict[str, bytes]:
    """npm's tar puts star's times behind the prefix, GNU tar --incremental others in its place."""
    times = b"14772016217 \0"[:12] * 2
    star = directory("m/", prefix=bytes(131) + times), entry("m/x", prefix=bytes(131) + times)
    gnu = directory("m/"), entry("m/x", magic=b"ustar  \0", prefix=b"14772016217\0" * 2)
    old = bytearray(header("m/", kind=b"\0"))
    old[257:265] = bytes(8)
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    return {
        "npm tar 7": tgz(*star),
        "npm tar 7 with a prefix": tgz(directory("m/"), entry("x", prefix=b"m".ljust(131, b"\0") + times)),
        "GNU times": tgz(*gnu),
        "an old tar": tgz(bytes(old), entry("m/x")),
        "bsdtar in a C locale, UTF-8 names": tgz(
            pax(record(b"hdrcharset", b"BINARY"), record(b"path", "ü".encode())), entry(b"\xc3\xbc")
        ),
    }


def _rare_zips() -> dict[str, bytes]:
    size = extra_field(1, struct.pack("<2Q", 4, 4))
    padding = {f"zipalign, {count} zeros": Zipped(name=b"m", extra=bytes(count)) for count in (1, 2, 3)}
    needed = {"needed": 0x0314}
    made_by = {"made_by": 0x0014, "attributes": 0x20}
    entries = {
        **padding,
        "older 7-Zip, host in the version needed": Zipped(
            name=b"m", local={"needed": 0x314}, central={"needed": 0x314}
        ),
        "host in the central version needed only": Zipped(name=b"m", central=needed),
        "zip -9, level bits on a stored entry": Zipped(name=b"m", flags=2),
        "old Maven, mode 0xFFFF": Zipped(name=b"m/", data=b"", mode=0xFFFF, central={"attributes": 0xFFFF0010}),
        "zip64 sizes that are in the header": Zipped(name=b"m", extra=size),
        "zip64 size and place": Zipped(name=b"m", central_extra=extra_field(1, struct.pack("<3Q", 4, 4, 0))),
        "Windows": Zipped(name=b"m", central=made_by),
        "Python on Windows": Zipped(name=b"m", central={"made_by": 0x0014, "attributes": 0o100666 << 16}),
        "macOS": Zipped(name=b"m", central={"made_by": 0x1314}),
    }
    return {label: zipped(one) for label, one in entries.items()}
