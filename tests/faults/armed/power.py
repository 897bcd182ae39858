"""All processes of one board: found by its root directory in their arguments or environment, and ended at once.

Standard library only: an agent that is armed loads it too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def processes(root: str) -> Iterator[int]:
    """Yield the ids of the live processes that belong to the board below ``root``."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            found = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            if os.fsencode(root) in found and _state(int(entry.name)) != "Z":
                yield int(entry.name)


def cut(root: str) -> None:
    """End every process of a board as a power cut does, this one last where it is one of them."""
    stopped: set[int] = set()
    while new := set(processes(root)) - stopped - {os.getpid()}:
        for pid in new:
            _send(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        _send(pid, signal.SIGKILL)
    if os.getpid() in set(processes(root)):
        os.kill(os.getpid(), signal.SIGKILL)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"  # it is gone


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
