"""Files that are whole after a power cut: written beside, brought to the disk, then renamed into place."""

from __future__ import annotations

import os
import re
from pathlib import Path


def write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``content``: after a power cut it holds the old bytes or the new ones, never a mixture."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(descriptor: int) -> None:
    """Bring everything written to the file system of an open file to the disk (syncfs(2)).

    A disk's error is told from Linux 5.8 on only: see SYNCFS_TELLS_ERRORS.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(ctypes.c_int(descriptor)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _syncfs_tells_errors(release: str) -> bool:
    """Tell whether a kernel reports failed writes from syncfs(2); an older one does so from fsync(2) only."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= (5, 8)


SYNCFS_TELLS_ERRORS = _syncfs_tells_errors(os.uname().release)
