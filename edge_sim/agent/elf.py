"""What an ELF program says of itself, and whether this one runs under an emulator. Layout: elf(5)."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from edge_sim.certificate import Elf


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


def running_emulator() -> str | None:
    """Return the name of the emulator that runs us. QEMU hides behind /proc/self/exe, but not behind this link."""
    real = Path("/proc/thread-self/exe")
    ours, theirs = elf_header(Path(sys.executable)), elf_header(real)
    try:
        name = real.readlink().name
    except OSError:
        return None
    return name if name.startswith("qemu") or (ours and theirs and ours.machine != theirs.machine) else None
