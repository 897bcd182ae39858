"""What a containerised function sees, built from the board's own tree.

V1 laid an overlay over ``/``, hid the Greengrass root with a whiteout and mounted the resources in (each step is named
in gg-troubleshooting.md). Here the same, in a mount namespace of its own and with the overlay's upper layer on a tmpfs
(V1's ``useOverlayWithTmpfs``), so that nothing is made in the board's tree, but for the place of a mount that lies in
what is attached for writing. Where the kernel forbids the overlay, as in some user namespaces, the board's tree is
bound in piece by piece, read-only.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent import linux
from edge_sim.agent.rooted import file_bytes, inside, mount_point
from edge_sim.facts import below
from edge_sim.greengrass.process import RUNTIME, STANDARD_DEVICES, Mount, containers_own, mounting_order

_RESOLV_CONF = "/etc/resolv.conf"
_STANDARD_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}


@dataclass(frozen=True, kw_only=True)
class ContainerView:
    """A container's file system.

    ``scratch`` is an empty directory of this machine to build it on, ``runtime`` the board's of the runtime, for a
    process that will run a handler.
    """

    root: Path
    scratch: Path
    masked: tuple[str, ...]
    mounts: tuple[Mount, ...]
    sysfs: bool
    runtime: str | None = None


def build(view: ContainerView) -> tuple[Path, list[str]]:
    """Mount the view and return its root and notes about what could not be done as V1 did it.

    To be called in a mount namespace and, for /proc, as the first process of a PID namespace. Raises OSError.
    """
    notes: list[str] = []
    try:
        linux.mount("none", Path("/"), flags=linux.MS_REC | linux.MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # in a chroot / is no mount point; who made it must see to its propagation
            raise
    linux.mount("tmpfs", view.scratch, "tmpfs", linux.MS_NOSUID, "mode=755")
    merged = view.scratch / "merged"
    merged.mkdir()
    try:
        _overlay(view, merged)
    except OSError as error:
        notes.append(f"the overlay could not be mounted ({error.strerror}): the board's tree is read-only instead")
        _binds(view, merged)
    if view.root != Path("/"):  # V1 shows no other file systems (mountAllBlockDevices "no"); ours carry /usr
        _rebind_submounts(view, merged)
    _kernel_file_systems(view, merged, notes)
    _dev(view, merged)
    if view.runtime:
        _show(view, merged, Mount(source=view.runtime, destination=RUNTIME, read_only=True))
    for mount in sorted(view.mounts, key=lambda m: mounting_order(m.destination)):
        _mount(view, merged, mount)
    return merged, notes


def read_only_devices(view: ContainerView) -> list[Path]:
    """Return the attached character and block devices that may only be read, as paths in the container."""
    paths = (Path(m.destination) for m in view.mounts if m.read_only)
    return [path for path in paths if path.is_char_device() or path.is_block_device()]


def _overlay(view: ContainerView, merged: Path) -> None:
    upper, work = view.scratch / "upper", view.scratch / "work"
    upper.mkdir()
    work.mkdir()
    for path in view.masked:
        hidden = upper / path.lstrip("/")
        hidden.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0))  # a whiteout: the path does not exist in the overlay
    _name_service(view, upper)
    lower = re.sub(r"([\\:,])", r"\\\1", str(view.root))
    linux.mount("overlay", merged, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")


def _name_service(view: ContainerView, upper: Path) -> None:
    """Show what the board's resolv.conf says: it often is a link into /run, or a mount, which an overlay leaves out.

    V1 had a layer ``dns`` over ``/`` for it.
    """
    try:
        content = file_bytes(inside(view.root, _RESOLV_CONF))
    except OSError:
        return
    above = inside(view.root, "/etc").stat()
    (upper / "etc").mkdir(exist_ok=True)
    os.chown(upper / "etc", above.st_uid, above.st_gid)
    (upper / "etc").chmod(stat.S_IMODE(above.st_mode))
    (upper / _RESOLV_CONF.lstrip("/")).write_bytes(content)


def _binds(view: ContainerView, merged: Path) -> None:
    """Show the board's tree without an overlay: directories that need mount points are ours, the rest is bound."""
    linux.bind(merged, merged)
    ours = {"/", "/dev", "/proc", "/sys", "/tmp"}  # the board's, not this machine's
    for path in (*view.masked, *(m.destination for m in view.mounts)):
        ours.update(str(parent) for parent in Path(path).parents)
    _mirror(view, merged, "/", ours)
    (merged / "tmp").chmod(0o1777)


