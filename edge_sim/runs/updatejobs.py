"""Software update jobs on any AWS IoT endpoint: created there, and watched until every core is done.

On a cloud of ours a job is created as V1's users did it, with CreateSoftwareUpdateJob. AWS closed that call with V1, so
elsewhere it is a plain IoT job with the same document; what carries it out is an agent of ours.
"""

from __future__ import annotations

import json
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from edge_sim import s3
from edge_sim.arns import arn
from edge_sim.digests import sha256
from edge_sim.emulation.buildfolder import FORMS
from edge_sim.errors import (
    EdgeSimError,
    InvalidDefinitionError,
    InvalidPackageError,
    UnsupportedEnvironmentError,
    UsageError,
)
from edge_sim.jobs.requests import PENDING
from edge_sim.jobs.update import JOB_ID_PREFIX, VERSION, Software, UpdateDocument, build_document
from edge_sim.runs.aws import call
from edge_sim.runs.control import put

PAGE = 250
POLL_S = 1.0
EXPIRES_S = 3600
SIGNER = arn("iam", "role/greengrass-url-signer", ":123456789012")
AWS_NAMES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


@dataclass(frozen=True, kw_only=True)
class JobsEndpoint:
    """Where jobs are kept. ``greengrass`` is V1's API, None where it is not served any more; ``real``: AWS itself.

    ``secret`` is the key of a cloud of ours.
    """

    name: str
    iot: Any
    greengrass: Any | None = None
    cafile: str | None = None
    secret: str | None = None
    real: bool = False

    def call(self, client: Any, operation: str, **params: Any) -> dict[str, Any]:
        """Call one operation. Raises InvalidDefinitionError when it is refused, UnsupportedEnvironmentError."""
        return call(client, operation, params, self._silent)

    def _silent(self, text: str) -> EdgeSimError:
        return UnsupportedEnvironmentError(f"{self.name} does not answer: {text}")


def local(note: Mapping[str, Any]) -> JobsEndpoint:
    """Return the endpoint of a cloud of ours, as its note describes it."""
    from edge_sim.cloud.clients import make_client

    cafile: str | None = note.get("cafile")
    where = {"endpoint_url": note["http"], "region": note["region"], "cafile": cafile}
    secret = note["exports"]["AWS_SECRET_ACCESS_KEY"]
    iot, greengrass = (make_client(service, secret=secret, **where) for service in ("iot", "greengrass"))
    name = f"the local cloud at {note['http']}"
    return JobsEndpoint(name=name, iot=iot, greengrass=greengrass, cafile=cafile, secret=secret)


def remote(url: str | None) -> JobsEndpoint:
    """Return AWS, or what answers for it at ``url``, with the user's own credentials and region.

    Raises UsageError for a URL that is none, UnsupportedEnvironmentError where boto3 has no region or profile.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, NoRegionError

    if url is not None and urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"--endpoint-url {url}: neither an http:// nor an https:// URL")
    try:
        iot = boto3.session.Session().client("iot", endpoint_url=url)
    except NoRegionError as error:
        raise UnsupportedEnvironmentError("no AWS region is set", hint="Set AWS_DEFAULT_REGION.") from error
    except (BotoCoreError, ValueError) as error:
        raise UnsupportedEnvironmentError(f"boto3 cannot create a client for AWS IoT: {error}") from error
    host = urlsplit(iot.meta.endpoint_url).hostname or ""
    real = host.endswith(AWS_NAMES)
    name = f"AWS IoT in {iot.meta.region_name}" if real else f"the IoT endpoint {iot.meta.endpoint_url}"
    return JobsEndpoint(name=name, iot=iot, real=real)


@dataclass(frozen=True, kw_only=True)
class BuildFile:
    """A build's archive: what a job's document says of it."""

    version: str
    size: int
    sha256: str


def read_build(path: Path, software: Software = "core") -> BuildFile:
    """Return what a build is. Raises InvalidPackageError when it is no archive with one version of ``software``."""
    form = FORMS[software]
    try:
        with tarfile.open(path, "r:gz") as archive:
            names = form.versions(member.name for member in archive)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidPackageError(f"{path}: not a tar.gz archive ({error})") from error
    versions = sorted(name for name in names if VERSION.fullmatch(name))
    if len(versions) != 1 or len(names) != 1:
        raise InvalidPackageError(
            f"{path}: holds {', '.join(sorted(names)) or 'nothing'} in {form.parent}/, not one version",
            hint="edge-sim ota build packages a folder as such an archive",
        )
    with path.open("rb") as file:
        return BuildFile(version=versions[0], size=path.stat().st_size, sha256=sha256(file))


def create_software_update(
    endpoint: JobsEndpoint, targets: Sequence[str], software: str, pair: str, log_level: str, role: str | None
) -> tuple[str, str]:
    """Create a job as V1's users did; return its id and the version that it installs.

    ``role`` signs S3 URLs; a cloud of ours looks at its form only.
    """
    system, _, architecture = pair.partition("/")
    created = endpoint.call(
        endpoint.greengrass,
        "create_software_update_job",
        S3UrlSignerRole=role or SIGNER,
        SoftwareToUpdate=software,
        UpdateAgentLogLevel=log_level,
        UpdateTargets=list(targets),
        UpdateTargetsArchitecture=architecture,
        UpdateTargetsOperatingSystem=system,
    )
    return created["IotJobId"], created["PlatformSoftwareVersion"]


def create_plain(
    endpoint: JobsEndpoint, targets: Sequence[str], update: UpdateDocument, role: str | None
) -> tuple[str, str]:
    """Create a plain IoT job; return its id and the version that it installs.

    With ``role`` the document's URL is an S3 address, presigned for each device; without, devices get it as it is.
    """
    job_id = f"{JOB_ID_PREFIX}{uuid.uuid4()}"
    document = build_document(update)
    more: dict[str, Any] = {"presignedUrlConfig": {"roleArn": role, "expiresInSec": EXPIRES_S}}
    if role is None:
        document["file"]["url"], more = update.url, {}
    endpoint.call(
        endpoint.iot,
        "create_job",
        jobId=job_id,
        targets=list(targets),
        document=json.dumps(document),
        description=f"{update.software} {update.version}",
        targetSelection="SNAPSHOT",
        **more,
    )
    return job_id, update.version


def thing_arns(endpoint: JobsEndpoint, things: Sequence[str]) -> list[str]:
    """Return the ARNs of things, all of which exist."""
    try:
        return [endpoint.call(endpoint.iot, "describe_thing", thingName=name)["thingArn"] for name in things]
    except InvalidDefinitionError as error:
        hint = "aws iot list-things shows which things there are; aws iot create-thing --thing-name NAME creates one."
        raise InvalidDefinitionError(error.brief, details=error.details, hint=hint) from error


def group_arns(endpoint: JobsEndpoint, groups: Sequence[str]) -> list[str]:
    """Return the ARNs of thing groups, all of which exist; one that is an ARN already is not looked at."""
    return [
        group
        if group.startswith("arn:")
        else endpoint.call(endpoint.iot, "describe_thing_group", thingGroupName=group)["thingGroupArn"]
        for group in groups
    ]


def offer(endpoint: JobsEndpoint, software: str, pair: str, version: str, content: bytes) -> None:
    """Make a build the newest one of a cloud of ours."""
    path = f"/edge-sim/builds/{software}/{pair}/{version}"
    where = f"{endpoint.iot.meta.endpoint_url}{path}"
    put(where, content, name=endpoint.name, cafile=endpoint.cafile, secret=endpoint.secret)


def offer_release(endpoint: JobsEndpoint, software: str, pair: str, version: str) -> None:
    """Make a simulated build of one of AWS's releases the newest one of a cloud of ours. Raises UsageError."""
    from edge_sim.emulation import catalogue

    system, _, architecture = pair.partition("/")
    known = catalogue.released(software, system, architecture)
    if version not in known:
        raise UsageError(f"AWS released no {software} {version} for {pair}", hint=f"It had {', '.join(known)}.")
    offer(endpoint, software, pair, version, catalogue.simulated(software, system, architecture, version))


