"""Rules about who owns a machine-learning resource and who may do what with it.

Decision table and texts: access-ml-resources.md and gg-troubleshooting.md, for GGC 1.10 and newer. Up to 1.9 a
containerised function had to state its permission, and other functions had no models at all (``versions``).
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.greengrass import prefix
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.resources import OwnerSetting, Resource
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule

ML = "access-ml-resources.md"
_PAGES = f"gg-troubleshooting.md; {ML}"
MAX_GID = 2**32 - 2
"""The kernel's largest; 2**32 - 1 means "no group" (chown(2))."""


@rule(
    "model-owner",
    condition="sourced",
    timing="inferred",
    aws_text="InvalidMLModelOwner - GroupOwnerSetting is provided in ML model resource, but GroupOwner or "
    "GroupPermission is not present",
    source=_PAGES,
    since="1.10",
    hint="Set both, or omit OwnerSetting.",
)
def owner_is_whole(case: Case) -> Iterator[Fault]:
    """An OwnerSetting has both GroupOwner and GroupPermission."""
    for resource, owner in _owned(case):
        missing = [
            name
            for name, value in (("GroupOwner", owner.group_owner), ("GroupPermission", owner.group_permission))
            if not value
        ]
        if missing:
            message = f"resource {resource.id}: its OwnerSetting has no {' and no '.join(missing)}"
            yield _fault(resource, message, missing[0] if len(missing) == 1 else "")


@rule(
    "group-owner-range",
    condition="ours",
    timing="ours",
    source="ours: how V1 refused is not known; GIDs of the kernel, chown(2)",
    since="1.10",
)
def owner_range(case: Case) -> Iterator[Fault]:
    """A model's GroupOwner given as a number is a GID that Linux has."""
    for resource, owner in _named(case):
        if owner.is_gid and int((owner.group_owner or "0")[:20]) > MAX_GID:
            message = f"resource {resource.id}: its GroupOwner is larger than any GID"
            yield _fault(resource, message, "GroupOwner")


@rule(
    "group-owner-root",
    condition="ours",
    timing="ours",
    source="ours: what V1 did is not known; every function with the model would be in that group",
    since="1.10",
    hint="Give the model its own group, or leave OwnerSetting out so that only containerised functions see the model.",
)
def owner_is_not_root(case: Case) -> Iterator[Fault]:
    """A model's GroupOwner is not root's own group, GID 0."""
    for resource, owner in _named(case):
        if owner.group_owner == "root" or (owner.is_gid and not (owner.group_owner or "0").strip("0")):
            message = f"resource {resource.id}: its GroupOwner {owner.group_owner!r} is root's own group"
            yield _fault(resource, message, "GroupOwner")


@rule(
    "group-owner-gid",
    condition="sourced",
    timing="inferred",
    source=f"{ML} (GID); botocore says name or GID",
    since="1.10",
)
def owner_is_gid(case: Case) -> Iterator[Fault]:
    """With the setting --gid-only, a model's GroupOwner is a GID, as the developer guide says."""
    for resource, owner in _named(case) if case.settings.gid_only else ():
        if owner.group_owner and not owner.is_gid:
            message = f"resource {resource.id}: GroupOwner {owner.group_owner!r} is a name, not a GID"
            yield _fault(resource, message, "GroupOwner")


@rule(
    "group-owner-disputed",
    condition="sourced",
    timing="inferred",
    severity="note",
    source=f"botocore greengrass 2017-06-07: group name or GID; {ML} and the console: GID",
    since="1.10",
    hint="A GID satisfies both pages; --gid-only refuses names.",
)
def owner_disputed(case: Case) -> Iterator[Fault]:
    """A model's GroupOwner may be a group's name by the API reference; the developer guide says GID."""
    for resource, owner in _named(case) if not case.settings.gid_only else ():
        if owner.group_owner and not owner.is_gid:
            name = f"GroupOwner {owner.group_owner!r} is a name"
            yield _fault(resource, f"resource {resource.id}: {name}; the developer guide requires a GID", "GroupOwner")


@rule(
    "model-no-container-permission",
    condition="sourced",
    timing="inferred",
    aws_text="NoContainer function cannot configure permission when attaching Machine Learning resources. "
    "<function-arn> refers to Machine Learnin resource <resource-id> with permission <ro/rw> in resource access "
    "policy.",
    source=_PAGES,
    since="1.10",
    hint="Leave Permission out of the function's ResourceAccessPolicies.",
)
def no_container_permission(case: Case) -> Iterator[Fault]:
    """A No-container function inherits the owner's permission and may not state its own."""
    for a in case.models:
        if a.policy.permission and not a.contained:
            yield Fault(
                path=f"{a.path}.Permission",
                message=f"function {a.function.id} runs without a container and must not set Permission "
                f"{a.policy.permission} for model {a.resource.id}",
                resource=a.resource.id,
                function=a.function.id,
                values={
                    "function-arn": a.function.arn,
                    "resource-id": a.resource.id,
                    "ro/rw": a.policy.permission,
                },
            )


