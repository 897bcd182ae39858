"""Whether files on a board hold the bytes of their packages.

Only of packages that nobody but root may write to: what a function changes in a model that it may write is its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from edge_sim.agent.archives.errors import ArchiveError, at_once
from edge_sim.agent.archives.fill import Nowhere, fill
from edge_sim.agent.archives.names import Parts
from edge_sim.agent.archives.reading import Reading
from edge_sim.agent.archives.stream import Chunk
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import function_directory, model_directory
from edge_sim.greengrass.process import effective_permission
from edge_sim.greengrass.resources import Resource
from edge_sim.limits import Limits
from edge_sim.offline.packages import Archive, PackedGroup
from edge_sim.offline.target import Target


def changed_files(packed: PackedGroup, target: Target) -> Iterator[str]:
    """Yield the board's paths of existing files that do not hold the bytes of their package."""
    if target.digest is None:
        return
    for directory, archive in fixed_packages(packed, target):
        for path, digest in _digests(archive, packed.limits).items() if directory in target.disk else ():
            there = f"{directory}/{path}"
            node = target.disk.get(there)
            if node is not None and node.type == "file" and target.digest(there) not in (None, digest):
                yield there


def unread_files(packed: PackedGroup, target: Target) -> Iterator[str]:
    """Yield the board's paths of files in such packages whose bytes nobody knows here."""
    for directory, _ in fixed_packages(packed, target):
        for path, node in target.disk.items():
            unread = path.startswith(f"{directory}/") and node.type == "file"
            if unread and (target.digest is None or target.digest(path) is None):
                yield path


def fixed_packages(packed: PackedGroup, target: Target) -> Iterator[tuple[str, Archive]]:
    """Yield directory and archive of each package that is known and that no function may write to."""
    group, facts = packed.group, target.facts
    for function in group.functions:
        code = group.code.get(function.id)
        if code and code.artifact_arn in packed.archives:
            yield function_directory(facts, function), packed.archives[code.artifact_arn]
    for resource in group.resources:
        artifact = group.artifacts.get(resource.id)
        if artifact and artifact.arn in packed.archives and not _writable(group, resource):
            yield model_directory(facts, resource, artifact), packed.archives[artifact.arn]


def _writable(group: Group, resource: Resource) -> bool:
    if resource.owner:
        return resource.owner.group_permission == "rw"
    attached = (pair for function in group.functions for pair in group.attached(function))
    return any(effective_permission(other, policy) == "rw" for other, policy in attached if other.id == resource.id)


class _Digests(Nowhere):
    """Takes the digest of every file. A link's copy has that of its file, whose bytes are gone by then."""

    def __init__(self) -> None:
        super().__init__(keep_sizes=False)
        self.by_path: dict[str, str] = {}
        self._copied: str | None = None

    def write_file(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None:
        self._copied = None
        digest = hashlib.sha256()
        for chunk in data:
            digest.update(chunk)
        self.by_path["/".join(path)] = self._copied or digest.hexdigest()

    def read_file(self, path: Parts) -> Iterator[Chunk]:
        """Yield nothing: what is written meanwhile is a copy of this file."""
        self._copied = self.by_path["/".join(path)]
        return iter(())


def _digests(archive: Archive, limits: Limits) -> dict[str, str]:
    """Return the digest of every file in an archive. Raises ArchiveError for one that the core would refuse."""
    sink = _Digests()
    try:
        with (
            archive.path.open("rb") as source,
            Reading(source, file_name=archive.file_name, limits=limits, refuse=at_once) as reading,
        ):
            fill(sink, reading.members(), reading.budget, parents_implied=reading.kind == "zip", refuse=at_once)
    except ArchiveError as error:
        raise error.inside(archive.owner) from error
    return sink.by_path
