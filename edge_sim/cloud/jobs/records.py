"""Things, jobs and job executions as the store keeps them, and the document a device is handed.

Kinds in the store: ``thing`` and ``thing-group`` (by name), ``job`` (by id) and ``job-execution`` (by ``thing/job``,
parent: the thing, in the order they were queued). A job here is a SNAPSHOT, so a thing has at most one execution of it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_sim.cloud import strict_json
from edge_sim.cloud.store import Store
from edge_sim.errors import EdgeSimError
from edge_sim.jobs.execution import JobExecution

_log = logging.getLogger(__name__)

Presign = Callable[[str, int], str]
"""(S3 URL, seconds it is good for) → URL that a device can fetch. Raises EdgeSimError when there is no such object."""

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
    """One job. ``things`` are the targets at creation, resolved; ``document`` is the text as it was handed in."""

    job_id: str
    arn: str
    targets: tuple[str, ...]
    things: tuple[str, ...]
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
    """Typed access to the store; callers hold a transaction where several changes belong together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.transaction = store.transaction

    def thing(self, name: str) -> Thing | None:
        body = self._store.get("thing", name)
        return None if body is None else Thing(**body)

    def put_thing(self, thing: Thing) -> None:
        self._store.put("thing", thing.name, asdict(thing))

    def group(self, name: str) -> dict[str, Any] | None:
        """Return a thing group: ``id`` and the names of its ``things``."""
        return self._store.get("thing-group", name)

    def put_group(self, name: str, group: dict[str, Any]) -> None:
        self._store.put("thing-group", name, group)

    def job(self, job_id: str) -> Job | None:
        body = self._store.get("job", job_id)
        return None if body is None else _job(body)

    def jobs(self) -> list[Job]:
        """Return all jobs, oldest first."""
        return [_job(body) for body in self._store.list("job")]

    def put_job(self, job: Job) -> None:
        self._store.put("job", job.job_id, asdict(job))

    def execution(self, thing: str, job_id: str) -> JobExecution | None:
        body = self._store.get("job-execution", f"{thing}/{job_id}")
        return None if body is None else JobExecution(**body)

    def executions(self, thing: str | None = None) -> list[JobExecution]:
        """Return the executions of a thing, or all of them, in the order they were queued."""
        return [JobExecution(**body) for body in self._store.list("job-execution", thing)]

    def executions_of(self, job: Job) -> list[JobExecution]:
        """Return a job's executions, in the order of its things."""
        found = (self.execution(thing, job.job_id) for thing in job.things)
        return [execution for execution in found if execution is not None]

    def put_execution(self, execution: JobExecution) -> None:
        key = f"{execution.thing_name}/{execution.job_id}"
        self._store.put("job-execution", key, asdict(execution), execution.thing_name)

    def delete_job(self, job: Job) -> None:
        """Remove a job and its executions."""
        for thing in job.things:
            self._store.delete("job-execution", f"{thing}/{job.job_id}")
        self._store.delete("job", job.job_id)


def handed_out(job: Job, presign: Presign) -> dict[str, Any]:
    """Return the job's document as one delivery carries it: every placeholder replaced by a fresh presigned URL.

    A URL that cannot be presigned stays a placeholder, so that the device never leaves this machine for it and can
    say what is wrong.
    """

    def presigned(found: re.Match[str]) -> str:
        try:
            return presign(found[1], job.expires_s)
        except EdgeSimError as error:
            _log.warning("job %s: %s is not presigned: %s", job.job_id, found[1], error)
            return found[0]

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(presigned, value)
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        return [replaced(item) for item in value] if isinstance(value, list) else value

    document: dict[str, Any] = replaced(strict_json.loads(job.document.encode()))
    return document


def _job(body: Mapping[str, Any]) -> Job:
    lists = {"targets": tuple(body["targets"]), "things": tuple(body["things"])}
    return Job(**{**body, **lists})
