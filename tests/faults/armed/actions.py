"""What an armed agent does to itself and its board at a point. Standard library only."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.armed import power

_EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
FILLER, GO_ON = "filler", "go-on"


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
    """Leave no room on the disk, but for some bytes."""
    left = int(os.environ["EDGE_SIM_FAULT_AMOUNT"])
    with (root.parent / FILLER).open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    os.truncate(root.parent / FILLER, max(0, (root.parent / FILLER).stat().st_size - left))


def wait(_: Path) -> None:
    """Nothing goes on until somebody says so."""
    while not Path(os.environ["EDGE_SIM_FAULT"], GO_ON).exists():
        time.sleep(0.01)


def jump(_: Path) -> None:
    """The agent's clocks jump: the wall clock by that many seconds, the other one forward by as many."""
    seconds = float(os.environ["EDGE_SIM_FAULT_AMOUNT"])
    clocks["wall"] += seconds
    clocks["monotonic"] += max(0.0, seconds)


def move_clocks() -> None:
    """Have ``time`` show what ``jump`` makes of it. Before anything else takes its functions."""
    wall, monotonic = time.time, time.monotonic
    time.time = lambda: wall() + clocks["wall"]
    time.monotonic = lambda: monotonic() + clocks["monotonic"]


clocks = {"wall": 0.0, "monotonic": 0.0}
ACTIONS = {each.__name__: each for each in (die, down, lose, turn_read_only, fill, wait, jump)}
