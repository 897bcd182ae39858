"""Things, jobs and job executions as the store keeps them.

Documents: ``thing`` and ``thing-group`` (by name, parent: the parent group), ``thing-group-member`` (by
``group/thing``, parent: the group), ``job-waiting`` (by ``job/thing``, parent: the job): the things that a rollout has
not reached. Jobs and executions have tables of their own. Of a thing's executions of one job at most one, the latest,
is not final.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from edge_sim.cloud.store import Store, cut, dump, load
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.requests import PENDING
from edge_sim.jobs.rollout import Config

DEFAULT_EXPIRES_S = 3600


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing of the registry. ``id`` is a UUID."""

    name: str
    arn: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ThingGroup:
    """A static group of things; ``parent`` is the name of the group that it belongs to."""

    name: str
    id: str
    parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job. ``document`` is the text as it was handed in; ``rollout``, ``abort`` and ``retry`` are AWS's members.

    ``next_batch_at``: when the next things hear of it; None when no thing waits.
    """

    job_id: str
    arn: str
    targets: tuple[str, ...]
    document: str
    created_at: float
    last_updated_at: float
    completed_at: float | None = None
    status: str = "IN_PROGRESS"
    description: str | None = None
    role_arn: str | None = None
    expires_s: int = DEFAULT_EXPIRES_S
    timeout_minutes: int | None = None
    continuous: bool = False
    rollout: Config = field(default_factory=dict)
    abort: Config = field(default_factory=dict)
    retry: Config = field(default_factory=dict)
    next_batch_at: float | None = None
    force_canceled: bool = False
    reason_code: str | None = None
    comment: str | None = None


class Records:
    """Typed access to the store; callers hold a transaction where several changes belong together.

    Lists come in pages: ``position`` is the last page's, 0 for the first; the position returned is None at the end.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.transaction = store.transaction

    def thing(self, name: str) -> Thing | None:
        body = self._store.get("thing", name)
        return None if body is None else Thing(**body)

    def put_thing(self, thing: Thing) -> None:
        self._store.put("thing", thing.name, asdict(thing))

    def group(self, name: str) -> ThingGroup | None:
        body = self._store.get("thing-group", name)
        return None if body is None else ThingGroup(**{"name": name, **body})

    def put_group(self, group: ThingGroup) -> None:
        self._store.put("thing-group", group.name, asdict(group), group.parent)

    def subgroups(self, group: str) -> list[str]:
        """Return the names of a group's own child groups."""
        return [body["name"] for body in self._store.list("thing-group", group)]

    def put_member(self, group: str, thing: str) -> None:
        """Make a thing a member of a group, in the last place if it was none yet."""
        self._store.put("thing-group-member", f"{group}/{thing}", {"thing": thing}, group)

    def remove_member(self, group: str, thing: str) -> None:
        """Make a thing no member of a group any more."""
        self._store.delete("thing-group-member", f"{group}/{thing}")

    def is_member(self, group: str, thing: str) -> bool:
        """Return whether a thing is in a group itself, its child groups aside."""
        return self._store.get("thing-group-member", f"{group}/{thing}") is not None

    def members(self, group: str) -> list[str]:
        """Return the names of a group's own things, in the order they became members."""
        return [body["thing"] for body in self._store.list("thing-group-member", group)]

    def members_page(self, group: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of a group's own things."""
        page = self._store.page("thing-group-member", group, limit=limit, position=position)
        return [body["thing"] for body in page.documents], page.position

    def wait(self, job_id: str, thing: str) -> None:
        """Keep a thing until its job's rollout reaches it, behind those that wait already."""
        self._store.put("job-waiting", f"{job_id}/{thing}", {"thing": thing}, job_id)

    def waiting(self, job_id: str, limit: int) -> list[str]:
        """Return the names of the things that a job's rollout reaches next."""
        page = self._store.page("job-waiting", job_id, limit=limit)
        return [body["thing"] for body in page.documents]

    def reach(self, job_id: str, thing: str) -> bool:
        """Let a thing wait no longer; False when it did not."""
        return self._store.delete("job-waiting", f"{job_id}/{thing}")

    def job(self, job_id: str) -> Job | None:
        rows = self._store.execute(f"SELECT {_JOB} FROM jobs WHERE job = ?", (job_id,))  # noqa: S608 - our own names
        return _job(*rows[0]) if rows else None

    def jobs_page(
        self, status: str | None, continuous: bool | None, *, limit: int, position: int
    ) -> tuple[list[Job], int | None]:
        """Return a page of all jobs, of those with a status or of one target selection; newest first."""
        where = {"status": status, "continuous": continuous}
        rows, more = cut(
            self._store.select(_JOB, "jobs", where, limit=limit + 1, position=position, newest_first=True), limit
        )
        return [_job(*row[1:]) for row in rows], more

    def put_job(self, job: Job) -> None:
        body = {name: value for name, value in asdict(job).items() if name not in _JOB_COLUMNS}
        self._store.execute(
            "INSERT INTO jobs (job, status, continuous, next_batch_at, body) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (job) DO UPDATE SET status = excluded.status, next_batch_at = excluded.next_batch_at, "
            "body = excluded.body",
            (job.job_id, job.status, job.continuous, job.next_batch_at, dump(body)),
        )

    def due_jobs(self, now: float) -> list[str]:
        """Return the ids of the jobs whose next things are to hear of them."""
        rows = self._store.execute("SELECT job FROM jobs WHERE next_batch_at <= ? ORDER BY next_batch_at", (now,))
        return [job_id for (job_id,) in rows]

    def continuous_jobs(self) -> list[Job]:
        """Return all CONTINUOUS jobs that are IN_PROGRESS, oldest first."""
        rows = self._store.select(_JOB, "jobs", {"status": "IN_PROGRESS", "continuous": True})
        return [_job(*row[1:]) for row in rows]

    def execution(self, thing: str, job_id: str, number: int | None = None) -> JobExecution | None:
        """Return one execution of a job on a thing; without ``number`` the latest."""
        rows = self._store.execute(_LATEST, {"thing": thing, "job": job_id, "number": number})
        return _execution(rows[0]) if rows else None

    def tries(self, execution: JobExecution) -> list[str]:
        """Return the statuses of an execution and of those that it is a retry of, oldest first."""
        rows = self._store.execute(
            "SELECT status FROM executions WHERE thing = ? AND job = ? AND number BETWEEN ? AND ? ORDER BY number",
            (
                execution.thing_name,
                execution.job_id,
                execution.number - execution.retry_attempt,
                execution.number,
            ),
        )
        return [status for (status,) in rows]

    def pending(self, thing: str) -> list[JobExecution]:
        """Return the executions of a thing that are not final, in the order they were queued."""
        return [_execution(row) for row in self._store.execute(_PENDING, (thing, *PENDING))]

    def executions(self, job_id: str) -> list[JobExecution]:
        """Return a job's executions, in the order of its things."""
        return [_execution(row) for _, *row in self._store.select(_COLUMNS, "executions", {"job": job_id})]

    def executions_page(
        self,
        *,
        thing: str | None = None,
        job_id: str | None = None,
        status: str | None = None,
        limit: int,
        position: int,
    ) -> tuple[list[JobExecution], int | None]:
        """Return a page of the executions of a thing, newest first, or of a job, in the order of its things."""
        where = {"thing": thing, "job": job_id, "status": status}
        newest = thing is not None
        rows, more = cut(
            self._store.select(_COLUMNS, "executions", where, limit=limit + 1, position=position, newest_first=newest),
            limit,
        )
        return [_execution(row) for _, *row in rows], more

    def forget_waiting(self, job_id: str) -> None:
        """Let no thing wait for a job any more."""
        self._store.execute("DELETE FROM documents WHERE kind = 'job-waiting' AND parent = ?", (job_id,))

    def reached(self, job_id: str) -> int:
        """Return how many things have heard of a job, each once."""
        rows = self._store.execute("SELECT count(DISTINCT thing) FROM executions WHERE job = ?", (job_id,))
        return int(rows[0][0])

    def add_execution(self, execution: JobExecution) -> None:
        """Write a new execution."""
        self._store.execute(_INSERT, _row(execution))

    def put_execution(self, execution: JobExecution) -> None:
        """Update an existing execution."""
        self._store.execute(_UPDATE, _row(execution))

    def counts(self, job_id: str) -> Counter[str]:
        """Return how many of a job's executions have each status."""
        rows = self._store.execute("SELECT status, executions FROM execution_counts WHERE job = ?", (job_id,))
        return Counter(dict(rows))

    def due(self, now: float) -> list[tuple[str, str]]:
        """Return thing and job of every execution whose timer has run out."""
        rows = self._store.execute("SELECT thing, job FROM executions WHERE deadline <= ? ORDER BY deadline", (now,))
        return [(thing, job_id) for thing, job_id in rows]

    def things_of(self, job_id: str) -> list[str]:
        """Return the names of the things that have heard of a job."""
        rows = self._store.execute("SELECT DISTINCT thing FROM executions WHERE job = ?", (job_id,))
        return [thing for (thing,) in rows]

    def busy_things(self, after: str, limit: int) -> list[str]:
        """Return names of things with executions that are not final: the first ``limit`` beyond ``after``, sorted."""
        rows = self._store.execute(
            "SELECT DISTINCT thing FROM executions WHERE thing > ? AND status IN (?, ?) ORDER BY thing LIMIT ?",
            (after, *PENDING, limit),
        )
        return [thing for (thing,) in rows]

    def delete_job(self, job_id: str) -> None:
        """Remove a job and its executions."""
        self.forget_waiting(job_id)
        for table in ("executions", "execution_counts", "jobs"):
            self._store.execute(f"DELETE FROM {table} WHERE job = ?", (job_id,))  # noqa: S608 - our own names

    def delete_execution(self, execution: JobExecution) -> None:
        """Remove one execution."""
        self._store.execute(
            "DELETE FROM executions WHERE thing = ? AND job = ? AND number = ?",
            (execution.thing_name, execution.job_id, execution.number),
        )


_JOB = "job, status, continuous, next_batch_at, body"
_JOB_COLUMNS = ("job_id", "status", "continuous", "next_batch_at")
_FIELDS = {
    "job": "job_id",
    "thing": "thing_name",
    "number": "number",
    "status": "status",
    "status_details": "status_details",
    "version": "version",
    "queued_at": "queued_at",
    "started_at": "started_at",
    "last_updated_at": "last_updated_at",
    "timeout_minutes": "timeout_minutes",
    "job_deadline": "job_deadline",
    "step_deadline": "step_deadline",
    "force_canceled": "force_canceled",
    "retry_attempt": "retry_attempt",
}
"""Column → field of JobExecution. ``deadline`` is a column besides: the earlier of the timers that run."""
_KEY = ("thing", "job", "number")
_COLUMNS = ", ".join(_FIELDS)
_LATEST = (
    f"SELECT {_COLUMNS} FROM executions WHERE thing = :thing AND job = :job "  # noqa: S608
    "AND (:number IS NULL OR number = :number) ORDER BY number DESC LIMIT 1"
)
_PENDING = f"SELECT {_COLUMNS} FROM executions WHERE thing = ? AND status IN (?, ?) ORDER BY position"  # noqa: S608
_INSERT = (
    f"INSERT INTO executions ({_COLUMNS}, deadline) "  # noqa: S608
    f"VALUES ({', '.join(f':{field}' for field in _FIELDS.values())}, :deadline)"
)
_CHANGES = ", ".join(f"{column} = :{field}" for column, field in _FIELDS.items() if column not in _KEY)
_UPDATE = (
    f"UPDATE executions SET {_CHANGES}, deadline = :deadline "  # noqa: S608
    "WHERE thing = :thing_name AND job = :job_id AND number = :number"
)


def _execution(row: Sequence[Any]) -> JobExecution:
    fields = dict(zip(_FIELDS.values(), row, strict=True))
    details = fields["status_details"]
    fields["status_details"] = None if details is None else load(details)
    fields["force_canceled"] = bool(fields["force_canceled"])
    return JobExecution(**fields)


def _row(execution: JobExecution) -> dict[str, Any]:
    details = execution.status_details
    return {
        **vars(execution),
        "status_details": None if details is None else dump(dict(details)),
        "deadline": execution.deadline,
    }


@lru_cache(maxsize=64)
def _job(job_id: str, status: str, continuous: int, next_batch_at: float | None, body: str) -> Job:
    fields = load(body)
    fields["targets"] = tuple(fields["targets"])
    return Job(job_id=job_id, status=status, continuous=bool(continuous), next_batch_at=next_batch_at, **fields)
