"""Whose rights a function's process has, and what it sees.

One value answers both "may it open this?" (``access``) and "start it" (the agent's sandbox), so that the answer
and the process cannot drift apart. Sources: access-local-resources.md, access-ml-resources.md,
lambda-group-config.md; the environment from the facts collected in docs/fidelity.md, "Environment".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_sim.arns import arn, parts
from edge_sim.errors import InvalidDefinitionError, assert_never
from edge_sim.facts import HostFacts, below
from edge_sim.greengrass.functions import Function, IsolationMode, ResourceAccessPolicy
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import board_place, function_directory, work_directory
from edge_sim.greengrass.resources import (
    Local,
    LocalDevice,
    LocalVolume,
    Permission,
    Resource,
    S3Model,
    SageMakerModel,
    Secret,
)
from edge_sim.versions import core_version

STANDARD_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
"""What every container's /dev holds, beside links to a process's own open files."""
RUNTIME = "/runtime"
"""Where a container sees the programs that run handlers."""
NOBODY = 2**32 - 2
"""An id that no account has: the kernel's own overflow ids end one higher, where -1 means "leave it"."""
_SYSTEM = {
    "ROUTER": arn("lambda", "function:GGRouter"),
    "SHADOW": arn("lambda", "function:GGShadowService"),
    "SECRETS_MANAGER": arn("lambda", "function:GGSecretManager:1"),
}
_INTERFACES = (((1, 10), "1.5"), ((1, 9), "1.3"), ((1, 7), "1.1"))
"""Since which core version which interface of the Core SDK: lambda-functions.md's table of versions, and what the SDKs
that it names call themselves."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process's user, group and exactly its supplementary groups (sorted, without ``gid``)."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A path of the board made visible in a container. Devices are mounts onto the same path."""

    source: str
    destination: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class FunctionProcess:
    """Everything that makes one function's process different from another's.

    Paths are the board's. ``masked`` are hidden from a containerised function; its code appears at ``/lambda``.
    """

    function: Function
    isolation: IsolationMode
    identity: Identity
    mounts: tuple[Mount, ...]
    masked: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str
    code_directory: str
    protected_links: bool = True
    doubts: tuple[str, ...] = ()
    """Why the identity may have more groups than are known: sentences on what lends it groups."""


def function_process(group: Group, function: Function, facts: HostFacts) -> FunctionProcess:
    """Return the process that the core starts for ``function``.

    Raises InvalidDefinitionError when the board lacks the account it would run as.
    """
    isolation = group.isolation_mode(function)
    contained = isolation == "GreengrassContainer"
    code = function_directory(facts, function)
    return FunctionProcess(
        function=function,
        isolation=isolation,
        identity=identity(group, function, facts),
        mounts=tuple(_mounts(group, function, facts)) if contained else (),
        masked=(facts.greengrass.root,) if contained else (),
        environment=_environment(function, facts, contained=contained),
        working_directory="/lambda" if contained else work_directory(facts, function),
        code_directory=code,
        protected_links=facts.protected_links,
        doubts=tuple(group_doubts(group, function, facts)) if contained else (),
    )


def system_functions() -> tuple[str, str, str]:
    """Return the ARNs under which functions find the core's router, shadow service and secret manager."""
    return _SYSTEM["ROUTER"], _SYSTEM["SHADOW"], _SYSTEM["SECRETS_MANAGER"]


def identity(group: Group, function: Function, facts: HostFacts) -> Identity:
    """Return uid, gid and supplementary groups: RunAs, else the group's default, else ggc_user and ggc_group."""
    default = group.default_config.run_as
    uid = _first(function.run_as.uid, default.uid)
    gid = _first(function.run_as.gid, default.gid)
    if uid is None:
        user = facts.users.get(facts.greengrass.user)
        if user is None:
            name = facts.greengrass.user
            raise InvalidDefinitionError(
                "unable to load the group file downloaded: could not find UID based on user name, "
                f"userName: {name}: user: unknown user {name}.",
                hint=f"Create the account on the board: useradd --system {name}",
            )
        uid = user.uid
    if gid is None:
        known = facts.groups.get(facts.greengrass.group)
        if known is None:
            name = facts.greengrass.group
            raise InvalidDefinitionError(
                f"the board has no group {name}, which functions run as",
                hint=f"Create it on the board: groupadd --system {name}",
            )
        gid = known
    extra = set(_supplementary(group, function, facts)) - {gid}
    return Identity(uid=uid, gid=gid, groups=tuple(sorted(extra)))