def update_document(
    file: Path | None,
    url: str | None,
    role: str | None,
    *,
    software: Software,
    system: str,
    architecture: str,
    log_level: str,
) -> UpdateDocument:
    """Return what a plain job's document says. Raises UsageError for what does not go together."""
    if file is None or url is None:
        raise UsageError("a plain IoT job needs --build FILE, and --url URL from which devices download it")
    place = s3.of_uri(url)
    if (place is None) is not (role is None):
        raise UsageError("--role and an s3:// URL go together: IoT Jobs signs such a URL for each device")
    if place is None and not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url}: neither https://… nor s3://BUCKET/KEY")
    build = read_build(file, software)
    return UpdateDocument(
        software=software,
        version=build.version,
        architecture=architecture,
        operating_system=system,
        log_level=log_level,
        url=f"https://s3.amazonaws.com/{place.bucket}/{quote(place.key)}" if place else url,
        sha256=build.sha256,
        size=build.size,
    )


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far one core is with a job. ``details`` are its statusDetails."""

    thing: str
    status: str
    details: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return {"thing": self.thing, "status": self.status, "details": dict(self.details)}


def watch(
    endpoint: JobsEndpoint,
    job_id: str,
    tell: Callable[[JobProgress], None],
    *,
    wait: Callable[[float], object] = time.sleep,
) -> Sequence[JobProgress]:
    """Report every core's execution when it changes, until all are over; return how they ended."""
    known: dict[str, JobProgress] = {}
    while True:
        for thing, status in _statuses(endpoint, job_id):
            before = known.get(thing)
            if before is not None and before.status == status and status != "IN_PROGRESS":
                continue
            execution = endpoint.call(endpoint.iot, "describe_job_execution", jobId=job_id, thingName=thing)[
                "execution"
            ]
            details = execution.get("statusDetails", {}).get("detailsMap", {})
            now = known[thing] = JobProgress(thing=thing, status=execution["status"], details=details)
            if now != before:
                tell(now)
        if all(execution.status not in PENDING for execution in known.values()):
            return [known[thing] for thing in sorted(known)]
        wait(POLL_S)


def _statuses(endpoint: JobsEndpoint, job_id: str) -> list[tuple[str, str]]:
    statuses: list[tuple[str, str]] = []
    more: dict[str, str] = {}
    while True:
        page = endpoint.call(endpoint.iot, "list_job_executions_for_job", jobId=job_id, maxResults=PAGE, **more)
        rows = page["executionSummaries"]
        statuses += [(row["thingArn"].rpartition("/")[2], row["jobExecutionSummary"]["status"]) for row in rows]
        if "nextToken" not in page:
            return statuses
        more = {"nextToken": page["nextToken"]}
