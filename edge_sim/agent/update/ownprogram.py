"""The agent itself as a software that is updated: its releases lie below ``ota/``, and a supervisor starts them.

A process cannot watch its own start. So the old agent moves the link and ends; the supervisor (``supervise``), which no
update replaces, starts the new one; and that one proves itself: it must be connected, and run for its stable window.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from edge_sim.agent import supervise
from edge_sim.agent.update.runner import Runner, Running
from edge_sim.agent.update.software import OTA_AGENT
from edge_sim.agent.version import VERSION
from edge_sim.errors import UpdateError

LOOK_EVERY_S = 1.0


class OwnProgram(Runner):
    """This process, as the software that an update of the OTA agent replaces. ``core`` runs the owner's scripts.

    ``connect_limit_s`` is how long it may take until it is connected.
    """

    hands_over = True

    def __init__(
        self,
        core: Runner,
        *,
        connect_limit_s: int,
        online: Callable[[], bool],
        hand_over: Callable[[], NoReturn],
        sleep: Callable[[float], object],
    ) -> None:
        self.root, self.gg, self.board_path, self.software = core.root, core.gg, core.board_path, OTA_AGENT
        self._core = core
        self._connect_limit_s = connect_limit_s
        self._online = online
        self._hand_over = hand_over
        self._sleep = sleep

    def expect(self, old: str, new: str) -> None:
        supervise.write_trial(str(self.gg), supervise.new_trial(old, new))

    def start(self, version: str) -> NoReturn:
        self._hand_over()

    def stop(self) -> None:
        """It ends when it hands over."""

    def running(self) -> Running:
        return Running(version=VERSION, pid=os.getpid())

    def trouble(self, version: str) -> str | None:
        return None if version == VERSION else f"OTA agent {VERSION} is running, not {version}"

    def not_ready(self) -> str | None:
        for _ in range(self._connect_limit_s):
            if self._online():
                return None
            self._sleep(LOOK_EVERY_S)
        return f"it was not connected within {self._connect_limit_s} s"

    def took_over(self, version: str) -> bool:
        trial = supervise.read_trial(str(self.gg))
        return version == VERSION and trial is not None and (trial["new"], trial["starts"]) == (version, 1)

    def given_up(self, version: str) -> str | None:
        trial = supervise.read_trial(str(self.gg))
        return trial.get("failed") if trial is not None and trial["new"] == version else None

    def settle(self) -> None:
        trial = self.gg / supervise.TRIAL
        if trial.exists():  # on a read-only disk, nothing to do is no error
            trial.unlink()

    def run_script(self, path: str, limit_s: float) -> None:
        self._core.run_script(path, limit_s)

    def sleep(self, seconds: float) -> object:
        return self._sleep(seconds)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else starts or stops this process."""
        yield

    def saw(self, version: str, trouble: str | None) -> None:
        """The core, whose events these are, is not touched."""

    def bring_up(self, versions: Sequence[str], unhealthy: Callable[[str], str | None]) -> str:
        """Have the supervisor start the first of ``versions``, which this process may be already."""
        if not versions:
            raise UpdateError("no installed OTA agent can be started")
        if self.trouble(versions[0]) is not None:
            self._hand_over()
        return versions[0]
