"""AWS IoT Jobs as its owner sees it: things, thing groups, and SNAPSHOT jobs from creation to their end.

The device's side of the same jobs is ``device``. What is not simulated (CONTINUOUS, templates,
scheduling, retries, abort criteria, exponential rollout) is refused by ``operations``, never ignored.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from edge_sim import arns, strictjson
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.params import invalid
from edge_sim.cloud.jobs.records import DEFAULT_EXPIRES_S, PLACEHOLDER, Job, Records, Thing
from edge_sim.cloud.protocol import ApiError
from edge_sim.jobs import execution as rules
from edge_sim.jobs import topics
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.requests import MAX_TIMEOUT_MINUTES
from edge_sim.jobs.wire import JobsError

MAX_TARGETS = 100
MAX_DOCUMENT_CHARS = 32768
MAX_PLACEHOLDERS = 10

_ANY_PLACEHOLDER = "${aws:iot:s3-presigned-url"


class JobsService:
    """The control plane over one store. Every method may be called from any thread and raises ApiError."""

    def __init__(self, device: DevicePlane, *, region: str, account: str) -> None:
        self.device = device
        self._records: Records = device.records
        self._arn = arns.arn("iot", "", f"{region}:{account}")

    def thing_arn(self, name: str) -> str:
        """Return the ARN of a thing, which need not exist."""
        return f"{self._arn}thing/{name}"

    def create_thing(self, name: str, attributes: Mapping[str, str] | None = None) -> Thing:
        """Return the thing, made now or, with the same attributes, before."""
        with self._records.transaction():
            thing = self._records.thing(name)
            if thing is None:
                thing = Thing(
                    name=name,
                    arn=self.thing_arn(name),
                    id=str(uuid.uuid4()),
                    attributes=dict(attributes or {}),
                )
                self._records.put_thing(thing)
        if dict(thing.attributes) != dict(attributes or {}):
            raise _exists(f"Thing {name} already exists in account with different attributes", thing.id, thing.arn)
        return thing

    def describe_thing(self, name: str) -> Thing:
        """Return a thing, or refuse with ResourceNotFoundException."""
        thing = self._records.thing(name)
        if thing is None:
            raise _missing(f"Thing {name} not found.")
        return thing

    def attributes(self, name: str) -> Mapping[str, str] | None:
        """Return the attributes of a thing, or None when there is no such thing."""
        found = self._records.thing(name)
        return None if found is None else found.attributes

    def create_thing_group(self, name: str) -> tuple[str, str]:
        """Make a static thing group; return its ARN and id."""
        arn = f"{self._arn}thinggroup/{name}"
        with self._records.transaction():
            group = self._records.group(name)
            if group is not None:
                return arn, group
            group_id = str(uuid.uuid4())
            self._records.put_group(name, group_id)
        return arn, group_id

    def add_to_group(self, group: str, thing: str) -> None:
        """Make a thing a member; jobs that exist already do not change, as they are SNAPSHOTs."""
        with self._records.transaction():
            self.describe_thing(thing)
            self._existing_group(group)
            self._records.put_member(group, thing)

    def group_members(self, group: str) -> list[str]:
        """Return the names of the things in a group, or refuse with ResourceNotFoundException."""
        self._existing_group(group)
        return self._records.members(group)

    def group_members_page(self, group: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of the names of the things in a group, or refuse with ResourceNotFoundException."""
        self._existing_group(group)
        return self._records.members_page(group, limit=limit, position=position)

    def _existing_group(self, group: str) -> None:
        if self._records.group(group) is None:
            raise _missing(f"Thing group {group} not found.")

    def create_job(
        self,
        job_id: str,
        targets: Sequence[str],
        document: str,
        description: str | None = None,
        presigned_role_arn: str | None = None,
        expires_s: int = DEFAULT_EXPIRES_S,
        *,
        timeout_minutes: int | None = None,
        maximum_per_minute: int | None = None,
    ) -> str:
        """Create a SNAPSHOT job, queue it on every target and notify them; return the job's ARN.

        ``targets`` are ARNs of things and thing groups, ``document`` is the text of a JSON object.
        """
        if not topics.is_job_id(job_id):
            raise invalid("A job id must match [a-zA-Z0-9_-]{1,64}.")
        _check_document(document, presigned=presigned_role_arn is not None)
        if timeout_minutes is not None and not 1 <= timeout_minutes <= MAX_TIMEOUT_MINUTES:
            raise invalid(f"inProgressTimeoutInMinutes must lie between 1 and {MAX_TIMEOUT_MINUTES}.")
        things, now = self.resolve(targets), self.device.now()
        if maximum_per_minute is not None and len(things) > maximum_per_minute:
            raise invalid(
                "edge-sim rolls a job out at once; maximumPerMinute below the number of things is not simulated."
            )
        job = Job(
            job_id=job_id,
            arn=f"{self._arn}job/{job_id}",
            targets=tuple(targets),
            document=document,
            description=description,
            role_arn=presigned_role_arn,
            expires_s=expires_s,
            timeout_minutes=timeout_minutes,
            maximum_per_minute=maximum_per_minute,
            created_at=now,
            last_updated_at=now,
        )
        with self.device.changing(things):
            if self._records.job(job_id) is not None:
                raise _exists(f"Job {job_id} already exists.", job_id, job.arn)
            self._records.put_job(job)
            for thing in things:
                self._records.add_execution(_queued(job, thing, now))
            self.device.settle(job_id)  # an empty group: nothing to wait for
        return job.arn

    def resolve(self, targets: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the things that target ARNs mean, each once; groups as they are now."""
        if not 1 <= len(targets) <= MAX_TARGETS:
            raise invalid(f"A job has 1 to {MAX_TARGETS} targets.")
        names: dict[str, None] = {}
        for arn in targets:
            match = arns.TARGET.fullmatch(arn)
            if match is None:
                raise invalid(f"Invalid target ARN: {arn[:200]}")
            if not arn.startswith(self._arn):
                raise _missing(f"Target {arn} is not in this account and region.")
            members = self.group_members(match[4]) if match[3] == "thinggroup" else [self.describe_thing(match[4]).name]
            names.update(dict.fromkeys(members))
        return tuple(names)

    def job(self, job_id: str) -> Job:
        """Return a job, or refuse with ResourceNotFoundException."""
        job = self._records.job(job_id)
        if job is None:
            raise _missing(f"Job {job_id} does not exist.")
        return job

    def jobs(self, status: str | None, *, limit: int, position: int) -> tuple[list[Job], int | None]:
        """Return a page of all jobs, or of those with a status; newest first."""
        return self._records.jobs_page(status, limit=limit, position=position)

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
        self.describe_thing(thing)
        return self._records.executions_page(thing=thing, job_id=job_id, status=status, limit=limit, position=position)

    def execution(self, thing: str, job_id: str, number: int | None = None) -> JobExecution:
        """Return one execution, final ones included, or refuse with ResourceNotFoundException."""
        execution = self._records.execution(thing, job_id)
        if execution is None or number not in (None, execution.number):
            raise _missing(f"Job execution of job {job_id} on thing {thing} does not exist.")
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
        now = self.device.now()
        with self._changing_job(job_id):
            job = self.job(job_id)
            if job.status not in ("IN_PROGRESS", "CANCELED"):
                raise invalid(f"Job {job_id} is {job.status} and cannot be canceled.")
            job = replace(
                job,
                status="CANCELED",
                force_canceled=job.force_canceled or force,
                reason_code=reason_code or job.reason_code,
                comment=comment or job.comment,
                completed_at=job.completed_at or now,
                last_updated_at=now,
            )
            self._records.put_job(job)
            for execution in self._records.executions(job_id):
                if execution.status == "QUEUED" or (force and execution.pending):
                    self.device.save(rules.cancel(execution, now, force=force))
        return job

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
        with self.device.changing([thing]):
            execution = self.execution(thing, job_id)
            if expected_version not in (None, execution.version):
                raise ApiError("VersionConflictException", f"The job execution has version {execution.version}.", 409)
            try:
                canceled = rules.cancel(execution, self.device.now(), force=force)
            except JobsError as error:
                raise ApiError("InvalidStateTransitionException", str(error), 409) from error
            if status_details is not None:
                canceled = replace(canceled, status_details=dict(status_details))
            self.device.save(canceled)

    def delete_job(self, job_id: str, *, force: bool = False) -> None:
        """Remove a job and its executions; one in progress only with ``force``."""
        with self._changing_job(job_id):
            if self.job(job_id).status == "IN_PROGRESS" and not force:
                raise ApiError("InvalidStateTransitionException", f"Job {job_id} is IN_PROGRESS.", 409)
            self._records.delete_job(job_id)

    @contextmanager
    def _changing_job(self, job_id: str) -> Iterator[None]:
        """Change all executions of a job at once."""
        with self._records.transaction(), self.device.changing(self._records.things_of(job_id)):
            yield


def _queued(job: Job, thing: str, now: float) -> JobExecution:
    return JobExecution(
        job_id=job.job_id,
        thing_name=thing,
        queued_at=now,
        last_updated_at=now,
        timeout_minutes=job.timeout_minutes,
    )


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


def _missing(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message, 404)


def _exists(message: str, resource_id: str, arn: str) -> ApiError:
    details = {"resourceId": resource_id, "resourceArn": arn}
    return ApiError("ResourceAlreadyExistsException", message, 409, details)
