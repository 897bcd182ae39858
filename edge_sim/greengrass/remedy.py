"""Why a right is there, and which change would give or take it. Pure, from the same values as ``access``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.access import Access, Right, computed, counts_as
from edge_sim.greengrass.process import FunctionProcess
from edge_sim.greengrass.resources import TYPE_NAMES, LocalDevice, LocalVolume, Model, Resource

By = Literal["attachment", "shared gid", "world bits", "owner", "root"]
_NOBODY = 2**32 - 2
"""An id that no account has: the kernel's own overflow ids end one higher, where -1 means "leave it"."""
_BITS: dict[Right, int] = {"read": 4, "list": 4, "write": 2, "execute": 1}
_LETTERS = {4: "r", 2: "w", 1: "x"}
_CLASSES = {"owner": "u", "group": "g", "others": "o"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One function and one resource (None: a path of no resource). ``attached`` as the definition has it."""

    process: FunctionProcess
    nodes: Mapping[str, Node]
    facts: HostFacts
    resource: Resource | None
    attached: bool


def by(case: Case, path: str, right: Right) -> By:
    """Return what gives a right that ``computed`` says is there."""

    def without(**changes: object) -> bool:
        identity = replace(case.process.identity, **changes)  # type: ignore[arg-type]
        return computed(replace(case.process, identity=identity), case.nodes, path).grants(right)

    who = case.process.identity
    if who.uid == 0 and not without(uid=_NOBODY):
        return "root"
    if case.attached:
        return "attachment"
    if without(uid=_NOBODY, gid=_NOBODY, groups=()):
        return "world bits"
    return "owner" if without(gid=_NOBODY, groups=()) else "shared gid"


def fix(case: Case, answer: Access, right: Right, path: str) -> str | None:
    """Return the change that would turn the answer round; None where none could."""
    function = case.process.function.id
    if answer.grants(right):
        return _taking(case, answer, right, by(case, path, right), function)
    if right == "list" and answer.node is not None and answer.node.type != "directory" and not answer.needs:
        return None
    if not case.attached and case.resource is not None:
        return _attaching(case, case.resource, right, function)
    if answer.node is None:
        return f"make {answer.at} on the board before the deployment"
    if answer.needs:
        return _bits(case, answer, answer.needs, right, path)
    if right == "write" and "mounted read-only" in answer.reasons:
        return f"Permission: rw for {_name(case)} in the ResourceAccessPolicies of {function}"
    if isinstance(case.resource.data if case.resource else None, Model):
        return _of_model(case, answer.node, right)
    entering = 1 if right == "write" and answer.node.type == "directory" else 0
    return _bits(case, answer, _BITS[right] | entering, right, path)


def _taking(case: Case, answer: Access, right: Right, why: By, function: str) -> str:
    if why == "attachment":
        return f"take {_name(case)} out of the ResourceAccessPolicies of {function}"
    if why == "root":
        return f"RunAs with a Uid other than 0 for {function}"
    if why == "owner":
        return f"RunAs with a Uid other than {case.process.identity.uid} for {function}"
    if why == "world bits":
        return f"chmod o-{_LETTERS[_BITS[right]]} {answer.at}"
    if isinstance(case.resource.data if case.resource else None, Model):
        return f"attach {_name(case)} to {function}, or give it a GroupOwner that {function} is not in"
    return f"chgrp {answer.at} to a group that {function} is not in"


def _attaching(case: Case, resource: Resource, right: Right, function: str) -> str:
    permission = "rw" if right == "write" else "ro"
    contained = case.process.isolation == "GreengrassContainer"
    if not contained and isinstance(resource.data, LocalDevice | LocalVolume):
        attached = f"{resource.id} attached with Permission: {permission}"
        return f"IsolationMode: GreengrassContainer for {function}, and {attached}"
    policy = f"{{ResourceId: {resource.id}" + (f", Permission: {permission}}}" if contained else "}")
    return f"{policy} in the ResourceAccessPolicies of {function}"


def _of_model(case: Case, node: Node, right: Right) -> str:
    if right == "write":
        return f"GroupPermission: rw in the OwnerSetting of {_name(case)}"
    if right == "execute":
        return f"pack the file of {_name(case)} as executable"
    return f"OwnerSetting of {_name(case)} with a GroupOwner: now it belongs to {node.uid}:{node.gid}"


def _bits(case: Case, answer: Access, need: int, right: Right, path: str) -> str:
    """Return which group or which bits would grant ``need`` where the way ended."""
    node, at = answer.node, answer.at
    assert node is not None  # noqa: S101 - what is missing has been answered
    counts = counts_as(case.process.identity, node)
    data = case.resource.data if case.resource else None
    if counts == "others" and (node.mode >> 3) & need == need and node.gid != 0:
        if isinstance(data, LocalDevice | LocalVolume):
            if at.endswith(data.source_path.rpartition("/")[2]):
                return f"AutoAddGroupOwner: true in the GroupOwnerSetting of {_name(case)}"
            return f"GroupOwner: {_group(case.facts, node.gid)} in the GroupOwnerSetting of {_name(case)}"
        member = replace(case.process, identity=replace(case.process.identity, gid=node.gid))
        if computed(member, case.nodes, path).grants(right):
            return f"RunAs with Gid {node.gid} ({_group(case.facts, node.gid)}) for {case.process.function.id}"
    return f"chmod {_CLASSES.get(counts, 'a')}+{''.join(name for bit, name in _LETTERS.items() if need & bit)} {at}"


def _group(facts: HostFacts, gid: int) -> str:
    return next((name for name, known in facts.groups.items() if known == gid), str(gid))


def _name(case: Case) -> str:
    return f"{TYPE_NAMES[type(case.resource.data)]} {case.resource.id}" if case.resource else "it"
