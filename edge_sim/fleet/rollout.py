"""A rollout over a fleet, from the cloud's start to the comparison of both accounts."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.fleet import jobs as api
from edge_sim.fleet import model, seats
from edge_sim.fleet.account import CoreAccount, Difference, Execution, counts, differences
from edge_sim.fleet.jobs import FleetJob, Progress
from edge_sim.fleet.processes import Heard, Processes, in_words
from edge_sim.fleetkeys import Fleet
from edge_sim.runs.aws import Aws
from edge_sim.runs.cloudprocess import CloudProcess, NamedBroker
from edge_sim.scenario import Scenario

SPAWN_RATE = 500
"""Cores that connect in a second."""
POLL_S = 0.5
SAY_EVERY_S = 2.0
SETTLE_S = 15.0
"""How long the cores may take to hear that their last reports were taken."""
PORTS = 25_000
"""Sessions from one address: Linux has 28,232 ports for each."""
ALONE = "alone"
CONNECTIONS_BESIDE = 50
"""Of the cloud itself, of real boards in the same fleet, and of who looks on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a fleet is run. ``minute_s`` and ``state`` are the cloud's; ``limit_s``: after that the run ends."""

    cores: int
    seed: int = 1
    workers: int = 0
    broker: NamedBroker | None = None
    state: Path | None = None
    minute_s: float = 60.0
    spawn_rate: int = SPAWN_RATE
    limit_s: float = 3600.0


@dataclass(kw_only=True)
class FleetReport:
    """What came of it. Times are epoch seconds; ``trouble``: what went wrong with the run itself."""

    scenario: str
    fleet: Fleet
    options: Options
    parts: dict[str, str] = field(default_factory=dict)
    accounts: list[CoreAccount] = field(default_factory=list)
    jobs: list[FleetJob] = field(default_factory=list)
    ends: dict[str, Progress] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    created_at: float | None = None
    over_at: float | None = None
    trouble: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        if self.interrupted:
            return 130
        if self.differences:
            return 5
        return 6 if self.trouble else 0


def run(
    scenario: Scenario, profiles: Sequence[DeviceProfile], options: Options, progress: Callable[[str], None]
) -> FleetReport:
    """Roll the scenario's update out over ``options.cores`` simulated cores of these profiles.

    Raises EdgeSimError for what ends the run before there is an account to compare.
    """
    fleet = scenario.fleet
    if fleet is None:
        raise InvalidDefinitionError(
            f"{scenario.file}: says nothing of a fleet", hint='Add the key "fleet" (docs/fleet.md).'
        )
    model.check(fleet, profiles)
    report = FleetReport(scenario=scenario.name, fleet=fleet, options=options)
    models = model.cores(fleet, profiles, options.cores, options.seed)
    connections = len(models) + CONNECTIONS_BESIDE
    more = ["--connections", str(connections)]
    more += ["--rollout-minute", f"{options.minute_s:g}", *(["--state", str(options.state)] if options.state else [])]
    with ExitStack() as stack:
        progress("starting the local cloud")
        cloud = stack.enter_context(CloudProcess(broker=options.broker, more=more))
        report.parts = {key: str(cloud.about[key]) for key in ("http", "mqtt", "broker", "region")}
        client = Aws(cloud.http, cloud.region, cloud.explain)
        progress(f"registering {len(models):,} things")
        report.jobs = api.register(cloud, models)
        processes = Processes()
        stack.callback(processes.end)
        _Rollout(report, models, cloud, client, processes, progress).run()
    return report


