"""Holds a function's process to its ``MemorySize``: by a memory cgroup, else by watching it.

In a cgroup (v2 ``memory.max``, v1 ``memory.limit_in_bytes``, as V1's core had it) the kernel ends the process that
needs more. Where none can be made the processes' memory is looked at several times a second and they are killed when it
is too much; a short peak may pass. Under an emulator neither is done: the emulator's own memory cannot be told from the
function's.

Counted when watching: RSS minus shared pages, a lower bound of what a cgroup would charge.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Protocol

from edge_sim.agent import cgroups
from edge_sim.agent.cgroups import Cgroup
from edge_sim.agent.elf import running_emulator


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
    text = f"MemorySize {size_kb} KB"
    running = running_emulator()
    if running is not None:
        return Unlimited(
            note=f"{text} is not enforced: the memory of {running} cannot be separated from the function's"
        )
    group = cgroups.make("memory", name, lambda cgroup: cgroup.limit_memory(size_kb * 1024))
    if group is not None:
        return Enforced(note=f"{text} is enforced by a memory cgroup ({group.version})", group=group)
    return Sampled(
        note=f"{text} is only sampled, because no memory cgroup could be created; short peaks may be missed",
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
class Sampled:
    """A limit that this process keeps an eye on."""

    note: str
    size_kb: int
    procs: str | None = None

    def exceeded(self, pid: int) -> int | None:
        size_kb = _private_kb(pid)
        return size_kb if size_kb > self.size_kb else None

    def close(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Enforced:
    """A limit that the kernel enforces."""

    note: str
    group: Cgroup

    @property
    def procs(self) -> str:
        return self.group.procs

    def exceeded(self, pid: int) -> int | None:
        if self.group.memory_kills() == 0:
            return None
        peak = "memory.peak" if self.group.version == "v2" else "memory.max_usage_in_bytes"
        directory = self.group.directory
        used = cgroups.read(directory / peak) or cgroups.read(directory / "memory.max")  # memory.peak is Linux 5.19
        return int(used) // 1024 if used.isdigit() else 0

    def close(self) -> None:
        self.group.close()


def _private_kb(pid: int) -> int:
    import psutil

    total = 0
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info()
                total += memory.rss - memory.shared
    return total // 1024
