"""What a deployment makes on a board: every path, with owner, mode, link target and the reason for it.

Pure: a group, the board's facts and the listing of each model package go in, entries come out, parents before
children. The deployer makes exactly these; the layout report and the access answers read the same value.

The modes, the prefix directory's name and the split into ``mlmodel`` and ``mlmodel_public`` are this project's
decisions where AWS is silent (docs/fidelity.md, "Modes" and "Prefix").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from edge_sim.errors import InvalidDefinitionError, UnknownFactError, assert_never
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.resources import (
    LocalDevice,
    LocalVolume,
    OwnerSetting,
    Resource,
    S3Model,
    SageMakerModel,
    Secret,
)
from edge_sim.greengrass.tree import Tree


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One member of a model package: its path relative to the package's root."""

    path: str
    type: Literal["file", "directory"]
    executable: bool = False


def is_hollow(contents: Collection[Content]) -> bool:
    """Return whether a package holds directories and no file: nothing refuses it, and nothing in it can be opened."""
    return bool(contents) and all(content.type == "directory" for content in contents)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path that a deployment makes, and why. ``rule`` names the row of docs/fidelity.md that decides."""

    path: str
    node: Node
    resource: str | None = None
    function: str | None = None
    rule: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Modes:
    """Owner and permission bits for an unpacked package."""

    uid: int
    gid: int
    file: int
    executable: int
    directory: int

    def node(self, content: Content) -> Node:
        """Return what ``content`` becomes on disk."""
        if content.type == "directory":
            return Node(type="directory", uid=self.uid, gid=self.gid, mode=self.directory)
        mode = self.executable if content.executable else self.file
        return Node(type="file", uid=self.uid, gid=self.gid, mode=mode)


CODE_MODES = Modes(uid=0, gid=0, file=0o644, executable=0o755, directory=0o755)


def deployment_directory(facts: HostFacts) -> str:
    """Return the directory that everything deployed lives in."""
    return Tree(facts.greengrass.root).deployment


def model_directory(facts: HostFacts, resource: Resource, artifact: Artifact) -> str:
    """Return where a model is unpacked: ``mlmodel_public`` when it has an owner, else ``mlmodel``."""
    tree = Tree(facts.greengrass.root)
    return f"{tree.public_models if resource.owner else tree.models}/{artifact.id}"


def board_place(group: Group, resource: Resource, facts: HostFacts) -> str | None:
    """Return where a resource lies on the board; None when it has no path (a secret, a model not deployed)."""
    data = resource.data
    match data:
        case LocalDevice() | LocalVolume():
            return data.source_path
        case S3Model() | SageMakerModel():
            artifact = group.artifacts.get(resource.id)
            return model_directory(facts, resource, artifact) if artifact else None
        case Secret():
            return None
        case _:
            return assert_never(data)


def work_directory(facts: HostFacts, function: Function) -> str:
    """Return a No-container function's working directory, which is also its AWS_GG_RESOURCE_PREFIX."""
    return f"{Tree(facts.greengrass.root).work_directories}/{function.id}"


def function_directory(facts: HostFacts, function: Function) -> str:
    """Return where a function's code is unpacked; V1 names the directory by the qualified ARN."""
    return f"{Tree(facts.greengrass.root).functions}/{function.arn.replace('/', '_')}"


def model_modes(facts: HostFacts, resource: Resource) -> Modes:
    """Return owner and modes for the files of a model.

    Raises InvalidDefinitionError when its group does not exist on the board.
    """
    owner = resource.owner
    if owner is None:
        user = facts.users.get(facts.greengrass.user)
        gid = facts.groups.get(facts.greengrass.group)
        if user is None or gid is None:
            raise InvalidDefinitionError(
                f"resource {resource.id}: the board has no {facts.greengrass.user}:{facts.greengrass.group}"
            )
        return Modes(uid=user.uid, gid=gid, file=0o644, executable=0o755, directory=0o755)
    gid = _owner_gid(facts, resource, owner)
    if owner.group_permission == "rw":
        return Modes(uid=0, gid=gid, file=0o660, executable=0o770, directory=0o2770)
    return Modes(uid=0, gid=gid, file=0o440, executable=0o550, directory=0o550)


def plan(
    group: Group,
    facts: HostFacts,
    contents: Mapping[str, Sequence[Content]],
    code: Mapping[str, Sequence[Content]] | None = None,
) -> tuple[Entry, ...]:
    """Return every path that deploying ``group`` makes, parents before children.

    ``contents`` holds the members of each model package by resource id, ``code`` those of each function's package by
    function id, both without the package's root.
    """
    entries: dict[str, Entry] = {}
    for entry in (
        *_skeleton(facts),
        *_code(group, facts, code or {}),
        *_models(group, facts, contents),
        *_work_directories(group, facts),
    ):
        entries.setdefault(entry.path, entry)
    return tuple(entries.values())


def paths_of_interest(group: Group, greengrass_root: str) -> tuple[str, ...]:
    """Return the board paths that must be looked at before a group can be judged, with all their parents."""
    paths = [Tree(greengrass_root).deployment]
    for resource in group.resources:
        paths += filter(None, (resource.source_path, resource.destination_path))
    paths += _inside_volumes(group)
    return tuple(sorted({str(p) for path in paths for p in _with_parents(path)}))


