"""Rules about the paths of devices, volumes and models: what may be a source, and where it may appear.

Pages: access-local-resources.md, lra-cli.md. Two texts of the API are known from moto, which copied them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_sim.facts import HostFacts, below
from edge_sim.greengrass.plan import work_directory
from edge_sim.greengrass.process import effective_permission
from edge_sim.greengrass.resources import LocalDevice, LocalVolume, Resource
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule

LOCAL = "access-local-resources.md"
CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
_USB = "/dev/bus/usb"
_NAME_MAX, _PATH_MAX = 255, 4095
_CORE = HostFacts(architecture="", operating_system="")
"""Any core: what is asked of it is where Greengrass lies unless somebody moved it."""
_OPEN = re.compile(r"\$\{[^{}]*\}")
_MOUNT = (
    "Runtime execution error: unable to start lambda container. container_linux.go:259: starting container process "
    r'caused "process_linux.go:345: container init caused \"rootfs_linux.go:62: mounting \\\"<path>\\\" to rootfs '
    r'\\\"<rootfs>\\\" at \\\"<target>\\\" caused \\\"<errno>\\\"\""'
)
_MOTO = f"moto greengrass models (copied from the service); {LOCAL}"


@rule(
    "absolute-path",
    condition="sourced",
    timing="inferred",
    source=f"{LOCAL}; '.', '..', '//' and control characters are refused by this project, and NUL by the kernel",
    hint="Write the full path on the board, beginning with /.",
)
def absolute(case: Case) -> Iterator[Fault]:
    """Sources and destinations are absolute paths below /, without '.', '..', '//' or control characters."""
    for resource in case.group.resources:
        for key, path in paths_of(resource):
            if not is_plain(path):
                message = (
                    f"resource {resource.id}: {key} {path!r} must be an absolute path below /, without '.', '..', '//' "
                    "and control characters"
                )
                yield _fault(resource, key, message)


@rule(
    "path-too-long",
    condition="inferred",
    timing="inferred",
    source="path_resolution(7): NAME_MAX and PATH_MAX of the kernel; that no core could use such a path is inferred",
    hint="Use a shorter path.",
)
def too_long(case: Case) -> Iterator[Fault]:
    """A name in a path has at most 255 bytes, a path 4095, and that of a model outside a container with its prefix."""
    for resource in case.group.resources:
        for key, path in paths_of(resource):
            if _bytes(path) > _PATH_MAX or any(_bytes(name) > _NAME_MAX for name in path.split("/")):
                most = f"{_NAME_MAX} bytes per name and {_PATH_MAX} in all"
                message = f"resource {resource.id}: {key} is longer than the kernel allows: {most}"
                yield _fault(resource, key, message)
    for attached in case.models:
        destination = attached.resource.destination_path or ""
        if not attached.contained:
            whole = f"{work_directory(_CORE, attached.function)}/{destination.lstrip('/')}"
            if _bytes(destination) <= _PATH_MAX < _bytes(whole):
                message = (
                    f"function {attached.function.id}, resource {attached.resource.id}: the path below its prefix has "
                    f"more than {_PATH_MAX} bytes"
                )
                model, function = attached.resource.id, attached.function.id
                yield Fault(path=attached.path, message=message, resource=model, function=function)


@rule(
    "device-outside-dev",
    condition="sourced",
    timing="sourced",
    phase="create",
    aws_text="The resources definition is invalid. (ErrorDetails: [Device resource path should begin with /dev, but "
    "got: <path>])",
    source=_MOTO,
    hint="For a file or directory, use a volume (LocalVolumeResourceData).",
)
def device_outside_dev(case: Case) -> Iterator[Fault]:
    """A device's source lies under /dev; the service compared only the prefix."""
    for resource, data in case.of_kind(LocalDevice):
        if not _known(data.source_path, "/dev").startswith("/dev"):
            message = f"resource {resource.id}: device path {data.source_path} is not under /dev"
            yield _fault(resource, "SourcePath", message, path=data.source_path)


