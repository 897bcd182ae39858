"""What a build may use, and where everything it starts is found again: to be looked at, and to be ended.

A command of a build runs below a process of ours that stays the parent of all it leaves behind (``keeper``), in
cgroups where they can be made: there the kernel holds it to its memory and its number of processes, which are else
looked at now and then. Under QEMU, which knows neither, a variable in the environment marks what was started. The
limits are ours; what AWS's daemon was held to is not known.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edge_sim.redaction import redact

if TYPE_CHECKING:  # a board without a core spares their memory; under QEMU psutil delays it by a tenth of a second
    import subprocess

    import psutil

    from edge_sim.agent.cgroups import Cgroup

POLL_S = 0.02
MAX_OUTPUT = 64 * 1024
MAX_STATUS = 8
_KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True, kw_only=True)
class BuildLimits:
    """What a software and all it starts may use: bytes of memory, and processes with their threads."""

    memory: int = 256 << 20
    processes: int = 256


_NOTHING = BuildLimits(memory=0, processes=0)


class Confinement:
    """Everything that was started of a software of one board: ``name`` says which, ``gg`` is its Greengrass root.

    Its programs lie below ``packages`` as their arguments say it, and see ``root`` as their root directory.
    """

    def __init__(self, name: str, gg: Path, packages: str, root: Path, limits: BuildLimits) -> None:
        self._name, self._gg, self._packages, self._root = name, gg, packages, root
        self._label = f"edge-sim-{name}:{gg}"
        self._mark = f"EDGE_SIM_{name.upper()}"
        self._limits = limits
        self._groups: Mapping[str, Cgroup] = {}
        self._kills = self._refusals = 0
        """What the cgroups counted before this agent had them."""
        self._keepers: list[subprocess.Popen[bytes]] = []
        self._inherited: Sequence[psutil.Process] | None = None
        """What ran before this agent did, once that was looked for."""

    def run(self, argv: Sequence[str], environment: Mapping[str, str], limit_s: float) -> tuple[int, str]:
        """Run a command and return its status and its last words; what it leaves behind runs on.

        Raises TimeoutError when it has not ended after ``limit_s``, OSError when it cannot be started.
        """
        from edge_sim.agent.elf import running_emulator

        with _memory_file() as output, _memory_file() as status_file:  # no pipes: who keeps one open must not hold us
            if running_emulator() is not None:
                poll = _started([*argv], {**environment, self._mark: str(self._gg)}, output).poll
            else:
                poll = self._below_keeper(argv, environment, output, status_file)
            deadline = time.monotonic() + limit_s
            while (status := poll()) is None:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"timed out after {limit_s:g} s")
                time.sleep(POLL_S)
            output.seek(0)
            return status, _last_words(output.read(MAX_OUTPUT))

    def processes(self) -> list[psutil.Process]:
        """Return everything that is alive, whatever it made of its session, its parent and its environment."""
        from edge_sim.agent.update import processes

        pids = [pid for group in self._groups.values() for pid in group.pids()]
        roots = processes.matching(self._packages, self._root, self._label, (self._mark, str(self._gg)))
        return processes.with_descendants([*roots, *processes.existing(pids)])

    def breach(self) -> str | None:
        """Return which limit was broken, or None. Where the kernel does not hold it, what is used now is looked at.

        Under QEMU it is not: the emulator's own memory cannot be told from a core's.
        """
        from edge_sim.agent.elf import running_emulator

        memory, pids = self._groups.get("memory"), self._groups.get("pids")
        used = _NOTHING if (memory and pids) or running_emulator() is not None else self._usage()
        if memory.memory_kills() > self._kills if memory else used.memory > self._limits.memory:
            return f"the {self._name} used more than its {self._limits.memory >> 20} MiB of memory"
        if pids.refused_processes() > self._refusals if pids else used.processes > self._limits.processes:
            return f"the {self._name} started more than its {self._limits.processes} processes"
        return None

    def end(self, *, limit_s: float) -> list[int]:
        """Kill everything; return the ids of what is still alive after ``limit_s``."""
        from edge_sim.agent.update import processes

        self._open_groups()  # a killed agent may have left something in them
        left = processes.end(self.processes, limit_s=limit_s)
        for group in self._groups.values():
            group.close()
        self._groups = {}
        return left

    def _usage(self) -> BuildLimits:
        from edge_sim.agent.update import processes

        if self._inherited is None:
            self._inherited = processes.matching(self._packages, self._root, self._label, (self._mark, str(self._gg)))
        keepers = processes.existing(keeper.pid for keeper in self._keepers if keeper.poll() is None)
        alive = processes.with_descendants([*self._inherited, *keepers])
        return BuildLimits(memory=processes.memory(alive), processes=len(alive))

    def _below_keeper(
        self, argv: Sequence[str], environment: Mapping[str, str], output: IO[bytes], status_file: IO[bytes]
    ) -> Callable[[], int | None]:
        """Start a command below a keeper and return what tells its status once it has ended."""
        self._open_groups()
        self._keepers = [keeper for keeper in self._keepers if keeper.poll() is None]
        procs = [group.procs for group in self._groups.values()]
        words = [self._label, str(status_file.fileno()), str(len(procs)), *procs, *argv]
        python = [sys.executable, "-I", "-S", str(_KEEPER)]
        keeper = _started([*python, *words], environment, output, status_file.fileno())
        self._keepers.append(keeper)

        def poll() -> int | None:
            text = os.pread(status_file.fileno(), MAX_STATUS, 0)
            return int(text) if text else keeper.poll()

        return poll

    def _open_groups(self) -> None:
        """Make the cgroups, or take over what runs in them."""
        from edge_sim.agent import cgroups

        if self._groups:
            return
        try:
            place = self._gg.stat()
        except OSError:  # there is nothing to run either
            return
        name = f"{self._name}-{place.st_dev:x}-{place.st_ino:x}"
        groups = {
            "memory": cgroups.make("memory", name, self._limit_memory),
            "pids": cgroups.make("pids", name, lambda group: group.limit_processes(self._limits.processes)),
        }
        self._groups = {controller: group for controller, group in groups.items() if group is not None}
        self._kills = groups["memory"].memory_kills() if groups["memory"] else 0
        self._refusals = groups["pids"].refused_processes() if groups["pids"] else 0

    def _limit_memory(self, group: Cgroup) -> None:
        group.limit_memory(self._limits.memory)
        group.end_together()


def _started(
    argv: Sequence[str], environment: Mapping[str, str], output: IO[bytes], *descriptors: int
) -> subprocess.Popen[bytes]:
    import subprocess

    return subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=descriptors,
    )


def _memory_file() -> IO[bytes]:
    """Return an empty file that needs no room on a disk, which may be full, where the system has such files."""
    try:
        return open(os.memfd_create("output"), "w+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


def _last_words(output: bytes) -> str:
    """The last two lines of a command's output: of greengrassd, the daemon's own error and V1's line about it."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return redact("; ".join(lines[-2:]))[:900]
