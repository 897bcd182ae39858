"""The few privileged verbs of a board, and Linux's answer to each.

``Host`` is what the deployer and the board's start need; tests have a recording twin. All paths are the board's
own; ``LinuxHost`` finds them below its root and resolves links there as the board would, never outside.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import Literal, Protocol

from edge_sim.agent import durable, linux
from edge_sim.agent.rooted import inside
from edge_sim.errors import UnsupportedEnvironmentError

_SAME_BITS = 0x2 | 0x4 | 0x8 | 0x400 | 0x800  # nosuid, nodev, noexec, noatime, nodiratime in statvfs and mount
_MS_RELATIME, _ST_RELATIME = 1 << 21, 0x1000
_MNT_DETACH, _UMOUNT_NOFOLLOW = 0x2, 0x8


class HostError(UnsupportedEnvironmentError):
    """A verb failed: ``path`` is the board's, ``errno`` the system's reason."""

    def __init__(self, verb: str, path: str, error: OSError) -> None:
        self.path = path
        self.errno = error.errno or 0
        name = errno.errorcode.get(self.errno, "?")
        hint = "this needs root, or a user namespace with subordinate ids" if self.errno == errno.EPERM else None
        super().__init__(f"{path}: cannot {verb}: {error.strerror} ({name})", hint=hint)


class Host(Protocol):
    """What only a privileged process may do. Each verb raises HostError."""

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Give ``path`` (a link itself, not its target) to ``uid`` and ``gid``."""

    def bind(self, source: str, destination: str, *, read_only: bool) -> None:
        """Make ``source`` visible at ``destination``, which exists."""

    def unmount(self, destination: str) -> None:
        """Undo the last ``bind`` on ``destination``, even while somebody uses it."""

    def make_private(self, path: str) -> None:
        """Keep later mounts below the mount at ``path`` from other namespaces."""

    def make_node(self, path: str, kind: Literal["char", "block"], major: int, minor: int, mode: int) -> None:
        """Make a device node."""

    def switch_link(self, path: str, target: str) -> None:
        """Let the link at ``path`` (new or old) point to ``target``, in one step that survives a power cut."""

    def sync(self, path: str) -> None:
        """Bring a directory's names, or a file's bytes, to the disk."""


class LinuxHost:
    """The machine itself, seen from the board's root directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def chown(self, path: str, uid: int, gid: int) -> None:
        place = self._place(path, last=False)
        try:
            os.chown(place, uid, gid, follow_symlinks=False)
        except OSError as error:
            raise HostError(f"give to {uid}:{gid}", path, error) from error

    def bind(self, source: str, destination: str, *, read_only: bool) -> None:
        here, there = self._place(source), self._place(destination)
        try:
            linux.bind(here, there)
            if read_only:
                self._make_read_only(there, destination)
        except OSError as error:
            raise HostError(f"bind {source} to it", destination, error) from error

    def unmount(self, destination: str) -> None:
        place = os.fsencode(self._place(destination))
        libc = ctypes.CDLL(None, use_errno=True)  # the one this process runs on, glibc or musl
        if libc.umount2(place, _MNT_DETACH | _UMOUNT_NOFOLLOW):
            number = ctypes.get_errno()
            raise HostError("unmount", destination, OSError(number, os.strerror(number)))

    def make_private(self, path: str) -> None:
        try:
            linux.mount("none", self._place(path), flags=linux.MS_REC | linux.MS_PRIVATE)
        except OSError as error:
            raise HostError("make its mounts private", path, error) from error

    def make_node(self, path: str, kind: Literal["char", "block"], major: int, minor: int, mode: int) -> None:
        place = self._place(path, last=False)
        file_type = stat.S_IFCHR if kind == "char" else stat.S_IFBLK
        try:
            os.mknod(place, file_type | 0o600, os.makedev(major, minor))
            place.chmod(mode)  # the umask has no say
        except OSError as error:
            raise HostError(f"make the {kind} device {major}:{minor}", path, error) from error

    def switch_link(self, path: str, target: str) -> None:
        place = self._place(path, last=False)
        beside = place.with_name(f".{place.name}.new")
        try:
            beside.unlink(missing_ok=True)
            beside.symlink_to(target)
            beside.replace(place)
            durable.sync_directory(place.parent)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise HostError(f"point to {target}", path, error) from error

    def sync(self, path: str) -> None:
        try:
            _fsync(self._place(path))
        except OSError as error:
            raise HostError("bring it to the disk", path, error) from error

    def _make_read_only(self, place: Path, destination: str) -> None:
        """Remount a bind mount; a user namespace may not clear the flags of a mount it inherited."""
        seen = os.statvfs(place).f_flag
        kept = (seen & _SAME_BITS) | (_MS_RELATIME if seen & _ST_RELATIME else 0)
        try:
            linux.mount("none", place, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | kept)
        except OSError:
            self.unmount(destination)  # never leave it writable
            raise

    def _place(self, path: str, *, last: bool = True) -> Path:
        return inside(self._root, path, follow_last=last)


def _fsync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
