"""A board's files, opened for reading only: no link leads out of the board's root, and none is followed in a package.

A tar file is laid out first, in a folder of this program's own: directories, files and links, and nothing else. What
its headers say of owners and modes is kept beside it, for the files themselves are this process's.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from edge_sim import folders
from edge_sim.agent.rooted import inside, node_at
from edge_sim.errors import NO_ROOM, EdgeSimError, InvalidDefinitionError, UsageError
from edge_sim.facts import Node
from edge_sim.greengrass.tree import Tree
from edge_sim.offline.tarlisting import MAX_BYTES, MAX_ENTRIES, StrictEntry, decompressed, entry_node, entry_path

MAX_TEXT_BYTES = 16 * 1024 * 1024
"""How much of one text of the board is read."""
MAX_FILES = 100_000
_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The board below ``root``. ``nodes`` say what a tar file's headers did, by board path."""

    name: str
    root: Path
    greengrass_root: str
    nodes: Mapping[str, Node] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tree(self) -> Tree:
        return Tree(self.greengrass_root)

    def place(self, path: str) -> Path:
        """Return where a board path lies on this machine.

        Links lead on as on the board, but below the Greengrass root none is followed: one there could pass off keys as
        a package. Raises UsageError for a path through such a link.
        """
        below = path.removeprefix(f"{self.greengrass_root}/")
        if below == path:
            return inside(self.root, path)
        here = inside(self.root, self.greengrass_root)
        for part in PurePosixPath(below).parts:
            here = here / part
            if part == ".." or here.is_symlink():
                raise UsageError(f"{path}: leads through a link, {here.relative_to(self.root)}: not followed")
        return here

    def look(self, path: str) -> Node | None:
        """Return what is at a board path, links on the way followed as on the board; None where nothing is."""
        place = self.place(path)
        real = "/" + str(place.relative_to(self.root)) if place != self.root else "/"
        return self.nodes.get(path) or self.nodes.get(real) or node_at(place)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none where it is not there."""
        try:
            return sorted(os.listdir(self.place(path)))  # noqa: PTH208 - names alone
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}", hint="Run it as root.") from error

    def text(self, path: str) -> bytes | None:
        """Return what a file holds; None where there is none. Raises UsageError for one that may not be read."""
        try:
            with _opened(self.place(path)) as file:
                return file.read(MAX_TEXT_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}", hint="Run it as root.") from error

    def copy(self, path: str, target: Path) -> list[str]:
        """Copy a directory's folders and files to ``target``, and return what was left out: links, devices, sockets.

        Execute bits are kept, nothing else of modes and owners. Raises UsageError where something cannot be read.
        """
        left: list[str] = []
        count = 0
        top = self.place(path)
        try:
            target.mkdir(mode=0o700, parents=True)
            for at, names, files, descriptor in os.fwalk(top, follow_symlinks=False, onerror=_fail):
                here = target / Path(at).relative_to(top)
                for name in sorted(names):
                    if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode):
                        left.append(str(Path(at, name).relative_to(top)))
                    else:
                        (here / name).mkdir(mode=0o700)
                for name in sorted(files):
                    count += 1
                    if count > MAX_FILES:
                        raise UsageError(f"{path}: more than {MAX_FILES} files: no package")
                    if not self._copy_file(descriptor, name, here / name, f"{path}/{Path(at, name).relative_to(top)}"):
                        left.append(str(Path(at, name).relative_to(top)))
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise UsageError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
        return left

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


@contextmanager
def of_tar(path: Path, greengrass_root: str) -> Iterator[Disk]:
    """Yield the board in a tar file, compressed or not. Raises InvalidDefinitionError where it is none, or damaged."""
    with folders.while_in_use("edge-sim-rescue-") as (place, _):
        try:
            with path.open("rb") as file:
                nodes, notes = _laid(file, place, _wanted(greengrass_root), str(path))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        yield Disk(name=str(path), root=place, greengrass_root=greengrass_root, nodes=nodes, notes=tuple(notes))


def _wanted(greengrass_root: str) -> tuple[str, ...]:
    tree = Tree(greengrass_root)
    return (tree.deployment, tree.config, tree.certificates, "/etc/passwd", "/etc/group", "/etc/os-release", "/bin/sh")


def _laid(file: IO[bytes], place: Path, tops: tuple[str, ...], name: str) -> tuple[dict[str, Node], list[str]]:
    nodes: dict[str, Node] = {}
    notes: list[str] = []
    try:
        with decompressed(file) as plain, tarfile.open(fileobj=plain, mode="r|", tarinfo=StrictEntry) as archive:
            for count, entry in enumerate(archive):
                if count > MAX_ENTRIES or archive.offset > MAX_BYTES:
                    raise InvalidDefinitionError(f"{name}: more than {MAX_ENTRIES} entries: not a board's tree")
                path = entry_path(entry.name)
                if path is None:
                    notes.append(f"{entry.name!r}: left out: a name that no board can have")
                    continue
                nodes[path] = entry_node(entry, nodes)
                content = archive.extractfile(entry) if entry.isreg() else None
                _lay(place, path, entry, content if _concerns(path, tops) else None)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InvalidDefinitionError(f"{name}: not a tar file, or a damaged one: {error}") from error
    return nodes, notes


def _concerns(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in tops)


def _lay(place: Path, path: str, entry: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    """Lay one entry; a link on the way leads nowhere but below ``place``, and an entry that is in the way stays."""
    try:
        target = inside(place, str(PurePosixPath(path).parent)) / PurePosixPath(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.isdir():
            target.mkdir(exist_ok=True)
        elif entry.issym():
            target.symlink_to(entry.linkname)
        elif entry.islnk():
            first = inside(place, entry_path(entry.linkname) or "/")
            if first.is_file() and not first.is_symlink():
                shutil.copyfile(first, target, follow_symlinks=False)
        elif content is not None:
            with target.open("xb") as sink:
                shutil.copyfileobj(content, sink, _CHUNK)
    except (FileExistsError, NotADirectoryError, IsADirectoryError, ValueError):
        return
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    except EdgeSimError:  # a loop of links
        return


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
