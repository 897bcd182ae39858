"""What a core refuses with the board before its eyes: accounts, groups, sources, and what the board cannot do.

Texts: gg-troubleshooting.md and reports in aws-greengrass-provisioner issue 160. Platforms: what-is-gg.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import HostFacts, near_miss
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.resources import LocalDevice, LocalVolume, Resource
from edge_sim.greengrass.rules.case import Case, environment_path
from edge_sim.greengrass.rules.connectors import DOCKER, instances
from edge_sim.greengrass.rules.paths import LOCAL, is_plain
from edge_sim.greengrass.rules.rule import Fault, Rule, board_rule
from edge_sim.greengrass.rules.system import STREAM_MANAGER

_SOURCE_TEXT = "file doesn't exist"
_LOOK = "Check the board, and list what it has in your own device profile (a YAML file)."
_ALLOW_ROOT = 'Set runtime.allowFunctionsToRunAsRoot to "yes" in config.json.'
_PLATFORMS = {("armv6l", "raspbian"): (1, 9, 3), ("armv7l", "openwrt"): (1, 9, 2), ("aarch64", "openwrt"): (1, 9, 2)}
"""The first release for a board, where it was not every documented one."""


@board_rule(
    "accounts",
    condition="sourced",
    timing="sourced",
    aws_text="unable to load the group file downloaded: could not find UID based on user name, userName: <user>: user: "
    "unknown user <user>.",
    source="gg-troubleshooting.md",
    hint="Create ggc_user and ggc_group on the board (useradd --system, groupadd --system).",
)
def accounts(case: Case, _facts: HostFacts) -> Iterator[Fault]:
    """The accounts that functions run as exist."""
    for function, who in zip(case.group.functions, case.identities, strict=True):
        if isinstance(who, InvalidDefinitionError):
            yield Fault(path=function.path, message=who.brief, aws_text=who.brief, function=function.id, hint=who.hint)
            return


@board_rule(
    "ml-unsupported",
    condition="sourced",
    timing="ours",
    source="what-is-gg.md (1.9.2); the form of the refusal is this project's",
    unsupported=True,
)
def ml_supported(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """OpenWrt distributions have no ML inference; how V1 refused is not known; in the simulator the deployment
    fails."""
    if "ml-inference" in facts.unsupported:
        for resource in case.group.resources:
            if resource.model:
                message = f"Greengrass does not support ML inference on {facts.operating_system}"
                yield Fault(path=resource.path, message=f"resource {resource.id}: {message}", resource=resource.id)


@board_rule(
    "stream-manager-unsupported",
    condition="sourced",
    timing="ours",
    source="stream-manager.md; the form of the refusal is this project's",
    unsupported=True,
)
def stream_manager_supported(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """OpenWrt distributions have no stream manager."""
    for function in case.group.functions if "stream-manager" in facts.unsupported else ():
        if STREAM_MANAGER.fullmatch(function.arn):
            message = f"function {function.id}: Greengrass has no stream manager on {facts.operating_system}"
            yield Fault(path=f"{function.path}.FunctionArn", message=message, function=function.id)


@board_rule(
    "docker-unsupported",
    condition="sourced",
    timing="ours",
    source="docker-app-connector.md; the form of the refusal is this project's",
    unsupported=True,
)
def docker_supported(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The connector that deploys Docker applications is not for OpenWrt distributions."""
    for instance in instances(case) if "docker" in facts.unsupported else ():
        if instance.name == DOCKER:
            message = f"connector {instance.id}: Greengrass deploys no Docker applications on {facts.operating_system}"
            yield Fault(path=f"{instance.path}.ConnectorArn", message=message)