class _Rollout:
    """One run, once there is a cloud."""

    def __init__(
        self,
        report: FleetReport,
        models: Sequence[model.CoreModel],
        cloud: CloudProcess,
        client: Aws,
        processes: Processes,
        progress: Callable[[str], None],
    ) -> None:
        self._report = report
        self._cloud = cloud
        self._client = client
        self._processes = processes
        self._progress = progress
        self._options = report.options
        self._accounts = report.accounts = [CoreAccount(model=each) for each in models]
        self._seats = seats.Seats(range(len(models)), self._give)
        self._refused = ""
        self._told = 0.0
        self._deadline = time.monotonic() + report.options.limit_s

    def run(self) -> None:
        """Connect the cores, create the job, and wait for its end; compare the accounts however that goes."""
        self._start()
        try:
            self._connect()
            api.create(self._cloud, self._client, self._report.fleet, self._report.jobs)
            self._report.created_at = time.time()
            self._watch()
        except KeyboardInterrupt:
            self._report.interrupted = True
            self._compare()
            return
        self._compare()

    def _start(self) -> None:
        self._processes.start(ALONE, {"role": "local"})

    def _connect(self) -> None:
        spawn = {"do": "spawn", "count": len(self._accounts), "rate": self._options.spawn_rate}
        self._processes.tell(ALONE, spawn)
        while not all(account.connected for account in self._accounts):
            self._listen(POLL_S)
            self._say("connecting")
            if self._refused:
                raise UnsupportedEnvironmentError(self._refused)
            if self._report.trouble:
                raise UnsupportedEnvironmentError(self._report.trouble[0])
            self._look_at_clock()

    def _watch(self) -> None:
        polled = 0.0
        while not self._report.trouble:
            self._listen(0.1)
            if time.monotonic() - polled >= POLL_S:
                polled = time.monotonic()
                states = {job.job_id: api.progress(self._client, job) for job in self._report.jobs}
                self._report.ends = states
                if all(map(api.is_over, states.values())):
                    break
            self._say("rollout")
            self._look_at_clock()
        self._report.over_at = time.time()

    def _compare(self) -> None:
        """Compare the accounts, once the cores have heard what is on its way to them."""
        if self._report.created_at is None:
            return
        deadline = time.monotonic() + SETTLE_S
        while True:
            self._report.executions = [row for job in self._report.jobs for row in api.executions(self._client, job)]
            self._report.differences = differences(self._accounts, self._report.executions)
            settled = all(end.taken or end.refused for account in self._accounts for end in account.ends)
            if (settled and not self._report.differences) or time.monotonic() > deadline:
                return
            self._listen(POLL_S)

    # ---- what the processes say

    def _listen(self, limit_s: float) -> None:
        """Take what the processes have said; wait for it at most so long."""
        try:
            self._take(self._processes.heard.get(timeout=limit_s))
        except queue.Empty:
            return
        for heard in self._processes.drained():
            self._take(heard)

    def _take(self, heard: Heard) -> None:
        line = heard.line
        if line is None:
            self._ended(heard.process, heard.status or 0)
        elif isinstance(line, list):
            self._core(*line)
        elif line.get("say") == "want":
            self._seats.want(heard.process)
        elif line.get("say") == "left":
            self._accounts[line["number"]].disk = line["disk"]
            self._seats.leave(line["number"])

    def _core(self, number: int, at: float, kind: str, members: Mapping[str, Any]) -> None:
        account = self._accounts[number]
        account.hear(at, kind, members)
        if kind == "down" and members["final"]:
            self._refused = f"core {account.model.thing} cannot connect to {self._cloud.mqtt}: {members['text']}"
        elif kind == "trouble" and members["text"] not in self._report.trouble:
            self._report.trouble.append(members["text"])

    def _ended(self, process: str, status: int) -> None:
        lost = self._seats.lost(process)
        for number in lost:
            self._accounts[number].connected = False
        self._report.trouble.append(f"the process of {len(lost):,} cores {in_words(status)}")

    def _give(self, process: str, number: int) -> None:
        account = self._accounts[number]
        host = urlsplit(self._cloud.mqtt).hostname or ""
        source = seats.source_address(number, host, PORTS)
        line = {
            "do": "take",
            "model": account.model.as_json(),
            "disk": account.disk or {"version": account.model.version, "good": None, "record": None},
            "broker": {"url": self._cloud.mqtt, "source": source},
        }
        self._processes.tell(process, line)

    # ---- what the user sees

    def _say(self, what: str) -> None:
        now = time.monotonic()
        if now - self._told < SAY_EVERY_S:
            return
        self._told = now
        if what == "connecting":
            there = sum(account.connected for account in self._accounts)
            self._progress(f"{there:,} of {len(self._accounts):,} cores are connected")
            return
        states = counts(self._accounts)
        self._progress(", ".join(f"{number:,} {state}" for state, number in sorted(states.items())))

    def _look_at_clock(self) -> None:
        self._cloud.check()
        if time.monotonic() > self._deadline:
            self._report.trouble.append(f"the fleet was not done after {self._options.limit_s:g} s")
