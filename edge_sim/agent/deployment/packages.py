"""The packages of a deployment, models and function code: what they are, where from, and how each is unpacked."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from edge_sim.agent.archives.errors import v1_text
from edge_sim.agent.events import Progress
from edge_sim.agent.http_error import HttpError
from edge_sim.agent.rooted import node_at
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.changes import differ
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import CODE_MODES, Content, Modes, function_directory, model_directory, model_modes


class Fetch(Protocol):
    """Brings an artifact to a new file, or raises HttpError; ``download.download`` with a client is one."""

    def __call__(self, url: str, destination: Path, *, sha256: str, size: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class DeploymentPackage:
    """Something to unpack. ``owner`` names it in messages; ``directory`` is the board's; ``modes`` as planned."""

    owner: str
    arn: str
    sha256: str
    size: int
    file_name: str
    directory: str
    modes: Modes


def packages(group: Group, facts: HostFacts) -> tuple[DeploymentPackage, ...]:
    """Return the packages of ``group``, one for each directory. Raises InvalidDefinitionError (no such Linux group)."""
    by_directory = {package.directory: package for package in (*_code(group, facts), *_models(group, facts))}
    return tuple(by_directory.values())


def sources(document: Mapping[str, Any], required: tuple[DeploymentPackage, ...]) -> dict[str, str]:
    """Return the URL of each package by ARN, from the document's ``Artifacts``.

    Raises InvalidDefinitionError when one is missing or differs from the one in group.json.
    """
    artifacts = document.get("Artifacts")
    known = artifacts if isinstance(artifacts, Mapping) else {}
    urls = {}
    for package in required:
        entry = known.get(package.arn)
        if not isinstance(entry, Mapping) or not isinstance(entry.get("Url"), str):
            raise InvalidDefinitionError(f"{package.owner}: the deployment document has no artifact {package.arn}")
        if (entry.get("Sha256"), entry.get("Size")) != (package.sha256, package.size):
            raise InvalidDefinitionError(
                f"{package.owner}: the artifact {package.arn} is not the one that the group names (size or SHA-256)",
                hint="deploy again",
            )
        urls[package.arn] = entry["Url"]
    return urls


def install(
    package: DeploymentPackage,
    url: str,
    destination: Path,
    modes: Modes,
    *,
    fetch: Fetch,
    limits: Limits,
    progress: Progress,
) -> tuple[Content, ...]:
    """Fetch and unpack ``package`` into the new directory ``destination``; return what is in it.

    ``modes`` are the package's, with -1 for an owner that cannot be set. Raises HttpError, ArchiveError and
    UnpackError, with V1's words around the reason.
    """
    archive = destination.with_name(f"{destination.name}.package")
    try:
        fetch(url, archive, sha256=package.sha256, size=package.size)
        destination.mkdir(mode=0o700)
        with _Reported(archive, lambda count: progress(f"unpacking {package.owner}: {count} bytes so far")) as source:
            return unpack(
                source, destination, file_name=package.file_name, limits=limits, modes=modes, sha256=package.sha256
            )
    except HttpError as error:
        brief = f"{_wrapped(package)} error while downloading: {error.brief}"
        raise HttpError(
            brief, status=error.status, retryable=error.retryable, machine=error.machine, hint=error.hint
        ) from error
    except ArchiveError as error:
        raise ArchiveError(
            error.code, f"{_wrapped(package)} {_unpacking(package, error)}", member=error.member, hint=error.hint
        ) from error
    finally:
        archive.unlink(missing_ok=True)


class _Reported(io.BufferedReader):
    """A file that reports how many bytes of it have been read."""

    def __init__(self, path: Path, progress: Callable[[int], object]) -> None:
        super().__init__(io.FileIO(path))
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        self._progress(self.tell())
        return super().read(size)


def intact(place: Path, contents: tuple[Content, ...], modes: Modes) -> bool:
    """Tell whether everything in ``contents`` is still below ``place`` with the right type, owner and mode."""
    everything = (Content(path="", type="directory"), *contents)
    return all(_as_unpacked(place / content.path, content, modes) for content in everything)


def _as_unpacked(path: Path, content: Content, modes: Modes) -> bool:
    try:
        node = node_at(path)
    except UnsupportedEnvironmentError:
        return False
    return node is not None and as_it_can_be(node, modes.node(content))


def as_it_can_be(actual: Node, target: Node) -> bool:
    """Tell whether a node is as wanted, but for an owner of -1, which cannot be set."""
    uid = actual.uid if target.uid == -1 else target.uid
    gid = actual.gid if target.gid == -1 else target.gid
    return not differ(replace(target, uid=uid, gid=gid), actual)


def _code(group: Group, facts: HostFacts) -> Iterator[DeploymentPackage]:
    for function in group.functions:
        code = group.code.get(function.id)
        if code is not None:
            yield DeploymentPackage(
                owner=f"function {function.id}",
                arn=code.artifact_arn,
                sha256=code.sha256,
                size=code.size,
                file_name="code.zip",  # Lambda's packages are zips
                directory=function_directory(facts, function),
                modes=CODE_MODES,
            )


def _models(group: Group, facts: HostFacts) -> Iterator[DeploymentPackage]:
    for resource in group.resources:
        artifact = group.artifacts.get(resource.id)
        if resource.model and artifact is not None:
            yield DeploymentPackage(
                owner=f"resource {resource.id}",
                arn=artifact.arn,
                sha256=artifact.sha256,
                size=artifact.size,
                file_name=artifact.file_name,
                directory=model_directory(facts, resource, artifact),
                modes=model_modes(facts, resource),
            )


def _wrapped(package: DeploymentPackage) -> str:
    return f"{package.owner}: unable to download the artifact {package.arn}:"


def _unpacking(package: DeploymentPackage, error: ArchiveError) -> str:
    source = f"/tmp/greengrass/artifacts/{package.arn.rsplit('/', 1)[-1]}"
    return v1_text(error, source=source, directory=package.directory)
