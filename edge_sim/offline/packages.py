"""A group's packages made ready on this machine: packed as the local cloud packs them, and named by their content.

The same folder gives the same archive and so the same place on the board, whether the cloud or this module packed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edge_sim.agent.archives.check import check
from edge_sim.arns import arn
from edge_sim.cloud.packages import Format, archive_format, packed
from edge_sim.definitions.definition import Definition
from edge_sim.digests import sha256
from edge_sim.errors import InvalidDefinitionError, file_error
from edge_sim.greengrass.functions import FunctionCode, is_system_function
from edge_sim.greengrass.group import Artifact, Group, artifact_id
from edge_sim.greengrass.plan import Content
from edge_sim.limits import Limits
from edge_sim.offline.codetext import mentions
from edge_sim.offline.inputs import Inputs, PackageSource, address
from edge_sim.printing import printable

_ARN = arn("greengrass", "/edge-sim/artifacts")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One package of a group as an archive on this machine. ``owner`` says whose, such as ``resource m1``."""

    owner: str
    path: Path
    file_name: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class PackageOwner:
    """Something of a group that has a package: a model or a function's code. ``address`` is what it points to."""

    kind: Literal["resource", "function"]
    id: str
    address: str
    package: PackageSource | None

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, kw_only=True)
class PackedGroup:
    """A group with its packages, and the ``definition`` that it was read from.

    ``archives`` by artifact ARN; ``contents`` by resource id, ``code`` by function id.
    ``limits`` are those that every archive is read with.

    What is ``unknown``, because nobody gave its package, keeps the artifact that a core's group.json names; else it has
    a stand-in, whose id is the resource's in angle brackets, which no artifact has.
    """

    definition: Definition
    group: Group
    limits: Limits
    archives: Mapping[str, Archive]
    contents: Mapping[str, tuple[Content, ...]]
    code: Mapping[str, tuple[Content, ...]]
    unknown: tuple[PackageOwner, ...]


@contextmanager
def packed_group(inputs: Inputs, *, listed: bool = True) -> Iterator[PackedGroup]:
    """Pack what ``inputs`` names; the archives live as long as the context. ``listed`` looks into them as well.

    Raises UsageError for a package that cannot be read, InvalidDefinitionError for one that the core would refuse.
    """
    with ExitStack() as stack:
        owners = list(_owners(inputs))
        ready = {owner: _archive(owner, owner.package, stack) for owner in owners if owner.package}
        insides = (
            {owner: _contents(owner, archive, inputs.limits) for owner, archive in ready.items()} if listed else {}
        )
        group = replace(
            inputs.group,
            artifacts={
                owner.id: _artifact(owner, ready.get(owner), inputs.group)
                for owner in owners
                if owner.kind == "resource"
            },
            code={owner.id: _code(owner, ready.get(owner)) for owner in owners if owner.kind == "function"},
        )
        yield PackedGroup(
            definition=replace(inputs.scenario.definition, mentions=mentions(inputs)),
            group=group,
            limits=inputs.limits,
            archives={_arn(owner, archive): archive for owner, archive in ready.items()},
            contents={owner.id: inside for owner, inside in insides.items() if owner.kind == "resource"},
            code={owner.id: inside for owner, inside in insides.items() if owner.kind == "function"},
            unknown=tuple(owner for owner in owners if owner not in ready),
        )


def _owners(inputs: Inputs) -> Iterator[PackageOwner]:
    for resource in inputs.group.resources:
        where = address(resource)
        if where is not None:
            yield PackageOwner(kind="resource", id=resource.id, address=where, package=inputs.packages.get(where))
    for function in inputs.group.functions:
        if not is_system_function(function.arn):
            package = inputs.packages.get(function.arn)
            yield PackageOwner(kind="function", id=function.id, address=function.arn, package=package)


def _archive(owner: PackageOwner, package: PackageSource, stack: ExitStack) -> Archive:
    name = package.file_name or ("code.zip" if owner.kind == "function" else "model.tar.gz")
    path = package.path
    if path.is_dir():
        form: Format = "zip" if owner.kind == "function" else archive_format(name) or "tar.gz"
        path = stack.enter_context(packed(path, form))
    try:
        with path.open("rb") as file:
            digest = sha256(file)
            return Archive(owner=str(owner), path=path, file_name=name, sha256=digest, size=file.tell())
    except OSError as error:
        raise file_error(f"{owner}: {path}: cannot be read: {error.strerror}", error) from error


def _contents(owner: PackageOwner, archive: Archive, limits: Limits) -> tuple[Content, ...]:
    """Return what is in an archive, read as the core would read it: so what it refuses is refused here."""
    verdict = check(archive.path, limits=limits, file_name=archive.file_name)
    if verdict.faults:
        first, *more = verdict.faults
        problem = f"{owner}: {first.brief}" + (f" (and {len(more)} more)" if more else "")
        raise InvalidDefinitionError(
            problem, details="\n".join(printable(fault.brief) for fault in more) or None, hint=first.hint
        )
    return verdict.contents


def _arn(owner: PackageOwner, archive: Archive | None) -> str:
    kind = "mlmodel" if owner.kind == "resource" else "lambda"
    return f"{_ARN}/{kind}/{artifact_id(owner.id, archive.sha256) if archive else f'<{owner.id}>'}"


def _artifact(owner: PackageOwner, archive: Archive | None, group: Group) -> Artifact:
    if archive is None:
        return group.artifacts.get(owner.id) or Artifact(arn=_arn(owner, None), sha256="", size=0, file_name="")
    return Artifact(arn=_arn(owner, archive), sha256=archive.sha256, size=archive.size, file_name=archive.file_name)


def _code(owner: PackageOwner, archive: Archive | None) -> FunctionCode:
    return FunctionCode(
        artifact_arn=_arn(owner, archive),
        handler=owner.package.handler if owner.package else "",
        runtime=owner.package.runtime if owner.package else "",
        sha256=archive.sha256 if archive else "",
        size=archive.size if archive else 0,
    )
