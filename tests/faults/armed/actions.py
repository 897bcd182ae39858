"""What an armed agent does to itself and its board at a point. Standard library only."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.faults.armed import power

_EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
FILLER = "filler"


def act(action: str, root: Path) -> None:
    """Carry out an ACTION on the board below ``root``; its disk, where it has one, is mounted right above that."""
    ACTIONS[action](root)


def die(_: Path) -> None:
    """The agent alone dies."""
    os.kill(os.getpid(), signal.SIGKILL)


def down(root: Path) -> None:
    """The board goes down; its disk has everything that was written."""
    power.cut(str(root))


def lose(root: Path) -> None:
    """The board goes down, and its disk has only what was brought to it: nothing reaches it from now on."""
    descriptor = os.open(root, os.O_RDONLY)
    fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    power.cut(str(root))


def turn_read_only(root: Path) -> None:
    """The disk turns read-only, as ext4 does after an error, with files open for writing."""
    subprocess.run(["mount", "-o", "remount,abort", str(root.parent)], check=True, capture_output=True)


def fill(root: Path) -> None:
    """Leave no room on the disk, but for what the environment says."""
    left = int(os.environ.get("EDGE_SIM_FAULT_LEFT", "0"))
    with (root.parent / FILLER).open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    os.truncate(root.parent / FILLER, max(0, (root.parent / FILLER).stat().st_size - left))


ACTIONS = {each.__name__: each for each in (die, down, lose, turn_read_only, fill)}
