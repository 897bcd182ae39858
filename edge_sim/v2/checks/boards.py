"""Checks of the core and the two boards: what a nucleus needs, what config.json and the system functions had.

Sources: V2 guide, setting-up.md and greengrass-nucleus-component.md; aws-greengrass-lite's docs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge_sim.greengrass.rules.rule import Fault
from edge_sim.greengrass.rules.sections import entries
from edge_sim.v2 import suitability
from edge_sim.v2.checks.check import MoveRule, check
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import MIB
from edge_sim.versions import numbers

SETUP = "V2 guide, setting-up.md"
LITE_SETUP = "aws-greengrass-lite, docs/SETUP.md"
NUCLEUS = "V2 guide, greengrass-nucleus-component.md"
MAX_COMPONENTS, MAX_STORE_KIB = 50, 10 * 1000 * 1000
LOST_SETTINGS = (
    *(
        "runtime.maxWorkItemCount",
        "runtime.maxConcurrentLimit",
        "runtime.lruSize",
        "runtime.postStartHealthCheckTimeout",
    ),
    *("runtime.allowFunctionsToRunAsRoot", "writeDirectory", "managedRespawn"),
)
"""Members of config.json that V2 has nothing for."""


@check("board-architecture", "error", phase="deploy", source=f"{SETUP}; LITE: armv6 is a compile-time name only")
def architecture(move: Move) -> Iterator[Fault]:
    """Both nuclei support armv7l, aarch64 and x86_64, but not armv6l."""
    yield from _faults(suitability.architecture(move.to) if move.to else None)


@check("board-libc", "error", phase="deploy", source=f"{SETUP} (glibc 2.25)", nuclei=("classic",))
def libc(move: Move) -> Iterator[Fault]:
    """Nucleus classic needs glibc 2.25 or newer; musl is not enough."""
    if move.to is None:
        return
    unsuited = suitability.libc(move.to)
    yield from _faults(unsuited)
    if not unsuited and not numbers(move.to.libc_version):
        message = "the new board's version of glibc is unknown; nucleus classic needs 2.25 or newer"
        yield Fault(path="$", message=message, hint="On the board: ldd --version", unknown=True)


@check("board-init", "error", phase="deploy", source=f"{LITE_SETUP} (systemd 249)", nuclei=("lite",))
def init(move: Move) -> Iterator[Fault]:
    """Nucleus lite needs systemd 249 or newer."""
    if move.to is None:
        return
    unsuited = suitability.init(move.to)
    yield from _faults(unsuited)
    if not unsuited:
        message = "the new board's systemd version is unknown; nucleus lite needs 249 or newer"
        yield Fault(path="$", message=message, hint="On the board: systemctl --version", unknown=True)


@check(
    "board-sudo",
    "error",
    source="aws-greengrass-nucleus, UnixPlatform: sudo -n -E -H -u USER -g GROUP --",
    nuclei=("classic",),
    hint="On the board: sudo -V; /etc/sudoers must allow root any user and any group.",
)
def sudo(move: Move) -> Iterator[Fault]:
    """Nucleus classic starts every component with sudo."""
    if move.to is None:
        return
    there = move.to.has_program("sudo")
    if there is None and move.to.operating_system != "openwrt":
        yield Fault(
            path="$", message="it is unknown whether the new board has sudo, which nucleus classic needs", unknown=True
        )
    elif not there:
        yield Fault(path="$", message="the new board has no sudo, which nucleus classic needs")


@check(
    "board-java", "error", source=f"{SETUP} (JRE 8 or newer)", nuclei=("classic",), hint="On the board: java -version"
)
def java(move: Move) -> Iterator[Fault]:
    """Nucleus classic is a Java program: the board has a JRE of version 8 or newer."""
    if move.to is None:
        return
    known = [move.to.has_program(name) for name in ("java", "java8")]
    if not any(known):
        absent = known[0] is False
        message = "has no Java" if absent else "may have no Java"
        yield Fault(path="$", message=f"the new board {message}, which nucleus classic needs", unknown=not absent)


@check(
    "board-tmp",
    "error",
    source=f"{SETUP} (/tmp must be mounted with exec permissions)",
    nuclei=("classic",),
    hint="On the board: mount -o remount,exec /tmp, and its line in /etc/fstab.",
)
def tmp(move: Move) -> Iterator[Fault]:
    """Programs may be run from /tmp: nucleus classic needs it mounted without noexec."""
    if move.to is None:
        return
    flags = move.to.mount_flags("/tmp")
    if flags is None:
        message = "it is unknown whether the new board mounts /tmp noexec, with which nucleus classic does not run"
        yield Fault(path="$", message=message, unknown=True)
    elif "noexec" in flags:
        yield Fault(path="$", message="the new board mounts /tmp noexec, with which nucleus classic does not run")


@check("board-memory", "warning", condition="inferred", source=f"{SETUP}; LITE docs/RESOURCE_LIMITS.md")
def memory(move: Move) -> Iterator[Fault]:
    """The board has enough memory for the nucleus and its functions."""
    if move.to and move.to.memory_kib:
        least = move.nucleus.memory_kib
        need_kib = least + sum(f.memory_size_kb or 0 for f in move.own_functions)
        room = max(need_kib, 128 * MIB if move.nucleus.lambdas else least)
        if move.to.memory_kib < room:
            message = f"the new board has {move.to.memory_kib} KiB of memory, but nucleus and functions need {room} KiB"
            yield Fault(path="$", message=message)


@check("board-storage", "warning", source="aws-greengrass-nucleus: componentStoreMaxSizeBytes; zip and files are kept")
def storage(move: Move) -> Iterator[Fault]:
    """The board has space for the nucleus, and for each package twice: as a zip and unpacked."""
    if move.to is None:
        return
    packages = [*move.models_known.values(), *move.code_known.values()]
    need_kib = sum(package.size + 2 * package.unpacked for package in packages) // 1024
    room = move.nucleus.storage_kib + need_kib
    if move.to.storage_kib and move.to.storage_kib < room:
        yield Fault(
            path="$",
            message=f"the new board has {move.to.storage_kib} KiB of storage, but nucleus and packages need {room} KiB",
        )
    elif need_kib > MAX_STORE_KIB:
        yield Fault(path="$", message=f"the packages need {need_kib} KiB, but by default a nucleus keeps at most 10 GB")


@check("component-count", "error", phase="deploy", source="aws-greengrass-lite, constants.h", nuclei=("lite",))
def components(move: Move) -> Iterator[Fault]:
    """Nucleus lite supports 50 generic components, counted over the device's lifetime."""
    count = len(move.own_functions)
    if count > MAX_COMPONENTS:
        yield Fault(path="$.Functions", message=f"{count} components exceed nucleus lite's limit of {MAX_COMPONENTS}")


