"""Who could open what on V1, who can on each nucleus, why that differs, and the line that restores it.

The process of a function on V2 is a ``FunctionProcess`` like V1's, so that one rule of the kernel answers for all three
boards, and one sandbox can prove it. What nobody knows of imported containers (addGroupOwner, what else they see) has
no answer here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.access import RIGHTS, Right, View, counts_as
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.matrix import MAX_PATHS, Question, row
from edge_sim.greengrass.mounting import not_started
from edge_sim.greengrass.process import FunctionProcess, Identity, Mount, effective_permission
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rows import AccessRow
from edge_sim.greengrass.rules.rule import Label
from edge_sim.v2.boardscript import account, membership, memberships
from edge_sim.v2.designs import placements, way
from edge_sim.v2.move import Move
from edge_sim.v2.names import component_names, model_component
from edge_sim.v2.nucleus import NucleusName
from edge_sim.v2.tree import ids, unpacked
from edge_sim.v2.verdicts import stays_contained, verdict

Reason = Literal[
    "same",
    "group owner lost",
    "files are read-only",
    "it owns the folders",
    "one account owns it",
    "files are open",
    "folders are open",
    "container lost",
    "account differs",
    "cannot be moved",
    "not known",
]
"""Why access differs: a closed list. ``WHY`` says each in a sentence."""
WHY: Mapping[Reason, tuple[str, Label]] = {
    "same": ("nothing changes", "sourced"),
    "group owner lost": ("its account is not in the group that V1 added to the process", "sourced"),
    "files are read-only": ("an artifact's Permission cannot grant writing", "sourced"),
    "it owns the folders": ("its account owns the folders, so it can delete and replace files in them", "inferred"),
    "one account owns it": ("its files belong to the account that this component also runs as", "sourced"),
    "files are open": (
        "the components that use it run as different accounts, so its Permission lets every account read",
        "ours",
    ),
    "folders are open": ("an artifact's folders are 0755, so every account can list them", "sourced"),
    "container lost": ("without a container it opens the board's own path, with its account's permissions", "inferred"),
    "account differs": ("it runs as another account", "sourced"),
    "cannot be moved": ("the function cannot be migrated to this nucleus", "inferred"),
    "not known": ("not known, or not decided by the known facts about the board", "ours"),
}
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, kw_only=True)
class AccessCell:
    """What a function may do with a resource on one nucleus; ``rights`` is None where that is not known.

    ``restores`` is the line that gives back, or takes away again, what has changed.
    """

    rights: tuple[Right, ...] | None
    path: str | None
    reason: Reason
    restores: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, kw_only=True)
class AccessDifference:
    """One function and one resource on V1 and on both nuclei. ``before`` is None where V1's answer is not known."""

    function: str
    resource: str
    attached: bool
    before: tuple[Right, ...] | None
    cells: Mapping[NucleusName, AccessCell]

    @property
    def changed(self) -> bool:
        return any(cell.reason != "same" for cell in self.cells.values())


def process(move: Move, function: Function, groups: Sequence[int] = ()) -> FunctionProcess:
    """Return the process of a function that can be moved; ``groups`` are further ones of its account."""
    who = ids(move, function)
    contained = stays_contained(move, function)
    own = move.to.supplementary(who.uid, who.gid) if move.to else ()
    extra = {*own, *groups} - {who.gid}
    component = component_names(move)[function.id]
    return FunctionProcess(
        function=function,
        isolation="GreengrassContainer" if contained else "NoContainer",
        identity=Identity(uid=who.uid, gid=who.gid, groups=tuple(sorted(extra))),
        mounts=tuple(_mounts(move, function)) if contained else (),
        masked=(),
        environment={},
        working_directory=move.nucleus.work(component),
        code_directory=move.nucleus.unpacked(component, "", "code.zip"),
        protected_links=move.to.protected_links if move.to else True,
    )


def cell(
    move: Move, function: Function, resource: Resource, before: AccessRow | None, nodes: Mapping[str, Node]
) -> AccessCell:
    """Return what a function may do with a resource on the nucleus of ``move``, against what it could ``before``."""
    could = rights_of(before)
    if verdict(move, function).becomes == "nothing":
        return AccessCell(rights=(), path=None, reason="same" if could == () else "cannot be moved")
    query = question(move, function, resource)
    if query is None:
        return AccessCell(rights=could, path=None, reason="same")
    doubt = _doubt(move, function, resource, query, nodes)
    if doubt:
        return AccessCell(rights=None, path=query.paths[0][0], reason="not known", doubt=doubt)
    access_row = answer(move, function, query, nodes)
    can = rights_of(access_row)
    if can is None or could is None:
        doubt = access_row.unknown or "V1's answer is not known"
        return AccessCell(rights=can, path=access_row.path, reason="not known", doubt=doubt)
    if can == could:
        return AccessCell(rights=can, path=access_row.path, reason="same")
    reason = _reason(move, function, query, nodes, could, can)
    return AccessCell(
        rights=can,
        path=access_row.path,
        reason=reason,
        restores=_restores(move, function, resource, reason, could, can),
    )


def answer(
    move: Move, function: Function, query: Question, nodes: Mapping[str, Node], groups: Sequence[int] = ()
) -> AccessRow:
    """Return the row of one question, computed for a function's process, with further ``groups`` of its account."""
    return row(View(process(move, function, groups), nodes, _facts(move)), query)


