"""A rollout over a fleet, from the cloud's start to the comparison of both accounts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edge_sim.cloud.brokers.broker import HOST
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import drivers
from edge_sim.emulation.board import AgentSettings, ThingCredentials
from edge_sim.emulation.drivers import Driver
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.fleet import control, limits, model, sample, seats, storms
from edge_sim.fleet import jobs as api
from edge_sim.fleet.account import STATES, CoreAccount, Disagreement, Execution, counts, differences, held_up, kept_out
from edge_sim.fleet.crew import LOOPBACK, Crew, Shape
from edge_sim.fleet.jobs import FleetJob, Progress
from edge_sim.fleet.model import CoreModel
from edge_sim.fleetkeys import Fleet, Storm
from edge_sim.folders import while_in_use
from edge_sim.runs.aws import Aws
from edge_sim.runs.cloudprocess import CloudProcess, NamedBroker
from edge_sim.runs.runner import check_definition
from edge_sim.scenario import Scenario

SPAWN_RATE = 500
"""Cores that connect in a second."""
POLL_S = 0.5
SAY_EVERY_S = 2.0
SETTLE_S = 15.0
"""How long the cores may take to hear that their last reports were taken."""
SETTLE_EMULATED_S = 120.0
"""The same, where a board's processor may be emulated."""
PORTS = 25_000
"""Sessions from one address: Linux has 28,232 ports for each."""
CONNECTIONS_BESIDE = 50
"""Of the cloud itself, of real boards in the same fleet, and of who looks on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a fleet is run. ``minute_s`` and ``state`` are the cloud's; ``limit_s``: after that the run ends.

    ``control``: how many real agents take part beside the simulated cores, as processes; ``control_boards``: the
    profiles of those in containers.
    """

    cores: int
    control: int = 0
    control_boards: tuple[str, ...] = ()
    seed: int = 1
    shape: Shape = field(default_factory=Shape)
    broker: NamedBroker | None = None
    state: Path | None = None
    tls: bool = False
    minute_s: float = 60.0
    spawn_rate: int = SPAWN_RATE
    limit_s: float = 3600.0


@dataclass(kw_only=True)
class FleetReport:
    """The outcome. Times are epoch seconds; ``trouble``: what went wrong with the run itself."""

    scenario: str
    fleet: Fleet
    options: Options
    parts: dict[str, str] = field(default_factory=dict)
    accounts: list[CoreAccount] = field(default_factory=list)
    jobs: list[FleetJob] = field(default_factory=list)
    ends: dict[str, Progress] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    differences: list[Disagreement] = field(default_factory=list)
    created_at: float | None = None
    findings: list[str] = field(default_factory=list)
    """Where the real agents went through it otherwise than the simulated cores."""
    storms: Sequence[tuple[float, Storm]] = ()
    """What befell the fleet, and when."""
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
    warnings = check_definition(scenario.definition)
    fleet = scenario.fleet
    if fleet is None:
        raise InvalidDefinitionError(
            f"{scenario.file}: describes no fleet", hint='Add the key "fleet" (docs/fleet.md).'
        )
    model.check(fleet, profiles)
    containers = control.named(options.control_boards, profiles, fleet)
    shape, broker = options.shape, options.broker
    near = _near_limits(options)
    report = FleetReport(scenario=scenario.name, fleet=fleet, options=options, notes=[*warnings, *near])
    models = model.cores(fleet, profiles, options.cores, options.seed)
    boards = control.boards(models, fleet, options.control, containers, options.seed)
    connections = len(models) + CONNECTIONS_BESIDE
    more = ["--connections", str(connections), "--rollout-minute", f"{options.minute_s:g}"]
    more += ["--tls", "--port", "0", "--mqtt-port", "0"] if options.tls else []
    with ExitStack() as stack:
        driver = stack.enter_context(_docker(containers, broker, progress)) if containers else None
        bind = driver.bind if driver else shape.bind if shape.remote else None
        progress("starting the local cloud")
        folder = Path(stack.enter_context(while_in_use("edge-sim-fleet-"))[0])
        ground = stack.enter_context(
            storms.ground(fleet.storms, broker, options.state, folder, connections, bind or HOST)
        )
        more += ["--state", str(ground.state)] if ground.state else []
        cloud = stack.enter_context(CloudProcess(broker=ground.broker, bind=bind, more=more))
        report.parts = {key: str(cloud.about[key]) for key in ("http", "mqtt", "broker", "region")}
        client = Aws(cloud.http, cloud.region, cloud.explain, secret=cloud.secret, cafile=cloud.cafile)
        progress(f"registering {len(models) + len(boards):,} things")
        report.jobs = api.register(cloud, [*models, *boards])
        report.accounts = [CoreAccount(model=each) for each in models]
        for number, each in enumerate(boards):
            place = each.architecture if number >= len(boards) - len(containers) else ""
            report.accounts.append(CoreAccount(model=each, real=True, container=place))
        rollout = _Rollout(report, cloud, client, progress, folder if options.tls else None)
        rollout.storms.engine = ground.engine
        stack.callback(rollout.crew.end)
        agents = stack.enter_context(control.ControlAgents(rollout.crew.hear))
        rollout.run(agents, containers, driver)
        report.findings = sample.findings(report.accounts)
    return report


