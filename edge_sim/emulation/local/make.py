"""Carry out a ``BoardPlan``: directories and files, then (in the board's own mount namespace) binds and ``/dev``.

Runs in the board's first process as its uid 0. Nothing here may change a node of the host: a bound node is never
chowned, only a fresh one or a pseudo terminal of the board's own devpts.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import edge_sim
from edge_sim.emulation.boarddevices import BoardDevice
from edge_sim.emulation.boarditems import Bind, BoardPlan, Item
from edge_sim.emulation.local import namespaces as ns
from edge_sim.emulation.peripherals import Peer, peer_for
from edge_sim.emulation.pty import open_pair

_NOT_ALLOWED = (errno.EPERM, errno.EINVAL, errno.EACCES)
_NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_EVERYBODY = ["0", "0", "4294967295"]
"""The uid_map of the machine's own user namespace."""
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_KEPT_FLAGS = ns.MS_RDONLY | ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC


class UnreadablePythonError(Exception):
    """The board's unprivileged users cannot read a file of the running Python."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: the board's unprivileged users, who run functions with it, cannot read it")
        self.path = str(Path(path).parent)


def make_items(root: Path, items: tuple[Item, ...]) -> bool:
    """Make directories, files and links below ``root``; return whether all of them have their owners."""
    owned = True
    for item in items:
        path = root / item.path.lstrip("/")
        if item.type == "link":
            path.symlink_to(item.target or "")
        elif item.type == "directory":
            path.mkdir(exist_ok=path == root)
        else:
            path.touch(mode=0o600)  # a private key is nobody else's for a moment either
            if item.source:
                shutil.copyfile(item.source, path)
            else:
                path.write_text(item.text, encoding="utf-8")
        owned &= _permitted(lambda: os.lchown(path, item.uid, item.gid))  # noqa: B023 - called at once
        if item.type != "link":
            # After chown, which takes set-id bits away.
            path.chmod(item.mode)
    return owned


def mount_binds(root: Path, binds: tuple[Bind, ...]) -> None:
    """Bind the host's directories and this Python into the board, with whatever is mounted below them.

    A file that is only read is copied: once the host has replaced it (apt-get does with ld.so.cache), what was bound
    has no name any more, and a container on the board could not have it mounted.
    """
    for bind in binds:
        target = str(root / bind.path.lstrip("/"))
        if bind.read_only and Path(bind.source).is_file():
            shutil.copyfile(bind.source, target)
            continue
        ns.mount(bind.source, target, flags=ns.MS_BIND | ns.MS_REC)
        if bind.read_only:
            for point in ns.mount_points(target):
                # A user namespace may add restrictions to a mount, never drop one.
                flags = os.statvfs(point).f_flag & _KEPT_FLAGS
                ns.mount("none", point, flags=ns.MS_REMOUNT | ns.MS_BIND | ns.MS_RDONLY | ns.MS_NOSUID | flags)


def mount_proc(target: str) -> str | None:
    """Mount the board's own ``/proc``; where that is refused, keep the host's view and return a note."""
    flags = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC
    if _permitted(lambda: ns.mount("proc", target, "proc", flags)):
        return None
    if target != "/proc":
        ns.mount("/proc", target, flags=ns.MS_BIND | ns.MS_REC)
    return f"{target} shows this machine's processes: the kernel refused the board a proc of its own"


def mount_dev(root: Path, plan: BoardPlan) -> tuple[list[Peer], list[str]]:
    """Make ``/dev``: the standard nodes and the profile's; return the peers to be served and notes."""
    dev = root / "dev"
    ns.mount("tmpfs", str(dev), "tmpfs", ns.MS_NOSUID | ns.MS_NOEXEC, "mode=0755,size=1m")
    (dev / "pts").mkdir()
    (dev / "shm").mkdir()
    ns.mount("tmpfs", str(dev / "shm"), "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=1777,size=64m")
    options = "newinstance,ptmxmode=0666,mode=0620"
    pts = ("devpts", str(dev / "pts"), "devpts", ns.MS_NOSUID | ns.MS_NOEXEC)
    if not _permitted(lambda: ns.mount(*pts, f"{options},gid={plan.tty_gid}")):
        ns.mount(*pts, options)
    (dev / "ptmx").symlink_to("pts/ptmx")
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    peers = []
    same: dict[str, list[str]] = {}
    for device in plan.devices:
        peer, note = _device(root, device)
        peers += [peer] if peer else []
        same.setdefault(note, []).append(device.path)
    return peers, [*_standard_nodes(dev), *(f"{', '.join(paths)}: {note}" for note, paths in same.items())]


