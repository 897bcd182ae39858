"""The control sample: real agents, each a process of ``edge-sim agent run`` with a folder as its board, or the agent of
a board in a container.

They take part in the rollout like the simulated cores, and what they say becomes the same lines. A folder has the
factory's core, the architecture and operating system are its model's; a container is its profile's board, QEMU runs it
where needed. Nothing of the model's times and faults is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from edge_sim import interrupts
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import corebuild
from edge_sim.emulation.board import AgentSettings, BoardSpec, Process
from edge_sim.emulation.drivers import Driver
from edge_sim.errors import UsageError
from edge_sim.fleet import model
from edge_sim.fleet.lines import Line, of_event
from edge_sim.fleet.model import CoreModel
from edge_sim.fleetkeys import Fleet
from edge_sim.jobs.update import Phase
from edge_sim.process import ending_with

GREENGRASS_ROOT = "/greengrass"
END_S = 30.0
"""For an agent that ends its core first."""
_ENDS = (Phase.SUCCEEDED.name, Phase.FAILED.name, Phase.REJECTED.name)


def drawn(cores: Sequence[CoreModel], fleet: Fleet, count: int) -> list[CoreModel]:
    """Return the cores that a sample of real boards is like: none of a profile that the build breaks.

    The build that real agents install works: that it breaks a profile is the model's.
    """
    return [core for core in cores if core.profile not in fleet.breaks][:count]


def named(names: Iterable[str], profiles: Sequence[DeviceProfile], fleet: Fleet) -> list[DeviceProfile]:
    """Return the profiles of the boards in containers, one of each; raises UsageError for one that cannot take part."""
    by_name = {profile.name: profile for profile in profiles}
    for name in names:
        if name not in by_name:
            hint = f"It has {', '.join(by_name)}."
            raise UsageError(f"--control-board {name}: not a board of this fleet", hint=hint)
        if name in fleet.breaks:
            why = "the scenario's build breaks it (breaks), but the build that real agents install works everywhere"
            raise UsageError(f"--control-board {name}: {why}")
    return [by_name[name] for name in dict.fromkeys(names)]


def models(sample: Sequence[CoreModel], first: int) -> list[CoreModel]:
    """Return real boards like those of ``sample``, numbered from ``first``: what they take is not the model's."""
    return [
        replace(
            each,
            number=number,
            thing=f"fleet-control-{number - first:03}",
            download_s=0.0,
            staging_s=0.0,
            start_s=0.0,
            fault="none",
        )
        for number, each in enumerate(sample, first)
    ]


def boards(
    cores: Sequence[CoreModel], fleet: Fleet, count: int, profiles: Sequence[DeviceProfile], seed: int
) -> list[CoreModel]:
    """Return the real boards beside ``cores``: ``count`` processes, then a container of each profile."""
    containers = [model.core(fleet, profile, 0, seed, bad=False) for profile in profiles]
    return models([*drawn(cores, fleet, count), *containers], first=len(cores))