def question(move: Move, function: Function, resource: Resource) -> Question | None:
    """Return what is asked of a resource: its paths as the function names them; None where it is nowhere."""
    policy = next((p for r, p in move.group.attached(function) if r.id == resource.id), None)
    paths = tuple(islice(_paths(move, function, resource, attached=policy is not None), MAX_PATHS))
    if not paths:
        return None
    return Question(
        resource=resource,
        attached=policy is not None,
        expected=effective_permission(resource, policy) if policy else "none",
        paths=paths,
        total=len(paths),
    )


def rights_of(access_row: AccessRow | None) -> tuple[Right, ...] | None:
    """Return the rights of a row; None where they are not known."""
    if access_row is None or access_row.unknown:
        return None
    return tuple(right for right in RIGHTS if access_row.answers[right].computed)


def _facts(move: Move) -> HostFacts:
    return move.to or HostFacts(architecture="", operating_system="", whole=frozenset())


def _paths(move: Move, function: Function, resource: Resource, *, attached: bool) -> Iterator[tuple[str, str]]:
    if resource.model is None:
        if resource.source_path and resource.container_path:
            inside = attached and stays_contained(move, function)
            yield (resource.container_path if inside else resource.source_path), resource.source_path
        return
    package = move.models_known.get(resource.id)
    for placement in placements(move):
        own = placement.function.id == function.id
        if placement.resource.id == resource.id and own == attached:
            pairs = unpacked(placement, package.contents if package else ())
            yield from pairs if own else ((there, there) for _, there in pairs)


def _mounts(move: Move, function: Function) -> Iterator[Mount]:
    for resource, policy in move.group.attached(function):
        if resource.local and resource.source_path and resource.container_path:
            read_only = effective_permission(resource, policy) == "ro"
            yield Mount(source=resource.source_path, destination=resource.container_path, read_only=read_only)
    for placement in placements(move):
        if placement.function.id == function.id and placement.way == "C":
            yield Mount(source=placement.path, destination=placement.seen, read_only=True)


def _doubt(
    move: Move, function: Function, resource: Resource, query: Question, nodes: Mapping[str, Node]
) -> str | None:
    """Return why nobody can say what an imported container may open here, None where it can be computed."""
    if not stays_contained(move, function):
        return None
    if not query.attached:
        return "what else an imported function's container sees is not known"
    if resource.local and resource.local.group_owner.auto_add_group_owner:
        return "what addGroupOwner does is not known: test it on a device"
    stopped = not_started(process(move, function), nodes)
    unseen = (_facts(move).doubt(mount.source) for mount in process(move, function).mounts if mount.source not in nodes)
    return next(filter(None, unseen), f"whether its container can be created: {stopped}" if stopped else None)


def _lent(move: Move, resource: Resource) -> tuple[int, ...]:
    """Return the groups, on the new board, that V1 lent the process for a resource."""
    data, facts = resource.local, _facts(move)
    if data is None:
        owner = resource.owner
        gid = facts.gid(owner.group_owner or "") if owner else None
        return () if gid is None else (gid,)
    if data.group_owner.auto_add_group_owner:
        node = facts.at(data.source_path)
        return (node.gid,) if node else ()
    gid = facts.groups.get(data.group_owner.group_owner or "")
    return () if gid is None else (gid,)


def _reason(
    move: Move,
    function: Function,
    query: Question,
    nodes: Mapping[str, Node],
    could: tuple[Right, ...],
    can: tuple[Right, ...],
) -> Reason:
    """Return what the difference comes from: the first change that would account for it."""
    resource = query.resource
    lost = {*could} - {*can}
    lent = _lent(move, resource) if resource and query.attached else ()
    if resource and resource.model:
        if query.attached:
            if not lost:
                return "it owns the folders"
            return "files are read-only" if lost == {"write"} else "account differs"
        return _stranger_gains(move, function, query, nodes)
    if lost and lent and {*could} <= {*(rights_of(answer(move, function, query, nodes, lent)) or ())}:
        return "group owner lost"
    if move.contained(function) and not stays_contained(move, function):
        return "container lost"
    return "account differs"


def _stranger_gains(move: Move, function: Function, query: Question, nodes: Mapping[str, Node]) -> Reason:
    """Return why a function may open a model that is not attached to it."""
    model_nodes = [nodes[there] for _, there in query.paths if there in nodes]
    identity = process(move, function).identity
    if any(counts_as(identity, node) != "others" for node in model_nodes):
        return "one account owns it"
    return (
        "files are open"
        if any(node.type == "file" and node.mode & 0o004 for node in model_nodes)
        else "folders are open"
    )


def _restores(
    move: Move,
    function: Function,
    resource: Resource,
    reason: Reason,
    could: tuple[Right, ...],
    can: tuple[Right, ...],
) -> str | None:
    name = component_names(move)[function.id]
    if reason == "group owner lost":
        lines = [
            membership(group, account(move, function))
            for group, id_ in memberships(move, function)
            if id_ == resource.id
        ]
        return lines[0] if lines else None
    if reason == "it owns the folders" and way(move, function) != "A":
        return f"runWith of {model_component(resource)}: another account, and Permission Read: ALL"
    if reason == "files are open":
        return (
            f"Permission Read: OWNER for {model_component(resource)}, with one posixUser for all components that use it"
        )
    if reason == "files are read-only":
        return f"write to {move.nucleus.work(name)} instead: no Permission restores it"
    if reason in ("one account owns it", "account differs") and move.nucleus.lambdas:
        uid = move.asked_uid(function)
        user = "an account of its own" if uid is None or not {*could} - {*can} else str(uid)
        return f"runWith of {name}: posixUser {user}"
    if reason == "container lost" and {*could} - {*can}:
        return f"setfacl -m u:{account(move, function)}:{'rw' if 'write' in could else 'r'} {resource.source_path}"
    return None
