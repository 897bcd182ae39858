"""``--driver local``: a board that is a directory and a set of namespaces on this machine.

No containers and no emulation: programs are this machine's, the board's accounts, devices, files and ids are the
profile's. What such a board can prove depends on what the machine allows; ``LocalBoard.proves`` says it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_sim.emulation import boardplan
from edge_sim.emulation.board import BoardSpec, standing_in
from edge_sim.emulation.capabilities import Mode, Proves, judge, modes
from edge_sim.emulation.local.keeper import Keeper, UnsupportedModeError
from edge_sim.emulation.local.machine import with_this_machine
from edge_sim.emulation.local.program import Program
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError, UsageError
from edge_sim.facts import HostFacts


class LocalBoard:
    """A board made from a spec; a context manager. Leaving it ends every process and removes every trace.

    ``directory`` must be missing or empty; without it a temporary one is made. ``keep`` leaves the directory in
    place at the end. ``only`` restricts the modes that are tried.

    After ``with``: ``root`` the directory, ``facts`` the board as rules see it, ``proves`` what a run on it
    proves, ``notes`` what differs from a real board, one sentence each.
    """

    left: tuple[str, ...] = ()
    agent_command = (sys.executable, "-m", "edge_sim.cli.main", "agent")
    machine = platform.machine()
    root: Path
    proves: Proves
    mode: Mode
    notes: tuple[str, ...]

    def __init__(
        self, spec: BoardSpec, directory: Path | None = None, *, keep: bool = False, only: Sequence[Mode] | None = None
    ) -> None:
        if directory and directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(f"{directory}: a board needs an empty or new directory")
        self._spec = spec
        self.profile = spec.profile
        self._plan, self._plan_notes = with_this_machine(boardplan.plan(spec), spec.profile)
        self._directory = directory.absolute() if directory else None
        self._keep = keep
        self._modes = tuple(only or modes())
        self._keeper: Keeper | None = None
        self._place: tempfile.TemporaryDirectory[str] | None = None
        self._programs: list[Program] = []
        self._closing = threading.Lock()

    @property
    def agent_config(self) -> str:
        """Where the agent's configuration lies, beside the board's directory."""
        return str(Path(self._place.name) / "agent.json") if self._place else ""

    @property
    def facts(self) -> HostFacts:
        """The board as rules see it."""
        return boardplan.facts(self.profile, self._plan)

    @property
    def standing_in(self) -> str | None:
        """What stands in for the profile's processor and C library, None where they are the profile's."""
        return standing_in(self.profile, self.machine, platform.libc_ver()[0] or "musl")

    def __enter__(self) -> LocalBoard:
        try:
            if self._spec.agent:
                self._place = tempfile.TemporaryDirectory(prefix="edge-sim-agent-")
                Path(self.agent_config).write_text(json.dumps(self._agent_config()), encoding="utf-8")
            self._start()
        except BaseException:
            with contextlib.suppress(EdgeSimError):
                self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_agent(self) -> Program:
        """Start the agent with this Python, and tell it what the board stands in for."""
        argv = [*self.agent_command, "run", "--root", str(self.root), "--config", self.agent_config]
        return self.popen(argv, stderr=subprocess.PIPE)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        inside: bool = False,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int | None = None,
    ) -> Program:
        """Start a program in the board's namespaces, as its root; SIGTERM, SIGINT and SIGHUP are handed on to it.

        It sees this machine's files, and the board's below ``root``; with ``inside`` the board's are all it sees.
        ``env`` defaults to this process's environment; with an agent there is a TMPDIR in it that goes with the board.
        The program ends with the board at the latest.
        """
        if self._keeper is None:
            raise UnsupportedEnvironmentError("the board is not running")
        if inside and not self.proves.mounts:
            hint = next((m.help for m in self.proves.missing), None)
            raise UnsupportedEnvironmentError(
                "a board without mounts has no programs apart from this machine's", hint=hint
            )
        settings = {
            "pidfd": self._keeper.pidfd,
            "view": self._keeper.view,
            "user": self.mode in ("mapped", "single"),
            "umask": self.profile.umask,
            "cwd": cwd,
            "root": str(self.root) if inside else None,
        }
        if env is None and self._place:  # for what its programs, killed with the board, leave behind
            env = {**os.environ, "TMPDIR": self._place.name}
        program = Program(argv, settings, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        if self._keeper.pidfd is not None:
            # Without namespaces a program that has ended may have left others, which end with the board.
            self._programs = [p for p in self._programs if p.poll() is None]
        self._programs.append(program)
        return program

    def exec(
        self,
        argv: Sequence[str],
        timeout: float = 30.0,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        inside: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end and return its status and output.

        Raises UnsupportedEnvironmentError when it takes longer than ``timeout`` seconds; it is killed then.
        """
        program = self.popen(argv, env=env, cwd=cwd, inside=inside, stderr=subprocess.PIPE)
        try:
            out, err = program.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise UnsupportedEnvironmentError(f"{argv[0]} timed out after {timeout:g} s on the board") from error
        finally:
            if program.poll() is None:
                program.kill()
                program.communicate(timeout=10)
        return subprocess.CompletedProcess(list(argv), program.returncode, out, err)

    def close(self) -> None:
        """End the board: its processes, then its mounts, then its directory. Safe to call again, from any thread.

        Raises UnsupportedEnvironmentError when something of it could not be removed.
        """
        try:
            self._end()
        finally:
            with self._closing:
                place, self._place = self._place, None
                if place:
                    place.cleanup()

    def _end(self) -> None:
        with self._closing:
            keeper, self._keeper = self._keeper, None
            for program in self._programs:
                program.release()
            remainder = keeper.end() if keeper else None
            for program in self._programs:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(timeout=5)
            self._programs.clear()
        if remainder:
            raise UnsupportedEnvironmentError(remainder)

    def _agent_config(self) -> dict[str, Any]:
        cafile = self._spec.agent.cafile if self._spec.agent else None
        stand_in = {"architecture": self.profile.architecture, "operatingSystem": self.profile.operating_system}
        shared = {"allowLoopback": True}  # it has this machine's network, and the cloud's files are there
        return {**self._spec.agent_config(str(cafile.absolute()) if cafile else None), **shared, **stand_in}

    def _start(self) -> None:
        plan = boardplan.with_key(self._plan)
        failures: dict[Mode, str] = {}
        for mode in self._modes:
            self._keeper = Keeper()
            try:
                ready = self._keeper.start(mode, plan, self._directory)
                if self._keep:
                    self._keeper.keep_directory()
            except UnsupportedModeError as error:
                failures[mode] = str(error)
                self._end()
                continue
            self.mode = mode
            self.root = Path(ready["root"])
            self.notes = (*self._plan_notes, *ready["notes"])
            self.proves = judge(mode, ready, failures)
            return
        reasons = "; ".join(f"{mode}: {reason}" for mode, reason in failures.items())
        raise UnsupportedEnvironmentError("no local board can be created here", details=reasons)
