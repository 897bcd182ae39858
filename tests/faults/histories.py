"""Message histories between an agent and AWS IoT Jobs, with loss, copies, other orders, reconnects and restarts.

``python -m tests.faults.histories [COUNT] [FIRST]`` generates COUNT of them from consecutive seeds and prints counts;
a history that breaks a rule ends it with the seed. The agent's updater, journal, job client and outbox and the service
are the real ones; a small model stands for the board: a version that is switched to.

Every job ends once and in the cloud's order; an update that SUCCEEDED was switched to exactly once, no other stays;
jobs of others are left alone; and the agent has nothing open at the end.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sim.agent.config import STEP_TIMEOUT_MINUTES
from edge_sim.agent.events import LogFile
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.update.installation import UpdateSettings
from edge_sim.agent.update.jobclient import JobClient, RefusedError
from edge_sim.agent.update.journal import Journal
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.task import UpdateTarget
from edge_sim.agent.update.updater import Updater
from edge_sim.cloud.protocol import ApiError
from edge_sim.errors import UpdateError
from edge_sim.jobs.update import JOB_ID_PREFIX, MAX_STARTS, UpdateDocument, build_document
from tests.fakes_cloud import THING, MemoryCloud
from tests.faults.trials import end, summed

ROUNDS = 400
"""How often the agent asks before a history counts as one that never ends."""
SILENT_AFTER = 200
"""Rounds after which the step timers run out: a start that arrived late, of an agent that has forgotten it, is left
alone as another board's."""
CALM_AFTER = 60
"""Rounds after which nothing goes wrong any more: what was lost until then must be made good."""
FIRST_VERSION = "1.0.0"


class Killed(BaseException):
    """The agent ends here, as by SIGKILL."""


