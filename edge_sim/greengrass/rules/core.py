"""What a core refuses with the board before its eyes.

Texts: gg-troubleshooting.md and reports in aws-greengrass-provisioner issue 160.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.access import computed
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import Identity, effective_permission, function_process, identity
from edge_sim.greengrass.resources import LocalDevice, LocalVolume, Model
from edge_sim.greengrass.rules.resources import finding
from edge_sim.report import Finding

_PAGE = "gg-troubleshooting.md"
_LOADING = "unable to load the group file downloaded: "


def _identity(group: Group, function: Function, facts: HostFacts) -> Identity | None:
    try:
        return identity(group, function, facts)
    except InvalidDefinitionError:
        return None  # reported once, by ``accounts``


def accounts(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """The accounts that functions run as exist."""
    for function in group.functions:
        try:
            identity(group, function, facts)
        except InvalidDefinitionError as error:
            yield finding("accounts", error.brief, source=_PAGE, hint=error.hint, aws_text=error.brief)
            return


def ml_supported(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """OpenWrt distributions have no ML inference. How V1 refused is not known; here the deployment fails."""
    models = [r for r in group.resources if isinstance(r.data, Model)]
    if models and "ml-inference" in facts.unsupported:
        yield finding(
            "ml-unsupported",
            f"resource {models[0].id}: Greengrass does not support ML inference on {facts.operating_system}",
            resource=models[0].id,
            source="what-is-gg.md (1.9.2); the form of the refusal is this project's",
        )


def owner_setting_version(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """OwnerSetting, and ML resources for No-container functions, need GGC 1.10."""
    version = tuple(int(p) for p in facts.greengrass.version.split(".")[:2] if p.isdigit())
    for resource in group.resources:
        if version < (1, 10) and isinstance(resource.data, Model) and resource.data.owner:
            yield finding(
                "owner-setting-version",
                f"resource {resource.id}: OwnerSetting needs GGC 1.10, the board runs {facts.greengrass.version}",
                resource=resource.id,
                source="access-ml-resources.md",
            )


def groups_exist(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """Every group that a resource names exists on the board. What V1 did otherwise is not known."""
    for resource in group.resources:
        data = resource.data
        name = None
        if isinstance(data, Model) and data.owner:
            name = data.owner.group_owner
        elif isinstance(data, LocalDevice | LocalVolume) and not data.group_owner.auto_add_group_owner:
            name = data.group_owner.group_owner
        if name and facts.gid(name) is None:
            yield finding(
                "group-exists",
                f"resource {resource.id}: group {name!r} does not exist on this board",
                resource=resource.id,
                source="inferred: the API says 'an existing Linux OS group'",
                hint=f"Create it on the board (groupadd {name}), or name one that it has.",
            )


def sources_exist(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """A local resource's source is there, and a device is a character or block device."""
    for resource in group.resources:
        data = resource.data
        if not isinstance(data, LocalDevice | LocalVolume):
            continue
        node = facts.paths.get(data.source_path)
        if node is None:
            yield finding(
                "source-exists",
                f"resource {resource.id}: file doesn't exist: {data.source_path}",
                resource=resource.id,
                source="aws-greengrass-provisioner (fragment of the core's message); access-local-resources.md",
            )
        elif isinstance(data, LocalDevice) and node.type not in ("char", "block", "link"):
            yield finding(
                "device-type",
                f"resource {resource.id}: {data.source_path} is a {node.type}, not a character or block device",
                resource=resource.id,
                source="access-local-resources.md",
            )


def root_functions(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """Running as root must be allowed in config.json."""
    who = [(f, _identity(group, f, facts)) for f in group.functions]
    root = [f.arn for f, i in who if i and (i.uid == 0 or i.gid == 0)]
    if root and not facts.greengrass.allow_functions_to_run_as_root:
        text = (
            f"[{', '.join(root)}] are configured to run as root but Greengrass is not configured to run Lambda "
            "functions with root permissions."
        )
        yield finding(
            "root-functions",
            text,
            aws_text=text,
            source=_PAGE,
            hint='Set runtime.allowFunctionsToRunAsRoot to "yes" in config.json.',
        )


def local_access(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """A function's user and groups really have the asked access to a local resource's source."""
    for function in group.functions:
        if group.isolation_mode(function) == "NoContainer":
            continue
        who = _identity(group, function, facts)
        for resource, policy in group.attached(function):
            data = resource.data
            if who is None or not isinstance(data, LocalDevice | LocalVolume) or data.source_path not in facts.paths:
                continue
            wanted = effective_permission(resource, policy)
            target = data.destination_path if isinstance(data, LocalVolume) else data.source_path
            answer = computed(function_process(group, function, facts), facts.paths, target)
            if not answer.read or (wanted == "rw" and not answer.write):
                ids = " ".join(str(gid) for gid in (who.gid, *who.groups))
                text = (
                    f"{_LOADING}resource access policy is invalid, functionArn: {function.arn}, resource: "
                    f"{data.source_path}: user or group doesn't have permission on the file, userId: {who.uid}, "
                    f"userGroupId: [{ids}], access: {wanted}, filePath: {data.source_path}"
                )
                yield finding(
                    "local-access",
                    f"resource {resource.id}: {text}",
                    resource=resource.id,
                    aws_text=text,
                    source="aws-greengrass-provisioner issue 160",
                    hint="; ".join(answer.reasons),
                )


def shared_group(group: Group, facts: HostFacts) -> Iterator[Finding]:
    """A function may not reach a model only because its group is the model's owner group. Root is not checked."""
    for function in group.functions:
        who = _identity(group, function, facts)
        if who is None or who.uid == 0:
            continue
        attached = {r.id for r, _ in group.attached(function)}
        for resource in group.resources:
            data = resource.data
            owner = data.owner if isinstance(data, Model) else None
            gid = facts.gid(owner.group_owner or "") if owner else None
            if gid is not None and resource.id not in attached and gid in (who.gid, *who.groups):
                text = (
                    f"Lambda {function.arn} gains access to resource {resource.id} by sharing the same group owner id"
                )
                yield finding(
                    "shared-group",
                    text,
                    resource=resource.id,
                    aws_text=text,
                    source="access-ml-resources.md",
                    hint="Attach the resource, or give it a group of its own.",
                )
