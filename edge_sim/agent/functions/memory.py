"""Holds a function's process to its ``MemorySize``: by a memory cgroup, else by watching it.

A cgroup (v2 ``memory.max``, v1 ``memory.limit_in_bytes``, as V1's core had it) is made at or above this process's own,
wherever that is allowed: by root, or where it is delegated. The kernel then ends the process that needs more. Without
one the processes' memory is looked at several times a second and they are killed when it is too much; a short peak may
pass. Under an emulator neither is done: the emulator's own memory cannot be told from the function's.

Counted when watching: RSS minus shared pages, a lower bound of what a cgroup would charge.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_sim.agent.certificate import running_emulator

_PREFIX = "edge-sim-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_END_TRIES, _END_PAUSE_S = 100, 0.02


class MemoryLimit(Protocol):
    """One worker's limit."""

    @property
    def note(self) -> str:
        """One sentence: the limit and what enforces it."""

    @property
    def procs(self) -> str | None:
        """The file through which a process joins the limit; None when it need not."""

    def exceeded(self, pid: int) -> int | None:
        """Return the KB that were used when the limit was broken by ``pid`` or its children, else None."""

    def close(self) -> None:
        """Let go of it, when its processes have ended."""


def limit(size_kb: int, name: str) -> MemoryLimit:
    """Return what holds a worker called ``name`` to ``size_kb`` on this machine."""
    told = f"MemorySize {size_kb} KB"
    running = running_emulator()
    if running is not None:
        return Unlimited(note=f"{told} is not enforced: the memory of {running} cannot be told from the function's")
    for version, directory in _hierarchies():
        made = _cgroup(version, directory, size_kb, name)
        if made is not None:
            note = f"{told} is enforced by a memory cgroup ({version})"
            return Cgroup(note=note, version=version, directory=made[0], lock=made[1])
    return Watch(
        note=f"{told} is only sampled, because no memory cgroup could be created; short peaks may be missed",
        size_kb=size_kb,
    )


@dataclass(frozen=True, kw_only=True)
class Unlimited:
    """No limit, and a note that says so."""

    note: str
    procs: str | None = None

    def exceeded(self, pid: int) -> int | None:
        return None

    def close(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A limit that this process keeps an eye on."""

    note: str
    size_kb: int
    procs: str | None = None

    def exceeded(self, pid: int) -> int | None:
        used = _private_kb(pid)
        return used if used > self.size_kb else None

    def close(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Cgroup:
    """A limit that the kernel enforces."""

    note: str
    version: str
    directory: Path
    lock: int
    """A descriptor that keeps it from being swept as left behind."""

    @property
    def procs(self) -> str:
        return str(self.directory / "cgroup.procs")

    def exceeded(self, pid: int) -> int | None:
        events, peak = (
            ("memory.events", "memory.peak")
            if self.version == "v2"
            else ("memory.oom_control", "memory.max_usage_in_bytes")
        )
        fields = dict(line.split() for line in _text(self.directory / events).splitlines())
        if int(fields.get("oom_kill", 0)) == 0:
            return None
        used = _text(self.directory / peak) or _text(self.directory / "memory.max")  # memory.peak is Linux 5.19
        return int(used) // 1024 if used.isdigit() else 0

    def close(self) -> None:
        """Remove it, and what is left in it: the kernel takes a moment to let killed processes go."""
        try:
            for _ in range(_END_TRIES):
                for pid in _text(self.directory / "cgroup.procs").split():
                    with contextlib.suppress(OSError):
                        os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(OSError):
                    self.directory.rmdir()
                    return
                time.sleep(_END_PAUSE_S)
        finally:
            os.close(self.lock)


def _private_kb(pid: int) -> int:
    import psutil

    found = 0
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info()
                found += memory.rss - memory.shared
    return found // 1024


def _hierarchies() -> Iterator[tuple[str, Path]]:
    """Yield version and directory of memory cgroups in which one might be made, the nearest first."""
    own = {}
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            own["v2" if number == "0" else "v1"] = path
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        fields, _, rest = line.partition(" - ")
        root, point = fields.split()[3:5]
        kind, _, options = rest.split()[:3]
        version = {"cgroup": "v1", "cgroup2": "v2"}.get(kind)
        if version is None or version not in own or (version == "v1" and "memory" not in options.split(",")):
            continue
        relative = os.path.relpath(own[version], root)
        here = Path(point) if relative.startswith("..") else Path(point, relative)
        yield from ((version, d) for d in (here, *here.parents) if d.is_relative_to(point) and d.is_dir())


def _cgroup(version: str, parent: Path, size_kb: int, name: str) -> tuple[Path, int] | None:
    """Return a new cgroup below ``parent`` with the limit set, and its lock; None when that cannot be."""
    _remove_left_behind(parent)
    directory = parent / f"{_PREFIX}{name}"
    swap = {"v2": ("memory.swap.max", "0"), "v1": ("memory.memsw.limit_in_bytes", str(size_kb * 1024))}[version]
    try:
        lock = _new_locked(directory)
    except OSError:
        return None
    try:
        most = "memory.max" if version == "v2" else "memory.limit_in_bytes"
        (directory / most).write_text(str(size_kb * 1024))
        (directory / "cgroup.procs").read_text()
    except OSError:
        os.close(lock)
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()
        return None
    with contextlib.suppress(OSError):  # a kernel that does not count swap
        (directory / swap[0]).write_text(swap[1])
    return directory, lock


def _new_locked(directory: Path) -> int:
    """Make the directory and return its lock. Another agent may sweep it away before that: then it is made again."""
    while True:
        directory.mkdir()
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
    for _, parent in _hierarchies():
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


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
