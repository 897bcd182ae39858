"""One agent a board: two would both process the same jobs, "which creates conflicts" (core-ota-update.md)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_sim.agent.events import complain
from edge_sim.agent.version import VERSION
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.greengrass.tree import BELOW

_STOP_FIRST = "stop that one first: two process the same jobs, which creates conflicts (core-ota-update.md)"


@contextmanager
def only_one(gg: Path) -> Iterator[None]:
    """Hold the board's agent lock for the length of a block. Raises UnsupportedEnvironmentError when another has it.

    Its file names version and process of the agent that holds it, for ``edge-sim ota status``.
    """
    path = gg / BELOW.agent_lock
    try:
        descriptor = _lock_file(path)
    except OSError as error:  # the core is to run all the same
        complain(f"{path}: cannot be locked: {error.strerror}; another agent would not be noticed")
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnsupportedEnvironmentError(
                f"another agent is running on this board: {path} is locked",
                hint=_STOP_FIRST,
            ) from None
        with suppress(OSError):  # a full disk, or one that cannot be written, keeps no agent from running
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{VERSION} {os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    """Open what the lock is held on: its file, or on a disk that cannot be written the file or directory there is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        there = next(each for each in (path, *path.parents) if each.exists())
        return os.open(there, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
