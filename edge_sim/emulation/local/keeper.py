"""The driver's side of a local board: start its keeper, give it its ids, and end it."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_sim.emulation.boarditems import BoardPlan
from edge_sim.emulation.capabilities import Mode, id_map
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.process import run

_START_LIMIT = 30.0
_END_LIMIT = 15.0
_MESSAGE_LIMIT = 1 << 20


class UnsupportedModeError(Exception):
    """This mode does not work on this machine; the message is the kernel's reason."""


class Keeper:
    """A running keeper process. Closing the socket ends the board, however this process ends."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": _python_path()}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_sim.emulation.local.init", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                # Ctrl-C in a terminal reaches the driver alone, which then ends the board in order.
                start_new_session=True,
            )
        self._received = b""
        self.pidfd: int | None = None
        self.view: int | None = None
        """The board's file systems as its first process sees them: joining a mount namespace leaves a chroot."""
        self._first = 0

    def start(self, mode: Mode, plan: BoardPlan, directory: Path | None) -> dict[str, Any]:
        """Order the board and return the keeper's ``ready`` message.

        Raises UnsupportedModeError when the kernel refuses this mode, UnsupportedEnvironmentError when no mode can
        help.
        """
        ids = mode if mode in ("mapped", "single") else None
        where = str(directory) if directory else None
        self._send({"mode": mode, "ids": ids, "plan": plan.to_json(), "directory": where})
        ready = self._until_ready()
        if mode == "root":
            self.view = os.open(f"/proc/{self._first}/root", os.O_RDONLY | os.O_DIRECTORY)
        return ready

    def keep_directory(self) -> None:
        """Leave the board's directory in place at the end."""
        self._send({"keep": True})

    def _until_ready(self) -> dict[str, Any]:
        deadline = time.monotonic() + _START_LIMIT
        while True:
            message = self._receive(deadline)
            event = message.pop("event", "ended")
            if event == "unshared":
                self._give_ids()
            elif event == "board":
                self._first = int(message["pid"])
                with suppress(ProcessLookupError):  # it has ended already, and the next message says why
                    self.pidfd = os.pidfd_open(self._first)
            elif event == "ready" and (self.pidfd is not None or not self._first):  # one without mounts has none
                return message
            elif event == "unusable":
                raise UnsupportedEnvironmentError(message["error"], hint=message["hint"])
            else:
                raise UnsupportedModeError(message.get("error") or "the board's process ended at once")

    def end(self) -> str | None:
        """End the board, wait until nothing of it is left, and return what could not be removed, if anything."""
        for descriptor in (self.pidfd, self.view):
            if descriptor is not None:
                os.close(descriptor)
        self.pidfd = self.view = None
        remainder = None
        try:
            self._ours.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + _END_LIMIT
            while message := self._receive(deadline):
                remainder = message.get("error") if message["event"] == "left" else remainder
            self.process.wait(timeout=_END_LIMIT)
        except (OSError, UnsupportedEnvironmentError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(timeout=_END_LIMIT)
            remainder = "the board's keeper did not answer and was killed; its directory may remain"
        finally:
            self._ours.close()
        return remainder

    def _give_ids(self) -> None:
        """Write the user namespace's ids with the two set-id programs that may."""
        ids = id_map()
        if ids is None:
            raise UnsupportedModeError("newuidmap or subordinate ids are missing")
        pid = str(self.process.pid)
        try:
            run(["newuidmap", pid, *map(str, ids.uids)], timeout=10)
            run(["newgidmap", pid, *map(str, ids.gids)], timeout=10)
        except UnsupportedEnvironmentError as error:
            raise UnsupportedModeError(f"{error.brief}: {error.details or ''}".rstrip(": ")) from error
        self._send({"mapped": True})

    def _send(self, message: dict[str, object]) -> None:
        try:
            self._ours.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise UnsupportedModeError("the board's process ended at once") from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message, or an empty one when the keeper has ended."""
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise UnsupportedEnvironmentError("the local board's process does not answer")
            data = self._ours.recv(65536)
            if not data or len(self._received) > _MESSAGE_LIMIT:
                return {}
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, object] = json.loads(line)
        return message


def _python_path() -> str:
    """Return a PYTHONPATH with which a child finds the edge_sim that is running, installed or not."""
    package = str(Path(__file__).resolve().parents[3])
    rest = os.environ.get("PYTHONPATH", "")
    return f"{package}{os.pathsep}{rest}" if rest else package
