"""A board of the fault tests, its real agent and its cloud, and the oracle: what must hold after whatever befell it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent import supervise
from edge_sim.agent.update.journal import NAME, PREVIOUS
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.software import CORE, OTA_AGENT
from edge_sim.agent.version import VERSION
from edge_sim.emulation.agentbuild import agent_build
from edge_sim.emulation.corebuild import core_build
from tests.faults.armed import power
from tests.faults.armed.actions import GO_ON
from tests.integration.agent_world import NEW, OLD, THING, Agent, World, assert_kept, kept, lay_shadow, world
from tests.waiting import until

PROJECT = Path(__file__).parents[2]
ARMED = Path(__file__).parent / "armed"
UPDATE_LIMIT_S = 240.0
"""For a whole update below strace beside others: far more than any takes."""
MOST_STARTS = 12
"""How often init starts an agent in one trial: far more than any needs."""
NEXT = "1.11.7"
"""The core of the job after the one that something befell."""
PROGRAM = "from edge_sim.agent.program import main; main()"


@dataclass(frozen=True, kw_only=True)
class Update:
    """What is updated, and whether the new version works."""

    software: str = "core"
    good: bool = True

    @property
    def old(self) -> str:
        return OLD if self.software == "core" else VERSION

    @property
    def new(self) -> str:
        return NEW if self.software == "core" else "1.99.0"

    @property
    def build(self) -> bytes:
        make = core_build if self.software == "core" else agent_build
        return make(self.new, starts=self.good)

    @property
    def end(self) -> str:
        """The status that it ends with when nothing but a power cut befalls it."""
        return "SUCCEEDED" if self.good else "FAILED"

    def __str__(self) -> str:
        return f"{self.software}, {'good' if self.good else 'bad'} build"


class Board:
    """A board, its cloud, and what is to be kept on it. ``here`` has both; ``update`` is what it is offered."""

    def __init__(self, here: World, directory: Path, update: Update) -> None:
        self.here, self.update = here, update
        self.root, self.gg = here.root, here.root / "greengrass"
        self.fault = directory / "fault"
        self.fault.mkdir()
        settings = json.loads(here.config.read_text())
        here.config.write_text(json.dumps({**settings, "stableWindow": 1}))
        lay_shadow(here)
        (self.gg / "ggc/var/log/system/runtime.log").write_text("[2026-01-01T00:00:00.000Z][INFO]-Before.\n")
        self.kept = kept(here)
        self.agents: list[Agent] = []
        self.job = here.cloud.update_job("faulted", update.build, version=update.new, software=update.software)

    def start(self, *, wrapper: Sequence[str] = (), point: str = "", action: str = "", amount: int = 0) -> Agent:
        """Start the board's agent as its init would; ``wrapper`` runs it.

        At ``point`` it carries out ``action``, one of ``armed.actions``, some of which take the number ``amount``.
        """
        fault = {
            "EDGE_SIM_FAULT_POINT": point,
            "EDGE_SIM_FAULT_ACTION": action,
            "EDGE_SIM_FAULT_BOARD": str(self.root),
            "EDGE_SIM_FAULT_AMOUNT": str(amount),
        }
        paths = os.pathsep.join((str(ARMED), str(PROJECT)))
        environment = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "EDGE_SIM_FAULT": str(self.fault), **fault}
        words = [f"{name}={value}" for name, value in environment.items()]
        program = [sys.executable, "-c", PROGRAM, str(self.root), str(self.here.config)]
        agent = Agent(self.root, self.here.config, ["env", *words, *wrapper, *program])
        self.agents.append(agent)
        return agent

    def run_to_the_end(self, agent: Agent) -> Agent:
        """Return the agent that has brought the job to its end; one that has ended is started again by init."""
        while not self.settled():
            agent = self.kept_alive(agent)
            self.wait(agent)
        return agent

    def kept_alive(self, agent: Agent) -> Agent:
        """Return the agent, or the one that init starts in place of it when it has ended."""
        if agent.process.poll() is None:
            return agent
        self.reap(agent)
        assert len(self.agents) < MOST_STARTS, self.story()
        return self.start()

    def wait_for_agent(self, agent: Agent, version: str) -> Agent:
        """Return the agent once ``version`` runs and no other."""
        alive = agent

        def runs() -> bool:
            nonlocal alive
            alive = self.kept_alive(alive)
            return self.agent_versions() == [version]

        until(runs, lambda: f"{self.agent_versions()} run, not {version} once; {self.story()}")
        return alive

    def wait(self, agent: Agent) -> None:
        """Wait until the job is over, or ``agent`` has ended."""
        until(lambda: self.settled() or agent.process.poll() is not None, self.story, limit_s=UPDATE_LIMIT_S)

    def wait_for_trouble(self, agent: Agent) -> None:
        """Wait until the job is over, or the agent says what keeps it open or ends; then one core must run."""
        until(
            lambda: self.settled() or agent.process.poll() is not None or events_of([agent], event="error"),
            self.story,
            limit_s=UPDATE_LIMIT_S,
        )
        self.check_core()

    def check_core(self) -> None:
        """Check that one core runs, whatever has failed on the disk: the old one or the new one."""
        versions = [self.update.old, self.update.new] if self.update.software == "core" else [OLD]
        until(lambda: self.cores() in [[version] for version in versions], self.story)

    def settled(self) -> bool:
        """Tell whether the job is over in the cloud and on the board."""
        journals = [self.gg / "ggc/var/state" / name for name in (NAME, PREVIOUS)]
        return self.status() not in ("QUEUED", "IN_PROGRESS") and not any(map(Path.exists, journals))

    def status(self) -> str:
        return self.here.cloud.jobs.execution(THING, self.job).status

    def fired(self) -> bool:
        return self._struck() is not None

    def wait_for_death(self) -> None:
        """Wait until the agent that passed its point is dead: what still runs is no sign that it went well."""
        until(lambda: self._struck() not in set(power.processes(str(self.root))), "the agent goes on")

    def _struck(self) -> int | None:
        with suppress(FileNotFoundError):
            return int((self.fault / "fired").read_text() or 0) or None
        return None

    def go_on(self) -> None:
        """Let an agent go on that waits at its point."""
        (self.fault / GO_ON).touch()

    def passed(self) -> list[str]:
        """Return the points that were passed, each after the version of the agent that did."""
        with suppress(FileNotFoundError):
            return (self.fault / "passed").read_text().splitlines()
        return []

    def reap(self, agent: Agent) -> None:
        """Collect an agent that has ended, and check that it did so without a traceback."""
        agent.stop()
        assert "Traceback" not in agent.errors, agent.errors

    def down(self) -> None:
        """Have the whole board go down, as its power fails."""
        power.cut(str(self.root))
        for agent in self.agents:
            agent.stop()

    def story(self) -> str:
        """Return what the agents said, for a failure's text."""
        said = [
            {name: value for name, value in event.items() if name not in ("job", "way")}
            for agent in self.agents
            for event in agent.events
            if event["event"] != "message"
        ]
        return f"{self.update}: {self.status()}\n" + "\n".join(map(str, said))

    # ---- what is

    def releases(self, software: str) -> Releases:
        return Releases(self.root, self.gg, CORE if software == "core" else OTA_AGENT)

    def cores(self) -> list[str]:
        """Return the versions of the cores that run, each as often as it does."""
        return [Path(words[1]).parents[1].name for words in self._running("/bin/daemon")]

    def agent_versions(self) -> list[str]:
        """Return the versions of the agents that run, each as often as it does."""
        found = []
        for pid in power.processes(str(self.root)):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if "-c" in words[:2] and any("agent.program" in word for word in words[:3]):
                    place = dict(
                        pair.partition("=")[::2] for pair in Path(f"/proc/{pid}/environ").read_text().split("\0")
                    ).get("OTA_AGENT")
                    found.append(Path(place).name.removeprefix("ota_agent_v") if place else VERSION)
        return found

    def _running(self, program: str) -> list[list[str]]:
        """Return the arguments of the processes of a program, without children that are about to be another one."""
        found: dict[int, tuple[int, list[str]]] = {}
        for pid in power.processes(str(self.root)):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
                if len(words) > 1 and words[1].endswith(program):
                    found[pid] = int(parent), words
        return [words for parent, words in found.values() if parent not in found]


