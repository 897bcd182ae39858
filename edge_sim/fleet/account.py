"""What the cores of a fleet say of their jobs, and how that differs from what the Jobs API says: pure.

A core's own word is its journal, written before it acts, and what it has heard from the cloud. The API is asked once,
at the end. ``differences`` finds no end that only one of the two knows, and nothing that was done twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_sim.fleet.model import CoreModel
from edge_sim.jobs.execution import DEVICE_MAY_SET
from edge_sim.jobs.requests import FINAL, PENDING

PHASES: Mapping[str, str] = {
    "PREFLIGHT": "queued",
    "STAGE": "staging",
    "VERIFY": "staging",
    "ACTIVATE": "activating",
    "CONFIRM": "confirming",
    "ROLL_BACK": "rolling back",
}
"""A phase of an update → what the fleet calls it. Where it ended: ``ENDS``."""
WAITING = "waiting"
ENDS = ("done", "rolled back", "failed", "rejected", "canceled")
STATES = (WAITING, *dict.fromkeys(PHASES.values()), *ENDS)
BY_DEVICE = DEVICE_MAY_SET & {*FINAL}
"""The ends that a core reports."""


@dataclass
class End:
    """How one execution of a job ended, as its core says. ``taken``: the cloud has taken the report.

    ``refused``: it never will.
    """

    job: str
    execution: int
    status: str
    taken: bool = False
    refused: bool = False


@dataclass
class CoreAccount:
    """What one core says: where it stands, how its executions ended, what it did again."""

    model: CoreModel
    real: bool = False
    """Whether it is a real agent, of the control sample."""
    container: str = ""
    """The architecture of the container that a real agent runs in, empty for a process."""
    state: str = WAITING
    connected: bool = False
    links: list[tuple[float, bool]] = field(default_factory=list)
    """When its session was made and lost."""
    kept_out: str = ""
    """Why it cannot connect, where trying again is of no use; empty otherwise."""
    ends: list[End] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reason: str = ""
    disk: Mapping[str, Any] = field(default_factory=dict)
    changes: list[tuple[float, str]] = field(default_factory=list)
    """When it came into which state."""
    _phase: str = ""

    def hear(self, at: float, kind: str, members: Mapping[str, Any]) -> None:
        """Take a line of the core's."""
        if kind in ("up", "down"):
            self._link(at, kind == "up")
            self.kept_out = members["text"] if kind == "down" and members["final"] else ""
        elif kind == "journal":
            self.disk = members
            if members["record"] is not None:
                self._journal(at, members["record"])
        elif kind == "reported" and self.ends:
            self.ends[-1].taken = not self.ends[-1].refused
        elif kind == "canceled":
            self._come_to(at, "canceled")
            self.reason = str(members["text"])
        elif kind in ("error", "refused"):
            self.reason = str(members["text"])
            if kind == "refused" and self.ends:
                self.ends[-1].refused = True

    def _journal(self, at: float, record: Mapping[str, Any]) -> None:
        job, execution, phase = record["job"], record["execution"], record["phase"]
        known = next((end for end in self.ends if (end.job, end.execution) == (job, execution)), None)
        if record["report"] is None:
            if known is not None:
                self.doubled.append(f"{job}, execution {execution}: {phase} after {known.status}")
            self._phase = phase
            self._come_to(at, PHASES[phase])
            return
        status = record["report"]["status"]
        self.reason = record["reason"] or ""
        if known is None:
            self.ends.append(End(job, execution, status))
        elif known.status != status:
            self.doubled.append(f"{job}, execution {execution}: {known.status} and {status}")
        self._come_to(at, _ended(status, self._phase))

    def _link(self, at: float, there: bool) -> None:
        if there != self.connected:
            self.connected = there
            self.links.append((at, there))

    def _come_to(self, at: float, state: str) -> None:
        if state != self.state:
            self.state = state
            self.changes.append((at, state))


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution as the Jobs API has it."""

    job: str
    thing: str
    number: int
    status: str


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Where a core's account and the Jobs API do not agree."""

    thing: str
    job: str
    execution: int
    text: str

    def as_json(self) -> dict[str, object]:
        return vars(self) | {}


def differences(accounts: Iterable[CoreAccount], executions: Sequence[Execution]) -> list[Disagreement]:
    """Return where the cores' account and the API's differ, core by core."""
    by_thing: dict[str, list[Execution]] = {}
    for execution in executions:
        by_thing.setdefault(execution.thing, []).append(execution)
    return [each for account in accounts for each in _of_core(account, by_thing.get(account.model.thing, []))]


def _of_core(account: CoreAccount, executions: Sequence[Execution]) -> Iterable[Disagreement]:
    thing = account.model.thing
    ends = {(end.job, end.execution): end for end in account.ends}
    for execution in executions:
        end = ends.pop((execution.job, execution.number), None)
        text = _difference(execution.status, end)
        if text:
            yield Disagreement(thing=thing, job=execution.job, execution=execution.number, text=text)
    for (job, number), end in ends.items():
        text = f"the core ended with {end.status}, but the cloud has no such execution"
        yield Disagreement(thing=thing, job=job, execution=number, text=text)
    for text in account.doubled:
        yield Disagreement(thing=thing, job="", execution=0, text=f"done twice: {text}")


def _difference(status: str, end: End | None) -> str:
    if status in BY_DEVICE:
        if end is None:
            return f"the cloud reports {status}, which the core never did"
        return "" if end.status == status else f"the cloud reports {status}, the core {end.status}"
    if end is None or not end.taken:
        return ""
    what = "has not ended the execution" if status in PENDING else f"reports {status}"
    return f"the core's {end.status} was accepted, but the cloud {what}"


def kept_out(accounts: Iterable[CoreAccount]) -> str:
    """Return in a sentence which cores cannot connect, and why the first of them cannot; empty when all can."""
    cores = [account for account in accounts if account.kept_out]
    if not cores:
        return ""
    others = f" and {len(cores) - 1:,} more" if cores[1:] else ""
    return f"core {cores[0].model.thing}{others} cannot connect: {cores[0].kept_out}"


def held_up(accounts: Iterable[CoreAccount], executions: Sequence[Execution], *, timed: bool) -> bool:
    """Tell whether cores that cannot connect are all that executions still wait for.

    ``timed``: executions that are IN_PROGRESS have a time-out, which will end them.
    """
    out = {account.model.thing for account in accounts if account.kept_out}
    pending = [execution for execution in executions if execution.status in PENDING]
    return bool(pending) and all(
        execution.thing in out and not (timed and execution.status == "IN_PROGRESS") for execution in pending
    )


def counts(accounts: Iterable[CoreAccount]) -> Counter[str]:
    """Return how many cores are in each state."""
    return Counter(account.state for account in accounts)


def _ended(status: str, phase: str) -> str:
    if status == "SUCCEEDED":
        return "done"
    if status == "REJECTED":
        return "rejected"
    return "rolled back" if phase == "ROLL_BACK" else "failed"
