"""CreateSoftwareUpdateJob, and the builds that AWS would have had ready.

Sourced (greengrass-v1 facts 4.1-4.3): the accepted pairs, the job's id, description, presigned URL settings and that
the caller cannot choose a version. Ours: the texts of the refusals, the job document, and that "the latest version" is
the build registered last, or where none was, the catalogue's. Whether the signer role exists and may be assumed is not
looked at: there is no IAM here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.cloud.artifacts import ArtifactStore
from edge_sim.cloud.greengrass.arns import Namespace, is_role
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError
from edge_sim.jobs.update import JOB_ID_PREFIX, OPERATING_SYSTEMS, SOFTWARE, VERSION, UpdateDocument, build_document

EXPIRES_S = 3600
MAX_TARGETS = 100

Catalogue = Callable[[str, str, str], tuple[str, bytes] | None]
"""Software, operating system, architecture → version and content of the build that AWS would have had, or None."""
CreateJob = Callable[..., str]
"""``create_job(job_id, targets, document, description, presigned_role_arn, expires_s)`` → ARN of the IoT job."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """A registered build of the core software or of the OTA agent."""

    software: str
    operating_system: str
    architecture: str
    version: str
    sha256: str
    size: int
    url: str
    """The S3 address that the job document names; a device gets a presigned local URL instead."""


class Updates:
    """Builds and the jobs that install them. ``create_job`` is the Jobs service's.

    ``catalogue`` is asked where nothing was registered.
    """

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        namespace: Namespace,
        create_job: CreateJob,
        catalogue: Catalogue = lambda *_: None,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._artifacts = artifacts
        self._namespace = namespace
        self._create_job = create_job

    def register(
        self, software: str, operating_system: str, architecture: str, version: str, content: Iterable[bytes]
    ) -> Build:
        """Take in a build; from now on it is the latest of its pair. Raises InvalidDefinitionError."""
        _check_build(software, operating_system, architecture, version)
        file = self._artifacts.write(content)
        if file.size == 0:
            raise InvalidDefinitionError(f"build {software} {version}: the file is empty")
        # One key for all Linux distributions of an architecture, as in AWS's bucket; OpenWrt's builds are others.
        distribution = f"openwrt-{version}" if operating_system == "openwrt" else version
        key = f"{software}/{architecture}/greengrass-{software}-{distribution}.tar.gz"
        region = self._namespace.region
        build = Build(
            software=software,
            operating_system=operating_system,
            architecture=architecture,
            version=version,
            sha256=file.sha256,
            size=file.size,
            url=f"https://s3.{region}.amazonaws.com/{region}-greengrass-updates/{key}",
        )
        with self._store.transaction():
            self._put_file(build)
            id_ = f"{software}/{operating_system}/{architecture}/{version}"
            self._store.delete("builds", id_)  # so that it moves to the end of the order
            pair = f"{software}/{operating_system}/{architecture}"
            self._store.put("builds", id_, asdict(build), parent=pair)
        return build

    def create_job(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateSoftwareUpdateJob."""
        system, architecture = params["UpdateTargetsOperatingSystem"], params["UpdateTargetsArchitecture"]
        self._check(params)
        software = params["SoftwareToUpdate"]
        build, job_id = self._latest(software, system, architecture), f"{JOB_ID_PREFIX}{uuid.uuid4()}"
        arn = self._create_job(
            job_id=job_id,
            targets=list(params["UpdateTargets"]),
            document=json.dumps(_document(build, params.get("UpdateAgentLogLevel") or "ERROR")),
            description=_description(build),
            presigned_role_arn=params["S3UrlSignerRole"],
            expires_s=EXPIRES_S,
        )
        return {"IotJobArn": arn, "IotJobId": job_id, "PlatformSoftwareVersion": build.version}

    def _latest(self, software: str, system: str, architecture: str) -> Build:
        latest = self._store.page("builds", f"{software}/{system}/{architecture}", limit=1, newest_first=True)
        if latest.documents:
            return Build(**latest.documents[0])
        known = self._catalogue(software, system, architecture)
        if known is None:
            text = (
                f"There is no build of {software} for {system} on {architecture}: register one with "
                f"PUT /edge-sim/builds/{software}/{system}/{architecture}/VERSION"
            )
            raise ApiError("BadRequestException", text)
        version, content = known
        return self.register(software, system, architecture, version, [content])

    def _check(self, params: Mapping[str, Any]) -> None:
        system, architecture = params["UpdateTargetsOperatingSystem"], params["UpdateTargetsArchitecture"]
        targets, role = params["UpdateTargets"], params["S3UrlSignerRole"]
        if (system, architecture) not in UPDATE_TARGETS:
            pairs = ", ".join(f"{o}/{a}" for o, a in sorted(UPDATE_TARGETS))
            text = f"There is no Greengrass core software for {system} on {architecture}. Supported: {pairs}."
            raise ApiError("BadRequestException", text)
        if not is_role(role):
            raise ApiError("BadRequestException", f"S3UrlSignerRole is not the ARN of an IAM role: {role}")
        if not 1 <= len(targets) <= MAX_TARGETS:
            raise ApiError("BadRequestException", f"UpdateTargets must have 1 to {MAX_TARGETS} ARNs.")
        for target in targets:
            if not self._namespace.is_target(target):
                where = f"of {self._namespace.account} in {self._namespace.region}"
                text = f"UpdateTargets: not the ARN of a thing or thing group {where}: {target}"
                raise ApiError("BadRequestException", text)

    def _put_file(self, build: Build) -> None:
        """Write which file the build's address stands for.

        It cannot stand for two: a device would get a digest that never matches.
        """
        known = self._store.get("build-files", build.url) or {"sha256": build.sha256, "systems": []}
        others = [system for system in known["systems"] if system != build.operating_system]
        if others and known["sha256"] != build.sha256:
            raise InvalidDefinitionError(
                f"build {build.software} {build.version} for {build.architecture} is registered for "
                f"{others[0]} with different content",
                hint="All Linux distributions of an architecture share a build; use another version.",
            )
        systems = [*others, build.operating_system]
        self._store.put("build-files", build.url, {"sha256": build.sha256, "systems": systems})


def build_digest(store: Store, url: str) -> str | None:
    """Return the digest of the build that an S3 address stands for, or None."""
    known = store.get("build-files", url)
    return None if known is None else str(known["sha256"])


def _check_build(software: str, operating_system: str, architecture: str, version: str) -> None:
    for value, allowed in (
        (software, SOFTWARE),
        (operating_system, OPERATING_SYSTEMS),
        (architecture, tuple(ARCHITECTURES)),
    ):
        if value not in allowed:
            raise InvalidDefinitionError(f"build: {value!r} is not one of {', '.join(allowed)}")
    if (operating_system, architecture) not in UPDATE_TARGETS:
        raise InvalidDefinitionError(f"build: Greengrass has none for {operating_system} on {architecture}")
    if not VERSION.fullmatch(version):
        raise InvalidDefinitionError(f"build: {version!r} is not a version such as 1.11.6")


def _document(build: Build, log_level: str) -> dict[str, Any]:
    return build_document(
        UpdateDocument(
            software=build.software,
            version=build.version,
            architecture=build.architecture,
            operating_system=build.operating_system,
            log_level=log_level,
            url=build.url,
            sha256=build.sha256,
            size=build.size,
        )
    )


def _description(build: Build) -> str:
    return (
        "This job was created by Greengrass to update the Greengrass Cores in the targets with version "
        f"{build.version} of the {build.software} software running on {build.architecture} architecture."
    )
