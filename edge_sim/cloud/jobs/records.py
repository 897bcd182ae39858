"""Things, jobs and job executions as the store keeps them, and the document a device is handed.

Documents: ``thing`` and ``thing-group`` (by name), ``thing-group-member`` (by ``group/thing``, parent: the group). Jobs
and executions have tables of their own. A job here is a SNAPSHOT, so a thing has at most one execution of it.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_sim import strictjson
from edge_sim.cloud.store import Store, cut, dump, load
from edge_sim.errors import EdgeSimError
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.requests import PENDING

_log = logging.getLogger(__name__)

Presign = Callable[[str, int, str], str]
"""(S3 URL, seconds it is good for, thing) → URL that the thing can fetch. Raises EdgeSimError when there is no such
object."""

PLACEHOLDER = re.compile(r"\$\{aws:iot:s3-presigned-url:(https://[^{}\s]{1,2048})\}")
DEFAULT_EXPIRES_S = 3600


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing of the registry. ``id`` is a UUID."""

    name: str
    arn: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job. ``document`` is the text as it was handed in."""

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
    maximum_per_minute: int | None = None
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

    def group(self, name: str) -> str | None:
        """Return the id of a thing group."""
        body = self._store.get("thing-group", name)
        return None if body is None else str(body["id"])

    def put_group(self, name: str, group_id: str) -> None:
        self._store.put("thing-group", name, {"id": group_id})

    def put_member(self, group: str, thing: str) -> None:
        """Make a thing a member of a group, in the last place if it was none yet."""
        self._store.put("thing-group-member", f"{group}/{thing}", {"thing": thing}, group)

    def members(self, group: str) -> list[str]:
        """Return the names of a group's things, in the order they became members."""
        return [body["thing"] for body in self._store.list("thing-group-member", group)]

    def members_page(self, group: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of a group's things."""
        page = self._store.page("thing-group-member", group, limit=limit, position=position)
        return [body["thing"] for body in page.documents], page.position

    def job(self, job_id: str) -> Job | None:
        rows = self._store.execute("SELECT job, status, body FROM jobs WHERE job = ?", (job_id,))
        return _job(*rows[0]) if rows else None

    def jobs_page(self, status: str | None, *, limit: int, position: int) -> tuple[list[Job], int | None]:
        """Return a page of all jobs, or of those with a status; newest first."""
        rows, more = cut(
            self._store.select(
                "job, status, body", "jobs", {"status": status}, limit=limit + 1, position=position, newest_first=True
            ),
            limit,
        )
        return [_job(*row[1:]) for row in rows], more

    def put_job(self, job: Job) -> None:
        body = {name: value for name, value in asdict(job).items() if name not in ("job_id", "status")}
        self._store.execute(
            "INSERT INTO jobs (job, status, body) VALUES (?, ?, ?) "
            "ON CONFLICT (job) DO UPDATE SET status = excluded.status, body = excluded.body",
            (job.job_id, job.status, dump(body)),
        )

    def execution(self, thing: str, job_id: str) -> JobExecution | None:
        """Return the latest execution of a job on a thing."""
        rows = self._store.execute(_LATEST, (thing, job_id))
        return _execution(rows[0]) if rows else None

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

    def add_execution(self, execution: JobExecution) -> None:
        """Write a new execution."""
        self._store.execute(_INSERT, _row(execution))

    def put_execution(self, execution: JobExecution) -> None:
        """Write an execution that is there already."""
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
        """Return the names of a job's things."""
        return [thing for _, thing in self._store.select("thing", "executions", {"job": job_id})]

    def busy_things(self, after: str, limit: int) -> list[str]:
        """Return names of things with executions that are not final: the first ``limit`` beyond ``after``, sorted."""
        rows = self._store.execute(
            "SELECT DISTINCT thing FROM executions WHERE thing > ? AND status IN (?, ?) ORDER BY thing LIMIT ?",
            (after, *PENDING, limit),
        )
        return [thing for (thing,) in rows]

    def delete_job(self, job_id: str) -> None:
        """Remove a job and its executions."""
        for table in ("executions", "execution_counts", "jobs"):
            self._store.execute(f"DELETE FROM {table} WHERE job = ?", (job_id,))  # noqa: S608 - our own names


def handed_out(job: Job, thing: str, presign: Presign) -> dict[str, object]:
    """Return the job's document as one delivery to ``thing`` carries it: a fresh presigned URL for each placeholder.

    A URL that cannot be presigned stays a placeholder, so that the device never leaves this machine for it and can
    say what is wrong.
    """

    def presigned(match: re.Match[str]) -> str:
        try:
            return presign(match[1], job.expires_s, thing)
        except EdgeSimError as error:
            _log.warning("job %s: %s is not presigned: %s", job.job_id, match[1], error)
            return match[0]

    def replaced(value: object) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(presigned, value)
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        return [replaced(item) for item in value] if isinstance(value, list) else value

    document: dict[str, object] = replaced(strictjson.loads(job.document.encode()))
    return document


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
}
"""Column → field of JobExecution. ``deadline`` is a column besides: the earlier of the timers that run."""
_KEY = ("thing", "job", "number")
_COLUMNS = ", ".join(_FIELDS)
_LATEST = f"SELECT {_COLUMNS} FROM executions WHERE thing = ? AND job = ? ORDER BY number DESC LIMIT 1"  # noqa: S608
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


def _job(job_id: str, status: str, body: str) -> Job:
    fields = load(body)
    return Job(job_id=job_id, status=status, **{**fields, "targets": tuple(fields["targets"])})