def make_nodes(root: Path, plan: BoardPlan) -> list[str]:
    """Make ``/dev`` without mounts, as far as this process may; return notes on what is not there."""
    dev = root / "dev"
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    missing = [f"/dev/{name}" for name in _NODES if not _make_node(dev / name, name, 0, 0o666)]
    notes = [f"{', '.join(missing)}: missing, because device nodes cannot be created here"] if missing else []
    for device in plan.devices:
        path = root / device.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if device.backing not in _NODES or not _make_node(path, device.backing, device.gid, device.mode):
            notes.append(f"{device.path} is missing: it needs a mount namespace")
    return notes


def can_switch_ids() -> bool:
    """Return whether a process of this board can become another user with other groups, by doing it."""
    return _as_unprivileged()


def check_python(root: Path) -> None:
    """Raise UnreadablePythonError when an unprivileged user of the board cannot read the running Python.

    A function's process needs it, and a virtual environment made with umask 077 keeps it from everybody.
    """
    for path in (sys.executable, os.__file__, edge_sim.__file__):
        if not _as_unprivileged(path, root):
            raise UnreadablePythonError(path)


def _as_unprivileged(path: str | None = None, root: Path | None = None) -> bool:
    """Return whether a process of the board can become an unprivileged user and open ``path`` below ``root``."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if root:
                os.chroot(root)
            os.setgroups([12346])
            os.setresgid(12345, 12345, 12345)
            os.setresuid(12345, 12345, 12345)
            if path:
                os.close(os.open(path, os.O_RDONLY))
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _standard_nodes(dev: Path) -> list[str]:
    bound = []
    for name in _NODES:
        if not _make_node(dev / name, name, 0, 0o666):
            (dev / name).touch()
            ns.mount(f"/dev/{name}", str(dev / name), flags=ns.MS_BIND)
            bound.append(f"/dev/{name}")
    return [f"{', '.join(bound)}: this machine's own nodes, shown as owned by nobody"] if bound else []


def _device(root: Path, device: BoardDevice) -> tuple[Peer | None, str]:
    """Make one node of the profile with its exact group and mode; return its peer and what is behind the node."""
    path = root / device.path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if device.backing == "host":
        return None, _pass_through(path, device)
    if device.backing != "pty" and _make_node(path, device.backing, device.gid, device.mode):
        return None, f"backed by /dev/{device.backing}"
    pair = open_pair(root / "dev" / "pts")
    os.chmod(pair.slave_path, device.mode)  # noqa: PTH101
    note = "a pseudo terminal"
    if not _permitted(lambda: os.chown(pair.slave_path, 0, device.gid)):
        note += ", without its group"
    if device.backing != "pty":
        note += f" that behaves like /dev/{device.backing}: device nodes cannot be created without root"
    path.touch()
    ns.mount(pair.slave_path, str(path), flags=ns.MS_BIND)
    return peer_for(device, pair), note


def _pass_through(path: Path, device: BoardDevice) -> str:
    """Make the board's node for one of this machine; return a note."""
    if Path("/proc/self/uid_map").read_text(encoding="ascii").split() == _EVERYBODY:
        there = os.stat(device.host)  # noqa: PTH116
        os.mknod(path, stat.S_IFMT(there.st_mode) | 0o600, there.st_rdev)
        os.chown(path, 0, device.gid)
        path.chmod(device.mode)
        return f"this machine's {device.host}"
    path.touch()
    ns.mount(device.host, str(path), flags=ns.MS_BIND)
    return (
        f"this machine's {device.host}, with its own owner, group and mode: device nodes cannot be created without root"
    )


def _make_node(path: Path, name: str, gid: int, mode: int) -> bool:
    def make() -> None:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(*_NODES[name]))
        # Some kernels let a user namespace make a node that nobody can open.
        os.close(os.open(path, os.O_RDWR | os.O_NOCTTY))

    if not _permitted(make):
        path.unlink(missing_ok=True)
        return False
    os.chown(path, 0, gid)
    path.chmod(mode)
    return True


def _permitted(step: Callable[[], None]) -> bool:
    """Do a step; return False when the kernel does not allow it here."""
    try:
        step()
    except OSError as error:
        # ENXIO: opening /dev/tty without a terminal, which proves that the node works.
        if error.errno == errno.ENXIO:
            return True
        if error.errno in _NOT_ALLOWED:
            return False
        raise
    return True
