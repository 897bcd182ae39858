"""A board in a tar file or stream, laid out in a folder of this program's own: directories, files and links, no more.

What its headers say of owners and modes is kept beside it, for the files themselves are this process's. Of keys and
certificates only the names are laid.
"""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from edge_sim import folders
from edge_sim.agent.rooted import inside
from edge_sim.errors import MACHINE, EdgeSimError, InvalidDefinitionError, UsageError
from edge_sim.facts import Node
from edge_sim.greengrass.tree import BELOW, Tree
from edge_sim.offline.rescue.disk import Disk
from edge_sim.offline.tarlisting import MAX_BYTES, MAX_ENTRIES, StrictEntry, decompressed, entry_node, entry_path

MAX_DEPTH = 100
"""How many directories deep an entry of the tar file may lie."""
_CHUNK = 1024 * 1024
_MOST_NOTES = 10
_ANY = Tree(".*", write_directory=".*")
_DEPLOYED = "|".join((_ANY.group, _ANY.functions, _ANY.models, _ANY.public_models))
_CONTENT = re.compile(
    rf"(?:{_DEPLOYED})/.*|.*/{re.escape(BELOW.config)}|(?:/usr/lib|/etc)/os-release|(?:/usr)?/bin/(?:sh|bash|dash|busybox)",
    re.DOTALL,
)
"""Whose content is laid. A Greengrass root and a write directory may have any name, and be reached through links."""
_BY_NAME = re.compile(rf"{_ANY.certificates}/[^/]+")


@dataclass
class Laid:
    """What was laid below ``place`` so far. ``size`` counts the bytes of files, hard links as often as they occur."""

    name: str
    place: Path
    nodes: dict[str, Node] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    count: int = 0
    size: int = 0


@contextmanager
def of_tar(path: Path, greengrass_root: str) -> Iterator[Disk]:
    """Yield the board in a tar file, compressed or not. Raises InvalidDefinitionError where it is none, or damaged."""
    with folders.while_in_use("edge-sim-rescue-") as (place, _):
        laid = Laid(name=str(path), place=place)
        try:
            with path.open("rb") as file:
                lay(laid, file)
        except OSError as error:
            if error.errno in MACHINE:  # what is read is laid down here
                raise
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        notes = tuple(laid.notes)
        yield Disk(name=str(path), root=place, greengrass_root=greengrass_root, nodes=laid.nodes, notes=notes)


def lay(laid: Laid, file: IO[bytes]) -> None:
    """Lay what a tar file has. Raises InvalidDefinitionError where it is none, damaged, or larger than a board."""
    try:
        with decompressed(file) as plain, tarfile.open(fileobj=plain, mode="r|", tarinfo=StrictEntry) as archive:
            for entry in archive:
                laid.count += 1
                laid.size += max(entry.size, 0)
                if laid.count > MAX_ENTRIES or max(archive.offset, laid.size) > MAX_BYTES:
                    raise InvalidDefinitionError(
                        f"{laid.name}: more than {MAX_ENTRIES} entries or {MAX_BYTES >> 30} GiB: not a board's tree"
                    )
                _take(laid, archive, entry)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, ValueError) as error:
        raise InvalidDefinitionError(f"{laid.name}: not a tar file, or a damaged one: {error}") from error


def lay_name(laid: Laid, path: str) -> None:
    """Lay an empty file at a board path, for one of which the name alone is known."""
    _lay_entry(laid, path, tarfile.TarInfo(path), io.BytesIO())


def _take(laid: Laid, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
    path = entry_path(entry.name)
    if path is None or "\0" in path or path.count("/") > MAX_DEPTH:
        if len(laid.notes) < _MOST_NOTES:
            laid.notes.append(f"{entry.name[:200]!r}: left out: not a valid name on a board")
        return
    laid.nodes[path] = entry_node(entry, laid.nodes)
    content: IO[bytes] | None = None
    if entry.isreg():
        by_name = _BY_NAME.fullmatch(path) and not _CONTENT.fullmatch(path)
        content = io.BytesIO() if by_name else archive.extractfile(entry) if _CONTENT.fullmatch(path) else None
    _lay_entry(laid, path, entry, content)


def _lay_entry(laid: Laid, path: str, entry: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    """Lay one entry; a link on the way leads nowhere but below ``place``, and an entry that is in the way stays."""
    try:
        target = inside(laid.place, str(PurePosixPath(path).parent)) / PurePosixPath(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.isdir():
            target.mkdir(exist_ok=True)
        elif entry.issym():
            target.symlink_to(entry.linkname)
        elif entry.islnk():
            first = inside(laid.place, entry_path(entry.linkname) or "/")
            if first.is_file() and not first.is_symlink():
                laid.size += first.stat().st_size
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
