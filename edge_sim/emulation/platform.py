"""What a build's programs are for, and a program that says so."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge_sim.arch import ARCHITECTURES


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a build's programs are for, in the words of the API."""

    architecture: str
    operating_system: str

    @property
    def loader(self) -> str:
        """The dynamic loader that its programs ask for: musl's on OpenWrt, else glibc's."""
        musl = self.operating_system == "openwrt"
        return {
            "x86_64": "/lib/ld-musl-x86_64.so.1" if musl else "/lib64/ld-linux-x86-64.so.2",
            "aarch64": "/lib/ld-musl-aarch64.so.1" if musl else "/lib/ld-linux-aarch64.so.1",
        }.get(self.architecture, "/lib/ld-musl-armhf.so.1" if musl else "/lib/ld-linux-armhf.so.3")


def elf_file(platform: Platform) -> bytes:
    """Return the smallest ELF program that names a processor and the dynamic loader of a C library. Layout: elf(5)."""
    architecture = ARCHITECTURES[platform.architecture]
    wide = platform.architecture in ("x86_64", "aarch64")
    loader = platform.loader.encode() + b"\0"
    identity = b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9)
    if wide:
        head = struct.pack("<HHIQQQIHHHHHH", 2, architecture.elf_machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        row = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(loader), len(loader), 1)
    else:
        head = struct.pack("<HHIIIIIHHHHHH", 2, architecture.elf_machine, 1, 0, 52, 0, 0x5000400, 52, 32, 1, 0, 0, 0)
        row = struct.pack("<IIIIIIII", 3, 84, 0, 0, len(loader), len(loader), 4, 1)
    return identity + head + row + loader
