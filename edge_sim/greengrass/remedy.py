"""Why a function has a right, and which change would give or take it. Pure, from the same values as ``access``."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Literal

from edge_sim.facts import HostFacts, resolve
from edge_sim.greengrass.access import Access, Right, View, counts_as
from edge_sim.greengrass.process import NOBODY, FunctionProcess, Identity
from edge_sim.greengrass.resources import GroupOwnerSetting, Resource

By = Literal["attachment", "shared gid", "world bits", "owner", "root"]
_BITS: dict[Right, int] = {"read": 4, "list": 4, "write": 2, "execute": 1}
_LETTERS = {4: "r", 2: "w", 1: "x"}
_ANYBODY = Identity(uid=NOBODY, gid=NOBODY)
_CLASSES = {"owner": "u", "group": "g", "others": "o"}


@dataclass(frozen=True, kw_only=True)
class AccessCase:
    """What one function sees, and one resource (None: a path of no resource); ``attached`` as the definition has it."""

    view: View
    resource: Resource | None
    attached: bool

    @property
    def process(self) -> FunctionProcess:
        return self.view.process


def by(case: AccessCase, path: str, right: Right) -> By:
    """Return what gives a right that ``computed`` grants."""
    who, view = case.process.identity, case.view
    if who.uid == 0 and not view.access(path, replace(who, uid=NOBODY)).grants(right):
        return "root"
    if case.attached:
        return "attachment"
    if view.access(path, _ANYBODY).grants(right):
        return "world bits"
    return "owner" if view.access(path, Identity(uid=who.uid, gid=NOBODY)).grants(right) else "shared gid"


def fix(case: AccessCase, answer: Access, right: Right, path: str) -> str | None:
    """Return the change that would reverse the answer; None where none could."""
    function = case.process.function.id
    if answer.grants(right):
        return _taking(case, answer, right, by(case, path, right), function)
    if right == "list" and answer.node is not None and answer.node.type != "directory" and not answer.needs:
        return None
    if not case.attached and case.resource is not None:
        return _attaching(case, case.resource, right, function)
    if answer.node is None:
        if case.resource is not None and case.resource.model:
            return f"add {posixpath.basename(answer.at)} to the package of {_name(case)}"
        return f"create {answer.at} on the board before the deployment"
    if answer.needs:
        return _bits(case, answer, answer.needs, right, path)
    if right == "write" and case.resource is not None and "mounted read-only" in answer.reasons:
        return _remounting(case, case.resource, function)
    if case.resource and case.resource.model:
        packing = f"pack the file of {_name(case)} as executable"
        return packing if right == "execute" else _owner(case, right, contained=False)
    entering = 1 if right == "write" and answer.node.type == "directory" else 0
    return _bits(case, answer, _BITS[right] | entering, right, path)


def _taking(case: AccessCase, answer: Access, right: Right, why: By, function: str) -> str:
    if why == "attachment":
        return f"take {_name(case)} out of the ResourceAccessPolicies of {function}"
    if why == "root":
        return f"RunAs with a Uid other than 0 for {function}"
    if why == "owner":
        return f"RunAs with a Uid other than {case.process.identity.uid} for {function}"
    if why == "world bits":
        return f"chmod o-{_LETTERS[_BITS[right]]} {answer.at}"
    if case.resource and case.resource.model:
        return f"attach {_name(case)} to {function}, or give it a GroupOwner that {function} is not in"
    return f"chgrp {answer.at} to a group that {function} is not in"


def _remounting(case: AccessCase, resource: Resource, function: str) -> str | None:
    stated = any(policy.resource_id == resource.id and policy.permission for policy in case.process.function.policies)
    inherited = resource.owner is not None and not stated
    permission = f"Permission: rw for {_name(case)} in the ResourceAccessPolicies of {function}"
    return _both(None if inherited else permission, _owner(case, "write", contained=True))


def _attaching(case: AccessCase, resource: Resource, right: Right, function: str) -> str | None:
    permission = "rw" if right == "write" else "ro"
    contained = case.process.isolation == "GreengrassContainer"
    if not contained and resource.local:
        attached = f"{resource.id} attached with Permission: {permission}"
        return f"IsolationMode: GreengrassContainer for {function}, and {attached}"
    policy = f"{{ResourceId: {resource.id}" + (f", Permission: {permission}}}" if contained else "}")
    return _both(f"{policy} in the ResourceAccessPolicies of {function}", _owner(case, right, contained=contained))


def _owner(case: AccessCase, right: Right, *, contained: bool) -> str | None:
    """Return what a model's OwnerSetting must say for a right, None where it need not say more than it does.

    A function may not ask for more than the owner's group has; in a container it does without any owner.
    """
    model = case.resource.model if case.resource else None
    if model is None:
        return None
    permission = "rw" if right == "write" else "ro"
    if model.owner is None:
        setting = f"an OwnerSetting with a GroupOwner and GroupPermission: {permission} for {_name(case)}"
        return None if contained else setting
    if right == "write" and model.owner.group_permission != "rw":
        return f"GroupPermission: rw in the OwnerSetting of {_name(case)}"
    return None


def _both(*changes: str | None) -> str | None:
    return ", and ".join(filter(None, changes)) or None


def _bits(case: AccessCase, answer: Access, need: int, right: Right, path: str) -> str:
    """Return which group or which bits would grant ``need`` where the way ended."""
    node, at = answer.node, answer.at
    assert node is not None  # noqa: S101 - what is missing has been answered
    counts, nodes, facts = counts_as(case.process.identity, node), case.view.nodes, case.view.facts
    local = case.resource.local if case.resource else None
    if counts == "others" and (node.mode >> 3) & need == need and node.gid != 0:
        if local:
            source = nodes.get(resolve(nodes, local.source_path))
            if source is not None and source.gid == node.gid:
                return f"AutoAddGroupOwner: true in the GroupOwnerSetting of {_name(case)}"
            if node.gid in facts.groups.values() and local.group_owner == GroupOwnerSetting():
                return f"GroupOwner: {_group(facts, node.gid)} in the GroupOwnerSetting of {_name(case)}"
        if case.view.access(path, replace(case.process.identity, gid=node.gid)).grants(right):
            return f"RunAs with Gid {node.gid} ({_group(facts, node.gid)}) for {case.process.function.id}"
    letters = "".join(name for bit, name in _LETTERS.items() if need & bit)
    if counts == "acl":
        return f"setfacl -m u:{case.process.identity.uid}:{letters} {at}"
    return f"chmod {_CLASSES.get(counts, 'a')}+{letters} {at}"


def _group(facts: HostFacts, gid: int) -> str:
    return next((name for name, known in facts.groups.items() if known == gid), str(gid))


def _name(case: AccessCase) -> str:
    return case.resource.label if case.resource else "it"