def effective_permission(resource: Resource, policy: ResourceAccessPolicy) -> Permission:
    """Return what a function may do with an attached resource.

    The function's own permission, else the owner setting's. For local resources AWS does not say what an absent
    permission means; here it is ``ro``.
    """
    if policy.permission:
        return policy.permission
    return (resource.owner.group_permission if resource.owner else None) or "ro"


def kernels_own(path: str, *, sysfs: bool) -> str | None:
    """Return the kernel's file system that a path of a container lies in."""
    return _top(path, ("/proc", "/sys") if sysfs else ("/proc",))


def containers_own(path: str, *, sysfs: bool) -> str | None:
    """Return the part of a container that ``path`` lies in and that no resource is mounted in."""
    return kernels_own(path, sysfs=sysfs) or _top(path, (RUNTIME,))


def mounting_order(destination: str) -> tuple[bool, str]:
    """Return what sorts mounts into the order they are made in: devices first, then what others may lie in."""
    return not destination.startswith("/dev/"), destination


def _top(path: str, tops: tuple[str, ...]) -> str | None:
    return next((top for top in tops if below(path, top)), None)


def _first(*values: int | None) -> int | None:
    return next((v for v in values if v is not None), None)


def _supplementary(group: Group, function: Function, facts: HostFacts) -> Iterator[int]:
    contained = group.isolation_mode(function) == "GreengrassContainer"
    for resource, _ in group.attached(function):
        data = resource.data
        match data:
            case LocalDevice() | LocalVolume():
                gid = _loan(data, facts) if contained else None
            case S3Model() | SageMakerModel():
                gid = facts.gid(data.owner.group_owner or "") if data.owner else None
            case Secret():
                gid = None
            case _:
                assert_never(data)
        if gid is not None:
            yield gid


def _loan(data: Local, facts: HostFacts) -> int | None:
    """Return the group that a local resource lends a function. AutoAddGroupOwner wins (access-local-resources.md)."""
    setting = data.group_owner
    if setting.auto_add_group_owner:
        return _owner_of(facts, data.source_path)
    return facts.groups.get(setting.group_owner) if setting.group_owner else None


def group_doubts(group: Group, function: Function, facts: HostFacts) -> Iterator[str]:
    """Yield why it is not known which group a local resource lends."""
    for data in (resource.local for resource, _ in group.attached(function)):
        if data and data.group_owner.auto_add_group_owner:
            doubt = facts.doubt(data.source_path)
        else:
            name = data.group_owner.group_owner if data else None
            doubt = facts.group_doubt(name) if name else None
        if doubt:
            yield doubt


def _owner_of(facts: HostFacts, path: str) -> int | None:
    """Return the group that owns ``path``, or what it links to: /dev/serial0 is a link on a Raspberry Pi."""
    node = facts.at(path)
    return node.gid if node else None


def _mounts(group: Group, function: Function, facts: HostFacts) -> Iterator[Mount]:
    yield Mount(source=function_directory(facts, function), destination="/lambda", read_only=True)
    for resource, policy in group.attached(function):
        source, destination = board_place(group, resource, facts), resource.container_path
        if source is not None and destination is not None:
            yield Mount(
                source=source, destination=destination, read_only=effective_permission(resource, policy) == "ro"
            )


def _environment(function: Function, facts: HostFacts, *, contained: bool) -> dict[str, str]:
    region = parts(function.arn).region
    own = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "MY_FUNCTION_ARN": function.arn,
        **{f"{name}_FUNCTION_ARN": arn for name, arn in _SYSTEM.items()},
        "ENCODING_TYPE": function.encoding_type,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "GGC_VERSION": facts.greengrass.version,
    }
    version = core_version(facts.greengrass.version)
    if version >= (1, 7):
        own["GGC_MAX_INTERFACE_VERSION"] = next(has for since, has in _INTERFACES if version >= since)
    if version >= (1, 10):
        own["AWS_GG_RESOURCE_PREFIX"] = "/" if contained else work_directory(facts, function)
    variables = dict(function.variables)
    # Outside a container the code's directory is named by an ARN, whose colons PYTHONPATH would split at.
    own["PYTHONPATH"] = ":".join(filter(None, [variables.pop("PYTHONPATH", ""), "/lambda" if contained else ""]))
    return {**own, **variables}
