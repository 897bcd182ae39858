"""The control sample: real agents, each a process of ``edge-sim agent run`` on a folder that is its board.

They take part in the rollout like the simulated cores, and what they say becomes the same lines. A folder has the
factory's core, the architecture and operating system are its model's, and nothing of the model's times and faults.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from edge_sim import interrupts
from edge_sim.emulation import corebuild
from edge_sim.fleet.lines import Line
from edge_sim.fleet.model import CoreModel
from edge_sim.fleetkeys import Fleet
from edge_sim.jobs.update import Phase

GREENGRASS_ROOT = "/greengrass"
END_S = 30.0
"""For an agent that ends its core first."""
_ENDS = (Phase.SUCCEEDED.name, Phase.FAILED.name, Phase.REJECTED.name)


def drawn(cores: Sequence[CoreModel], fleet: Fleet, count: int) -> list[CoreModel]:
    """Return the cores that a sample of real boards is like: none of a profile that the build breaks.

    The build that real agents install works: that it breaks a profile is the model's.
    """
    return [core for core in cores if core.profile not in fleet.breaks][:count]


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


class Control:
    """The agents, from ``start`` to the end of the ``with`` block.

    ``hear`` is called with each line of theirs, from threads of this class.
    """

    def __init__(self, broker: str, hear: Callable[[Line], None], *, cafile: Path | None = None) -> None:
        self._broker, self._cafile, self._hear = broker, cafile, hear
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []
        self._folder = tempfile.TemporaryDirectory(prefix="edge-sim-control-", ignore_cleanup_errors=True)

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts.hold():
            self._end()

    def start(self, boards: Sequence[CoreModel]) -> None:
        """Lay down the boards and start their agents."""
        key = corebuild.private_key(corebuild.KEY).text  # one for all: making one takes a tenth of a second
        for board in boards:
            place = Path(self._folder.name) / board.thing
            _lay(place, board, key)
            config = place.with_suffix(".json")
            config.write_text(json.dumps(self._config(board)), encoding="utf-8")
            with interrupts.hold():
                self._running[board.number] = process = subprocess.Popen(
                    [sys.executable, "-m", "edge_sim", "agent", "run", "--root", str(place), "--config", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C reaches us alone
                )
            reader = threading.Thread(target=self._read, args=(board.number, process), daemon=True)
            self._readers.append(reader)
            reader.start()

    def _config(self, board: CoreModel) -> Mapping[str, object]:
        members = {
            "thing": board.thing,
            "broker": self._broker,
            "architecture": board.architecture,
            "operatingSystem": board.operating_system,
            "stableWindow": max(1, round(board.stable_s)),
            "allowLoopback": True,
        }
        return {**members, **({"cafile": str(self._cafile)} if self._cafile else {})}

    def _read(self, number: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        translation = Translation()
        with process.stdout as pipe:
            for text in pipe:
                for kind, members in translation.lines(json.loads(text)):
                    self._hear((number, time.time(), kind, members))
        status = process.wait()
        if status:
            self._hear((number, time.time(), "trouble", {"text": f"a real agent ended with status {status}"}))

    def _end(self) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_S
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
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
            yield "down", {"text": str(event.get("reason", "")), "final": False}
        elif name == "reported":
            yield "reported", {"job": event["job"], "status": event["status"]}
        elif name == "error":
            yield "error", {"text": str(event.get("error", ""))}
        elif name == "update" and event["phase"] == "CANCELED":
            yield "canceled", {"job": event["job"], "text": event.get("detail")}
        elif name == "update":
            yield "journal", self._journal(event)

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
