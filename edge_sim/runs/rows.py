"""Rows of a run's report beside those of ``greengrass.rows`` and ``certificate``; ``as_json`` is the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_sim.greengrass.process import Identity
from edge_sim.jobs.update import title
from edge_sim.jsonobject import JsonObject


@dataclass(frozen=True, kw_only=True)
class DeploymentRow:
    """How a deployment ended. ``error`` is the service's message; ``cause`` and ``hint`` are ours."""

    id: str
    group_id: str
    status: str
    error: str | None = None
    cause: str | None = None
    hint: str | None = None

    def as_json(self) -> dict[str, object]:
        return vars(self).copy()


@dataclass(frozen=True, kw_only=True)
class WriteRow:
    """A path below a model's folder that differs after an invocation: created, changed or removed."""

    resource: str
    path: str
    change: str

    @classmethod
    def from_json(cls, row: JsonObject) -> WriteRow:
        return cls(resource=row.text("resource"), path=row.text("path"), change=row.text("change"))


@dataclass(frozen=True, kw_only=True)
class FunctionRow:
    """One invocation: ``result`` when the function returned one, else ``error``; ``ok`` when it is as expected.

    ``hint`` is what to do about the error, where that is known; ``seconds`` passed from the call to its answer;
    ``writes`` is what it left written in its models.
    """

    function: str
    ok: bool
    result: object
    error: str | None
    log: str
    notes: tuple[str, ...]
    isolation: str
    identity: Identity
    hint: str | None = None
    seconds: float | None = None
    writes: tuple[WriteRow, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "identity": vars(self.identity), "writes": [vars(write) for write in self.writes]}

    @classmethod
    def from_json(cls, function: str, row: JsonObject) -> FunctionRow:
        """Return what ``edge-sim agent invoke`` says of a call; raises ValueError for anything else."""
        who = row.child("identity")
        return cls(
            function=function,
            ok=row.flag("ok"),
            result=row.get("result"),
            error=row.text_or_none("error"),
            log=row.text("log"),
            notes=row.texts("notes"),
            isolation=row.text("isolation"),
            identity=Identity(uid=who.number("uid"), gid=who.number("gid"), groups=who.numbers("groups")),
            hint=row.text_or_none("hint"),
            writes=row.children("writes", WriteRow.from_json) if "writes" in row else (),
        )


@dataclass(frozen=True, kw_only=True)
class UpdateStep:
    """A phase that an update went through, or HAND_OVER; ``seconds`` since its first event."""

    phase: str
    detail: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CoreEvent:
    """What the board's guard saw of its core, or did: running, died, failed, missing.

    ``seconds`` since the update's first event, negative before it; ``next_try_s``: after which pause it is started
    again.
    """

    status: str
    version: str | None
    error: str | None
    next_try_s: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class JobMessage:
    """One message of AWS IoT Jobs, ``sent`` or ``received`` by the board; ``status`` is what it reports, if it does."""

    way: str
    topic: str
    status: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One record that the update's journal got; ``report`` is the end that waits to be reported to the cloud."""

    phase: str
    confirmed: bool
    report: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class UpdateRow:
    """One update of ``software``. ``running`` is the version that runs afterwards; ``details`` are the job execution's.

    ``stable_window_s``: how long the new version had to run; ``core``: the guard's events from the job's start to its
    end.
    """

    job_id: str
    job_status: str
    before: str
    to: str
    status: str
    running: str
    software: str = "core"
    details: Mapping[str, str] = field(default_factory=dict)
    timeline: tuple[UpdateStep, ...] = ()
    stable_window_s: float = 0.0
    core: tuple[CoreEvent, ...] = ()
    messages: tuple[JobMessage, ...] = ()
    journal: tuple[JournalEntry, ...] = ()
    as_expected: bool = True

    @property
    def name(self) -> str:
        return f"{title(self.software)} {self.before} → {self.to}"

    @property
    def reason(self) -> str | None:
        return self.details.get("reason")

    def as_json(self) -> dict[str, object]:
        return {
            "job_id": self.job_id,
            "job_status": self.job_status,
            "software": self.software,
            "from": self.before,
            "to": self.to,
            "status": self.status,
            "reason": self.reason,
            "running": self.running,
            "details": self.details,
            "timeline": [vars(step) for step in self.timeline],
            "stable_window_s": self.stable_window_s,
            "core": [vars(event) for event in self.core],
            "messages": [vars(message) for message in self.messages],
            "journal": [vars(entry) for entry in self.journal],
            "as_expected": self.as_expected,
            "ok": self.as_expected,
        }
