"""Starts, stops and watches a software of a board, the core.

It runs a version's own commands (``<gg>/ggc/packages/<version>/greengrassd start|stop``) inside the board's root: in
a chroot where that can be done, else as it is with ``GREENGRASS_ROOT`` naming the directory. The link to the current
version is not used: where it leads to another place, nothing there is run. Every wait has a limit, and what does not
stop is killed with all it started, so that two versions never run at once.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from edge_sim.agent.rooted import inside
from edge_sim.agent.update.confinement import BuildLimits, Confinement
from edge_sim.agent.update.runner import Runner, Running
from edge_sim.agent.update.software import CORE, Command, Software
from edge_sim.errors import InvalidDefinitionError, UpdateError
from edge_sim.greengrass import tree
from edge_sim.jobs.update import VERSION

START_SLACK_S = 5.0
"""Beside what ``greengrassd`` itself waits (config.json's ``postStartHealthCheckTimeout``)."""
STOP_LIMIT_S = 30.0
KILL_LIMIT_S = 5.0
MAX_STATE_BYTES = 4096
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CoreError(UpdateError):
    """The core software did not start or stop; the text says what it said last."""


class Supervisor(Runner):
    """A ``software`` of the board below ``root``; ``greengrass_root`` is its path on the board."""

    def __init__(
        self,
        root: Path,
        greengrass_root: str = "/greengrass",
        software: Software = CORE,
        *,
        sleep: Callable[[float], object] = time.sleep,
        start_limit_s: float | None = None,
        stop_limit_s: float = STOP_LIMIT_S,
        limits: BuildLimits = BuildLimits(),  # noqa: B008 - a frozen value
    ) -> None:
        self.root = root.resolve()
        self.board_path = "/" + greengrass_root.strip("/")
        self.gg = inside(self.root, greengrass_root)
        self.software = software
        self._state_file = self.gg / software.state
        self._confinement = Confinement(software.name, self.gg, *self._origin(), limits)
        self._sleep = sleep
        self._start_limit_s = start_limit_s
        self._stop_limit_s = stop_limit_s
        self.stopping = threading.Event()
        """Set when the agent ends: from then on no core is started any more."""

    @property
    def chrooted(self) -> bool:
        """Whether the core runs in a chroot: the board has a shell of its own and this process may do it."""
        return self.root != Path("/") and os.geteuid() == 0 and (self.root / "bin/sh").exists()

    def start(self, version: str) -> Running:
        """Start ``version`` and return it once it is ready. Raises CoreError."""
        if self.stopping.is_set():
            raise CoreError(f"{' '.join(self.software.start)}: the agent is stopping")
        try:
            status, words = self._run(version, self.software.start, self._start_limit_s or self._configured_limit_s())
            running = self.running()
            if status != 0 or running is None:
                words = words or f"no {self.software.name} is running afterwards"
                why = "; ".join(filter(None, (words, self._confinement.breach())))
                raise CoreError(f"{' '.join(self.software.start)}: {why}")
        except CoreError:
            self.kill()
            raise
        return running

    def stop(self, *, limit_s: float | None = None) -> None:
        """Stop whatever core runs; kill it when it does not stop. Raises CoreError when even that fails."""
        running = self.running()
        if running is not None and VERSION.fullmatch(running.version):
            with suppress(CoreError):  # a core that cannot stop itself is killed below
                self._run(running.version, self.software.stop, self._stop_limit_s if limit_s is None else limit_s)
        self.kill()

    def kill(self) -> None:
        """Kill every process of every version of this board's core, and what they started. Raises CoreError."""
        left = self._confinement.end(limit_s=KILL_LIMIT_S)
        if left:
            raise CoreError(f"the {self.software.name}'s processes {left} cannot be killed")
        with suppress(OSError):
            self._state_file.unlink(missing_ok=True)

    def running(self) -> Running | None:
        """Return the core that is up, or None.

        What it says of itself counts where its process exists; on a disk that cannot be written it says nothing, or
        what is no longer true, and its process is looked for.
        """
        from edge_sim.agent.update import processes

        report = self._report()
        if report is not None and processes.is_started_from(report.pid, *self._origin()):
            return report
        packages, root = self._origin()
        program = re.compile(rf"{re.escape(packages)}({VERSION.pattern})/{re.escape(self.software.executables[-1])}")
        oldest = processes.first_started(program, root)
        return None if oldest is None else Running(version=oldest[1], pid=oldest[0])

    def _report(self) -> Running | None:
        try:
            with self._state_file.open("rb") as file:
                state = json.loads(file.read(MAX_STATE_BYTES))
            return Running(version=str(state["version"]), pid=int(state["pid"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def trouble(self, version: str) -> str | None:
        """Look once: return None when ``version`` runs, else what is wrong."""
        running = self.running()
        if running is None:
            return self._confinement.breach() or f"the {self.software.name} is not running"
        if running.version != version:
            return f"version {running.version} is running, not {version}"
        return self._confinement.breach()

    def expect(self, old: str, new: str) -> None:
        """Nothing is to be prepared: this process watches the new one."""

    def settle(self) -> None:
        """Nothing was prepared."""

    def sleep(self, seconds: float) -> object:
        return self._sleep(seconds)

    def _configured_limit_s(self) -> float:
        """Return how long a start may take, as the board's config.json says, where it can be read."""
        from edge_sim.agent import coreconfig

        try:
            timeout_ms = coreconfig.read(self.root, self.board_path).start_timeout_ms
        except InvalidDefinitionError:
            timeout_ms = coreconfig.START_TIMEOUT_MS
        return timeout_ms / 1000 + START_SLACK_S

    def _run(self, version: str, command: Command, limit_s: float) -> tuple[int, str]:
        """Run a command of ``version``; return its status and its last words. Raises CoreError after ``limit_s``."""
        return self._execute((f"{self.software.packages}/{version}/{command[0]}", *command[1:]), limit_s)

    def run_script(self, path: str, limit_s: float) -> None:
        """Run a program of the board's owner below the Greengrass root. Raises CoreError unless it ends well."""
        status, words = self._execute((path,), limit_s)
        if status != 0:
            raise CoreError(f"{Path(path).name} ended with status {status}{words and f': {words}'}")

    def _execute(self, command: Command, limit_s: float) -> tuple[int, str]:
        """Run a program below the Greengrass root; return its status and last words. Raises CoreError."""
        top = self.board_path if self.chrooted else str(self.gg)
        argv = [f"{top}/{command[0]}", *command[1:]]
        name = " ".join((Path(command[0]).name, *command[1:]))
        if self.chrooted:
            argv = ["chroot", str(self.root), *argv]
        try:
            return self._confinement.run(argv, self._environment(top), limit_s)
        except TimeoutError as error:
            raise CoreError(f"{name} {error}") from error
        except OSError as error:
            raise CoreError(f"{name}: cannot be run: {error.strerror}") from error

    def _environment(self, top: str) -> Mapping[str, str]:
        pid_directory = tree.pid_directory(self.board_path)
        if not self.chrooted:
            pid_directory = str(self.root / pid_directory.lstrip("/"))
        return {"PATH": PATH, "HOME": "/", "GREENGRASS_ROOT": top, "GREENGRASS_PID_DIRECTORY": pid_directory}

    def _origin(self) -> tuple[str, Path]:
        """Return where the software's programs lie, as its processes' arguments say it, and their root directory."""
        # greengrassd starts its daemon by the path without links.
        gg = "/" / self.gg.relative_to(self.root) if self.chrooted else self.gg
        return f"{gg}/{self.software.packages}/", self.root if self.chrooted else Path("/")