@rule(
    "device-path",
    condition="sourced",
    timing="inferred",
    source=f"{LOCAL}; the service let it pass, that the core did not is inferred",
    hint="Name the device's own node, such as /dev/ttyAMA0.",
)
def device_path(case: Case) -> Iterator[Fault]:
    """A device's source is a path below /dev: neither /dev itself nor one that merely starts with the same letters."""
    for resource, data in case.of_kind(LocalDevice):
        if data.source_path.startswith("/dev") and not data.source_path.startswith("/dev/"):
            message = f"resource {resource.id}: {data.source_path} is not a path below /dev"
            yield _fault(resource, "SourcePath", message)


@rule(
    "device-directory-disputed",
    condition="sourced",
    timing="inferred",
    severity="warning",
    source=f"{LOCAL}: only character or block devices are allowed; the same page gives {_USB} as an example",
    hint="Name the device itself, such as /dev/bus/usb/001/004 or /dev/ttyUSB0.",
)
def device_directories(case: Case) -> Iterator[Fault]:
    """According to the developer guide, a device's source is not a directory; its own example /dev/bus/usb is one."""
    for resource, data in case.of_kind(LocalDevice):
        node = case.facts.paths.get(data.source_path) if case.facts else None
        if data.source_path == _USB or (node is not None and node.type == "directory"):
            yield _fault(resource, "SourcePath", f"resource {resource.id}: {data.source_path} is a directory")


@rule(
    "duplicate-device",
    condition="sourced",
    timing="inferred",
    source="aws-greengrass-provisioner (what the service will not accept); its issue 448",
)
def duplicate_devices(case: Case) -> Iterator[Fault]:
    """Two device resources may not name the same path."""
    first: dict[str, Resource] = {}
    for resource, data in case.of_kind(LocalDevice):
        before = first.setdefault(data.source_path, resource)
        if before is not resource:
            message = f"resource {resource.id}: device path {data.source_path} already belongs to resource {before.id}"
            yield _fault(resource, "SourcePath", message)


@rule(
    "shm-device",
    condition="sourced",
    timing="inferred",
    source=LOCAL,
    hint="Make it a LocalVolumeResourceData, attached with permission rw.",
)
def shm_device(case: Case) -> Iterator[Fault]:
    """/dev/shm is a volume, never a device."""
    for resource, data in case.of_kind(LocalDevice):
        if below(data.source_path, "/dev/shm"):
            message = f"resource {resource.id}: {data.source_path} must be a volume, not a device"
            yield _fault(resource, "SourcePath", message)


@rule(
    "volume-under-sys",
    condition="sourced",
    timing="sourced",
    phase="create",
    aws_text="The resources definition is invalid. (ErrorDetails: [Accessing /sys is prohibited])",
    source=_MOTO,
    hint="Give the function AccessSysfs instead.",
)
def volume_under_sys(case: Case) -> Iterator[Fault]:
    """A volume's source may not be /sys or below."""
    yield from _sources_below(case, "/sys")


@rule(
    "volume-under-dev",
    condition="sourced",
    timing="inferred",
    source=f"{LOCAL}; how V1 refused is not known",
    hint="For a character or block device, use LocalDeviceResourceData.",
)
def volume_under_dev(case: Case) -> Iterator[Fault]:
    """A volume's source may not be under /dev, except /dev/shm."""
    yield from _sources_below(case, "/dev", except_below="/dev/shm")


@rule(
    "volume-under-var",
    condition="sourced",
    timing="sourced",
    phase="run",
    aws_text=_MOUNT.replace("<errno>", "invalid argument"),
    source=f"lra-cli.md (the text, for /var/run); {LOCAL} (all of /var)",
    hint="Mount that directory elsewhere on the board as well, and use that path as the volume's source.",
)
def volume_under_var(case: Case) -> Iterator[Fault]:
    """A volume's source may not be under /var: mount it elsewhere first."""
    yield from _sources_below(case, "/var")


