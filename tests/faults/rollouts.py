"""Rollouts against a small model of their rules: random jobs, reports, groups and minutes, compared after each step.

``python -m tests.faults.rollouts [COUNT] [FIRST]`` plays COUNT histories from consecutive seeds and prints what they
covered; ``play`` is one of them. The model knows things, groups and lists, and none of the service's code.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobSettings, JobsService
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Store
from tests.faults.trials import end, summed

STEPS = 25
THINGS = tuple(f"t{number}" for number in range(8))
GROUPS = {"all": None, "left": "all", "right": "all", "far": None}
"""Group → parent."""
FAILED = ("FAILED", "REJECTED", "TIMED_OUT")


@dataclass
class Model:
    """What one job's things should be in; ``tries`` of a thing are [status, retries before it], latest last."""

    continuous: bool
    targets: list[str]
    maximum: int
    exponential: tuple[int, float, str, int] | None
    abort: list[tuple[str, float, int]]
    retry: dict[str, int]
    members: dict[str, list[str]]
    tries: dict[str, list[list[Any]]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    status: str = "IN_PROGRESS"
    minute: int = 0

    def things(self) -> list[str]:
        names: list[str] = []
        for target in self.targets:
            family = [target] + [group for group, parent in GROUPS.items() if parent == target]
            for group in family:
                names += [thing for thing in self.members[group] if thing not in names]
        return names

    def ends(self, *statuses: str) -> int:
        return sum(1 for tries in self.tries.values() for status, _ in tries if status in statuses)

    def batch(self) -> None:
        limit = float(self.maximum)
        if self.exponential is not None:
            base, factor, what, every = self.exponential
            limit, reached = base, len(self.tries) if what == "notified" else self.ends("SUCCEEDED")
            while reached >= every and limit < self.maximum:
                limit, reached = limit * factor, reached - every
            limit = min(limit, self.maximum)
        for thing in self.waiting[: int(limit + 1e-9)]:
            self.tries[thing] = [["QUEUED", 0]]
        self.waiting = self.waiting[int(limit + 1e-9) :]
        self.settle()

    def end(self, thing: str, status: str) -> None:
        last = self.tries[thing][-1]
        last[0] = status
        if self.status == "IN_PROGRESS":
            ended = self.ends("SUCCEEDED", *FAILED)
            for kind, percent, minimum in self.abort:
                bad = self.ends(*FAILED) if kind == "ALL" else self.ends(kind)
                if ended >= minimum and bad / ended * 100 >= percent:
                    self.cancel(force=False)
                    return
            limit = self.retry.get("ALL", self.retry.get(status, -1))
            series = [try_[0] for try_ in self.tries[thing]][-1 - last[1] :]
            used = len(series) if "ALL" in self.retry else series.count(status)
            if status in ("FAILED", "TIMED_OUT") and used <= limit:
                self.tries[thing].append(["QUEUED", last[1] + 1])
        self.settle()

    def cancel(self, *, force: bool) -> None:
        self.status, self.waiting = "CANCELED", []
        for tries in self.tries.values():
            if tries[-1][0] == "QUEUED" or (force and tries[-1][0] == "IN_PROGRESS"):
                tries[-1][0] = "CANCELED"

    def join(self, group: str, thing: str) -> None:
        before = self.things()
        if thing not in self.members[group]:
            self.members[group].append(thing)
        if self.continuous and self.status == "IN_PROGRESS" and thing in self.things() and thing not in before:
            tries = self.tries.setdefault(thing, [])
            if not tries or tries[-1][0] not in ("QUEUED", "IN_PROGRESS"):
                tries.append(["QUEUED", 0])

    def leave(self, group: str, thing: str) -> None:
        if thing in self.members[group]:
            self.members[group].remove(thing)
        if self.continuous and self.status == "IN_PROGRESS" and thing not in self.things():
            self.waiting = [name for name in self.waiting if name != thing]
            if thing in self.tries and self.tries[thing][-1][0] == "QUEUED":
                self.tries[thing][-1][0] = "REMOVED"

    def settle(self) -> None:
        busy = any(tries[-1][0] in ("QUEUED", "IN_PROGRESS") for tries in self.tries.values())
        if self.status == "IN_PROGRESS" and not self.continuous and not busy and not self.waiting:
            self.status = "COMPLETED"


class World:
    """A service with a clock of its own beside the model; ``restart`` builds it anew over the same state."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 1_000_000.0
        self.store = Store()
        self.covered: Counter[str] = Counter()
        self.restart()
        for thing in THINGS:
            self.service.things.create(thing)
        for group, parent in GROUPS.items():
            self.service.things.create_group(group, parent)
        members: dict[str, list[str]] = {group: [] for group in GROUPS}
        for thing in THINGS:
            group = self.chance.choice(list(GROUPS))
            members[group].append(thing)
            self.service.add_to_group(group, thing)
        self.model = self.job(members)

    def restart(self) -> None:
        self.device = DevicePlane(self.store, presign=lambda url, *_: url, now=lambda: self.now)
        self.service = JobsService(self.device, region="eu-west-1", account="123456789012")

    def job(self, members: dict[str, list[str]]) -> Model:
        chance = self.chance
        targets = chance.sample(["all", "left", "right", "far"], chance.randint(1, 2))
        maximum = chance.choice([1, 2, 3, 1000])
        rollout: dict[str, Any] = {"maximumPerMinute": maximum}
        exponential = None
        if chance.random() < 0.5:
            criterion, every = chance.choice(["notified", "succeeded"]), chance.randint(1, 3)
            exponential = (1, chance.choice([1.1, 1.5, 2.0, 5.0]), criterion, every)
            rollout["exponentialRate"] = {
                "baseRatePerMinute": exponential[0],
                "incrementFactor": exponential[1],
                "rateIncreaseCriteria": {f"numberOf{criterion.title()}Things": every},
            }
        kinds = chance.sample([*FAILED, "ALL"], chance.choice([0, 0, 1, 2]))
        abort = [(kind, chance.choice([10.0, 33.33, 50.0, 100.0]), chance.randint(1, 5)) for kind in kinds]
        retry = chance.choice([{}, {"ALL": 2}, {"FAILED": 1}, {"FAILED": 2, "TIMED_OUT": 1}])
        model = Model(
            continuous=chance.random() < 0.4,
            targets=targets,
            maximum=maximum,
            exponential=exponential,
            abort=abort,
            retry=retry,
            members=members,
        )
        model.waiting = model.things()
        model.batch()
        self.service.create_job(
            "j",
            [self.service.things.group_arn(group) for group in targets],
            "{}",
            settings=JobSettings(
                continuous=model.continuous,
                timeout_minutes=5,
                rollout=rollout,
                abort=criteria(
                    {"failureType": kind, "action": "CANCEL", "thresholdPercentage": at, "minNumberOfExecutedThings": n}
                    for kind, at, n in abort
                ),
                retry=criteria({"failureType": kind, "numberOfRetries": n} for kind, n in retry.items()),
            ),
        )
        return model

    def step(self) -> None:
        moves: list[tuple[str, Callable[[], None]]] = [
            ("minute", self.minute),
            ("minute", self.minute),
            ("report", self.report),
            ("report", self.report),
            ("report", self.report),
            ("report", self.report),
            ("join", self.join),
            ("leave", self.leave),
            ("restart", self.restart),
        ]
        if self.chance.random() < 0.02:
            moves = [("cancel", self.cancel)]
        name, move = self.chance.choice(moves)
        move()
        self.covered[name] += 1
        self.compare()

    def minute(self) -> None:
        """A minute passes: timers first, in the order in which they run out, then the next things."""
        self.now += 60.0
        expired = self.device.records.due(self.now)
        self.device.sweep()
        for thing, _ in expired:
            self.model.end(thing, "TIMED_OUT")
        if self.model.waiting and self.model.status == "IN_PROGRESS":
            self.model.batch()
        self.covered["timed out"] += len(expired)

    def report(self) -> None:
        busy = [t for t, tries in self.model.tries.items() if tries[-1][0] in ("QUEUED", "IN_PROGRESS")]
        if not busy:
            return
        thing = self.chance.choice(sorted(busy))
        status = self.chance.choice(["IN_PROGRESS", "SUCCEEDED", "SUCCEEDED", "FAILED", "REJECTED"])
        topic = f"$aws/things/{thing}/jobs/j/update"
        self.device.take([(topic, json.dumps({"status": status}).encode())])
        if status == "IN_PROGRESS":
            self.model.tries[thing][-1][0] = status
        else:
            self.model.end(thing, status)

    def join(self) -> None:
        group, thing = self.chance.choice(list(GROUPS)), self.chance.choice(THINGS)
        self.service.add_to_group(group, thing)
        self.model.join(group, thing)

    def leave(self) -> None:
        group, thing = self.chance.choice(list(GROUPS)), self.chance.choice(THINGS)
        self.service.remove_from_group(group, thing)
        self.model.leave(group, thing)

    def cancel(self) -> None:
        force = self.chance.random() < 0.5
        try:
            self.service.cancel_job("j", force=force)
        except ApiError:
            assert self.model.status == "COMPLETED"
            return
        self.model.cancel(force=force)

    def compare(self) -> None:
        records, job = self.device.records, self.service.job("j")
        assert job.status == self.model.status
        assert records.waiting("j", 100) == self.model.waiting
        assert (job.next_batch_at is not None) == bool(self.model.waiting)
        tries: dict[str, list[list[Any]]] = {}
        for execution in records.executions("j"):
            tries.setdefault(execution.thing_name, []).append([execution.status, execution.retry_attempt])
        assert tries == {thing: entries for thing, entries in self.model.tries.items() if entries}
        counts = Counter(status for entries in tries.values() for status, _ in entries)
        assert +self.service.counts(job) == counts
        for thing, entries in tries.items():
            pending = [e.job_id for e in self.device.pending(thing)]
            assert pending == (["j"] if entries[-1][0] in ("QUEUED", "IN_PROGRESS") else [])


def criteria(items: Any) -> dict[str, Any]:
    found = list(items)
    return {"criteriaList": found} if found else {}


def play(seed: int) -> Counter[str]:
    """Play one history; return how often each kind of step was in it, and how its job ended."""
    world = World(seed)
    for number in range(STEPS):
        try:
            world.step()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {number}: {error}") from error
    world.covered[f"ended {world.model.status}"] += 1
    world.covered["retries"] += sum(1 for tries in world.model.tries.values() for _, retry in tries if retry)
    world.store.close()
    return world.covered


def play_block(seeds: Sequence[int], _: Path) -> Counter[str]:
    """Play the histories of ``seeds`` as one trial of many."""
    logging.disable(logging.WARNING)
    return sum(map(play, seeds), Counter())


def main(count: int, first: int) -> None:
    started = time.monotonic()
    covered, failures = summed(play_block, count, first)
    kinds = {"minute", "report", "join", "leave", "restart", "cancel", "retries", "timed out"}
    ends = {f"ended {status}" for status in ("IN_PROGRESS", "COMPLETED", "CANCELED")}
    missing = (kinds | ends) - covered.keys()
    if missing:
        print(f"never happened: {', '.join(sorted(missing))}")
    text = ", ".join(f"{n:,} {name}" for name, n in sorted(covered.items()))
    end("rollouts", f"{count:,} histories of {STEPS} steps: {text}", failures + len(missing), started)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