@rule(
    "model-permission-missing",
    condition="sourced",
    timing="inferred",
    aws_text="Function <function-arn> refers to Machine Learning resource <resource-id> with missing permission in "
    "both ResourceAccessPolicy and resource OwnerSetting.",
    source=_PAGES,
    since="1.10",
    hint="Give the resource an OwnerSetting.",
)
def permission_somewhere(case: Case) -> Iterator[Fault]:
    """The permission comes from the function or from the owner; a No-container function needs the owner's."""
    for a in case.models:
        if not a.resource.owner and not (a.policy.permission and a.contained):
            where = "its policy or" if a.contained else "(it runs without a container)"
            yield Fault(
                path=f"{a.path}.Permission",
                message=f"function {a.function.id} needs a permission for model {a.resource.id}: {where} OwnerSetting",
                resource=a.resource.id,
                function=a.function.id,
                values={"function-arn": a.function.arn, "resource-id": a.resource.id},
            )


@rule(
    "model-permission-exceeds-owner",
    condition="sourced",
    timing="inferred",
    aws_text='Function <function-arn> refers to Machine Learning resource <resource-id> with permission \\"rw\\", '
    'while resource owner setting GroupPermission only allows \\"ro\\".',
    source=_PAGES,
    since="1.10",
    hint="Ask for ro, or give the owner's group rw.",
)
def permission_within_owner(case: Case) -> Iterator[Fault]:
    """A containerised function may ask for at most what the owner's group has."""
    for a in case.models:
        owner = a.resource.owner
        if a.policy.permission == "rw" and owner and owner.group_permission == "ro":
            yield Fault(
                path=f"{a.path}.Permission",
                message=f"function {a.function.id} asks for rw on model {a.resource.id}, whose owner group has only ro",
                resource=a.resource.id,
                function=a.function.id,
                values={"function-arn": a.function.arn, "resource-id": a.resource.id},
            )


@rule(
    "model-shared-owner",
    condition="sourced",
    timing="sourced",
    text="inferred",
    aws_text="Lambda <function-arn> gains access to resource <resource-id> by sharing the same group owner id",
    source=f"{ML}: attached to one model of a group, attached to all; the text is the sibling's",
    since="1.10",
    hint="Attach the other model as well, or give it its own group.",
)
def shared_owner(case: Case) -> Iterator[Fault]:
    """A function attached to one of several models with the same owner group is attached to all of them."""
    sharing: dict[str, list[Resource]] = {}
    for resource, owner in _owned(case):
        if owner.group_owner:
            sharing.setdefault(owner.group, []).append(resource)
    for number, function in enumerate(case.group.functions):
        attached = case.attached_ids[number]
        if case.asked_uid(function) == 0:
            continue
        for group, resources in sharing.items():
            inside = [r.id for r in resources if r.id in attached]
            outside = [r for r in resources if r.id not in attached] if inside else []
            for resource in outside:
                yield Fault(
                    path=resource.path,
                    message=f"function {function.id} has model {inside[0]} of group {group} attached, "
                    f"and so reaches model {resource.id} of the same group",
                    resource=resource.id,
                    function=function.id,
                    values={"function-arn": function.arn, "resource-id": resource.id},
                )


@rule(
    "model-prefix",
    condition="inferred",
    timing="inferred",
    severity="warning",
    phase="run",
    source=f"{ML} (the code opens AWS_GG_RESOURCE_PREFIX + DestinationPath); that code which mentions only the path "
    "fails is inferred",
    since="1.10",
    hint=f"Have the handler open os.environ['{prefix.VARIABLE}'] + DestinationPath.",
)
def prefix_is_used(case: Case) -> Iterator[Fault]:
    """Code that runs without a container and names a model's DestinationPath mentions AWS_GG_RESOURCE_PREFIX as well.

    Looked for in a scenario's code folders, in the packages of --source (plan, access, apply), and in Variables.
    """
    for a in case.models:
        mentions, paths = case.mentions.get(a.function.id), prefix.model_paths(case.group, a.function)
        path = (a.resource.destination_path or "").rstrip("/")
        if mentions is None or path not in paths or prefix.VARIABLE in mentions:
            continue
        holds = [f"its variable {name}" for name, text in a.function.variables.items() if prefix.names(text, path)]
        where = [*(["its code"] if path in mentions else []), *holds]
        if where:
            yield Fault(
                path=a.path,
                message=f"function {a.function.id} runs without a container; {' and '.join(where)} "
                f"{'names' if len(where) == 1 else 'name'} {path}, and its code mentions no {prefix.VARIABLE}",
                resource=a.resource.id,
                function=a.function.id,
                hint=prefix.advice(path),
            )


def _owned(case: Case) -> Iterator[tuple[Resource, OwnerSetting]]:
    return ((resource, resource.owner) for resource in case.group.resources if resource.owner)


def _named(case: Case) -> Iterator[tuple[Resource, OwnerSetting]]:
    """Yield the models whose GroupOwner is known; two that a template leaves open in the same words are one group."""
    return ((resource, owner) for resource, owner in _owned(case) if not is_open(owner.group_owner))


def _fault(resource: Resource, message: str, key: str = "") -> Fault:
    path = f"{resource.data_path}.OwnerSetting" + (f".{key}" if key else "")
    return Fault(path=path, message=message, resource=resource.id)


RULES: tuple[Rule, ...] = (
    owner_is_whole,
    owner_range,
    owner_is_not_root,
    owner_is_gid,
    owner_disputed,
    no_container_permission,
    permission_somewhere,
    permission_within_owner,
    shared_owner,
    prefix_is_used,
)
