"""One row an architecture; every other spelling is translated here, at the edges.

Sources: Greengrass names from botocore's ``UpdateTargetsArchitecture``; the pairs from the developer guide,
``core-ota-update.md``; ELF machine numbers from ``elf.h``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Elf:
    """Of an ELF header: ``e_machine`` and ``e_flags``."""

    machine: int
    flags: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An architecture that Greengrass V1 ran on."""

    greengrass: str
    """Name in the API (``UpdateTargetsArchitecture``) and in ``uname -m``; V1 used the kernel's own word."""
    oci_platform: str
    debian: str
    qemu: str
    """Name of the QEMU user-mode binary, without ``-static``."""
    qemu_cpu: str | None
    """Value of ``QEMU_CPU`` without which the emulator claims to be a newer processor."""
    elf_machine: int


ARCHITECTURES: dict[str, Architecture] = {
    row.greengrass: row
    for row in (
        Architecture(
            greengrass="armv6l",
            oci_platform="linux/arm/v6",
            debian="armel",
            qemu="qemu-arm",
            qemu_cpu="arm1176",
            elf_machine=40,
        ),
        Architecture(
            greengrass="armv7l",
            oci_platform="linux/arm/v7",
            debian="armhf",
            qemu="qemu-arm",
            qemu_cpu=None,
            elf_machine=40,
        ),
        Architecture(
            greengrass="aarch64",
            oci_platform="linux/arm64",
            debian="arm64",
            qemu="qemu-aarch64",
            qemu_cpu=None,
            elf_machine=183,
        ),
        Architecture(
            greengrass="x86_64",
            oci_platform="linux/amd64",
            debian="amd64",
            qemu="qemu-x86_64",
            qemu_cpu=None,
            elf_machine=62,
        ),
    )
}

UPDATE_TARGETS: frozenset[tuple[str, str]] = frozenset(
    {
        ("ubuntu", "x86_64"),
        ("ubuntu", "aarch64"),
        ("amazon_linux", "x86_64"),
        ("raspbian", "armv7l"),
        ("raspbian", "armv6l"),
        ("openwrt", "aarch64"),
        ("openwrt", "armv7l"),
    }
)
"""(operating system, architecture) pairs that CreateSoftwareUpdateJob accepted; the other nine were refused."""

_GLIBC_BUILDS = {"armv6l": "raspbian", "armv7l": "raspbian", "aarch64": "ubuntu"}
"""Whose build was the only one with glibc for an architecture; for x86_64 there were two."""
_DEBIANS = frozenset({"debian", "raspbian", "ubuntu"})


def update_system(system: str, architecture: str) -> str:
    """Return the system whose builds a board takes: another one of Debian's kind where AWS built none for its own.

    So 64-bit Raspberry Pi OS, which calls itself Debian, takes ubuntu's.
    """
    if system in _DEBIANS and (system, architecture) not in UPDATE_TARGETS:
        return _GLIBC_BUILDS.get(architecture, system)
    return system
