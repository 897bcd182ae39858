"""Writes below one open directory, component by component, and never through a link.

Every directory made is known by device and inode: when somebody swaps it meanwhile, writing stops. Owner and
mode are set through the open file, so that no name is looked up twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_sim.agent import linux
from edge_sim.agent.archives.errors import ArchiveError, escaped
from edge_sim.agent.archives.names import Parts
from edge_sim.agent.archives.stream import CHUNK, Chunk
from edge_sim.errors import MACHINE
from edge_sim.greengrass.plan import Modes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE_BACK = 8 * 1024 * 1024
"""Bytes of one file after which the disk is set to work, so that little is left to wait for at the end."""


class TreeWriter:
    """A directory being filled. ``close`` it in any case; call ``finish`` when everything is written.

    A uid or gid of -1 in ``modes`` is left as the process makes it (a plain user may not give files away).
    """

    def __init__(self, root: int, modes: Modes) -> None:
        self._root = root
        self._modes = modes
        self._inodes: dict[Parts, tuple[int, int]] = {(): _identity(root)}
        self._open: list[tuple[str, int]] = []
        """The directory used last and those above it, outermost first, the root left out."""

    def make_directory(self, path: Parts) -> None:
        parent = self._directory(path[:-1])
        os.mkdir(path[-1], 0o700, dir_fd=parent)
        descriptor = os.open(path[-1], _DIRECTORY, dir_fd=parent)
        self._open.append((path[-1], descriptor))
        self._inodes[path] = _identity(descriptor)

    def write_file(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None:
        """Write a new file, and set its owner and mode."""
        descriptor = os.open(path[-1], _NEW_FILE, 0o600, dir_fd=self._directory(path[:-1]))
        try:
            position = started = 0
            for chunk in data:
                position += _write_all(descriptor, chunk)
                if position - started >= _WRITE_BACK:
                    os.posix_fadvise(descriptor, started, position - started, os.POSIX_FADV_DONTNEED)
                    started = position
            self._settle(descriptor, self._modes.executable if executable else self._modes.file)
        finally:
            os.close(descriptor)

    def read_file(self, path: Parts) -> Iterator[Chunk]:
        """Yield the bytes of a file written before."""
        descriptor = os.open(path[-1], _FILE, dir_fd=self._directory(path[:-1]))
        try:
            while data := os.read(descriptor, CHUNK):
                yield data
        finally:
            os.close(descriptor)

    def finish(self) -> None:
        """Give the directories their final owner and mode, the innermost first, and bring everything to the disk."""
        for path in sorted(self._inodes, reverse=True):
            self._settle(self._directory(path), self._modes.directory)
        linux.syncfs(self._root)

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop()[1])

    def _settle(self, descriptor: int, mode: int) -> None:
        os.fchown(descriptor, self._modes.uid, self._modes.gid)
        os.fchmod(descriptor, mode)
        if not linux.SYNCFS_TELLS_ERRORS:
            os.fsync(descriptor)

    def _directory(self, path: Parts) -> int:
        """Return a descriptor of a directory made before; those above it stay open with it."""
        same = 0
        while same < min(len(path), len(self._open)) and self._open[same][0] == path[same]:
            same += 1
        while len(self._open) > same:
            os.close(self._open.pop()[1])
        for depth in range(same, len(path)):
            self._step(path[: depth + 1])
        return self._open[-1][1] if self._open else self._root

    def _step(self, path: Parts) -> None:
        """Open one component below the directory that is open."""
        parent = self._open[-1][1] if self._open else self._root
        child = os.open(path[-1], _DIRECTORY, dir_fd=parent)
        self._open.append((path[-1], child))
        if _identity(child) != self._inodes[path]:
            raise ArchiveError(
                "DESTINATION", f"another process changed {escaped('/'.join(path))} while it was being filled"
            )


def open_directory(path: Path) -> int:
    """Open a directory to fill: it exists, and no component of its path is a link.

    Raises ArchiveError ``DESTINATION``.
    """
    descriptor = os.open("/", _DIRECTORY)
    for part in path.absolute().parts[1:]:
        try:
            child = os.open(part, _DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            if error.errno in MACHINE:
                raise
            why = error.strerror or "cannot be opened"
            raise ArchiveError(
                "DESTINATION", f"{path}: cannot unpack to this directory: {why} at {part}", hint=None
            ) from error
        finally:
            os.close(descriptor)
        descriptor = child
    return descriptor


def check_empty(descriptor: int) -> None:
    """Raise ArchiveError ``DESTINATION`` unless this is a directory with nothing in it."""
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise ArchiveError("DESTINATION", "the destination is not a directory", hint=None)
    if os.listdir(descriptor):
        raise ArchiveError("DESTINATION", "the directory to unpack to is not empty", hint=None)


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


def _write_all(descriptor: int, chunk: Chunk) -> int:
    """Write all of ``chunk``, and return how much that is."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(chunk)
