"""Where a board differs from a group's plan: exactly the paths that differ, and what could not be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edge_sim.agent.deployment.deployer import group_file
from edge_sim.facts import Node
from edge_sim.greengrass import rules
from edge_sim.greengrass.changes import Line, compare
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Entry, plan
from edge_sim.greengrass.tree import Tree
from edge_sim.offline.content import unread_files
from edge_sim.offline.matching import align, renamed
from edge_sim.offline.packages import PackedGroup
from edge_sim.offline.plan import UNKNOWN, adopt, group_json, refuse, rewritten_files
from edge_sim.offline.target import Target

Kind = Literal["missing", "different", "extra"]
UNREAD_GROUP = "which group it holds: a snapshot contains only a digest, which differs from this group's"
_KINDS: dict[str | None, Kind] = {"create": "missing", "change": "different"}


@dataclass(frozen=True, kw_only=True)
class PathDifference:
    """One path that is not as planned. ``words`` say what is different; ``resource`` and ``function`` whose it is."""

    path: str
    kind: Kind
    expected: Node | None = None
    actual: Node | None = None
    resource: str | None = None
    function: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drift:
    """``differences`` in the order of the paths; ``not_compared`` says in sentences what could not be."""

    compared: int
    differences: tuple[PathDifference, ...]
    not_compared: tuple[str, ...]
    notes: tuple[str, ...]


def drift(packed: PackedGroup, target: Target) -> Drift:
    """Compare a board with the plan of a group.

    Raises InvalidDefinitionError for a group that no board would take, or whose plan this board cannot have (it lacks
    an account); what else its core would refuse is said in the notes.
    """
    refuse(packed, None)
    packed, notes = adopt(packed, target)
    entries = plan(packed.group, target.facts, packed.contents, packed.code)
    board, own = align(entries, target)
    lines = _comparable(entries, packed, board)
    differences = [_difference(line) for line in lines if line.kind]
    differences += [*_extra(entries, packed, board), *_sources(packed.group, board)]
    renamed_differences = [replace(difference, path=renamed(difference.path, own)) for difference in differences]
    matches = (f"{new}: assumed to be {old}, whose files have the same names" for new, old in own.items())
    core = (finding for finding in rules.refusals(packed.group, target.facts) if finding.id != "source-exists")
    refusals = (f"the core would refuse: {finding.message}" for finding in core)
    return Drift(
        compared=len(lines),
        differences=tuple(sorted(renamed_differences, key=lambda difference: difference.path.split("/"))),
        not_compared=(*_not_compared(packed, target), *_bytes(packed, board, own)),
        notes=(*notes, *matches, *target.notes, *refusals),
    )


def _comparable(entries: Sequence[Entry], packed: PackedGroup, target: Target) -> list[Line]:
    """Return the lines about what is known of the plan, and could be looked at."""
    stand_ins = {f"<{owner.id}>" for owner in packed.unknown}
    hidden = {entry.path for entry in entries if not stand_ins.isdisjoint(_names(entry.path, entry.node))}
    lines = compare(entries, target.disk, (), set(rewritten_files(packed, target)))
    return [line for line in lines if line.path not in hidden and not target.hides(line.path)]


def _extra(entries: Sequence[Entry], packed: PackedGroup, target: Target) -> Iterator[PathDifference]:
    """Yield what exists without being planned, except in code whose content is unknown."""
    paths = {entry.path for entry in entries}
    open_code = {f"/{owner.address.replace('/', '_')}/" for owner in packed.unknown if owner.kind == "function"}
    for path, node in target.disk.items():
        if path not in paths and not any(top in path for top in open_code):
            yield PathDifference(path=path, kind="extra", actual=node)


def _not_compared(packed: PackedGroup, target: Target) -> Iterator[str]:
    yield from (f"{owner}: {UNKNOWN}: --source {owner.address}=PATH" for owner in packed.unknown)
    yield from (f"{path}: only root may read it" for path in sorted(target.closed))
    for path in sorted(_unseen(packed.group, target)):
        yield f"{path}: not in the snapshot; name it when you take the snapshot"
    yield from _group_file(packed, target)


def _group_file(packed: PackedGroup, target: Target) -> Iterator[str]:
    """Report a group.json of which only the digest is known, unless it is what a deployment writes."""
    path = Tree(target.facts.greengrass.root).group_file
    node = target.disk.get(path)
    if target.deployed is not None or node is None or node.type != "file" or path in target.closed:
        return
    digest = hashlib.sha256(group_file(group_json(packed.group))).hexdigest()
    if target.digest is None or target.digest(path) != digest:
        yield f"{path}: {UNREAD_GROUP}"


def _names(path: str, node: Node) -> set[str]:
    return {*path.split("/"), *(node.target or "").split("/")}


def _difference(line: Line) -> PathDifference:
    entry = line.entry
    return PathDifference(
        path=line.path,
        kind=_KINDS[line.kind],
        expected=line.expected,
        actual=line.actual,
        resource=entry.resource if entry else None,
        function=entry.function if entry else None,
        words=tuple(word.replace("new content", "different content") for word in line.words),
    )


def _sources(group: Group, target: Target) -> Iterator[PathDifference]:
    """Yield the missing sources of local resources."""
    for resource in group.resources:
        path = resource.source_path
        if path is not None and target.facts.at(path) is None and path not in target.unseen:
            yield PathDifference(path=path, kind="missing", resource=resource.id)


def _bytes(packed: PackedGroup, target: Target, own: Mapping[str, str]) -> Iterator[str]:
    unread = [renamed(path, own) for path in unread_files(packed, target)]
    if unread and target.digest is None:
        yield f"the content of {len(unread)} files: this listing has no digests"
    else:
        yield from (f"{path}: its content could not be read" for path in unread)


def _unseen(group: Group, target: Target) -> set[str]:
    return {resource.source_path for resource in group.resources if resource.source_path} & target.unseen