@rule(
    "volume-destinations",
    condition="sourced",
    timing="inferred",
    source="aws-greengrass-provisioner (what the service will not accept)",
)
def volume_destinations(case: Case) -> Iterator[Fault]:
    """One volume source may not have two destinations; identical pairs are allowed."""
    first: dict[str, tuple[Resource, str]] = {}
    for resource, data in case.of_kind(LocalVolume):
        before, destination = first.setdefault(data.source_path, (resource, data.destination_path))
        if destination != data.destination_path:
            message = (
                f"resource {resource.id}: volume source {data.source_path} already has the destination "
                f"{destination}, in resource {before.id}"
            )
            yield _fault(resource, "DestinationPath", message)


@rule("proc-destination", condition="sourced", timing="inferred", source=LOCAL, hint="Use a path such as /host-proc.")
def proc_destination(case: Case) -> Iterator[Fault]:
    """A volume from /proc needs a destination outside /proc."""
    for resource, data in case.of_kind(LocalVolume):
        if below(data.source_path, "/proc") and below(data.destination_path, "/proc"):
            message = f"resource {resource.id}: a volume from /proc needs a destination outside /proc"
            yield _fault(resource, "DestinationPath", message)


@rule("proc-read-only", condition="sourced", timing="inferred", source=LOCAL)
def proc_read_only(case: Case) -> Iterator[Fault]:
    """A volume from /proc can only be attached with permission ro."""
    yield from _attached_wrongly(case, "/proc", "rw", "a volume from /proc can only be attached with permission ro")


@rule(
    "shm-read-write",
    condition="sourced",
    timing="sourced",
    phase="run",
    aws_text=_MOUNT.replace("<errno>", "operation not permitted"),
    source=f"lra-cli.md (the container does not start); {LOCAL}",
)
def shm_read_write(case: Case) -> Iterator[Fault]:
    """/dev/shm can only be attached with permission rw."""
    yield from _attached_wrongly(case, "/dev/shm", "ro", "/dev/shm can only be attached with permission rw")


def is_plain(path: str) -> bool:
    """Return whether a path is absolute, below /, and written in the one way in which it is taken."""
    known = _known(path)
    return known.startswith("/") and not CONTROL.search(known) and not {"", ".", ".."} & set(known[1:].split("/"))


def _known(path: str, start: str = "/") -> str:
    """Return a path as it may be once a template's values are known; ``start`` is how it may begin."""
    literal, opened, _ = path.partition("${")
    if opened and start.startswith(literal):
        path = start + path.removeprefix(literal)
    return _OPEN.sub("x", path)


def _bytes(path: str) -> int:
    return len(_known(path).encode("utf-8", "surrogatepass"))


def paths_of(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield a resource's source and destination, each with its member's name."""
    for key, path in (("SourcePath", resource.source_path), ("DestinationPath", resource.destination_path)):
        if path is not None:
            yield key, path


def _fault(resource: Resource, key: str, message: str, **values: str) -> Fault:
    return Fault(path=f"{resource.data_path}.{key}", message=message, resource=resource.id, values=values)


def _sources_below(case: Case, top: str, *, except_below: str | None = None) -> Iterator[Fault]:
    for resource, data in case.of_kind(LocalVolume):
        path = data.source_path
        if below(path, top) and not (except_below and below(path, except_below)):
            message = f"resource {resource.id}: the source of a volume must not lie in {top}, as {path} does"
            yield _fault(resource, "SourcePath", message, path=path)


def _attached_wrongly(case: Case, top: str, wrong: str, message: str) -> Iterator[Fault]:
    for attached in case.local:
        volume = attached.resource.volume
        if (
            volume
            and below(volume.source_path, top)
            and effective_permission(attached.resource, attached.policy) == wrong
        ):
            yield Fault(
                path=f"{attached.path}.Permission",
                message=f"function {attached.function.id}, resource {attached.resource.id}: {message}",
                resource=attached.resource.id,
                function=attached.function.id,
                values={"path": volume.source_path},
            )


RULES: tuple[Rule, ...] = (
    absolute,
    too_long,
    device_outside_dev,
    device_path,
    device_directories,
    duplicate_devices,
    shm_device,
    volume_under_sys,
    volume_under_dev,
    volume_under_var,
    volume_destinations,
    proc_destination,
    proc_read_only,
    shm_read_write,
)