def _near_limits(options: Options) -> list[str]:
    broker, shape = options.broker, options.shape
    if shape.remote:
        limits.check_port("--port", shape.bind, shape.port)
    if shape.web_port is not None:
        limits.check_port("--web-port", LOOPBACK, shape.web_port)
    ours = shape.remote or broker is None or (urlsplit(broker.url).hostname or "").startswith("127.")
    return limits.check(
        options.cores,
        max(1, shape.workers),
        own_broker=broker is None,
        tls=options.tls,
        loopback=ours and not options.control_boards,
    )


def _docker(
    profiles: Sequence[DeviceProfile], broker: NamedBroker | None, progress: Callable[[str], None]
) -> AbstractContextManager[Driver]:
    return drivers.docker(profiles, broker=broker.url if broker else None, progress=progress, purpose="fleet")


class _Rollout:
    """One run, once there is a cloud."""

    def __init__(
        self,
        report: FleetReport,
        cloud: CloudProcess,
        client: Aws,
        progress: Callable[[str], None],
        folder: Path | None,
    ) -> None:
        self._folder = folder
        self._report = report
        self._cloud = cloud
        self._client = client
        self._progress = progress
        self._options = report.options
        self._accounts = report.accounts
        self.crew = Crew(report.options.shape, self._accounts, self._seat)
        self.crew.notes += report.notes
        report.trouble, report.notes = self.crew.trouble, self.crew.notes
        self.storms = storms.Storms(report.fleet.storms, cloud, self.crew.drop)
        report.storms = self.storms.passed
        self._shown_at = 0.0
        self._deadline = time.monotonic() + report.options.limit_s

    def run(self, agents: control.ControlAgents, profiles: Sequence[DeviceProfile], driver: Driver | None) -> None:
        """Connect the cores, create the job, and wait for its end; compare the accounts however that goes.

        ``profiles`` are those of the real agents that ``driver`` has containers for.
        """
        try:
            self._certify()
            real = [account for account in self._accounts if account.real]
            agents.start([account.model for account in real if not account.container], self._settings)
            if driver is not None:
                self._progress(f"creating {len(profiles):,} boards in containers")
                inside = [account.model for account in real if account.container]
                agents.start_boards(inside, profiles, self._settings, driver)
            self.crew.start(self._progress)
            self._connect()
            api.create(self._cloud, self._client, self._report.fleet, self._report.jobs)
            self._report.created_at = time.time()
            self._watch()
        except KeyboardInterrupt:
            self._report.interrupted = True
        self._compare()
        text = kept_out(self._accounts)
        if text and text not in self.crew.trouble:
            self.crew.notes.append(text)

    def _settings(self, core: CoreModel) -> AgentSettings:
        """Return a real agent's settings."""
        broker = self._options.broker
        cafile, identity = broker.cafile if broker else None, None
        if self._folder is not None:
            files = {name: Path(file) for name, file in api.credentials(self._folder, core.number).items()}
            cafile, identity = files["cafile"], ThingCredentials(certificate=files["certificate"], key=files["key"])
        return AgentSettings(
            thing=core.thing,
            broker=self._cloud.mqtt,
            cafile=cafile,
            identity=identity,
            stable_window_s=max(1, round(core.stable_s)),
        )

    def _certify(self) -> None:
        """With TLS: give every core its certificate."""
        models = [account.model for account in self._accounts]
        if self._folder is not None:
            for done in api.certify(self._cloud, self._client, models, self._folder):
                self._say(f"{done:,} of {len(models):,} cores have a certificate")

    def _connect(self) -> None:
        self.crew.spawn(self._options.spawn_rate)
        self._show()
        while not all(account.connected for account in self._accounts):
            self.crew.listen(POLL_S)
            there = sum(account.connected for account in self._accounts)
            self._say(f"{there:,} of {len(self._accounts):,} cores are connected")
            self._look_at_clock()
            stopped = self.crew.trouble[:1] or [kept_out(self._accounts)]
            if stopped[0]:
                raise UnsupportedEnvironmentError(stopped[0])
        self.crew.settle()

    def _watch(self) -> None:
        polled = 0.0
        while not self.crew.trouble:
            self.crew.listen(0.1)
            if time.monotonic() - polled >= POLL_S:
                polled = time.monotonic()
                self._report.ends = {job.job_id: api.progress(self._client, job) for job in self._report.jobs}
                if self.storms.over and self._is_over():
                    break
                self.storms.carry_out(time.time() - (self._report.created_at or 0.0))
            if time.monotonic() - self._shown_at >= SAY_EVERY_S:  # counting thousands of cores takes a while
                states = self._show()
                self._say(", ".join(f"{states[state]:,} {state}" for state in STATES if states[state]))
            self._look_at_clock()
        self._show()

    def _show(self) -> Counter[str]:
        """Have the live page show which core is in which state, and return how many are in each."""
        self.crew.show(self._cloud.mqtt, {account.model.thing: account.state for account in self._accounts})
        return counts(self._accounts)

    def _is_over(self) -> bool:
        """Tell whether nothing more will come: all jobs are over, or wait for cores alone that cannot connect."""
        ends = self._report.ends.values()
        if all(map(api.is_over, ends)):
            return True
        out = sum(bool(account.kept_out) for account in self._accounts)
        if any(end.waiting for end in ends) or sum(end.pending for end in ends) > out:
            return False
        executions = [row for job in self._report.jobs for row in api.executions(self._client, job)]
        if held_up(self._accounts, executions, timed=bool(self._report.fleet.timeout_minutes)):
            self.crew.trouble.append(kept_out(self._accounts))
            return True
        return False

    def _compare(self) -> None:
        """Compare the accounts, once the cores have heard what is on its way to them."""
        if self._report.created_at is None:
            return
        slow = any(account.container for account in self._accounts)
        deadline = time.monotonic() + (SETTLE_EMULATED_S if slow else SETTLE_S)
        while True:
            self._report.executions = [row for job in self._report.jobs for row in api.executions(self._client, job)]
            self._report.differences = differences(self._accounts, self._report.executions)
            settled = all(
                end.taken or end.refused or account.kept_out for account in self._accounts for end in account.ends
            )
            if (settled and not self._report.differences) or time.monotonic() > deadline:
                return
            self.crew.listen(POLL_S)

    def _seat(self, number: int) -> dict[str, object]:
        """Return the line that hands a core to a process."""
        account = self._accounts[number]
        host = urlsplit(self._cloud.mqtt).hostname or ""
        return {
            **({"tls": api.credentials(self._folder, number)} if self._folder else {}),
            "do": "take",
            "model": account.model.as_json(),
            "disk": account.disk or {"version": account.model.version, "good": None, "record": None},
            "broker": {"url": self._cloud.mqtt, "source": seats.source_address(number, host, PORTS)},
        }

    def _say(self, text: str) -> None:
        """Show how far the run is, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._shown_at >= SAY_EVERY_S:
            self._shown_at = now
            self._progress(text)

    def _look_at_clock(self) -> None:
        self._cloud.check()
        if time.monotonic() > self._deadline:
            self.crew.trouble.append(f"the fleet had not finished after {self._options.limit_s:g} s")
