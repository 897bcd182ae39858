"""Rules about machine-learning resources: owner, permission, destination.

Decision table and texts: access-ml-resources.md and gg-troubleshooting.md (GGC 1.10 and newer).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edge_sim.greengrass.functions import Function, ResourceAccessPolicy
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Model, Resource, S3Model
from edge_sim.greengrass.rules.resources import below, finding
from edge_sim.report import Finding

_PAGE = "gg-troubleshooting.md; access-ml-resources.md"


def _attached_models(group: Group) -> Iterator[tuple[Function, Resource, Model, ResourceAccessPolicy]]:
    for function in group.functions:
        for resource, policy in group.attached(function):
            if isinstance(resource.data, Model):
                yield function, resource, resource.data, policy


def owner_is_whole(group: Group) -> Iterator[Finding]:
    """An OwnerSetting has both GroupOwner and GroupPermission."""
    for resource in group.resources:
        owner = resource.data.owner if isinstance(resource.data, Model) else None
        if owner and not (owner.group_owner and owner.group_permission):
            text = (
                "InvalidMLModelOwner - GroupOwnerSetting is provided in ML model resource, but GroupOwner or "
                "GroupPermission is not present"
            )
            yield finding(
                "model-owner",
                f"resource {resource.id}: {text}",
                resource=resource.id,
                aws_text=text,
                source=_PAGE,
                hint="Give both, or leave OwnerSetting out.",
            )


def no_container_permission(group: Group) -> Iterator[Finding]:
    """A No-container function inherits the owner's permission and may not state its own."""
    for function, resource, _, policy in _attached_models(group):
        if group.isolation_mode(function) == "NoContainer" and policy.permission:
            text = (
                "NoContainer function cannot configure permission when attaching Machine Learning resources. "
                f"{function.arn} refers to Machine Learnin resource {resource.id} with permission "
                f"{policy.permission} in resource access policy."
            )
            yield finding(
                "model-no-container-permission",
                f"function {function.id}: {text}",
                resource=resource.id,
                aws_text=text,
                source=_PAGE,
                hint="Leave Permission out of the function's ResourceAccessPolicies.",
            )


def permission_somewhere(group: Group) -> Iterator[Finding]:
    """The permission comes from the function or from the owner; a No-container function needs the owner's."""
    for function, resource, model, policy in _attached_models(group):
        if model.owner is None and not (policy.permission and group.isolation_mode(function) != "NoContainer"):
            text = (
                f"Function {function.arn} refers to Machine Learning resource {resource.id} with missing permission in "
                "both ResourceAccessPolicy and resource OwnerSetting."
            )
            yield finding(
                "model-permission-missing",
                f"function {function.id}: {text}",
                resource=resource.id,
                aws_text=text,
                source=_PAGE,
                hint="Give the resource an OwnerSetting.",
            )


def permission_within_owner(group: Group) -> Iterator[Finding]:
    """A containerised function may ask for at most what the owner's group has."""
    for function, resource, model, policy in _attached_models(group):
        if policy.permission == "rw" and model.owner and model.owner.group_permission == "ro":
            text = (
                f"Function {function.arn} refers to Machine Learning resource {resource.id} with permission "
                '\\"rw\\", while resource owner setting GroupPermission only allows \\"ro\\".'
            )
            yield finding(
                "model-permission-exceeds-owner",
                f"function {function.id}: {text}",
                resource=resource.id,
                aws_text=text,
                source=_PAGE,
            )


def nested_destinations(group: Group) -> Iterator[Finding]:
    """Models of one No-container function may not have the same or nested destinations."""
    for function in group.functions:
        if group.isolation_mode(function) != "NoContainer":
            continue
        paths = [
            r.data.destination_path.rstrip("/")
            for f, r, _, _ in _attached_models(group)
            if f is function and isinstance(r.data, Model)
        ]
        nested = {(a, b) for i, a in enumerate(paths) for b in paths[i + 1 :] if below(a, b) or below(b, a)}
        if nested:
            text = f"NoContainer Function {function.arn} refers to resources of nested destination path."
            pairs = "; ".join(f"{a} and {b}" for a, b in sorted(nested))
            yield finding(
                "model-nested-destination", f"function {function.id}: {text} ({pairs})", aws_text=text, source=_PAGE
            )


def one_destination_each(group: Group) -> Iterator[Finding]:
    """Two models of the same kind may not have the same destination."""
    places = Counter(
        (type(r.data).__name__, r.data.destination_path) for r in group.resources if isinstance(r.data, Model)
    )
    for (_, path), count in places.items():
        if count > 1:
            yield finding(
                "model-destination-unique",
                f"destination {path} is used by {count} models of one kind",
                source="aws-greengrass-provisioner",
            )


def package_name(group: Group) -> Iterator[Finding]:
    """An S3 model is a tar.gz or zip package, in a bucket without dots in its name."""
    for resource in group.resources:
        if not isinstance(resource.data, S3Model):
            continue
        uri = resource.data.s3_uri
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or not bucket or not key.endswith((".tar.gz", ".zip")):
            yield finding(
                "model-package",
                f"resource {resource.id}: S3Uri {uri!r} must be s3://bucket/key ending in .tar.gz or .zip",
                resource=resource.id,
                source="ml-inference.md",
            )
        elif "." in bucket:
            yield finding(
                "model-bucket",
                f"resource {resource.id}: bucket name {bucket!r} must not contain a period",
                resource=resource.id,
                source="ml-inference.md",
            )