def _mirror(view: ContainerView, merged: Path, directory: str, ours: set[str]) -> None:
    here = view.root / directory.lstrip("/")
    for entry in sorted(here.iterdir()) if here.is_dir() else ():
        path = f"{directory.rstrip('/')}/{entry.name}"
        target = merged / path.lstrip("/")
        if path in view.masked:
            continue
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif path in ours:
            target.mkdir()
            if path not in ("/dev", "/proc", "/sys", "/tmp"):
                _mirror(view, merged, path, ours)
        elif entry.is_dir() or entry.is_file():
            _mount_point(target, directory=entry.is_dir())
            linux.bind(entry, target, read_only=True)


def _rebind_submounts(view: ContainerView, merged: Path) -> None:
    """Show again what is mounted below the board's root: an overlay does not cross into its lower layer's mounts."""
    skipped = ("/proc", "/dev", "/sys", *view.masked)
    for point in mount_points(Path("/proc/self/mountinfo")):
        if view.root not in point.parents or view.scratch in (point, *point.parents):
            continue
        path = "/" + point.relative_to(view.root).as_posix()
        if any(below(path, top) for top in skipped):
            continue
        target = merged / path[1:]
        if target.exists() and not target.is_symlink():
            linux.bind(point, target)


def mount_points(table: Path) -> list[Path]:
    """Return every mount point of a mountinfo, in the order they were made."""
    with table.open("rb") as lines:
        return [Path(mount_point(os.fsdecode(line.split(b" ")[4]))) for line in lines]


def _kernel_file_systems(view: ContainerView, merged: Path, notes: list[str]) -> None:
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    proc = merged / "proc"
    _mount_point(proc, directory=True)
    try:
        linux.mount("proc", proc, "proc", flags)
    except OSError as error:
        notes.append(f"/proc could not be mounted ({error.strerror}): the function has none")
    if view.sysfs and Path("/sys/kernel").is_dir():
        _mount_point(merged / "sys", directory=True)
        linux.bind(Path("/sys"), merged / "sys", read_only=True)


def _dev(view: ContainerView, merged: Path) -> None:
    dev = merged / "dev"
    _mount_point(dev, directory=True)
    linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "mode=755")
    for name in STANDARD_DEVICES:
        board = view.root / "dev" / name
        source = board if board.is_char_device() else Path("/dev", name)
        _mount_point(dev / name, directory=False)
        linux.bind(source, dev / name)
    for name, fd in _STANDARD_LINKS.items():
        (dev / name).symlink_to(f"/proc/self/fd{fd}")


def _mount(view: ContainerView, merged: Path, mount: Mount) -> None:
    target = inside(merged, mount.destination)
    own = containers_own("/" + target.relative_to(merged).as_posix(), sysfs=view.sysfs)
    if own:
        raise OSError(errno.EINVAL, f"{own} belongs to the container itself", mount.destination)
    _show(view, merged, mount)


def _show(view: ContainerView, merged: Path, mount: Mount) -> None:
    source, target = inside(view.root, mount.source), inside(merged, mount.destination)
    if not source.exists():
        raise FileNotFoundError(2, "file doesn't exist", mount.source)
    _mount_point(target, directory=source.is_dir())
    linux.bind(source, target, read_only=mount.read_only)


def _mount_point(target: Path, *, directory: bool) -> None:
    """Make a place to mount on if there is none; in the overlay it goes to the upper layer."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if directory:
        target.mkdir()
    else:
        target.touch()
