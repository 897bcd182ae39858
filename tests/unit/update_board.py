"""A board for the update tests: real builds, real processes, a real journal; builds are fetched from a dictionary."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edge_sim.agent import crashpoints
from edge_sim.agent.events import LogFile
from edge_sim.agent.update.candidates import candidates
from edge_sim.agent.update.guard import Guard
from edge_sim.agent.update.installation import ExpiredError, Installation, UpdateSettings
from edge_sim.agent.update.journal import Journal
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.agent.update.task import UpdateTarget
from edge_sim.agent.update.updater import Updater
from edge_sim.emulation.corebuild import core_build
from edge_sim.errors import UpdateError
from tests.factory import install_core
from tests.fakes_jobs import FileJobs

OLD, NEW = "1.10.0", "1.11.6"
JOB = "GreengrassUpdateJob_1"
GOOD, BROKEN = core_build(NEW), core_build(NEW, starts=False)
KILLED = 77


def document(build: bytes, **changes: Any) -> dict[str, Any]:
    """An update document as a device gets it."""
    found: dict[str, Any] = {
        "edgeSimUpdate": 1,
        "software": "core",
        "version": NEW,
        "architecture": "armv7l",
        "operatingSystem": "raspbian",
        "logLevel": "INFO",
        "file": {
            "url": "http://127.0.0.1:1/build.tar.gz?X-Amz-Signature=secret",
            "sha256": hashlib.sha256(build).hexdigest(),
            "size": len(build),
        },
    }
    return found | changes


class UpdateBoard:
    """One board and its agent's update side; make a new one on the same directory for a restart."""

    def __init__(
        self,
        directory: Path,
        build: bytes,
        *,
        free_bytes_needed: int = 1,
        checks: int = 2,
        hook_limit_s: float = 60,
        supervisor: Supervisor | None = None,
    ) -> None:
        self.root = directory / "board"
        self.build = build
        self.expired = 0
        if not self.root.exists():
            self.root.mkdir()
            install_core(self.root, "/greengrass", OLD)
        self.events: list[dict[str, Any]] = []
        self.stop = threading.Event()
        self.jobs = FileJobs(directory / "jobs.json")
        self.supervisor = supervisor or Supervisor(self.root, sleep=lambda _: None)
        self.gg = self.supervisor.gg
        self.journal = Journal(self.gg / "ggc/var/state")
        settings = UpdateSettings(
            free_bytes_needed=free_bytes_needed,
            health_checks=checks,
            health_interval_s=1,
            stable_s=checks - 1,
            hook_limit_s=hook_limit_s,
        )
        log = LogFile(directory / "ggc_ota.txt")
        installation = Installation(self.supervisor, self._fetch, settings)
        self.releases = releases = installation.releases
        self.guard = Guard(
            self.supervisor,
            releases,
            partial(candidates, releases, self.journal),
            emit=self._emit,
            log=log,
            sleep=lambda _: None,
        )
        self.updater = Updater(
            {"core": UpdateTarget(installation=installation, watch=self.guard)},
            self.jobs,
            self.journal,
            BoardIdentity(architecture="armv7l", operating_system="raspbian"),
            guard=self.guard,
            emit=self._emit,
            log=log,
            stop=self.stop,
        )

    def start(self) -> None:
        """What the agent does at its start, without a cloud."""
        if not self.updater.switching():
            self.guard.look()
        self.updater.resolve()
        self.guard.look()

    def _emit(self, event: str, /, **fields: object) -> None:
        self.events.append({"event": event, **fields})

    def running(self) -> str | None:
        found = self.supervisor.running()
        return found.version if found else None

    def die_at(self, name: str | None) -> list[str]:
        """Start and work in a child process that ends at the point ``name``; return the points it passed."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_child(self._start_and_work, name, writer)
        os.close(writer)
        with os.fdopen(reader) as stream:
            passed = stream.read().splitlines()
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code == (KILLED if name in passed else 0), (name, code, passed)
        return passed

    def _start_and_work(self) -> None:
        self.start()
        self.updater.work()

    def _fetch(self, url: str, target: Path, *, size: int, sha256: str, on_progress: Callable[[int], None]) -> None:
        if self.expired > 0:
            self.expired -= 1
            raise ExpiredError("HTTP 403")
        on_progress(0)
        if len(self.build) != size:
            raise UpdateError("other size")
        target.write_bytes(self.build)


def _in_child(work: Callable[[], None], name: str | None, writer: int) -> None:
    def action(passed: str) -> None:
        os.write(writer, f"{passed}\n".encode())
        if passed == name:
            os._exit(KILLED)

    status = 1
    try:
        with crashpoints.armed(action):
            work()
        status = 0
    finally:
        os._exit(status)
