"""Rules about the resources themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import effective_permission
from edge_sim.greengrass.resources import LocalDevice, LocalVolume, Model, Resource, Secret
from edge_sim.report import Finding, Phase, Severity

_ID = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


def finding(
    rule: str,
    message: str,
    *,
    source: str,
    phase: Phase = "deploy",
    severity: Severity = "error",
    resource: str | None = None,
    aws_text: str | None = None,
    hint: str | None = None,
) -> Finding:
    """Make a finding about one resource; the path is the resource's until files are tracked by line."""
    return Finding(
        id=rule,
        severity=severity,
        phase=phase,
        path=f"$.Resources[?Id={resource}]" if resource else "$",
        message=message,
        aws_text=aws_text,
        resource=resource,
        source=source,
        hint=hint,
    )


def below(path: str, top: str) -> bool:
    """Return whether ``path`` is ``top`` or lies under it."""
    return path == top or path.startswith(top + "/")


def volume_under_sys(resource: Resource) -> Iterator[Finding]:
    """A volume's source may not be /sys or below."""
    if isinstance(resource.data, LocalVolume) and below(resource.data.source_path, "/sys"):
        yield finding(
            "volume-under-sys",
            f"resource {resource.id}: a volume may not have its source in /sys",
            phase="create",
            resource=resource.id,
            aws_text="The resources definition is invalid. (ErrorDetails: [Accessing /sys is prohibited])",
            source="moto greengrass models (copied from the service); access-local-resources.md",
            hint="Give the function AccessSysfs instead.",
        )


def device_outside_dev(resource: Resource) -> Iterator[Finding]:
    """A device's source lies under /dev; the service compared only the prefix."""
    if isinstance(resource.data, LocalDevice) and not resource.data.source_path.startswith("/dev"):
        path = resource.data.source_path
        yield finding(
            "device-outside-dev",
            f"resource {resource.id}: device path {path} is not under /dev",
            phase="create",
            resource=resource.id,
            aws_text="The resources definition is invalid. (ErrorDetails: [Device resource path should begin with "
            f"/dev, but got: {path}])",
            source="moto greengrass models (copied from the service); access-local-resources.md",
        )


def identifiers(group: Group) -> Iterator[Finding]:
    """Ids and names: up to 128 of letters, digits, colon, underscore, hyphen."""
    for resource in group.resources:
        for what, value in (("Id", resource.id), ("Name", resource.name)):
            if not _ID.fullmatch(value):
                yield finding(
                    "resource-identifier",
                    f"resource {resource.id!r}: {what} {value!r} must be 1 to 128 of [a-zA-Z0-9:_-]",
                    resource=resource.id,
                    source="lra-cli.md; botocore greengrass 2017-06-07",
                )


def unique_ids(group: Group) -> Iterator[Finding]:
    """A resource's Id is unique in the group."""
    for value, count in Counter(r.id for r in group.resources).items():
        if count > 1:
            yield finding(
                "resource-id-unique",
                f"resource Id {value!r} is used {count} times",
                resource=value,
                source="lra-cli.md",
            )


def absolute_paths(group: Group) -> Iterator[Finding]:
    """Sources and destinations are absolute paths without ``..``."""
    for resource in group.resources:
        data = resource.data
        paths = [data.source_path] if isinstance(data, LocalDevice | LocalVolume) else []
        paths += [data.destination_path] if isinstance(data, LocalVolume | Model) else []
        for path in paths:
            if not path.startswith("/") or path == "/" or "\0" in path or {".", ".."} & set(path.split("/")):
                yield finding(
                    "absolute-path",
                    f"resource {resource.id}: {path!r} must be an absolute path below /, without '.' or '..'",
                    resource=resource.id,
                    source="access-local-resources.md; '..' and '.' are this project's refusal",
                )


def duplicate_devices(group: Group) -> Iterator[Finding]:
    """Two device resources may not name the same path."""
    paths = Counter(r.data.source_path for r in group.resources if isinstance(r.data, LocalDevice))
    for path, count in paths.items():
        if count > 1:
            yield finding(
                "duplicate-device",
                f"device path {path} is used by {count} resources",
                source="aws-greengrass-provisioner",
            )


def one_destination_for_a_source(group: Group) -> Iterator[Finding]:
    """One volume source may not have two destinations; identical pairs are allowed."""
    destinations: dict[str, set[str]] = {}
    for resource in group.resources:
        if isinstance(resource.data, LocalVolume):
            destinations.setdefault(resource.data.source_path, set()).add(resource.data.destination_path)
    for source_path, found in destinations.items():
        if len(found) > 1:
            yield finding(
                "volume-destinations",
                f"volume source {source_path} has {len(found)} destinations: {', '.join(sorted(found))}",
                source="aws-greengrass-provisioner",
            )


def proc_volumes(group: Group) -> Iterator[Finding]:
    """A volume from /proc is read-only and is not mounted onto /proc."""
    for resource in group.resources:
        data = resource.data
        if not isinstance(data, LocalVolume) or not below(data.source_path, "/proc"):
            continue
        if below(data.destination_path, "/proc"):
            yield finding(
                "proc-destination",
                f"resource {resource.id}: a volume from /proc needs a destination outside /proc",
                resource=resource.id,
                source="access-local-resources.md",
                hint="Use a path such as /host-proc.",
            )
        if "rw" in _permissions(group, resource):
            yield finding(
                "proc-read-only",
                f"resource {resource.id}: a volume from /proc can only be attached with permission ro",
                resource=resource.id,
                source="access-local-resources.md",
            )


def shm_volumes(group: Group) -> Iterator[Finding]:
    """/dev/shm is a volume, never a device, and only with permission rw."""
    for resource in group.resources:
        data = resource.data
        if isinstance(data, LocalDevice) and below(data.source_path, "/dev/shm"):
            yield finding(
                "shm-device",
                f"resource {resource.id}: /dev/shm is not a device resource, make it a volume",
                resource=resource.id,
                source="access-local-resources.md",
            )
        if (
            isinstance(data, LocalVolume)
            and below(data.source_path, "/dev/shm")
            and "ro" in _permissions(group, resource)
        ):
            yield finding(
                "shm-read-write",
                f"resource {resource.id}: /dev/shm can only be attached with permission rw",
                resource=resource.id,
                source="lra-cli.md (the container fails to start: operation not permitted)",
            )


def duplicate_secrets(group: Group) -> Iterator[Finding]:
    """A secret may be referenced once in a group."""
    for arn, count in Counter(r.data.arn for r in group.resources if isinstance(r.data, Secret)).items():
        if count > 1:
            yield finding(
                "duplicate-secret", f"secret {arn} is used by {count} resources", source="aws-greengrass-provisioner"
            )


def _permissions(group: Group, resource: Resource) -> set[str]:
    attached = ((p, r) for f in group.functions for r, p in group.attached(f))
    return {effective_permission(r, p) for p, r in attached if r.id == resource.id}