@check("side-by-side", "note", source="V2 guide, upgrade-v1-core-devices.md")
def side_by_side(move: Move) -> Iterator[Fault]:
    """V1 and V2 can run side by side only with different thing names, unit names and ports."""
    core = move.group.core
    if core:
        message = f"while V1 runs there, V2 needs a thing other than {core.thing_name}, ports other than 8883 and 8088"
        yield Fault(path="$.Cores[0].ThingArn", message=f"{message}, and a systemd unit that is not called greengrass")


@check("pin-versions", "note", source="V2 guide, update-greengrass-core-v2.md")
def pin(move: Move) -> Iterator[Fault]:
    """AWS's components and the nucleus install patch versions automatically unless the deployment names a version."""
    if move.group.functions:
        yield Fault(
            path="$",
            message="in the deployment, replace the placeholders by a version of every AWS component",
        )


@check("replaces-all", "note", source="botocore greengrassv2, CreateDeployment; V2 guide, create-deployments.md")
def replaces(move: Move) -> Iterator[Fault]:
    """A deployment replaces the target's previous list of components: each deployment has to list all of them."""
    if len(move.own_functions) > 1:
        yield Fault(path="$.Functions", message="every later deployment must list all of these components again")


@check("local-trial", "note", source="aws-greengrass-lite, deployment_handler.c", nuclei=("lite",))
def local_trial(move: Move) -> Iterator[Fault]:
    """A local deployment on nucleus lite neither unpacks nor sets modes: it proves nothing about a model."""
    if any(resource.model for resource in move.group.resources):
        yield Fault(path="$.Resources", message="a local deployment on nucleus lite skips unpacking, modes and digests")


