"""What an ELF program says of itself, and whether this one runs under an emulator. Layout: elf(5)."""

from __future__ import annotations

import struct
import sys
from functools import cache
from pathlib import Path
from typing import IO

from edge_sim.arch import Elf

_PT_INTERP, _MAX_HEADERS, _MAX_PATH = 3, 64, 256


def elf_header(program: Path) -> Elf | None:
    """Return the machine and flags of an ELF program, None when it is none or cannot be read."""
    try:
        with program.open("rb") as file:
            head = file.read(64)
    except OSError:
        return None
    if len(head) < 64 or head[:4] != b"\x7fELF":
        return None
    order = ">" if head[5] == 2 else "<"
    flags_at = 36 if head[4] == 1 else 48
    return Elf(
        machine=struct.unpack_from(f"{order}H", head, 18)[0], flags=struct.unpack_from(f"{order}I", head, flags_at)[0]
    )


def interpreter(program: Path) -> str:
    """Return the dynamic loader that an ELF program asks for; empty where it asks for none, or is no such program."""
    try:
        with program.open("rb") as file:
            return _interpreter(file)
    except (OSError, struct.error, OverflowError, ValueError):
        return ""


def _interpreter(file: IO[bytes]) -> str:
    head = file.read(64)
    if head[:4] != b"\x7fELF":
        return ""
    order, wide = (">" if head[5] == 2 else "<"), head[4] == 2
    table = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)[0]
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    for number in range(min(count, _MAX_HEADERS)):
        file.seek(table + number * size)
        row = file.read(size)
        if struct.unpack_from(f"{order}I", row)[0] != _PT_INTERP:
            continue
        where, length = (
            struct.unpack_from(f"{order}Q16xQ", row, 8) if wide else struct.unpack_from(f"{order}I8xI", row, 4)
        )
        file.seek(where)
        return file.read(min(length, _MAX_PATH)).rstrip(b"\0").decode(errors="replace")
    return ""


@cache
def running_emulator() -> str | None:
    """Return the name of the emulator that runs us. QEMU hides behind /proc/self/exe, but not behind this link."""
    real = Path("/proc/thread-self/exe")
    ours, theirs = elf_header(Path(sys.executable)), elf_header(real)
    try:
        name = real.readlink().name
    except OSError:
        return None
    return name if name.startswith("qemu") or (ours and theirs and ours.machine != theirs.machine) else None
