"""A fleet's things, groups and job, made and watched with the API that its owner would use.

A build is for one operating system and architecture, so a fleet of several such pairs has a job for each. AWS's
CreateSoftwareUpdateJob takes neither a rate nor abort criteria; these are plain IoT jobs with the same document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.cloud.provisioning import Endpoints, provision
from edge_sim.emulation import catalogue
from edge_sim.fleet.account import Execution
from edge_sim.fleet.model import CoreModel
from edge_sim.fleetkeys import Fleet
from edge_sim.greengrass.tree import BELOW
from edge_sim.jobs.requests import PENDING
from edge_sim.jobs.update import JOB_ID_PREFIX, UpdateDocument, build_document
from edge_sim.runs.aws import Aws
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.updatejobs import EXPIRES_S, PAGE, SIGNER

REGISTERED_AT_ONCE = 500
ABORTED = "ABORT_CANCEL"
"""The reasonCode of a job that an abort criterion has canceled."""


@dataclass(frozen=True, kw_only=True)
class FleetJob:
    """A job for the boards of one operating system and architecture."""

    job_id: str
    group: str
    pair: tuple[str, str]
    things: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A job as DescribeJob shows it. ``pending`` are executions that are not final.

    ``waiting``: its rollout has not reached all things yet.
    """

    status: str
    pending: int
    waiting: bool = False
    comment: str | None = None
    stopped_at: float | None = None
    """When an abort criterion stopped it, in epoch seconds."""


def register(cloud: CloudProcess, models: Sequence[CoreModel]) -> list[FleetJob]:
    """Make the cores' things and a group for each pair; return the jobs that are to be created."""
    jobs = []
    for pair in dict.fromkeys(model.pair for model in models):
        things = [model.thing for model in models if model.pair == pair]
        name = "-".join(("fleet", *pair))
        for at in range(0, len(things), REGISTERED_AT_ONCE):
            cloud.register_things(name, things[at : at + REGISTERED_AT_ONCE])
        jobs.append(FleetJob(job_id=f"{JOB_ID_PREFIX}{name}", group=name, pair=pair, things=len(things)))
    return jobs


def certify(cloud: CloudProcess, client: Aws, models: Sequence[CoreModel], folder: Path) -> Iterator[int]:
    """Give each core a certificate of its own in ``folder``, by its number; yield how many have one.

    AWS makes a key of 2,048 bits with each, and so does this cloud: that takes a while.
    """
    endpoints = Endpoints(http=cloud.http, mqtt=cloud.mqtt, cafile=cloud.cafile or Path())
    for done, model in enumerate(models, 1):
        provision(client.iot, model.thing, endpoints, folder / str(model.number))
        yield done


def credentials(folder: Path, number: int) -> dict[str, str]:
    """Return the files of a core's certificate."""
    certs = folder / str(number) / BELOW.certificates
    names = {"cafile": "root.ca.pem", "certificate": "*.cert.pem", "key": "*.private.key"}
    return {what: str(next(certs.glob(name))) for what, name in names.items()}


def create(cloud: CloudProcess, client: Aws, fleet: Fleet, jobs: Iterable[FleetJob]) -> None:
    """Offer the build for each pair and create its job."""
    for job in jobs:
        system, architecture = job.pair
        content = catalogue.simulated("core", system, architecture, fleet.version)
        build = cloud.load_build("core", system, architecture, fleet.version, content)
        group = client.call(client.iot, "describe_thing_group", thingGroupName=job.group)
        client.call(
            client.iot,
            "create_job",
            jobId=job.job_id,
            targets=[group["thingGroupArn"]],
            document=json.dumps(_document(fleet, job, build)),
            presignedUrlConfig={"roleArn": SIGNER, "expiresInSec": EXPIRES_S},
            **_spread(fleet),
        )


def progress(client: Aws, job: FleetJob) -> Progress:
    """Return how far a job is."""
    described = client.call(client.iot, "describe_job", jobId=job.job_id)["job"]
    details = described["jobProcessDetails"]
    pending = details.get("numberOfQueuedThings", 0) + details.get("numberOfInProgressThings", 0)
    stopped = described.get("reasonCode") == ABORTED
    return Progress(
        status=described["status"],
        pending=pending,
        waiting=described["isConcurrent"],
        comment=described.get("comment"),
        stopped_at=described["completedAt"].timestamp() if stopped else None,
    )


def executions(client: Aws, job: FleetJob) -> list[Execution]:
    """Return every execution of a job."""
    rows: list[Execution] = []
    more: dict[str, str] = {}
    while True:
        page = client.call(client.iot, "list_job_executions_for_job", jobId=job.job_id, maxResults=PAGE, **more)
        for row in page["executionSummaries"]:
            summary = row["jobExecutionSummary"]
            rows.append(
                Execution(
                    job=job.job_id,
                    thing=row["thingArn"].rpartition("/")[2],
                    number=summary["executionNumber"],
                    status=summary["status"],
                )
            )
        if "nextToken" not in page:
            return rows
        more = {"nextToken": page["nextToken"]}


def is_over(progress: Progress) -> bool:
    """Tell whether nothing of a job is still to be done."""
    return progress.status not in PENDING and not progress.pending


def _document(fleet: Fleet, job: FleetJob, build: dict[str, Any]) -> dict[str, Any]:
    system, architecture = job.pair
    return build_document(
        UpdateDocument(
            software="core",
            version=fleet.version,
            architecture=architecture,
            operating_system=system,
            log_level="ERROR",
            url=build["url"],
            sha256=build["sha256"],
            size=build["size"],
        )
    )


def _spread(fleet: Fleet) -> dict[str, Any]:
    members = {
        "jobExecutionsRolloutConfig": fleet.rollout,
        "abortConfig": fleet.abort,
        "jobExecutionsRetryConfig": fleet.retry,
        "timeoutConfig": {"inProgressTimeoutInMinutes": fleet.timeout_minutes} if fleet.timeout_minutes else {},
    }
    return {name: dict(value) for name, value in members.items() if value}