@board_rule(
    "platform-version",
    condition="sourced",
    timing="inferred",
    source="what-is-gg.md (platforms by version)",
    unsupported=True,
)
def platform(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A core release exists for the board: armv6l came with GGC 1.9.3, OpenWrt with 1.9.2."""
    floor = _PLATFORMS.get((facts.architecture, facts.operating_system))
    if floor and case.version < floor:
        minimum = ".".join(map(str, floor))
        yield Fault(path="$", message=f"{facts.operating_system} on {facts.architecture} needs GGC {minimum}")


@board_rule(
    "group-exists",
    condition="inferred",
    timing="inferred",
    source="inferred: the API says 'an existing Linux OS group'",
)
def groups_exist(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """Every group that a resource names exists on the board; what V1 did otherwise is not known."""
    for resource, path, name in _group_names(case):
        if (facts.groups.get(name) if resource.local else facts.gid(name)) is not None:
            continue
        doubt, near = facts.group_doubt(name), near_miss(name, facts.groups)
        suggestion = f"; did you mean {near}?" if near else ""
        yield Fault(
            path=path,
            message=f"resource {resource.id}: {doubt or f'group {name!r} does not exist on this board'}{suggestion}",
            resource=resource.id,
            hint=_LOOK if doubt else f"Create it on the board (groupadd {name}), or name one that it has.",
            unknown=doubt is not None,
        )


@board_rule(
    "gid-without-group",
    condition="sourced",
    timing="ours",
    severity="warning",
    source="botocore greengrass 2017-06-07: 'an existing Linux OS group name or GID'; what V1 did is not known",
    hint="Use a GID that exists on the board, or create the group. On another image this number may belong to an "
    "unrelated group.",
)
def gid_without_group(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A model's GroupOwner given as a number is the GID of a group on the board."""
    known = set(facts.groups.values())
    for resource, path, name in _group_names(case):
        gid = facts.gid(name) if resource.model else None
        if gid is not None and gid not in known:
            unknown = "groups" not in facts.whole
            clause = "the profile does not say which group has" if unknown else "no group of this board has"
            message = f"resource {resource.id}: {clause} the GID {gid}"
            yield Fault(path=path, message=message, resource=resource.id, unknown=unknown)


@board_rule(
    "source-exists",
    condition="sourced",
    timing="sourced",
    aws_text="file doesn't exist",
    source=f"aws-greengrass-provisioner (fragment of the core's message); {LOCAL}",
    hint="Make sure that it exists before the deployment.",
)
def sources_exist(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A local resource's source exists when the group is deployed; unknown where a profile does not list it."""
    for resource, path in _missing(case, facts):
        doubt, near = facts.doubt(path), facts.near_path(path)
        yield Fault(
            path=f"{resource.data_path}.SourcePath",
            message=f"resource {resource.id}: {doubt or f'{_SOURCE_TEXT}: {path}'}",
            aws_text=f"{_SOURCE_TEXT}: {path}",
            resource=resource.id,
            hint=_LOOK if doubt else f"Did you mean {near}?" if near else None,
            unknown=doubt is not None,
        )


@board_rule("device-type", condition="sourced", timing="inferred", source=LOCAL)
def device_type(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A device resource's source is a character or block device."""
    for resource, data in case.of_kind(LocalDevice):
        node = facts.at(data.source_path)
        if node is not None and node.type not in ("char", "block", "directory"):
            message = f"resource {resource.id}: {data.source_path} is a {node.type}, not a character or block device"
            yield Fault(path=f"{resource.data_path}.SourcePath", message=message, resource=resource.id)


@board_rule(
    "destination-exists", condition="sourced", timing="ours", severity="warning", source="lra-console.md", phase="run"
)
def destinations_exist(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """According to AWS's console tutorial, a volume's destination must exist on the board as well."""
    for resource, data in case.of_kind(LocalVolume):
        path = data.destination_path
        if facts.presence(path) == "present" or is_open(path) or not is_plain(path):
            continue
        doubt = facts.doubt(path)
        yield Fault(
            path=f"{resource.data_path}.DestinationPath",
            message=f"resource {resource.id}: {doubt or f'destination {path} does not exist on the board'}",
            resource=resource.id,
            hint=_LOOK if doubt else None,
            unknown=doubt is not None,
        )


@board_rule(
    "root-functions",
    condition="sourced",
    timing="sourced",
    aws_text="<list-of-function-arns> are configured to run as root but Greengrass is not configured to run Lambda "
    "functions with root permissions.",
    source="gg-troubleshooting.md; lambda-group-config.md: root is UID and GID 0",
    hint=_ALLOW_ROOT,
)
def root_functions(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """Running as root must be allowed in config.json."""
    root = [function for function, ids in _identities(case) if ids == (0, 0)]
    if root and not facts.greengrass.allow_functions_to_run_as_root:
        arns = ", ".join(f.arn for f in root)
        yield Fault(
            path=f"{environment_path(root[0])}.Execution.RunAs",
            message=f"{', '.join(f.id for f in root)}: the board's core does not run functions as root",
            function=root[0].id,
            values={"list-of-function-arns": f"[{arns}]"},
        )


@board_rule(
    "root-partly-disputed",
    condition="sourced",
    timing="inferred",
    severity="warning",
    source="lambda-group-config.md: as root means with UID and GID 0; gg-troubleshooting.md: with root permissions, "
    "which a process has by UID 0 alone; what V1 looked at is not known",
    hint=_ALLOW_ROOT,
)
def partly_root(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A function with UID 0 or GID 0, but not both, may count as root, which must be allowed in config.json."""
    for function, (uid, gid) in _identities(case):
        if (uid == 0) != (gid == 0) and not facts.greengrass.allow_functions_to_run_as_root:
            message = f"function {function.id} has UID {uid} and GID {gid}, and the board's core runs none as root"
            yield Fault(path=f"{environment_path(function)}.Execution.RunAs", message=message, function=function.id)


def _identities(case: Case) -> Iterator[tuple[Function, tuple[int, int]]]:
    """Yield each function whose accounts the board has, with its UID and GID."""
    for function, who in zip(case.group.functions, case.identities, strict=True):
        if who and not isinstance(who, InvalidDefinitionError):
            yield function, (who.uid, who.gid)


def _group_names(case: Case) -> Iterator[tuple[Resource, str, str]]:
    """Yield every resource that names a group, with the JSON path and the name."""
    for resource in case.group.resources:
        local, owner = resource.local, resource.owner
        name, key = owner.group_owner if owner else None, "OwnerSetting"
        if local and not local.group_owner.auto_add_group_owner:
            name, key = local.group_owner.group_owner, "GroupOwnerSetting"
        if name and not is_open(name):
            yield resource, f"{resource.data_path}.{key}.GroupOwner", name


def _missing(case: Case, facts: HostFacts) -> Iterator[tuple[Resource, str]]:
    for resource in case.group.resources:
        path = resource.source_path
        if path is not None and facts.presence(path) != "present" and is_plain(path) and not is_open(path):
            yield resource, path


RULES: tuple[Rule, ...] = (
    accounts,
    ml_supported,
    stream_manager_supported,
    docker_supported,
    platform,
    groups_exist,
    gid_without_group,
    sources_exist,
    device_type,
    destinations_exist,
    root_functions,
    partly_root,
)
