"""What the deployer asks of the board's system: owners, and names that survive a power cut.

All paths are the board's own; ``LinuxHost`` finds them below the board's root and resolves links there as the board
would, never outside. Tests record the calls and let one of them fail.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol

from edge_sim.agent import durable
from edge_sim.agent.rooted import inside
from edge_sim.errors import UnsupportedEnvironmentError


class HostError(UnsupportedEnvironmentError):
    """A verb failed: ``path`` is the board's, ``errno`` the system's reason."""

    def __init__(self, verb: str, path: str, error: OSError) -> None:
        self.path = path
        self.errno = error.errno or 0
        name = errno.errorcode.get(self.errno, "?")
        hint = "this needs root, or a user namespace with subordinate ids" if self.errno == errno.EPERM else None
        super().__init__(f"{path}: cannot {verb}: {error.strerror} ({name})", hint=hint)


class Host(Protocol):
    """Each verb raises HostError."""

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Give ``path`` (a link itself, not its target) to ``uid`` and ``gid``; -1 leaves one as it is."""

    def sync(self, path: str) -> None:
        """Bring the names in a directory to the disk."""


class LinuxHost:
    """The machine itself, seen from the board's root directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def chown(self, path: str, uid: int, gid: int) -> None:
        try:
            os.chown(inside(self._root, path, follow_last=False), uid, gid, follow_symlinks=False)
        except OSError as error:
            raise HostError(f"change its owner to {uid}:{gid}", path, error) from error

    def sync(self, path: str) -> None:
        try:
            durable.sync_directory(inside(self._root, path))
        except OSError as error:
            raise HostError("sync it to disk", path, error) from error
