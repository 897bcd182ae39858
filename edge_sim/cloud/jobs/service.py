"""AWS IoT Jobs as its owner sees it: jobs, SNAPSHOT and CONTINUOUS, from creation to their end.

The registry of things is ``things``, the device's side of the same jobs ``device``, who hears of them when
``rollouts``. What is not simulated (templates, scheduling, package versions) is refused by ``operations``, never
ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge_sim import strictjson
from edge_sim.cloud.jobs.delivery import PLACEHOLDER
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.params import exists, invalid, missing
from edge_sim.cloud.jobs.records import DEFAULT_EXPIRES_S, Job, Records
from edge_sim.cloud.jobs.things import MAX_TARGETS, Things
from edge_sim.cloud.protocol import ApiError
from edge_sim.jobs import execution as rules
from edge_sim.jobs import rollout, topics
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.requests import MAX_TIMEOUT_MINUTES
from edge_sim.jobs.rollout import Config
from edge_sim.jobs.wire import JobsError

MAX_DOCUMENT_CHARS = 32768
MAX_PLACEHOLDERS = 10

_ANY_PLACEHOLDER = "${aws:iot:s3-presigned-url"


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """How a job reaches its things, and what happens when it fails on one: AWS's members of CreateJob."""

    continuous: bool = False
    timeout_minutes: int | None = None
    rollout: Config = field(default_factory=dict)
    abort: Config = field(default_factory=dict)
    retry: Config = field(default_factory=dict)


AT_ONCE = JobSettings()
"""The default of a job."""


