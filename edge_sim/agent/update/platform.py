"""Are a build's programs for this board? Judged by what they say of themselves, before the old version is stopped."""

from __future__ import annotations

from pathlib import Path

from edge_sim.agent.elf import elf_header, interpreter
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.arch import ARCHITECTURES
from edge_sim.errors import UpdateError


def check(build: Path, board: BoardIdentity) -> None:
    """Check every ELF program in the directory ``build``. Raises UpdateError for the first one of another platform.

    The C library is that of the board's system: of those that V1 ran on, OpenWrt alone has musl (what-is-gg.md).
    """
    machine = ARCHITECTURES[board.architecture].elf_machine
    libc = "musl" if board.operating_system == "openwrt" else "glibc"
    for path in sorted(build.rglob("*")):
        elf = elf_header(path) if path.is_file() and not path.is_symlink() else None
        if elf is None:
            continue
        name = path.relative_to(build)
        if elf.machine != machine:
            raise UpdateError(
                f"{name} in the build is for {_machine(elf.machine)}, but this board is {board.architecture}"
            )
        loader = interpreter(path)
        own_libc = "musl" if "ld-musl" in loader else "glibc"
        if loader and own_libc != libc:
            raise UpdateError(f"{name} in the build needs {own_libc} ({loader}), but this board has {libc}")


def _machine(number: int) -> str:
    names = [name for name, row in ARCHITECTURES.items() if row.elf_machine == number]
    return " or ".join(names) or f"another processor (ELF machine {number})"
