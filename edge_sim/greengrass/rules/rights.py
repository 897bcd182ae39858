"""Rules about what a function's user and groups may do on a board: too little refuses a deployment, too much as well.

Texts: aws-greengrass-provisioner issue 160 (a log of a real core) and access-ml-resources.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from edge_sim.facts import HostFacts
from edge_sim.greengrass.access import Access, compute_access
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.process import (
    FunctionProcess,
    Identity,
    Mount,
    containers_own,
    effective_permission,
    group_doubts,
)
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.case import Attachment, Case
from edge_sim.greengrass.rules.models import ML
from edge_sim.greengrass.rules.paths import is_plain, paths_of
from edge_sim.greengrass.rules.rule import Fault, Rule, board_rule, rule

_By = Literal["identity", "loan", "unknown loan"]
"""Whose a group is: the function's own, a device's or volume's, or one that nobody knows."""
_ANY_BOARD = HostFacts(architecture="", operating_system="")
"""What is true of every board: digits are a GID, and no name is known."""


@board_rule(
    "local-access",
    condition="sourced",
    timing="sourced",
    aws_text="unable to load the group file downloaded: resource access policy is invalid, functionArn: "
    "<function-arn>, resource: <path>: user or group doesn't have permission on the file, userId: <uid>, userGroupId: "
    "[<gids>], access: <ro/rw>, filePath: <path>",
    source="aws-greengrass-provisioner issue 160; access-local-resources.md",
)
def local_access(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A function's user and groups really have the requested access to a local resource's source.

    Unknown if the missing group may come from a source that no profile lists.
    """
    answers: dict[tuple[Identity, Mount], Access] = {}
    absent = {r.source_path for r in case.group.resources if r.source_path and facts.at(r.source_path) is None}
    for a in case.local:
        who = case.identities[a.number]
        if not isinstance(who, Identity) or not a.contained or a.resource.source_path in absent:
            continue  # "source-exists" reports an absent source
        if not all(is_plain(path) for _, path in paths_of(a.resource)):
            continue  # "absolute-path" refuses it: what the kernel would make of it is beside the point
        mount = _mount(a)
        if (who, mount) not in answers:
            answers[who, mount] = compute_access(_process(a, who, mount), facts.paths, mount.destination)
        answer = answers[who, mount]
        if not answer.read or not (answer.write or mount.read_only):
            doubts = tuple(group_doubts(case.group, a.function, facts))
            if doubts:
                process = replace(_process(a, who, mount), doubts=doubts)
                answer = compute_access(process, facts.paths, mount.destination, facts)
            yield _denied(a, who, mount, answer)


@rule(
    "shared-group",
    condition="sourced",
    timing="sourced",
    aws_text="Lambda <function-arn> gains access to resource <resource-id> by sharing the same group owner id",
    source=f"{ML} (written to runtime.log)",
    since="1.10",
    on_core=True,
    hint="Attach the resource, or give it its own group.",
)
def shared_group(case: Case) -> Iterator[Fault]:
    """A function must not reach a model only because its group is the model's owner group; root is not checked.

    Only a board (--profile) tells the GID of ggc_group, or of any other name.
    """
    for function, resource, gid, by in _reached(case, case.facts or _ANY_BOARD):
        if by == "identity":
            yield _unattached(
                function,
                resource,
                f"function {function.id} reaches model {resource.id} through its group {gid}, without being attached "
                "to it",
            )


@board_rule(
    "shared-local-group",
    condition="ours",
    timing="ours",
    severity="warning",
    phase="run",
    source=f"ours: {ML} describes only the group that a function runs as; whether V1 also looked at the groups that a "
    "function gets for a device or volume is not known",
    hint="Attach the resource, or give it its own group.",
)
def shared_local_group(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A function reaches a model through the group that it gets for a device or volume (AutoAddGroupOwner, GroupOwner).

    Unknown if that group is unknown.
    """
    for function, resource, gid, by in _reached(case, facts):
        model = f"model {resource.id}, which is not attached to it"
        if by == "loan":
            text = (
                f"function {function.id} reaches {model}, through the group {gid} that it gets for a device or volume"
            )
            yield _unattached(function, resource, text)
        elif by == "unknown loan":
            doubt = next(group_doubts(case.group, function, facts))
            text = (
                f"function {function.id} may reach {model}, through the group that it gets for a device or volume: "
                f"{doubt}"
            )
            yield replace(_unattached(function, resource, text), unknown=True)


def _reached(case: Case, facts: HostFacts) -> Iterator[tuple[Function, Resource, int, _By]]:
    """Yield each function with the models that it reaches, or may reach, by a group alone, the GID and whose it is."""
    owners = [(r, r.owner, facts.gid(r.owner.group_owner or "")) for r in case.group.resources if r.owner]
    for number, function in enumerate(case.group.functions):
        attached = case.attached_ids[number]
        uid, gids, loans = _ids(case, number, {gid for resource, _, gid in owners if resource.id in attached})
        if uid == 0:
            continue
        named = {owner.group for resource, owner, _ in owners if resource.id in attached}
        doubtful = any(group_doubts(case.group, function, facts))
        for resource, owner, gid in owners:
            # A group shared with an attached model is the business of model-shared-owner.
            if gid is None or resource.id in attached or owner.group in named:
                continue
            if gid in gids:
                yield function, resource, gid, "identity"
            elif gid in loans or doubtful:
                yield function, resource, gid, "loan" if gid in loans else "unknown loan"


def _unattached(function: Function, resource: Resource, message: str) -> Fault:
    return Fault(
        path=resource.path,
        message=message,
        resource=resource.id,
        function=function.id,
        values={"function-arn": function.arn, "resource-id": resource.id},
    )


def _ids(case: Case, number: int, of_models: set[int | None]) -> tuple[int | None, set[int | None], set[int]]:
    """Return a function's UID, its GIDs by RunAs and attached models, and those that local resources lend it.

    Without the board's accounts, it is what the definition states.
    """
    who, function = case.identities[number], case.group.functions[number]
    if isinstance(who, Identity):
        gids = {who.gid, *of_models}
        return who.uid, gids, set(who.groups) - gids
    return case.asked_uid(function), {case.asked_gid(function)}, set()


def _mount(a: Attachment) -> Mount:
    """Return how a device or volume is mounted."""
    source, destination = a.resource.source_path or "", a.resource.container_path or ""
    if containers_own(destination, sysfs=True):  # no mount is made there, but the source is looked at all the same
        destination = source
    read_only = effective_permission(a.resource, a.policy) == "ro"
    return Mount(source=source, destination=destination, read_only=read_only)


def _process(a: Attachment, who: Identity, mount: Mount) -> FunctionProcess:
    return FunctionProcess(
        function=a.function,
        isolation="GreengrassContainer",
        identity=who,
        mounts=(mount,),
        masked=(),
        environment={},
        working_directory="/lambda",
        code_directory="/lambda",
    )


def _denied(a: Attachment, who: Identity, mount: Mount, answer: Access) -> Fault:
    permission = "ro" if mount.read_only else "rw"
    verdict = "may not have" if answer.doubt else "does not have"
    reasons = "; ".join(answer.reasons)
    return Fault(
        path=a.path,
        message=f"function {a.function.id} {verdict} {permission} on {mount.source}: {reasons}",
        unknown=answer.doubt is not None,
        resource=a.resource.id,
        function=a.function.id,
        values={
            "function-arn": a.function.arn,
            "path": mount.source,
            "uid": str(who.uid),
            "gids": " ".join(str(gid) for gid in (who.gid, *who.groups)),
            "ro/rw": permission,
        },
        hint=reasons,
    )


RULES: tuple[Rule, ...] = (local_access, shared_group, shared_local_group)