@dataclass
class Board:
    """What survives the agent: the version that is current, and every switch to one."""

    current: str | None = FIRST_VERSION
    switches: list[str] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    point: Callable[[], None] = lambda: None

    # as ``Installation``, of which it is the model

    software = CORE
    settings = UpdateSettings(stable_s=0)

    @property
    def releases(self) -> Releases:
        return Releases(self)

    def respawns(self) -> bool:
        return False

    def took_over(self, _: str) -> bool:
        return False

    def prepare(self) -> None:
        self.point()

    def stage(self, update: UpdateDocument, on_progress: Callable[[int], None]) -> None:
        for received in (0, update.size // 2, update.size):
            on_progress(received)
            self.point()

    def verify(self, *_: object) -> None:
        self.point()

    def activate(self, _: str, version: str, saw: object) -> None:
        if self.current != version:
            self.switches.append(version)
            self.current = version
        self.point()

    def confirm(self, version: str, on_pass: Callable[[], None], saw: object) -> None:
        on_pass()
        self.point()
        if version in self.broken:
            raise UpdateError("broken on purpose")

    def roll_back(self, version: str | None, _: object) -> str:
        self.current = version
        self.point()
        return version or ""

    def unhealthy(self, _: str) -> str | None:
        return None

    def given_up(self, _: str) -> str | None:
        return None

    def settle(self) -> None:
        pass


@dataclass(frozen=True)
class Releases:
    """As the ``Releases`` of a board."""

    board: Board

    def current(self) -> str | None:
        return self.board.current

    def installed(self) -> list[str]:
        return [self.board.current or ""]

    def last_known_good(self) -> str | None:
        return None

    def whole(self, _: str) -> bool:
        return True

    def sync(self) -> None:
        pass

    def sweep(self) -> None:
        pass

    def remember_good(self, _: str) -> None:
        pass

    def prune(self, _: object) -> list[str]:
        return []


class Guard:
    """As the ``Guard`` of a board on which nothing dies."""

    events = ""

    def forget_events(self) -> None:
        pass

    def saw(self, version: str, trouble: str | None) -> None:
        pass

    def bring_up(self, versions: Sequence[str], unhealthy: object) -> str:
        raise AssertionError("the model's roll-back asks nobody")

    @contextmanager
    def held(self) -> Iterator[None]:
        yield


class Lossy:
    """A connection on which messages are lost, come twice, later, or after a restart."""

    def __init__(self, history: History) -> None:
        self._history = history

    def publish(self, topic: str, payload: bytes, /) -> None:
        self._history.send(topic, payload)


class History:
    """One history, all of it drawn from ``seed``."""

    def __init__(self, seed: int, state: Path) -> None:
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.cloud = MemoryCloud()
        self.cloud.device.outbox.publish = self._from_cloud
        self.trouble = self.chance.choice((0.0, 0.05, 0.15, 0.3))
        self.late: list[tuple[str, bytes]] = []
        self.state = state
        self.jobs: dict[str, str] = {}
        self.canceled: set[str] = set()
        self.timed_out: set[str] = set()
        self.agent: JobClient | None = None
        self.board = Board(point=self._maybe_killed)

    def play(self) -> None:
        """Play it to its end. Raises AssertionError when it breaks a rule."""
        self._queue_jobs()
        for number in range(ROUNDS):
            if number == CALM_AFTER:
                self.trouble = 0.0
            if number == SILENT_AFTER:
                self._let_timers_run_out()
            try:
                agent = self._agent()
                while not self._work(agent):
                    pass
                if self._over():
                    break
            except Killed:
                self.counts["restarts"] += 1
        else:
            raise AssertionError(f"not over after {ROUNDS} rounds: {self._statuses()}")
        self._check()

    # ---- what happens

    def _queue_jobs(self) -> None:
        broken = []
        for number in range(self.chance.randint(1, 3)):
            if self.chance.random() < 0.5:
                for other in range(self.chance.randint(1, 12)):
                    self.cloud.queue(f"other-{number}-{other}")
            version = f"1.0.{number + 1}"
            if self.chance.random() < 0.25:
                broken.append(version)
            document = build_document(
                UpdateDocument(
                    software="core", version=version, architecture="armv7l", operating_system="raspbian",
                    log_level="ERROR", url="https://s3.amazonaws.com/b/k", sha256="0" * 64, size=100,
                )
            )  # fmt: skip
            document["file"]["url"] = "http://h/build"
            self.jobs[self.cloud.queue(f"{JOB_ID_PREFIX}{number}", document)] = version
        self.board.broken = frozenset(broken)

    def _let_timers_run_out(self) -> None:
        begun = [job for job, status in self._statuses().items() if status == "IN_PROGRESS"]
        now = self.cloud.device.now() + 60 * (STEP_TIMEOUT_MINUTES + 1)
        self.cloud.device.now = lambda: now
        self.cloud.device.sweep()
        self.timed_out.update(begun)
        self.counts["timed out"] += len(begun)

    def _agent(self) -> Updater:
        """Start an agent on what the one before has left."""
        stop = threading.Event()
        stop.wait = lambda timeout=None: False  # type: ignore[method-assign]  # pauses take no time
        jobs = self.agent = JobClient(THING, stop=stop, answer_limit_s=0, new_token=lambda: f"{self.chance.random()}")
        jobs.attach(Lossy(self))
        board: Any = self.board
        guard: Any = Guard()
        updater = Updater(
            {"core": UpdateTarget(installation=board, watch=guard)},
            jobs,
            Journal(self.state),
            BoardIdentity(architecture="armv7l", operating_system="raspbian"),
            guard=guard,
            emit=lambda *_, **__: None,
            log=LogFile(Path("/dev/null")),
            stop=stop,
        )
        updater.resolve()
        return updater

    def _work(self, agent: Updater) -> bool:
        """Have the agent ask once; return whether it has got through."""
        self._maybe_canceled()
        with suppress(OfflineError, RefusedError):
            agent.work()
            return True
        self.counts["reconnects"] += 1
        return self.chance.random() < 0.3  # or else a new agent goes on

    def _maybe_killed(self) -> None:
        if self.chance.random() < self.trouble / 4:
            raise Killed

    def _maybe_canceled(self) -> None:
        if self.trouble and self.chance.random() < 0.02:
            job = self.chance.choice(list(self.jobs))
            with suppress(ApiError):
                self.cloud.jobs.cancel_job_execution(THING, job, force=True)
                self.canceled.add(job)

    # ---- the network

    def send(self, topic: str, payload: bytes) -> None:
        """Carry what the agent publishes, or not, or later, or twice."""
        self.counts["messages"] += 1
        self._maybe_killed()
        if self._luck("lost"):
            return
        if self._luck("late"):
            self.late.append((topic, payload))
            return
        for _ in range(2 if self._luck("twice") else 1):
            self.cloud.device.take([(topic, payload)])
        while self.late and self.chance.random() < 0.5:
            self.cloud.device.take([self.late.pop(self.chance.randrange(len(self.late)))])
        if self._luck("disconnects"):
            raise OfflineError("the connection is lost")
        self._maybe_killed()

    def _from_cloud(self, topic: str, payload: bytes) -> Any:
        if not self._luck("answers lost") and self.agent is not None:
            for _ in range(2 if self._luck("answers twice") else 1):
                self.agent.deliver(topic, payload)
        return Received()

    def _luck(self, what: str) -> bool:
        hit = self.chance.random() < self.trouble
        self.counts[what] += hit
        return hit

    # ---- what must hold

    def _statuses(self) -> dict[str, str]:
        return {job: self.cloud.jobs.execution(THING, job).status for job in self.jobs}

    def _over(self) -> bool:
        ended = all(status not in ("QUEUED", "IN_PROGRESS") for status in self._statuses().values())
        return ended and Journal(self.state).read() is None

    def _check(self) -> None:
        statuses = self._statuses()
        good = [self.jobs[job] for job, status in statuses.items() if status == "SUCCEEDED"]
        for job, status in statuses.items():
            version, allowed = self.jobs[job], {"FAILED"} if self.jobs[job] in self.board.broken else {"SUCCEEDED"}
            if job in self.canceled:
                allowed.add("CANCELED")
            if job in self.timed_out:
                allowed.add("TIMED_OUT")
            reason = (self.cloud.jobs.execution(THING, job).status_details or {}).get("reason", "")
            if f"{MAX_STARTS} times" in reason:  # it was killed at each of its starts
                allowed.add("FAILED")
            assert status in allowed, (job, status, allowed, reason)
            if status == "SUCCEEDED":
                assert self.board.switches.count(version) == 1, (version, self.board.switches)
        assert self.board.switches == sorted(self.board.switches), self.board.switches
        too_late = {self.jobs[job] for job in self.canceled if statuses[job] == "CANCELED"}  # it was confirmed already
        assert self.board.current in {good[-1] if good else FIRST_VERSION, *too_late}
        others = self.cloud.jobs.executions_of_thing(THING, "QUEUED", limit=100, position=0)[0]
        assert all(execution.version == 1 for execution in others)


class Received:
    def is_published(self) -> bool:
        return True


def play(seeds: Sequence[int]) -> Counter[str]:
    """Play the histories of ``seeds`` and return what happened in them."""
    counts: Counter[str] = Counter(histories=len(seeds))
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            history = History(seed, Path(folder))
            try:
                history.play()
            except BaseException:
                print(f"seed {seed}: {dict(history.counts)}", file=sys.stderr)
                raise
        counts += history.counts
        counts.update(f"{status} jobs" for status in history._statuses().values())
    return counts


def play_block(seeds: Sequence[int], _: Path) -> Counter[str]:
    """Play the histories of ``seeds`` as one trial of many."""
    return play(seeds)


def main() -> None:
    """Play as many as the command line says, 10,000 if it says nothing, and print the counts."""
    started = time.monotonic()
    count, first = [*map(int, sys.argv[1:3]), *(10_000, 0)[len(sys.argv[1:3]) :]]
    counts, failures = summed(play_block, count, first)
    text = ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))
    end("messages", text, failures, started)


if __name__ == "__main__":
    main()