class JobsService:
    """The control plane over one store. Every method may be called from any thread and raises ApiError."""

    def __init__(self, device: DevicePlane, *, region: str, account: str) -> None:
        self.device = device
        self.things = Things(device.records, region=region, account=account)
        self._records: Records = device.records

    def register(self, group: str, names: Sequence[str]) -> None:
        """Make a group and the things in it, as far as they are missing, all at once."""
        with self._records.transaction():
            self.things.create_group(group)
            for name in names:
                self.things.create(name)
                self.add_to_group(group, name)

    def add_to_group(self, group: str, thing: str) -> None:
        """Make a thing a member; CONTINUOUS jobs of which this makes it a target are queued on it."""
        with self._records.transaction():
            jobs = self._records.continuous_jobs()
            before = {job.job_id for job in jobs if self.things.is_meant(job.targets, thing)}
            self.things.add(group, thing)
            for job in jobs:
                if job.job_id not in before and self.things.is_meant(job.targets, thing):
                    self.device.rollouts.join(job, [thing])

    def remove_from_group(self, group: str, thing: str) -> None:
        """Make a thing no member any more; CONTINUOUS jobs of which it is no target then are taken from it.

        A SNAPSHOT job keeps the things that it was created for.
        """
        with self._records.transaction():
            self.things.remove(group, thing)
            for job in self._records.continuous_jobs():
                if not self.things.is_meant(job.targets, thing):
                    self.device.rollouts.leave(job, thing)

    def create_job(
        self,
        job_id: str,
        targets: Sequence[str],
        document: str,
        description: str | None = None,
        presigned_role_arn: str | None = None,
        expires_s: int = DEFAULT_EXPIRES_S,
        *,
        settings: JobSettings = AT_ONCE,
    ) -> str:
        """Create a job, queue it on the first of its targets and notify them; return the job's ARN.

        ``targets`` are ARNs of things and thing groups, ``document`` is the text of a JSON object.
        """
        if not topics.is_job_id(job_id):
            raise invalid("A job id must match [a-zA-Z0-9_-]{1,64}.")
        _check_document(document, presigned=presigned_role_arn is not None)
        if not 1 <= len(targets) <= MAX_TARGETS:
            raise invalid(f"A job has 1 to {MAX_TARGETS} targets.")
        now = self.device.now()
        job = Job(
            job_id=job_id,
            arn=f"{self.things.prefix}job/{job_id}",
            targets=tuple(targets),
            document=document,
            description=description,
            role_arn=presigned_role_arn,
            expires_s=expires_s,
            created_at=now,
            last_updated_at=now,
            **vars(settings),
        )
        _check_settings(job)
        with self._records.transaction():
            things = self.things.meant(targets)
            if self._records.job(job_id) is not None:
                raise exists(f"Job {job_id} already exists.", job_id, job.arn)
            self.device.rollouts.begin(job, things)
        return job.arn

    def update_job(self, job_id: str, changes: Mapping[str, Any]) -> None:
        """Change fields of a job that is IN_PROGRESS.

        A timeout holds for executions that have not started yet; retries can only be turned off, for the failures that
        the job was created to retry.
        """
        with self._records.transaction():
            job = self.job(job_id)
            if job.status != "IN_PROGRESS":
                raise invalid(f"Job {job_id} is {job.status} and cannot be updated.")
            updated = replace(job, **changes, last_updated_at=self.device.now())
            _check_settings(updated)
            if "retry" in changes:
                _check_fewer_retries(job, updated)
            self._records.put_job(updated)
            if updated.timeout_minutes != job.timeout_minutes:
                for execution in self._records.executions(job_id):
                    if execution.status == "QUEUED":
                        self._records.put_execution(replace(execution, timeout_minutes=updated.timeout_minutes))

    def associate(self, job_id: str, targets: Sequence[str], comment: str | None) -> Job:
        """Give a CONTINUOUS job that is IN_PROGRESS further target groups; their things get it at once."""
        with self._records.transaction():
            job = self.job(job_id)
            if not job.continuous or job.status != "IN_PROGRESS":
                raise invalid("Targets can only be associated with a CONTINUOUS job that is IN_PROGRESS.")
            if any(kind != "thinggroup" for kind, _ in map(self.things.target, targets)):
                raise invalid("Only thing groups can be associated with a job.")
            every = tuple(dict.fromkeys((*job.targets, *targets)))
            if len(every) > MAX_TARGETS:
                raise invalid(f"A job has 1 to {MAX_TARGETS} targets.")
            known = set(self.things.meant(job.targets))
            self._records.put_job(
                replace(job, targets=every, comment=comment or job.comment, last_updated_at=self.device.now())
            )
            self.device.rollouts.join(job, [thing for thing in self.things.meant(targets) if thing not in known])
        return job

    def job(self, job_id: str) -> Job:
        """Return a job, or refuse with ResourceNotFoundException."""
        job = self._records.job(job_id)
        if job is None:
            raise missing(f"Job {job_id} does not exist.")
        return job

    def jobs(
        self, status: str | None, continuous: bool | None = None, *, limit: int, position: int
    ) -> tuple[list[Job], int | None]:
        """Return a page of all jobs, of those with a status or of one target selection; newest first."""
        return self._records.jobs_page(status, continuous, limit=limit, position=position)

    def executions_of_job(
        self, job_id: str, status: str | None = None, *, limit: int, position: int
    ) -> tuple[list[JobExecution], int | None]:
        """Return a page of a job's executions, or of those with a status."""
        self.job(job_id)
        return self._records.executions_page(job_id=job_id, status=status, limit=limit, position=position)

    def executions_of_thing(
        self, thing: str, status: str | None = None, job_id: str | None = None, *, limit: int, position: int
    ) -> tuple[list[JobExecution], int | None]:
        """Return a page of a thing's executions, or of those with a status or of a job; newest first."""
        self.things.describe(thing)
        return self._records.executions_page(thing=thing, job_id=job_id, status=status, limit=limit, position=position)

    def execution(self, thing: str, job_id: str, number: int | None = None) -> JobExecution:
        """Return one execution, final ones included, or refuse with ResourceNotFoundException."""
        execution = self._records.execution(thing, job_id, number)
        if execution is None:
            raise missing(f"Job execution of job {job_id} on thing {thing} does not exist.")
        return execution

    def counts(self, job: Job) -> Counter[str]:
        """Return how many of a job's executions have each status."""
        return self._records.counts(job.job_id)

    def cancel_job(
        self, job_id: str, *, force: bool = False, reason_code: str | None = None, comment: str | None = None
    ) -> Job:
        """Cancel what is queued, with ``force`` also what runs; the job is CANCELED at once.

        What AWS answers for a job that is COMPLETED is not known; here it is an InvalidRequestException.
        """
        with self._records.transaction():
            job = self.job(job_id)
            if job.status not in ("IN_PROGRESS", "CANCELED"):
                raise invalid(f"Job {job_id} is {job.status} and cannot be canceled.")
            return self.device.rollouts.cancel(job, force=force, reason_code=reason_code, comment=comment)

    def cancel_job_execution(
        self,
        thing: str,
        job_id: str,
        *,
        force: bool = False,
        expected_version: int | None = None,
        status_details: Mapping[str, str] | None = None,
    ) -> None:
        """Cancel one execution; refuses a wrong version, a final one, and without ``force`` a running one."""
        with self._records.transaction():
            execution = self.execution(thing, job_id)
            if expected_version not in (None, execution.version):
                raise ApiError("VersionConflictException", f"The job execution has version {execution.version}.", 409)
            try:
                canceled = rules.cancel(execution, self.device.now(), force=force)
            except JobsError as error:
                raise ApiError("InvalidStateTransitionException", str(error), 409) from error
            if status_details is not None:
                canceled = replace(canceled, status_details=dict(status_details))
            with self.device.changing([thing]):
                self._records.put_execution(canceled)
            self.device.rollouts.conclude(canceled)

    def delete_execution(self, thing: str, job_id: str, number: int, *, force: bool = False) -> None:
        """Remove one execution; one that runs only with ``force``. Its job counts it no longer."""
        with self._records.transaction():
            with self.device.changing([thing]):
                execution = self.execution(thing, job_id, number)
                if execution.status == "IN_PROGRESS" and not force:
                    text = f"The execution of job {job_id} on thing {thing} is IN_PROGRESS."
                    raise ApiError("InvalidStateTransitionException", text, 409)
                self._records.delete_execution(execution)
            self.device.rollouts.settle(job_id)

    def delete_job(self, job_id: str, *, force: bool = False) -> None:
        """Remove a job and its executions; one in progress only with ``force``."""
        with self._records.transaction(), self.device.changing(self._records.things_of(job_id)):
            if self.job(job_id).status == "IN_PROGRESS" and not force:
                raise ApiError("InvalidStateTransitionException", f"Job {job_id} is IN_PROGRESS.", 409)
            self._records.delete_job(job_id)