@check("settings-lost", "warning", source="V2 guide, greengrass-v1-concept-differences.md", condition="inferred")
def settings(move: Move) -> Iterator[Fault]:
    """Settings in config.json without an equivalent in V2 are lost."""
    for name in LOST_SETTINGS:
        value = lookup(move.config, name)
        if value is not None:
            yield Fault(path="$", message=f"config.json: {name} ({value}) has no equivalent in V2")


@check("spooler", "warning", source=f"{NUCLEUS}, DiskSpooler (nucleus 2.11)", nuclei=("classic",))
def spooler(move: Move) -> Iterator[Fault]:
    """A disk queue (GGCloudSpooler) needs the plugin aws.greengrass.DiskSpooler; otherwise a restart loses messages."""
    function = move.system.get("GGCloudSpooler")
    if function and function.variables.get("GG_CONFIG_STORAGE_TYPE") == "FileSystem":
        path = f"{function.path}.FunctionConfiguration.Environment.Variables.GG_CONFIG_STORAGE_TYPE"
        message = "queued messages survive a restart only with the plugin aws.greengrass.DiskSpooler"
        yield Fault(path=path, message=f"function {function.id}: {message}", function=function.id)


@check("system-function", "note", source="V2 guide, greengrass-v1-concept-differences.md")
def system(move: Move) -> Iterator[Fault]:
    """V1's system functions become settings of the nucleus, or AWS components."""
    places = {
        "GGIPDetector": "aws.greengrass.clientdevices.IPDetector",
        "GGCloudSpooler": "mqtt.spooler of the nucleus",
        "GGStreamManager": "aws.greengrass.StreamManager",
    }
    for name, function in move.system.items():
        place = places.get(name, "nothing known")
        yield Fault(
            path=f"{function.path}.FunctionArn",
            message=f"function {function.id}: {name} becomes {place}",
            function=function.id,
        )


@check("loggers", "note", source=f"{NUCLEUS} (logging)")
def loggers(move: Move) -> Iterator[Fault]:
    """File system loggers become the nucleus's logging: one file per component, one level for all."""
    for path, entry in entries(move, "Loggers"):
        if entry.get("Type") == "FileSystem":
            yield Fault(path=f"{path}.Level", message=f"logger {entry.get('Id')}: becomes logging of the nucleus")


@check("log-levels", "warning", source=f"{NUCLEUS} (logging.level)")
def levels(move: Move) -> Iterator[Fault]:
    """Functions have no log level of their own in V2."""
    on_disk = [entry for _, entry in entries(move, "Loggers") if entry.get("Type") == "FileSystem"]
    named = {str(entry.get("Component")): str(entry.get("Level")) for entry in on_disk}
    if len(set(named.values())) > 1:
        pairs = ", ".join(f"{component} {level}" for component, level in named.items())
        yield Fault(path="$.Loggers", message=f"several levels become one: {pairs}")


@check("cloudwatch-logs", "warning", source="V2 guide, log-manager-component.md", nuclei=("classic",))
def cloudwatch(move: Move) -> Iterator[Fault]:
    """Logs are sent to CloudWatch by the component LogManager, to log groups with new names."""
    for path, entry in entries(move, "Loggers"):
        if entry.get("Type") == "AWSCloudWatch":
            message = (
                f"logger {entry.get('Id')}: becomes LogManager; V1's log groups keep their names, V2 creates new ones"
            )
            yield Fault(path=f"{path}.Type", message=message)


def lookup(document: Mapping[str, object], dotted: str) -> object:
    """Return a member of a document by its dotted name, None where there is none."""
    value: object = document
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _faults(reason: str | None) -> Iterator[Fault]:
    if reason:
        yield Fault(path="$", message=reason)


CHECKS: tuple[MoveRule, ...] = (
    *(architecture, libc, init, sudo, java, tmp, memory, storage, components, side_by_side, pin, replaces, local_trial),
    *(settings, spooler, system, loggers, levels, cloudwatch),
)
