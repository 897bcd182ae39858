"""Writes below one open directory, component by component, and never through a link.

Every directory made is known by device and inode: when somebody swaps it meanwhile, writing stops. Owner and
mode are set through the open file, so that no name is looked up twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from edge_sim.agent.archives.errors import ArchiveError, escaped
from edge_sim.agent.archives.names import Parts
from edge_sim.greengrass.plan import Modes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """A directory being filled. ``close`` it in any case; call ``finish`` when everything is written.

    A uid or gid of -1 in ``modes`` is left as the process makes it (a plain user may not give files away).
    """

    def __init__(self, root: int, modes: Modes) -> None:
        self._root = root
        self._modes = modes
        self._inodes: dict[Parts, tuple[int, int]] = {(): _identity(root)}
        self._open: tuple[Parts, int] | None = None

    def make_directory(self, path: Parts) -> None:
        parent = self._directory(path[:-1])
        os.mkdir(path[-1], 0o700, dir_fd=parent)
        made = os.open(path[-1], _DIRECTORY, dir_fd=parent)
        try:
            self._inodes[path] = _identity(made)
        finally:
            os.close(made)

    def write_file(self, path: Parts, *, executable: bool, data: Iterable[bytes]) -> None:
        """Write a new file, set its owner and mode, and bring it to the disk."""
        descriptor = os.open(path[-1], _NEW_FILE, 0o600, dir_fd=self._directory(path[:-1]))
        try:
            for chunk in data:
                _write_all(descriptor, chunk)
            self._settle(descriptor, self._modes.executable if executable else self._modes.file)
        finally:
            os.close(descriptor)

    def finish(self) -> None:
        """Give the directories their final owner and mode, the innermost first, and bring them to the disk."""
        for path in sorted(self._inodes, key=len, reverse=True):
            self._settle(self._directory(path), self._modes.directory)

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _settle(self, descriptor: int, mode: int) -> None:
        os.fchown(descriptor, self._modes.uid, self._modes.gid)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)

    def _directory(self, path: Parts) -> int:
        """Return a descriptor of a directory made before; it stays open until another one is asked for."""
        if not path:
            return self._root
        if self._open is not None and self._open[0] == path:
            return self._open[1]
        self.close()
        descriptor = os.dup(self._root)
        for depth in range(1, len(path) + 1):
            descriptor = self._step(descriptor, path[:depth])
        self._open = (path, descriptor)
        return descriptor

    def _step(self, parent: int, path: Parts) -> int:
        """Open one component below ``parent``, which is closed."""
        try:
            child = os.open(path[-1], _DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)
        if _identity(child) != self._inodes[path]:
            os.close(child)
            raise ArchiveError("DESTINATION", f"somebody changed {escaped('/'.join(path))} while it was filled")
        return child


def open_empty_directory(path: Path) -> int:
    """Open a directory to fill: it exists, is empty, and no component of its path is a link.

    Raises ArchiveError ``DESTINATION``.
    """
    descriptor = os.open("/", _DIRECTORY)
    for part in path.absolute().parts[1:]:
        try:
            child = os.open(part, _DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            why = error.strerror or "cannot be opened"
            raise ArchiveError(
                "DESTINATION", f"{path}: not a directory to unpack to: {why} at {part}", hint=None
            ) from error
        finally:
            os.close(descriptor)
        descriptor = child
    try:
        check_empty(descriptor, str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_empty(descriptor: int, shown: str) -> None:
    """Raise ArchiveError ``DESTINATION`` unless this is a directory with nothing in it."""
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise ArchiveError("DESTINATION", f"{shown}: not a directory", hint=None)
    if os.listdir(descriptor):
        raise ArchiveError("DESTINATION", f"{shown}: the directory to unpack to is not empty", hint=None)


def empty(descriptor: int) -> None:
    """Remove everything below an open directory, without following links."""
    for _, directories, files, here in os.fwalk(".", topdown=False, dir_fd=descriptor):
        os.fchmod(here, 0o700)
        for name in files:
            os.unlink(name, dir_fd=here)
        for name in directories:
            _remove_directory(name, here)


def _remove_directory(name: str, parent: int) -> None:
    if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
        os.unlink(name, dir_fd=parent)
    else:
        os.rmdir(name, dir_fd=parent)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
