"""What the agent's integration tests run against: a real broker and Jobs service, an HTTP server, an agent process."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edge_sim.cloud.bridge import Bridge
from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from edge_sim.emulation.corebuild import core_build
from edge_sim.jobs.update import UpdateDocument, build_document
from tests.factory import install_core

LIMIT_S = 60.0
THING = "board-1"
OLD, NEW = "1.10.0", "1.11.6"


class Files:
    """An HTTP server for builds and deployment documents; ``expired`` requests are answered 403 first."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.expired = 0
        self.puts: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.asked: list[str] = []
        self.on_get: Callable[[], object] = lambda: None
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.asked.append(self.path)
                files.on_get()
                if files.expired > 0:
                    files.expired -= 1
                    return self._answer(
                        403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
                    )
                found = files.content.get(self.path.split("?")[0])
                return self._answer(200, found) if found is not None else self._answer(404, b"")

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                files.puts.put((self.path.split("?")[0], json.loads(body)))
                self._answer(200, b"{}")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Cloud:
    """AWS IoT Jobs on a real broker; builds are served from ``files``."""

    def __init__(self, url: str, files: Files) -> None:
        self.files = files
        self.signed = 0
        self.stepped = False
        """Whether a step timer was seen."""
        self.device = DevicePlane(Store(), presign=self._presign)
        self.jobs = JobsService(self.device, region="eu-west-1", account="123456789012")
        self.deployment: dict[str, Any] | None = None
        self.bridge = Bridge(url, self.device, lambda _: self.deployment)
        self.device.start()
        self.jobs.things.create(THING)

    def update_job(self, name: str, build: bytes, *, version: str = NEW, **changes: str) -> str:
        """Queue an update job and return its id."""
        job = f"GreengrassUpdateJob_{name}"
        self.files.content[f"/{name}.tar.gz"] = build
        values = {
            "software": "core",
            "version": version,
            "architecture": "armv7l",
            "operating_system": "raspbian",
            "log_level": "INFO",
            "url": f"https://s3.eu-west-1.amazonaws.com/eu-west-1-greengrass-updates/{name}.tar.gz",
            "sha256": hashlib.sha256(build).hexdigest(),
            **changes,
        }
        document = build_document(UpdateDocument(**values, size=len(build)))
        role = "arn:aws:iam::123456789012:role/updates"
        self.jobs.create_job(job, [self.jobs.things.arn(THING)], json.dumps(document), presigned_role_arn=role)
        return job

    def end_of(self, job: str) -> tuple[str, dict[str, str]]:
        """Wait until the job's execution is over; return status and details."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            execution = self.jobs.execution(THING, job)
            self.stepped |= execution.step_deadline is not None
            if execution.status not in ("QUEUED", "IN_PROGRESS"):
                return execution.status, dict(execution.status_details or {})
            time.sleep(0.05)
        raise AssertionError(f"{job} is still {execution.status}: {execution.status_details}")

    def stop(self) -> None:
        self.device.stop()
        self.bridge.stop()

    def _presign(self, url: str, _expires_s: int, _thing: str) -> str:
        self.signed += 1
        return f"{self.files.url}/{url.rsplit('/', 1)[-1]}?X-Amz-Signature=secret{self.signed}"


class Agent:
    """An agent process on the board below ``root``, of the tests' program or started by ``command``."""

    def __init__(self, root: Path, config: Path, command: Sequence[str] = ()) -> None:
        self.root = root
        self.gg = root / "greengrass"
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "tests.integration.agent_program", str(config), str(root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, **fields: object) -> dict[str, Any]:
        """Wait for an event with these fields and return it."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._find(fields) is not None, LIMIT_S):
                raise AssertionError(f"no {fields} among {self.events}")
            found = self._find(fields)
        assert found is not None
        return found

    def phases(self, job: str) -> list[str]:
        return [e["phase"] for e in self.events if e["event"] == "update" and e["job"] == job]

    def core(self) -> dict[str, Any]:
        """What the running core says about itself; its process is checked."""
        found: dict[str, Any] = json.loads((self.gg / "ggc/var/state/core.json").read_text())
        os.kill(found["pid"], 0)
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        if not self.process.stderr.closed:
            self.errors = self.process.stderr.read().decode()
            self.process.stderr.close()
            self.process.stdout.close()
        return status

    def _find(self, fields: dict[str, object]) -> dict[str, Any] | None:
        return next((e for e in self.events if all(e.get(k) == v for k, v in fields.items())), None)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()


class World:
    """A cloud, and a board whose factory version is installed."""

    def __init__(self, directory: Path, broker_url: str, files: Files, cloud: Cloud) -> None:
        self.files, self.cloud = files, cloud
        self.root = directory / "board"
        self.root.mkdir()
        install_core(self.root, "/greengrass", OLD)
        self.config = directory / "agent.json"
        settings = {"thing": THING, "broker": broker_url, "architecture": "armv7l", "operatingSystem": "raspbian"}
        self.config.write_text(json.dumps(settings))

    @contextmanager
    def agent(self, kind: Callable[[Path, Path], Agent] = Agent) -> Iterator[Agent]:
        agent = kind(self.root, self.config)
        try:
            yield agent
        finally:
            agent.stop()


def lay_shadow(here: World) -> None:
    """Have the core hold a local shadow, as one more thing that an update must keep."""
    shadows = here.root / "greengrass/ggc/var/state/shadows"
    shadows.mkdir(parents=True)
    (shadows / f"{THING}.json").write_text('{"state": {"reported": {"lamp": "on"}}}')


def kept(here: World) -> Mapping[str, bytes]:
    """What an update must keep (core-ota-update.md): configuration, group, shadows, and logs up to where they were."""
    gg = here.root / "greengrass"
    shadows = gg / "ggc/var/state/shadows"
    places = [gg / "config/config.json", gg / "ggc/deployment/group/group.json", *sorted(shadows.glob("*"))]
    logs = [gg / "ggc/var/log/system/runtime.log", here.root / "var/log/greengrass/ota/ggc_ota.txt"]
    return {str(path): path.read_bytes() for path in (*places, *(log for log in logs if log.exists()))}


def assert_kept(before: Mapping[str, bytes], here: World) -> None:
    after = kept(here)
    for path, content in before.items():
        assert after[path].startswith(content) if path.endswith((".log", ".txt")) else after[path] == content, path


@contextmanager
def world(directory: Path) -> Iterator[World]:
    """Everything up, and everything down again."""
    files = Files()
    try:
        with start_broker() as broker:
            cloud = Cloud(broker.url, files)
            try:
                yield World(directory, broker.url, files, cloud)
            finally:
                cloud.stop()
    finally:
        files.server.shutdown()
        files.server.server_close()


def good(version: str = NEW) -> bytes:
    return core_build(version)


def broken(version: str = NEW) -> bytes:
    return core_build(version, starts=False)
