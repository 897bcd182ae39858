"""Cgroups of our own: made where this process may make them, locked while it lives, swept when it was killed.

One is made at or above this process's own, wherever that is allowed: by root, or where it is delegated. Version 1 has a
hierarchy for each controller, version 2 one for all of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Version = Literal["v1", "v2"]
CONTROLLERS = ("memory", "pids")
"""Those that the agent makes cgroups with."""

_VERSIONS: dict[str, Version] = {"cgroup": "v1", "cgroup2": "v2"}
_PREFIX = "edge-sim-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_END_TRIES, _END_PAUSE_S = 100, 0.02


@dataclass(frozen=True, kw_only=True)
class Cgroup:
    """A cgroup of ours."""

    version: Version
    directory: Path
    lock: int
    """A descriptor that keeps it from being swept as left behind."""

    @property
    def procs(self) -> str:
        """The file through which a process joins it."""
        return str(self.directory / "cgroup.procs")

    def pids(self) -> list[int]:
        """Return the processes in it."""
        return [int(pid) for pid in read(self.directory / "cgroup.procs").split()]

    def limit_memory(self, size: int) -> None:
        """Have the kernel end what needs more than ``size`` bytes. Raises OSError."""
        most = "memory.max" if self.version == "v2" else "memory.limit_in_bytes"
        (self.directory / most).write_text(str(size))
        swap = {"v2": ("memory.swap.max", "0"), "v1": ("memory.memsw.limit_in_bytes", str(size))}[self.version]
        with contextlib.suppress(OSError):  # a kernel that does not count swap
            (self.directory / swap[0]).write_text(swap[1])

    def end_together(self) -> None:
        """Have the kernel end all of it where it ends one process for its memory; version 1 cannot."""
        if self.version == "v2":
            (self.directory / "memory.oom.group").write_text("1")

    def limit_processes(self, number: int) -> None:
        """Have the kernel refuse more than ``number`` processes and threads. Raises OSError."""
        (self.directory / "pids.max").write_text(str(number))

    def refused_processes(self) -> int:
        """Return how often the kernel refused one."""
        return self._event("pids.events", "max")

    def memory_kills(self) -> int:
        """Return how often the kernel ended a process for its memory."""
        return self._event("memory.events" if self.version == "v2" else "memory.oom_control", "oom_kill")

    def close(self) -> None:
        """Remove it with the processes in it: the kernel takes a moment to let killed ones go."""
        try:
            for _ in range(_END_TRIES):
                for pid in self.pids():
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    if self.directory.exists():  # in version 2 it may be another controller's as well
                        self.directory.rmdir()
                    return
                time.sleep(_END_PAUSE_S)
        finally:
            os.close(self.lock)

    def _event(self, file: str, name: str) -> int:
        fields = dict(line.split() for line in read(self.directory / file).splitlines())
        return int(fields.get(name, 0))


def make(controller: str, name: str, limit: Callable[[Cgroup], None]) -> Cgroup | None:
    """Return the cgroup ``name`` with ``controller``, limited by ``limit``; None where none can be made.

    One of that name that is in use already, by what a killed agent has left, is taken over. ``limit`` raises OSError
    where it cannot be done.
    """
    for version, parent in hierarchies(controller):
        _remove_left_behind(parent)
        directory = parent / f"{_PREFIX}{name}"
        new = not directory.exists()
        try:
            group = Cgroup(version=version, directory=directory, lock=_locked(directory))
        except OSError:
            continue
        try:
            limit(group)
            Path(group.procs).read_text()
        except OSError:
            os.close(group.lock)
            if new:
                with contextlib.suppress(FileNotFoundError):
                    directory.rmdir()
            continue
        return group
    return None


def hierarchies(controller: str) -> Iterator[tuple[Version, Path]]:
    """Yield version and directory of the cgroups in which one with ``controller`` might be made, the nearest first."""
    own: dict[Version, str] = {}
    for line in read(Path("/proc/self/cgroup")).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or controller in controllers.split(","):
            own["v2" if number == "0" else "v1"] = path
    for line in read(Path("/proc/self/mountinfo")).splitlines():
        fields, _, rest = line.partition(" - ")
        root, point = fields.split()[3:5]
        kind, _, options = rest.split()[:3]
        version = _VERSIONS.get(kind)
        if version is None or version not in own or (version == "v1" and controller not in options.split(",")):
            continue
        relative = os.path.relpath(own[version], root)
        here = Path(point) if relative.startswith("..") else Path(point, relative)
        yield from ((version, d) for d in (here, *here.parents) if d.is_relative_to(point) and d.is_dir())


def _locked(directory: Path) -> int:
    """Make sure of the directory and return its lock. Another agent may sweep it away before: then it is made again."""
    while True:
        directory.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(directory, _DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH)
                directory.stat()
            except OSError:
                os.close(lock)
                directory.rmdir()
                raise
            return lock


def sweep() -> None:
    """Remove the cgroups that killed agents left where this process would make its own."""
    for parent in (parent for controller in CONTROLLERS for _, parent in hierarchies(controller)):
        for _ in range(_END_TRIES):
            if not _remove_left_behind(parent):
                break
            time.sleep(_END_PAUSE_S)


def _remove_left_behind(parent: Path) -> bool:
    """Remove the cgroups of agents that were killed: their locks went with them. True while one holds processes.

    The kernel takes a moment to let killed processes go.
    """
    held = False
    for directory in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # its agent lives, or somebody else has removed it
            descriptor = os.open(directory, _DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                directory.rmdir()
            except OSError as error:
                held |= error.errno == errno.EBUSY
            finally:
                os.close(descriptor)
    return held


def read(path: Path) -> str:
    """Return a file of a cgroup, empty where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
