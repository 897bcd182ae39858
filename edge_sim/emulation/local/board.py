"""``--driver local``: a board that is a directory and a set of namespaces on this machine.

No containers and no emulation: programs are this machine's, the board's accounts, devices, files and ids are the
profile's. What such a board can prove depends on what the machine allows; ``LocalBoard.proves`` says it.
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from edge_sim.emulation import boardroot
from edge_sim.emulation.capabilities import Mode, Proves, judge, modes
from edge_sim.emulation.local.keeper import Keeper, RefusedError
from edge_sim.emulation.local.program import Program
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError, UsageError
from edge_sim.facts import HostFacts
from edge_sim.profiles import DeviceProfile

if TYPE_CHECKING:
    from edge_sim.scenario import BoardFile, DeviceBacking


class LocalBoard:
    """A board made from a profile; a context manager. Leaving it ends every process and removes every trace.

    ``directory`` must be missing or empty; without it a temporary one is made. ``keep`` leaves the directory in
    place at the end. ``files`` and ``devices`` come from a scenario; ``binds`` are host paths that appear writable at
    board paths. ``core`` is the factory's core version, None for none. ``only`` restricts the modes that are tried.

    After ``with``: ``root`` the directory, ``facts`` the board as rules see it, ``proves`` what a run on it
    proves, ``notes`` what differs from a real board, one sentence each.
    """

    root: Path
    facts: HostFacts
    proves: Proves
    mode: Mode
    notes: tuple[str, ...]

    def __init__(
        self,
        profile: DeviceProfile,
        directory: Path | None = None,
        *,
        keep: bool = False,
        files: Sequence[BoardFile] = (),
        devices: Sequence[DeviceBacking] = (),
        binds: Mapping[str, Path] | None = None,
        core: str | None = None,
        only: Sequence[Mode] | None = None,
    ) -> None:
        if directory and directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(f"{directory}: a board needs an empty or a new directory")
        self.profile = profile
        self._plan = boardroot.plan(profile, files=files, devices=devices, binds=binds)
        _refuse_block_devices(self._plan)
        self._directory = directory.absolute() if directory else None
        self._keep = keep
        self._core = core
        self._modes = tuple(only or modes())
        self._keeper: Keeper | None = None
        self._programs: list[Program] = []
        self._closing = threading.Lock()

    @property
    def standing_in(self) -> str | None:
        """What stands in for the profile's processor and C library, None where they are the profile's."""
        ours = (platform.machine(), platform.libc_ver()[0] or "musl")
        theirs = (self.profile.architecture, self.profile.libc)
        if ours == theirs:
            return None
        if ours[1] == theirs[1]:
            return f"{ours[0]} standing in for {theirs[0]}"
        return f"{ours[0]} with {ours[1]} standing in for {theirs[0]} with {theirs[1]}"

    def __enter__(self) -> LocalBoard:
        try:
            self._start()
            if self._core:
                from edge_sim.emulation.corebuild import install_core

                try:
                    install_core(
                        self.root,
                        self.profile.greengrass.root,
                        self._core,
                        use_systemd=self.profile.init == "systemd",
                        allow_functions_to_run_as_root=self.profile.greengrass.allow_functions_to_run_as_root,
                    )
                except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
                    where = f"/{Path(str(error.filename)).relative_to(self.root)}"
                    raise InvalidDefinitionError(
                        f"{where}: a file of the scenario is in the way of the factory's core: {error.strerror}"
                    ) from error
        except BaseException:
            with contextlib.suppress(EdgeSimError):
                self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        ``env`` defaults to this process's environment. The program ends with the board at the latest.
        """
        if self._keeper is None:
            raise UnsupportedEnvironmentError("the board is not running")
        if inside and not self.proves.mounts:
            hint = next((m.help for m in self.proves.missing), None)
            raise UnsupportedEnvironmentError("a board without mounts has no programs of its own", hint=hint)
        settings = {
            "pidfd": self._keeper.pidfd,
            "view": self._keeper.view,
            "user": self.mode in ("mapped", "single"),
            "umask": self.profile.umask,
            "cwd": cwd,
            "root": str(self.root) if inside else None,
        }
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
            raise UnsupportedEnvironmentError(f"{argv[0]}: no end after {timeout:g} s on the board") from error
        finally:
            if program.poll() is None:
                program.kill()
                program.communicate(timeout=10)
        return subprocess.CompletedProcess(list(argv), program.returncode, out, err)

    def close(self) -> None:
        """End the board: its processes, then its mounts, then its directory. Safe to call again, from any thread.

        Raises UnsupportedEnvironmentError when something of it could not be removed.
        """
        with self._closing:
            keeper, self._keeper = self._keeper, None
            for program in self._programs:
                program.release()
            left = keeper.end() if keeper else None
            for program in self._programs:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(timeout=5)
            self._programs.clear()
        if left:
            raise UnsupportedEnvironmentError(left)

    def _start(self) -> None:
        failures: dict[Mode, str] = {}
        for mode in self._modes:
            self._keeper = Keeper()
            try:
                ready = self._keeper.start(mode, self._plan, self._directory)
                if self._keep:
                    self._keeper.keep_directory()
            except RefusedError as error:
                failures[mode] = str(error)
                self.close()
                continue
            self.mode = mode
            self.root = Path(ready["root"])
            self.notes = (*self._plan.notes, *ready["notes"])
            self.proves = judge(mode, ready, failures)
            self.facts = _facts(self.profile, self._plan)
            return
        reasons = "; ".join(f"{mode}: {reason}" for mode, reason in failures.items())
        raise UnsupportedEnvironmentError("no local board can be made here", details=reasons)


def _refuse_block_devices(plan: boardroot.BoardPlan) -> None:
    for device in plan.devices:
        if device.backing == "loop":
            raise UnsupportedEnvironmentError(
                f"{device.path}: only a board in a container has a block device of its own", hint="Use --driver docker."
            )


def _facts(profile: DeviceProfile, plan: boardroot.BoardPlan) -> HostFacts:
    """Return the profile's facts with what the plan adds, without devices that no simulated board has."""
    facts = profile.facts()
    absent = {device.path for device in profile.devices} - {device.path for device in plan.devices}
    paths = {path: node for path, node in facts.paths.items() if path not in absent}
    for item in plan.items:
        paths[item.path] = item.node
        if item.named:
            paths[item.named] = item.node
    return replace(facts, paths=paths)
