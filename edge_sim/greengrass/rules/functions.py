"""Rules about isolation mode and what a function may be attached to.

The texts are those of gg-troubleshooting.md, which prints them as headings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import TYPE_NAMES, LocalDevice, LocalVolume, Secret
from edge_sim.greengrass.rules.resources import finding
from edge_sim.report import Finding

_PAGE = "gg-troubleshooting.md"
MAX_RESOURCES_A_FUNCTION = 20
"""The quota page and lra-cli.md say 20; the API reference and lambda-group-config.md say 10."""


def unique_ids(group: Group) -> Iterator[Finding]:
    """A function's Id is unique in the version."""
    for value, count in Counter(f.id for f in group.functions).items():
        if count > 1:
            yield finding(
                "function-id-unique",
                f"function Id {value!r} is used {count} times",
                source="botocore greengrass 2017-06-07",
            )


def known_resources(group: Group) -> Iterator[Finding]:
    """Every attached resource exists in the group's resource definition."""
    known = {r.id for r in group.resources}
    for function in group.functions:
        for policy in function.policies:
            if policy.resource_id not in known:
                yield finding(
                    "unknown-resource",
                    f"function {function.id} refers to resource {policy.resource_id!r}, which the group does not have",
                    resource=policy.resource_id,
                    source="inferred: AWS's text is not known",
                )


def memory_size(group: Group) -> Iterator[Finding]:
    """MemorySize is required in a container and forbidden outside."""
    for function in group.functions:
        contained = group.isolation_mode(function) == "GreengrassContainer"
        if contained != (function.memory_size_kb is not None):
            mode, verb = ("GreengrassContainer", "required") if contained else ("NoContainer", "not allowed")
            text = f"MemorySize configuration for function with arn {function.arn} is {verb} in IsolationMode={mode}."
            yield finding("memory-size", f"function {function.id}: {text}", aws_text=text, source=_PAGE)


def access_sysfs(group: Group) -> Iterator[Finding]:
    """AccessSysfs is for containers. Whether an explicit false was refused as well is not known; it passes here."""
    for function in group.functions:
        if function.access_sysfs and group.isolation_mode(function) == "NoContainer":
            text = (
                f"Access Sysfs configuration for function with arn {function.arn} is not allowed in "
                "IsolationMode=NoContainer."
            )
            yield finding("access-sysfs", f"function {function.id}: {text}", aws_text=text, source=_PAGE)


def local_resources_need_a_container(group: Group) -> Iterator[Finding]:
    """Devices and volumes cannot be attached to a No-container function."""
    for function in group.functions:
        if group.isolation_mode(function) != "NoContainer":
            continue
        for resource, _ in group.attached(function):
            if isinstance(resource.data, LocalDevice | LocalVolume):
                text = (
                    f"Function {function.arn} refers to resource of type {TYPE_NAMES[type(resource.data)]} that is not "
                    "allowed in IsolationMode=NoContainer."
                )
                yield finding(
                    "local-resource-no-container",
                    f"function {function.id}, resource {resource.id}: {text}",
                    resource=resource.id,
                    aws_text=text,
                    source=_PAGE,
                    hint="Open the board's path directly, or run the function in a container.",
                )


def secret_permission(group: Group) -> Iterator[Finding]:
    """A secret can only be read."""
    for function in group.functions:
        for resource, policy in group.attached(function):
            if isinstance(resource.data, Secret) and policy.permission == "rw":
                yield finding(
                    "secret-permission",
                    f"function {function.id}: secret {resource.id} can only be attached with permission ro",
                    resource=resource.id,
                    source="secrets.md",
                )


def resource_count(group: Group) -> Iterator[Finding]:
    """A function may be attached to 20 resources, or 10: AWS's pages disagree."""
    for function in group.functions:
        count = len(function.policies)
        if count > 10:
            yield finding(
                "resource-count",
                f"function {function.id} is attached to {count} resources; the quota page allows "
                f"{MAX_RESOURCES_A_FUNCTION}, the API reference 10",
                severity="error" if count > MAX_RESOURCES_A_FUNCTION else "note",
                source="General Reference quotas and lra-cli.md (20); botocore and lambda-group-config.md (10)",
            )
