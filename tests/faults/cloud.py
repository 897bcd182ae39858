"""The broker and the cloud killed in the middle of an update, and started again with what their disks have.

``python -m tests.faults.cloud [COUNT [SEED [WORD …]]]``; see ``trials.draw``. The cloud is ``edge-sim cloud serve
--state FILE`` as a process, asked as boto3 asks; it reaches the broker over a relay that keeps the address. At a crash
point the agent waits while one of them, or both, are killed; they come back before it goes on, or after it has tried.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3

from edge_sim.cloud.brokers.broker import start_broker
from tests.faults.board import PROJECT, Board, Update, check
from tests.faults.points import UPDATES, points_of
from tests.faults.trials import carry_out, draw, end, failed
from tests.integration.agent_world import THING, World
from tests.relay import Relay
from tests.waiting import until

COUNT = 66
"""One at each point of each update."""
PLACE = "core", "raspbian", "armv7l"
ROLE = "arn:aws:iam::123456789012:role/updates"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """``who`` is killed at ``point``; ``late``: it comes back only after the agent has gone on."""

    update: Update
    point: str
    who: str
    late: bool

    def __str__(self) -> str:
        return f"{self.update}, {self.point}, {self.who} killed, back {'late' if self.late else 'at once'}"


@dataclass(frozen=True)
class Execution:
    """A job execution as the API shows it."""

    status: str
    status_details: dict[str, str]
    version: int
    number: int


class Served:
    """A cloud in a process of its own, with the few calls that the fault tests have for one of theirs."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._argv = [sys.executable, "-m", "edge_sim.cli.main", "cloud", "serve", "--for-a-run", "--format", "json"]
        self._argv += ["--state", str(folder / "cloud.sqlite"), *options]
        self._port = 0
        self.jobs = self
        self.start()
        self.client("iot").create_thing(thingName=THING)

    def start(self) -> None:
        argv = [*self._argv, "--port", str(self._port)]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=PROJECT)
        assert self._process.stdout is not None
        about = json.loads(self._process.stdout.readline())
        self.url, self.mqtt = str(about["http"]), str(about["mqtt"])
        self._port = urlsplit(self.url).port or 0

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def update_job(self, _: str, build: bytes, *, version: str, software: str = "core") -> str:
        path = "/".join((software, *PLACE[1:], version))
        with urlopen(Request(f"{self.url}/edge-sim/builds/{path}", build, method="PUT")):
            pass
        answer = self.client("greengrass").create_software_update_job(
            S3UrlSignerRole=ROLE,
            SoftwareToUpdate=software,
            UpdateTargets=[f"arn:aws:iot:us-east-1:123456789012:thing/{THING}"],
            UpdateTargetsOperatingSystem=PLACE[1],
            UpdateTargetsArchitecture=PLACE[2],
        )
        return str(answer["IotJobId"])

    def execution(self, thing: str, job: str) -> Execution:
        found = self.client("iot").describe_job_execution(thingName=thing, jobId=job)["execution"]
        details = found.get("statusDetails", {}).get("detailsMap", {})
        return Execution(found["status"], details, found["versionNumber"], found["executionNumber"])

    def end_of(self, job: str) -> tuple[str, dict[str, str]]:
        until(lambda: self.execution(THING, job).status not in ("QUEUED", "IN_PROGRESS"), job)
        found = self.execution(THING, job)
        return found.status, found.status_details


class Broken:
    """A broker that can be killed and comes back at the same address."""

    def __init__(self) -> None:
        self._broker = start_broker()
        self._relay = Relay(urlsplit(self._broker.url).port or 0)
        self.url = f"mqtt://127.0.0.1:{self._relay.port}"

    def kill(self) -> None:
        self._broker.stop()
        self._relay.cut()

    def start(self) -> None:
        self._broker = start_broker()
        self._relay.target = urlsplit(self._broker.url).port or 0
        self._relay.start()


@contextmanager
def served(folder: Path, update: Update) -> Iterator[tuple[Board, Served, Broken]]:
    """A board whose cloud and broker are processes."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        broker = Broken()
        stack.callback(broker.kill)
        cloud = Served(folder, "--broker", broker.url)
        stack.callback(cloud.kill)
        here: Any = cloud
        found = Board(World(folder, broker.url, here, here), folder, update)
        stack.callback(found.down)
        yield found, cloud, broker


def lose(trial: Loss, folder: Path) -> str:
    """Carry out one trial and return the job's status."""
    with served(folder, trial.update) as (found, cloud, broker):
        agent = found.start(point=trial.point, action="wait")
        until(found.fired, found.story)
        lost = [each for name, each in (("broker", broker), ("cloud", cloud)) if name in trial.who]
        for each in lost:
            each.kill()
        seen, passed = len(agent.events), len(found.passed())
        if trial.late:
            found.go_on()
            until(lambda: len(agent.events) > seen or len(found.passed()) > passed, "the agent does not go on")
        for each in lost:
            each.start()
        found.go_on()
        return check(found, found.run_to_the_end(agent), [trial.update.end])


def losses(update: Update, points: list[str]) -> list[Loss]:
    """Return the trials of an update: a bad build's way is the good one's until its core, or its agent, is started."""
    own = [point for point in points if update.good or point.split(" ")[1] >= "P16"]
    return [
        Loss(update=update, point=point, who=who, late=late)
        for point in own
        for who in ("broker", "cloud", "broker and cloud")
        for late in (False, True)
    ]


def main() -> None:
    """Carry out the trials and print the counts."""
    started = time.monotonic()
    wholes = carry_out(points_of, UPDATES)
    every = [trial for whole in wholes for trial in losses(whole.trial, whole.value or [])]
    results = carry_out(lose, draw(every, sys.argv[1:], COUNT, kind=lambda loss: (loss.update, loss.point)))
    killed = Counter(result.trial.who for result in results)
    ends = Counter(result.value or "bad" for result in results)
    places = len({(result.trial.update, result.trial.point) for result in results})
    text = f"{len(results)} of {len(every)} losses at {places} points, {dict(killed)}, {dict(ends)}"
    end("cloud", text, failed(wholes) + failed(results), started)


if __name__ == "__main__":
    main()