def _check_settings(job: Job) -> None:
    """Refuse what AWS refuses in the members that say how a job reaches its things."""
    minutes = job.timeout_minutes
    if minutes is not None and not 1 <= minutes <= MAX_TIMEOUT_MINUTES:
        raise invalid(f"inProgressTimeoutInMinutes must be between 1 and {MAX_TIMEOUT_MINUTES}.")
    try:
        rollout.rollout(job.rollout)
        rollout.abort_criteria(job.abort)
        rollout.retry_criteria(job.retry, with_timeout=minutes is not None)
    except JobsError as error:
        raise invalid(str(error)) from error


def _check_fewer_retries(job: Job, updated: Job) -> None:
    known = {criterion["failureType"] for criterion in job.retry.get("criteriaList", ())}
    for criterion in updated.retry.get("criteriaList", ()):
        if criterion["numberOfRetries"] or criterion["failureType"] not in known:
            raise invalid("UpdateJob can only set the retries of a failureType that the job was created with to 0.")


def _check_document(document: str, *, presigned: bool) -> None:
    if len(document) > MAX_DOCUMENT_CHARS:
        raise invalid(f"The job document has more than {MAX_DOCUMENT_CHARS} characters.")
    try:
        content = strictjson.loads(document.encode())
    except (ValueError, UnicodeEncodeError) as error:
        raise invalid("The job document is not valid JSON.") from error
    if not isinstance(content, dict):
        raise invalid("The job document is not a JSON object.")
    marks = document.count(_ANY_PLACEHOLDER)
    if marks > MAX_PLACEHOLDERS:
        raise invalid(f"The job document has more than {MAX_PLACEHOLDERS} placeholders.")
    if marks != len(PLACEHOLDER.findall(document)):
        raise invalid("The job document has a malformed presigned-URL placeholder.")
    if marks and not presigned:
        raise invalid("A job document with presigned-URL placeholders needs presignedUrlConfig.roleArn.")
