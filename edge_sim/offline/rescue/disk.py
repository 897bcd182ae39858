"""A board's files, opened for reading only: no link leads out of the board, and none is followed in a package."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from edge_sim.agent.rooted import inside, node_at
from edge_sim.errors import MACHINE, UsageError, file_error
from edge_sim.facts import Node
from edge_sim.greengrass.tree import Tree

MAX_TEXT_BYTES = 16 * 1024 * 1024
"""How much of one text of the board is read."""
MAX_FILES = 100_000
_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The board below ``root``. ``nodes`` say what a tar file's headers did, by board path.

    ``write_directory`` is where the core keeps what is deployed, None for below its own root. ``ask`` returns whether
    a board path is a file, where the board itself can still be asked.
    """

    name: str
    root: Path
    greengrass_root: str
    write_directory: str | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    ask: Callable[[str], bool] | None = None

    @property
    def tree(self) -> Tree:
        return Tree(self.greengrass_root, self.write_directory)

    def place(self, path: str) -> Path:
        """Return where a board path lies on this machine.

        Links lead on as on the board, but below the Greengrass root and the write directory none is followed: one
        there could pass off keys as a package. Raises UsageError for a path through such a link.
        """
        tops = (self.greengrass_root, self.write_directory)
        top = next((top for top in tops if top and path.startswith(f"{top}/")), None)
        if top is None:
            return inside(self.root, path)
        here = inside(self.root, top)
        for part in PurePosixPath(path.removeprefix(f"{top}/")).parts:
            here = here / part
            if part == ".." or here.is_symlink():
                raise UsageError(
                    f"{path}: leads through the link {here.relative_to(self.root)}, which was not followed"
                )
        return here

    def look(self, path: str) -> Node | None:
        """Return what is at a board path, links on the way followed as on the board; None where nothing is."""
        place = self.place(path)
        real = "/" + str(place.relative_to(self.root)) if place != self.root else "/"
        return self.nodes.get(path) or self.nodes.get(real) or node_at(place)

    def is_file(self, path: str) -> bool:
        """Return whether a file is at a board path."""
        if self.ask:
            return self.ask(path)
        node = self.look(path)
        return node is not None and node.type == "file"

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none where it is not there."""
        try:
            return sorted(os.listdir(self.place(path)))  # noqa: PTH208 - names alone
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise file_error(f"{path}: cannot be read: {error.strerror}", error, hint="Run it as root.") from error

    def text(self, path: str) -> bytes | None:
        """Return what a file holds; None where there is none. Raises UsageError for one that may not be read."""
        try:
            with _opened(self.place(path)) as file:
                return file.read(MAX_TEXT_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise file_error(f"{path}: cannot be read: {error.strerror}", error, hint="Run it as root.") from error

    def copy(self, path: str, target: Path) -> list[str]:
        """Copy a directory's folders and files to ``target``, and return what was left out: links, devices, sockets.

        Execute bits are kept, nothing else of modes and owners. Raises UsageError where something cannot be read.
        """
        omitted: list[str] = []
        count = 0
        top = self.place(path)
        try:
            target.mkdir(mode=0o700, parents=True)
            for at, names, files, descriptor in os.fwalk(top, follow_symlinks=False, onerror=_fail):
                here = target / Path(at).relative_to(top)
                for name in sorted(names):
                    if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode):
                        omitted.append(str(Path(at, name).relative_to(top)))
                    else:
                        (here / name).mkdir(mode=0o700)
                for name in sorted(files):
                    count += 1
                    if count > MAX_FILES:
                        raise UsageError(f"{path}: more than {MAX_FILES} files, so it is not a package")
                    if not self._copy_file(descriptor, name, here / name, f"{path}/{Path(at, name).relative_to(top)}"):
                        omitted.append(str(Path(at, name).relative_to(top)))
        except OSError as error:
            if error.errno in MACHINE:  # what is read is laid down here
                raise
            raise UsageError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
        return omitted

    def _copy_file(self, descriptor: int, name: str, target: Path, path: str) -> bool:
        with suppress(OSError):
            if not stat.S_ISREG(os.lstat(name, dir_fd=descriptor).st_mode):
                return False
        with _opened(name, descriptor) as source, target.open("xb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
            known = self.nodes.get(path)
            mode = known.mode if known else os.fstat(source.fileno()).st_mode
        target.chmod(0o700 if mode & 0o111 else 0o600)
        return True


@contextmanager
def of_root(root: Path, greengrass_root: str) -> Iterator[Disk]:
    """Yield the board below a directory."""
    yield Disk(name=str(root), root=root.resolve(), greengrass_root=greengrass_root)


def _fail(error: OSError) -> None:
    raise error


@contextmanager
def _opened(path: Path | str, descriptor: int | None = None) -> Iterator[IO[bytes]]:
    """Open a plain file for reading: no link, nothing that would wait."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    opened = os.open(path, flags, dir_fd=descriptor)
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        yield cast(IO[bytes], file)
