"""Rules about what a function is attached to, and with which permission.

Pages: access-local-resources.md, secrets.md, gg-troubleshooting.md, lambda-group-config.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.facts import below
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.case import Attachment, Case, environment_path, policy_path
from edge_sim.greengrass.rules.paths import LOCAL
from edge_sim.greengrass.rules.rule import Fault, Rule, rule
from edge_sim.greengrass.rules.system import LISTED

_COUNT_20 = "AWS General Reference, Greengrass V1 quotas, and lra-cli.md: 20"
_COUNT_10 = "botocore greengrass 2017-06-07 and lambda-group-config.md: 10"
_OWN_MOUNTS = ("/dev", "/lambda", "/proc", "/runtime", "/sys")


@rule("unknown-resource", condition="inferred", timing="inferred", source="inferred: V1's text is not known")
def known_resources(case: Case) -> Iterator[Fault]:
    """Every attached resource exists in the group's resource definition."""
    known = {resource.id for resource in case.group.resources}
    for number, function in enumerate(case.group.functions):
        unknown = case.attached_ids[number] - known
        for index, policy in enumerate(function.policies if unknown else ()):
            if policy.resource_id in unknown and not (case.partial or is_open(policy.resource_id)):
                yield Fault(
                    path=f"{policy_path(function, index)}.ResourceId",
                    message=f"function {function.id} refers to resource {policy.resource_id!r}, which the group does "
                    "not have",
                    resource=policy.resource_id,
                    function=function.id,
                )


@rule(
    "resources-missing",
    condition="ours",
    timing="ours",
    severity="note",
    source="ours: a definition that is read without its group's resources may be correct",
    hint="Add the resource definition: edge-sim validate functions.json resources.json",
)
def resources_missing(case: Case) -> Iterator[Fault]:
    """Without the resource definition, the resources that functions refer to cannot be checked."""
    references = {policy.resource_id for function in case.group.functions for policy in function.policies}
    if case.partial and references:
        message = f"the resource definition is missing; functions refer to {len(references)} of its resources"
        yield Fault(path="$.Functions", message=message)


@rule(
    "attached-twice",
    condition="ours",
    timing="ours",
    severity="warning",
    source="ours: which permission V1 took is not known",
)
def attached_twice(case: Case) -> Iterator[Fault]:
    """A function names each resource once."""
    for number, function in enumerate(case.group.functions):
        if len(case.attached_ids[number]) == len(function.policies):
            continue
        seen: set[str] = set()
        for index, policy in enumerate(function.policies):
            if policy.resource_id in seen:
                yield Fault(
                    path=policy_path(function, index),
                    message=f"function {function.id} has resource {policy.resource_id} attached twice",
                    resource=policy.resource_id,
                    function=function.id,
                )
            seen.add(policy.resource_id)


@rule("resource-count", condition="sourced", timing="inferred", source=f"{_COUNT_20}; {_COUNT_10}")
def resource_count(case: Case) -> Iterator[Fault]:
    """A function is attached to at most 20 resources (setting: resources-per-function)."""
    allowed = case.settings.quotas.resources_per_function
    for function in case.group.functions:
        count = len(function.policies)
        if count > allowed:
            path = f"{environment_path(function)}.ResourceAccessPolicies"
            message = f"function {function.id} is attached to {count} resources; at most {allowed} are allowed"
            yield Fault(path=path, message=message, function=function.id)


@rule(
    "resource-count-disputed",
    condition="sourced",
    timing="inferred",
    severity="note",
    source=f"{_COUNT_20}; {_COUNT_10}",
    hint="Use --limit resources-per-function=10 to enforce the smaller number.",
)
def resource_count_disputed(case: Case) -> Iterator[Fault]:
    """AWS's quota page allows 20 resources a function, the API reference 10."""
    for function in case.group.functions:
        count = len(function.policies)
        if 10 < count <= case.settings.quotas.resources_per_function:
            path = f"{environment_path(function)}.ResourceAccessPolicies"
            message = (
                f"function {function.id} is attached to {count} resources: the quota page allows 20, the API reference "
                "10"
            )
            yield Fault(path=path, message=message, function=function.id)


@rule(
    "local-resource-no-container",
    condition="sourced",
    timing="sourced",
    aws_text="Function <function-arn> refers to resource of type <resource-type> that is not allowed in "
    "IsolationMode=NoContainer.",
    aws_code="RESOURCE_TYPE_UNEXPECTED_ERROR",
    source=f"{LISTED}; a deployment's error in a public issue shows it, with its code",
    hint="Open the board's path directly, or run the function in a container.",
)
def local_resources_need_a_container(case: Case) -> Iterator[Fault]:
    """Devices and volumes cannot be attached to a No-container function."""
    for a in case.local:
        if not a.contained:
            values = {"function-arn": a.function.arn, "resource-type": a.resource.data.kind.type_name}
            message = f"function {a.function.id} runs without a container; {a.resource.label} needs one"
            yield _fault(a, message, values=values)