@contextmanager
def board(directory: Path, update: Update, disk: Path | None = None) -> Iterator[Board]:
    """A board with its cloud, which has one job for it; all of it is ended behind the block.

    The board lies in ``disk`` if there is one, else in ``directory``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with world(disk or directory) as here:
        found = Board(here, directory, update)
        try:
            yield found
        finally:
            found.down()


def check(board: Board, agent: Agent, allowed: Collection[str], *, tidy: bool = True) -> str:
    """The oracle: what must hold once the job is over, whatever befell the board. Returns the job's status.

    Exactly one of old and new runs and is healthy; link, journal and the reported versions say the same; the cloud's
    execution is in one of the ``allowed`` states; nothing was lost, or done twice; and the next job succeeds.
    ``tidy`` False: the disk has failed, and something may have been left lying.
    """
    update, story = board.update, board.story()
    execution = board.here.cloud.jobs.execution(THING, board.job)
    assert execution.status in allowed, story
    details = dict(execution.status_details or {})
    if execution.status != "REJECTED":
        assert (details["from"], details["to"]) == (update.old, update.new), story
    runs = update.new if execution.status == "SUCCEEDED" else update.old
    core, own = (runs, VERSION) if update.software == "core" else (OLD, runs)
    agent = board.wait_for_agent(agent, own)
    until(lambda: board.cores() == [core], lambda: f"{board.cores()} run, not {core} once; {board.story()}")
    releases = board.releases(update.software)
    assert releases.current() == runs, story
    assert board.settled(), story
    assert not (board.gg / supervise.TRIAL).exists(), story
    if tidy:
        assert not releases.staging.exists(), story
        installed = {update.old, runs} if update.software == "core" else {runs} - {VERSION}
        assert set(releases.installed()) == installed, (releases.installed(), story)
    assert_kept(board.kept, board.here)
    if tidy:  # else it is said again, with the same token, until the disk lets it be forgotten
        assert len(events_of(board.agents, event="reported", job=board.job)) <= 1, story
    _check_next(board, agent)
    assert board.here.cloud.jobs.execution(THING, board.job) == execution, story
    return execution.status


def _check_next(board: Board, agent: Agent) -> None:
    """Have the board carry out the next job."""
    cloud = board.here.cloud
    job = cloud.update_job("next", core_build(NEXT), version=NEXT)
    status, details = cloud.end_of(job)
    assert status == "SUCCEEDED", (details, board.story())
    until(lambda: board.cores() == [NEXT], board.story)
    agent.wait_for(event="reported", job=job)
    assert board.releases("core").current() == NEXT


def events_of(agents: Sequence[Agent], **fields: object) -> list[Mapping[str, object]]:
    """Return the events with these fields, of all agents."""
    return [e for each in agents for e in each.events if all(e.get(name) == value for name, value in fields.items())]
