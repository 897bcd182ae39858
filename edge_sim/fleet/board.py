"""A core's model behind the ports of the agent's updater: time passes, nothing is written, what must fail fails.

What an update does to this board is a version that changes and a record that is kept. The record goes to the fleet
before anything is done, as the agent writes its journal first: a process that is killed loses no board's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from edge_sim.agent.update.installation import BringUp, Saw, UpdateSettings
from edge_sim.agent.update.journal import Record
from edge_sim.agent.update.preflight import DISK_SPACE, BoardIdentity
from edge_sim.errors import UpdateError
from edge_sim.fleet.lines import ModelDisk
from edge_sim.fleet.model import CoreModel
from edge_sim.jobs.update import UpdateDocument

Sleep = Callable[[float], object]
PROGRESS_PARTS = 8
"""How often in a download the agent hears how far it is; it passes on what is 3 s apart."""


class Tell(Protocol):
    """Takes what a core says: the kind of a line and its members."""

    def __call__(self, kind: str, /, **members: object) -> None: ...


class ModelBoard:
    """The disk and the processes of one core: versions, steps, memory and watch of its updates."""

    def __init__(self, model: CoreModel, disk: ModelDisk, settings: UpdateSettings, sleep: Sleep, tell: Tell) -> None:
        self._model = model
        self._sleep = sleep
        self._tell = tell
        self.settings = settings
        self.disk = disk

    # ---- ports.Versions

    @property
    def releases(self) -> ModelBoard:
        return self

    def current(self) -> str | None:
        return self.disk.version

    def whole(self, version: str) -> bool:
        return version in (self._model.version, self.disk.version, self.disk.good)

    def last_known_good(self) -> str | None:
        return self.disk.good

    def remember_good(self, version: str) -> None:
        self.disk.good = version

    def switch(self, version: str) -> None:
        self.disk.version = version

    def sync(self) -> None:
        """It is on the disk at once."""

    def sweep(self) -> None:
        """Nothing is staged here."""

    def prune(self, keep: Collection[str]) -> list[str]:
        return []

    # ---- ports.Steps

    def respawns(self) -> bool:
        return False

    def prepare(self) -> None:
        if self._model.fault == "no space":
            raise UpdateError(f"NO_SPACE. {DISK_SPACE}")

    def stage(self, update: UpdateDocument, on_progress: Callable[[int], None]) -> None:
        parts = PROGRESS_PARTS if self._model.download_s else 0
        for part in range(parts):
            self._sleep(self._model.download_s / parts)
            on_progress(update.size * (part + 1) // parts)

    def verify(self, update: UpdateDocument, board: BoardIdentity) -> None:
        if self._model.staging_s:
            self._sleep(self._model.staging_s)
        if self._model.fault == "bad download":
            raise UpdateError("the download's SHA-256 is not the one in the job")

    def activate(self, old: str, version: str, saw: Saw) -> None:
        self.switch(version)
        if self._model.start_s:
            self._sleep(self._model.start_s)
        if self._model.fault == "does not start":
            reason = f"core {version} ended with status 1 right after its start"
            saw(reason)
            raise UpdateError(reason)
        saw(None)

    def confirm(self, version: str, on_pass: Callable[[], None], saw: Saw) -> None:
        pause = min(self.settings.health_interval_s, self._model.stable_s)
        for number in range(self.settings.stable_checks):
            if number and pause:
                self._sleep(pause)
            if self._model.fault == "dies":
                reason = f"core {version} has died"
                saw(reason)
                raise UpdateError(reason)
            on_pass()

    def roll_back(self, version: str | None, bring_up: BringUp) -> str:
        if version is not None:
            self.switch(version)
        return bring_up(lambda _: None)

    def unhealthy(self, version: str) -> str | None:
        return None

    def took_over(self, version: str) -> bool:
        return False

    def given_up(self, version: str) -> str | None:
        return None

    def settle(self) -> None:
        """Nothing is left of an update here."""

    # ---- ports.Memory

    def write(self, record: Record) -> None:
        self.disk.record = record
        self._tell("journal", **self.disk.as_json())

    def read(self) -> Record | None:
        return self.disk.record

    def holder(self, job: str, execution: int) -> str:
        record = self.disk.record
        return record.holder if record and (record.job, record.execution) == (job, execution) else ""

    def close(self) -> None:
        if self.disk.record is not None:
            self.disk.record = None
            self._tell("journal", **self.disk.as_json())

    def discard(self) -> None:
        self.disk.record = None

    # ---- ports.Watch and ports.Watchman

    @contextmanager
    def held(self) -> Iterator[None]:
        yield

    def bring_up(self, versions: Sequence[str], unhealthy: Callable[[str], str | None]) -> str:
        if not versions:
            raise UpdateError("no installed version can be started")
        if self._model.start_s:
            self._sleep(self._model.start_s)
        self.switch(versions[0])
        return versions[0]

    def saw(self, version: str, trouble: str | None) -> None:
        """Nobody starts a model's core again between updates."""

    events = ""

    def forget_events(self) -> None:
        """None are kept."""