@rule(
    "secret-permission",
    condition="sourced",
    timing="inferred",
    source="secrets.md",
    hint="Omit Permission, or set it to ro.",
)
def secret_permission(case: Case) -> Iterator[Fault]:
    """A secret can only be read."""
    for a in case.secrets:
        if a.policy.permission == "rw":
            message = f"function {a.function.id}: secret {a.resource.id} can only be attached with permission ro"
            yield _fault(a, message, ".Permission")


@rule(
    "permission-default",
    condition="ours",
    timing="ours",
    severity="note",
    source="silent: the model makes Permission optional, the console always sets it; here it means ro",
    hint="Set it to ro or rw.",
)
def permission_default(case: Case) -> Iterator[Fault]:
    """What a device or volume without Permission may be used for is not documented."""
    for a in case.local:
        if a.policy.permission is None:
            message = f"function {a.function.id}: no Permission for {a.resource.id}; it is treated as ro here"
            yield _fault(a, message, ".Permission")


@rule(
    "group-owner-ignored",
    condition="sourced",
    timing="inferred",
    severity="warning",
    source=LOCAL,
    hint="Set only one of the two.",
)
def group_owner_ignored(case: Case) -> Iterator[Fault]:
    """With AutoAddGroupOwner, the GroupOwner of a device or volume is ignored."""
    for resource in case.group.resources:
        if resource.local:
            setting = resource.local.group_owner
            if setting.auto_add_group_owner and setting.group_owner:
                message = (
                    f"resource {resource.id}: GroupOwner {setting.group_owner!r} is ignored, because "
                    "AutoAddGroupOwner is on"
                )
                path = f"{resource.data_path}.GroupOwnerSetting.GroupOwner"
                yield Fault(path=path, message=message, resource=resource.id)


@rule(
    "mount-hidden",
    condition="ours",
    timing="ours",
    severity="warning",
    phase="run",
    source="ours: V1's guide is silent for containers",
)
def mount_hidden(case: Case) -> Iterator[Fault]:
    """Of two resources with the same destination in a container, one hides the other."""
    occupants: dict[tuple[int, str], Resource] = {}
    for a in case.attachments:
        if a.resource.destination_path is None or not a.contained:
            continue
        place = a.resource.destination_path.rstrip("/")
        before = occupants.setdefault((a.number, place), a.resource)
        alike = a.resource.model and before.data.kind == a.resource.data.kind  # model-destination-unique refuses them
        if before.id != a.resource.id and not alike:
            yield _fault(a, f"function {a.function.id}: {a.resource.id} and {before.id} both appear at {place}")


@rule(
    "reserved-destination",
    condition="ours",
    timing="ours",
    severity="warning",
    phase="run",
    source="ours: what V1 itself mounts there; what it did with such a destination is not known",
    hint="In the simulator, a function does not start with such a destination in /proc or /runtime, in /sys with "
    "AccessSysfs, or in /lambda if it does not exist there.",
)
def reserved_destination(case: Case) -> Iterator[Fault]:
    """A destination does not hide what the container itself has: /dev, /lambda, /proc, /runtime, /sys."""
    for resource in case.group.resources:
        destination, source = resource.destination_path, resource.source_path
        if destination is None or below(destination, "/dev/shm"):
            continue
        hidden = [top for top in _OWN_MOUNTS if below(destination, top)]
        if hidden and not (source is not None and below(source, "/proc")):
            message = (
                f"resource {resource.id}: destination {destination} lies in {hidden[0]}, which belongs to the "
                "container itself"
            )
            yield Fault(path=f"{resource.data_path}.DestinationPath", message=message, resource=resource.id)


def _fault(a: Attachment, message: str, below_policy: str = "", *, values: dict[str, str] | None = None) -> Fault:
    return Fault(
        path=a.path + below_policy,
        message=message,
        resource=a.resource.id,
        function=a.function.id,
        values=values or {},
    )


RULES: tuple[Rule, ...] = (
    known_resources,
    resources_missing,
    attached_twice,
    resource_count,
    resource_count_disputed,
    local_resources_need_a_container,
    secret_permission,
    permission_default,
    group_owner_ignored,
    mount_hidden,
    reserved_destination,
)
