"""What a folder holds, a folder for as long as a program runs, the one of what can be made again; files for users."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_sim.errors import UsageError, file_error


def below(folder: Path) -> list[Path]:
    """Return every path below ``folder``, sorted, parents first; links are not followed.

    Raises OSError for what cannot be read: a folder left out in silence would be an empty one on a board.
    """

    def fail(error: OSError) -> None:
        raise error

    paths = [Path(at, name) for at, folders, files in os.walk(folder, onerror=fail) for name in (*folders, *files)]
    return sorted(paths, key=lambda path: path.relative_to(folder).parts)


def mentioned(folder: Path, patterns: Mapping[str, re.Pattern[bytes]]) -> frozenset[str]:
    """Return the names of the patterns that some file below ``folder`` matches; links are not followed.

    ``__pycache__`` is left out, as it is of packages. Raises OSError for what cannot be read.
    """
    names: set[str] = set()
    for path in below(folder):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts or not path.stat().st_size:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names |= {name for name, pattern in patterns.items() if name not in names and pattern.search(content)}
    return frozenset(names)


def user_cache() -> Path | None:
    """Return edge_sim's folder in the user's cache, ``$XDG_CACHE_HOME/edge-sim``; None for a user without a home.

    The XDG base directory specification: a path that is not absolute is ignored, and ``~/.cache`` is the default.
    """
    directory = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(directory) if directory.startswith("/") else Path.home() / ".cache") / "edge-sim"
    except RuntimeError:  # a uid that passwd does not know, as containers have it
        return None


def check_file(file: Path) -> None:
    """Raise UsageError where a file cannot be overwritten."""
    if file.exists() and not file.is_file():
        raise UsageError(f"{file}: not a regular file, so it cannot be overwritten")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: cannot be written: the directory {file.parent} does not exist")


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; raises UsageError where that is not possible."""
    check_file(file)
    draft = file.with_name(f".{file.name}.part")
    try:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise file_error(f"{file}: cannot be written: {error.strerror}", error) from error


@contextlib.contextmanager
def while_in_use(prefix: str) -> Iterator[tuple[Path, int]]:
    """Yield a new folder in TMPDIR, removed at the end, and the descriptor that holds its lock.

    What a killed program left under the same ``prefix`` goes first. A folder is in use as long as a process has the
    descriptor: one that is to outlive this one inherits it.
    """
    _sweep(prefix)
    place, lock = _make_directory(prefix)
    try:
        yield place, lock
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _make_directory(prefix: str) -> tuple[Path, int]:
    while True:
        place = Path(tempfile.mkdtemp(prefix=prefix))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # a file system without locks: a sweep gets none either
                fcntl.flock(lock, fcntl.LOCK_SH)
            if place.is_dir():  # else a sweep came between
                return place, lock
            os.close(lock)


def _sweep(prefix: str) -> None:
    """Remove this user's folders that no process has locked."""
    for place in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            stack.callback(os.close, lock)
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