def _inside_volumes(group: Group) -> Iterator[str]:
    """Yield the board's paths at which a mount lies in a volume: without one the container cannot be made."""
    destinations = [resource.destination_path or "" for resource in group.resources]
    for volume in (resource.volume for resource in group.resources):
        if volume:
            top = f"{volume.destination_path}/"
            yield from (f"{volume.source_path}/{to[len(top) :]}" for to in destinations if to.startswith(top))


def _with_parents(path: str) -> Iterable[PurePosixPath]:
    pure = PurePosixPath(path)
    return (pure, *pure.parents)


def _owner_gid(facts: HostFacts, resource: Resource, owner: OwnerSetting) -> int:
    gid = facts.gid(owner.group_owner or "")
    doubt = facts.group_doubt(owner.group_owner or "")
    if gid is None and doubt:
        raise UnknownFactError(
            f"resource {resource.id}: {doubt}, so the model's owner there is unknown",
            hint="Check the board, and list its groups in your own device profile (a YAML file).",
        )
    if gid is None:
        raise InvalidDefinitionError(
            f"resource {resource.id}: group {owner.group_owner!r} does not exist on this board",
            hint="Name one of the board's groups, or give the GID as digits.",
        )
    return gid


def _directory(path: str, mode: int, rule: str, reason: str, *, function: str | None = None) -> Entry:
    node = Node(type="directory", uid=0, gid=0, mode=mode)
    return Entry(path=path, node=node, function=function, rule=rule, reason=reason)


def _skeleton(facts: HostFacts) -> Iterator[Entry]:
    tree, rule = Tree(facts.greengrass.root), "deployment-directory"
    yield _directory(tree.deployment, 0o755, rule, "parents stay open so that a model's group can reach it")
    yield _directory(tree.group, 0o755, rule, "the deployed group")
    yield _directory(tree.functions, 0o755, rule, "code of the functions")
    yield _directory(tree.models, 0o700, rule, "models without an owner: only root gets in on the host")
    yield _directory(tree.public_models, 0o755, rule, "models with an owner setting")
    yield _directory(tree.work_directories, 0o755, rule, "working directories of No-container functions")
    yield Entry(
        path=tree.group_file,
        node=Node(type="file", uid=0, gid=0, mode=0o600),
        rule="group-json",
        reason="the group as deployed",
    )


def _code(group: Group, facts: HostFacts, code: Mapping[str, Sequence[Content]]) -> Iterator[Entry]:
    for function in group.functions:
        if function.id not in group.code:
            continue
        top = function_directory(facts, function)
        for path, node in _unpacked(top, CODE_MODES, code.get(function.id, ())):
            yield Entry(path=path, node=node, function=function.id, rule="function-code", reason="unpacked code")


def _models(group: Group, facts: HostFacts, contents: Mapping[str, Sequence[Content]]) -> Iterator[Entry]:
    for resource in group.resources:
        artifact = group.artifacts.get(resource.id)
        if not resource.model or artifact is None:
            continue
        owner = resource.owner
        rule = "model-owner" if owner else "model-without-owner"
        top = model_directory(facts, resource, artifact)
        for path, node in _unpacked(top, model_modes(facts, resource), contents.get(resource.id, ())):
            yield Entry(path=path, node=node, resource=resource.id, rule=rule, reason=_model_reason(owner))


def _unpacked(top: str, modes: Modes, contents: Sequence[Content]) -> Iterator[tuple[str, Node]]:
    for content in (Content(path="", type="directory"), *_with_directories(contents)):
        yield (f"{top}/{content.path}" if content.path else top), modes.node(content)


def _model_reason(owner: OwnerSetting | None) -> str:
    if owner is None:
        return "no OwnerSetting: seen only through a container"
    return f"OwnerSetting {owner.group_owner}:{owner.group_permission}"


def _with_directories(contents: Sequence[Content]) -> Iterator[Content]:
    """Yield the members and the directories that a zip may leave out, parents first."""
    seen: set[str] = set()
    for content in contents:
        for parent in reversed(PurePosixPath(content.path).parents[:-1]):
            if str(parent) not in seen:
                seen.add(str(parent))
                yield Content(path=str(parent), type="directory")
        if content.path not in seen:
            seen.add(content.path)
            yield content


def _work_directories(group: Group, facts: HostFacts) -> Iterator[Entry]:
    for function in group.functions:
        if group.isolation_mode(function) != "NoContainer":
            continue
        prefix = work_directory(facts, function)
        yield _directory(prefix, 0o755, "prefix-directory", "AWS_GG_RESOURCE_PREFIX", function=function.id)
        for resource, _ in group.attached(function):
            if resource.model and resource.id in group.artifacts:
                target = model_directory(facts, resource, group.artifacts[resource.id])
                yield from _link(prefix, resource.model.destination_path, target, resource, function)


def _link(prefix: str, destination: str, target: str, resource: Resource, function: Function) -> Iterator[Entry]:
    below = PurePosixPath(destination.lstrip("/"))
    for parent in reversed(below.parents[:-1]):
        path = f"{prefix}/{parent}"
        yield _directory(path, 0o755, "prefix-directory", "parent of a model's link", function=function.id)
    yield Entry(
        path=f"{prefix}/{below}",
        node=Node(type="link", uid=0, gid=0, mode=0o777, target=target),
        resource=resource.id,
        function=function.id,
        rule="prefix-link",
        reason="a No-container function reaches its model through a link; files are shared, not copied",
    )