class ControlAgents:
    """The agents, from ``start`` to the end of the ``with`` block.

    ``hear`` is called with each line of theirs, from threads of this class.
    """

    def __init__(self, hear: Callable[[Line], None]) -> None:
        self._hear = hear
        self._running: list[Process] = []
        self._readers: list[threading.Thread] = []
        self._boards = ExitStack()
        self._ending = False
        self._folder = tempfile.TemporaryDirectory(prefix="edge-sim-control-", ignore_cleanup_errors=True)

    def __enter__(self) -> ControlAgents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts.hold():
            self._end()

    def start(self, sample: Sequence[CoreModel], settings: Callable[[CoreModel], AgentSettings]) -> None:
        """Lay down folders as boards, and start their agents."""
        key = corebuild.private_key(corebuild.KEY).text  # one for all: making one takes a tenth of a second
        for core in sample:
            place = Path(self._folder.name) / core.thing
            _lay(place, core, key)
            config = place.with_suffix(".json")
            config.write_text(json.dumps(_config(core, settings(core))), encoding="utf-8")
            with interrupts.hold():
                process = subprocess.Popen(
                    [sys.executable, "-m", "edge_sim", "agent", "run", "--root", str(place), "--config", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    start_new_session=True,  # Ctrl-C reaches us alone
                    preexec_fn=ending_with(os.getpid(), signal.SIGTERM),  # an agent ends its core first
                )
                self._attend(core, process)

    def start_boards(
        self,
        sample: Sequence[CoreModel],
        profiles: Sequence[DeviceProfile],
        settings: Callable[[CoreModel], AgentSettings],
        driver: Driver,
    ) -> None:
        """Make boards in containers, whose agents start with them. Raises UnsupportedEnvironmentError."""

        def start(core: CoreModel, profile: DeviceProfile) -> None:
            spec = BoardSpec(profile=profile, agent=settings(core), core=core.version, contained=False)
            self._attend(core, self._boards.enter_context(driver.board(spec)).start_agent())

        with ThreadPoolExecutor(driver.at_once) as pool:
            for _ in pool.map(start, sample, profiles):
                pass

    def _attend(self, core: CoreModel, process: Process) -> None:
        """Read what an agent says until it ends."""
        self._running.append(process)
        reader = threading.Thread(target=self._read, args=(core.number, process), daemon=True)
        self._readers.append(reader)
        reader.start()

    def _read(self, number: int, process: Process) -> None:
        last: deque[str] = deque(maxlen=1)
        errors = threading.Thread(target=last.extend, args=(process.stderr or (),), daemon=True)
        errors.start()
        translation = Translation()
        for text in process.stdout or ():
            for kind, members in translation.lines(json.loads(text)):
                self._hear((number, time.time(), kind, members))
        status = process.wait()
        errors.join(END_S)
        if status and not self._ending:
            why = f": {last[0].strip()}" if last else ""
            self._hear((number, time.time(), "trouble", {"text": f"a real agent ended with status {status}{why}"}))

    def _end(self) -> None:
        self._ending = True
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + END_S
        for process in self._running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._boards.close()
        for reader in self._readers:
            reader.join(END_S)
        self._folder.cleanup()


class Translation:
    """An agent's events as a simulated core's lines.

    Events do not name an execution: a job's first is 1, and each PREFLIGHT after an end of it begins the next.
    """

    def __init__(self) -> None:
        self._executions: dict[str, int] = {}
        self._ended: set[str] = set()

    def lines(self, event: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield kind and members of what an event says; most say nothing of an update."""
        name = event.get("event")
        if name == "connected":
            yield "up", {}
        elif name == "disconnected":
            yield "down", {"text": str(event.get("reason", "")), "final": bool(event.get("lasting"))}
        elif name == "update" and event["phase"] != "CANCELED":
            yield "journal", self._journal(event)
        else:
            line = of_event(str(name), event)
            if line is not None:
                yield line

    def _journal(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        job, phase = str(event["job"]), str(event["phase"])
        if job in self._ended and phase not in _ENDS:
            self._executions[job] = self._executions.get(job, 1) + 1
            self._ended.discard(job)
        report = None
        if phase in _ENDS:
            self._ended.add(job)
            report = {"status": phase, "details": {}}
        record = {
            "job": job,
            "execution": self._executions.get(job, 1),
            "phase": phase,
            "report": report,
            "reason": event.get("detail"),
        }
        return {
            "version": event.get("to") if phase == "SUCCEEDED" else event.get("from"),
            "good": None,
            "record": record,
        }


def _config(core: CoreModel, settings: AgentSettings) -> Mapping[str, object]:
    return {
        "thing": settings.thing,
        "broker": settings.broker,
        "architecture": core.architecture,
        "operatingSystem": core.operating_system,
        "stableWindow": settings.stable_window_s,
        "allowLoopback": True,
        **{name: str(file) for name, file in settings.files.items()},
    }


def _lay(place: Path, board: CoreModel, key: str) -> None:
    """Lay down the factory's core below ``place``, linked, with a key that its owner alone reads."""
    for item in corebuild.factory(GREENGRASS_ROOT, board.version):
        path = place / item.path.lstrip("/")
        if item.type == "directory":
            path.mkdir(parents=True, exist_ok=True)
        elif item.type == "link":
            path.symlink_to(str(item.target))
        else:
            path.write_text(item.text, encoding="utf-8")
            path.chmod(item.mode)
    path = place / GREENGRASS_ROOT.lstrip("/") / corebuild.KEY
    path.touch(mode=0o600)
    path.write_text(key, encoding="ascii")
