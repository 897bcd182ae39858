"""A board in a tar file or a Docker image: headers, digests, and the few texts that say who lives there.

Nothing is extracted, and an image is never started: its container is made only to be exported, and removed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from edge_sim.agent.rooted import ACL
from edge_sim.digests import sha256
from edge_sim.errors import InvalidDefinitionError, UsageError, file_error
from edge_sim.facts import Node, NodeType
from edge_sim.greengrass.tree import BELOW, Tree
from edge_sim.offline.listing import Listing, some_acl

MAX_ENTRIES = 1_000_000
"""How many entries a tar file may have; an image of a whole desktop has some hundred thousand."""
MAX_BYTES = 64 * 1024**3
"""How large a tar file may be once it is decompressed."""
MAX_TEXT_BYTES = 4 * 1024 * 1024
_CHUNK = 1024 * 1024
_MOST_NOTES = 10
_DEPLOYED = f"/{BELOW.deployment}/"
_TYPES: dict[bytes, NodeType] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


def of_file(path: Path, greengrass_root: str) -> Listing:
    """List a tar file, compressed or not. Raises InvalidDefinitionError when it is none, or is damaged."""
    try:
        with path.open("rb") as file:
            return _listing(file, str(path), greengrass_root)
    except OSError as error:
        raise file_error(f"{path}: cannot be read: {error.strerror}", error) from error


def of_image(name: str, greengrass_root: str) -> Listing:
    """List a Docker image that the engine has. Raises UsageError when it has none of that name."""
    from edge_sim.emulation.containers import engine

    client = engine.connect()
    try:
        container = _container(client, name)
        try:
            with _Stream(container.export()) as stream:
                return _listing(cast(IO[bytes], stream), name, greengrass_root)
        finally:
            container.remove(force=True)
    except engine.failures() as error:
        raise engine.explain(error) from error
    finally:
        client.close()


def _container(client: Any, name: str) -> Any:
    from docker.errors import ImageNotFound

    try:
        return client.containers.create(name, command=["/bin/true"], network_disabled=True)
    except ImageNotFound as error:
        raise UsageError(f"{name}: Docker has no such image", hint=f"docker pull {name}") from error


def _listing(file: IO[bytes], name: str, greengrass_root: str) -> Listing:
    entries = _Entries(name, greengrass_root)
    try:
        with decompressed(file) as plain, tarfile.open(fileobj=plain, mode="r|", tarinfo=StrictEntry) as archive:
            for entry in archive:
                entries.take(archive, entry)
            remaining = MAX_BYTES - archive.offset
            while remaining > 0 and (chunk := plain.read(_CHUNK)):  # a checksum comes last
                remaining -= len(chunk)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, ValueError) as error:
        raise InvalidDefinitionError(f"{name}: not a tar file, or a damaged one: {error}") from error
    if remaining <= 0:
        raise InvalidDefinitionError(f"{name}: larger than {MAX_BYTES >> 30} GiB")
    return entries.listing()


class _Entries:
    """Takes in the entries of a tar file, one by one."""

    def __init__(self, name: str, greengrass_root: str) -> None:
        tree = Tree(greengrass_root)
        self._name = name
        self._contents_of = {"/etc/passwd", "/etc/group", "/etc/os-release", "/usr/lib/os-release"}
        self._contents_of |= {tree.config, tree.group_file, tree.record}
        self._nodes: dict[str, Node] = {}
        self._texts: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._notes: list[str] = []
        self._count = 0

    def take(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        self._count += 1
        if self._count > MAX_ENTRIES or archive.offset > MAX_BYTES:
            raise InvalidDefinitionError(
                f"{self._name}: more than {MAX_ENTRIES} entries or {MAX_BYTES >> 30} GiB: not a board's tree"
            )
        path = entry_path(entry.name)
        if path is None or entry.type not in (*_TYPES, tarfile.LNKTYPE):
            if len(self._notes) < _MOST_NOTES:
                self._notes.append(f"{entry.name!r}: left out: not a valid name or type on a board")
            return
        self._nodes[path] = entry_node(entry, self._nodes)
        first = entry_path(entry.linkname) if entry.type == tarfile.LNKTYPE else None
        for known in (self._texts, self._digests):
            if first in known:
                known[path] = known[first]
        content = archive.extractfile(entry) if entry.isreg() else None
        if content and path in self._contents_of:
            self._texts[path] = content.read(MAX_TEXT_BYTES).decode(errors="replace")
        elif content and _DEPLOYED in path:
            self._digests[path] = sha256(content)

    def listing(self) -> Listing:
        whole = "/etc" in self._nodes
        if "/manifest.json" in self._nodes and not whole:
            raise InvalidDefinitionError(
                f"{self._name}: this tar file holds the layers of an image",
                hint="Use --image, or a tar file of docker export.",
            )
        return Listing(
            name=self._name,
            nodes=self._nodes,
            texts=self._texts,
            digests=self._digests,
            notes=tuple(self._notes),
            whole=whole,
        )


@contextmanager
def decompressed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield what a compressed file holds, or the file itself. The standard modules' own stream mode checks no sum."""
    buffered = io.BufferedReader(cast(io.RawIOBase, file)) if not isinstance(file, io.BufferedReader) else file
    head = buffered.peek(6)
    for magic, open_stream in _COMPRESSED.items():
        if head.startswith(magic):
            with open_stream(buffered) as plain:
                yield plain
            return
    yield buffered


class StrictEntry(tarfile.TarInfo):
    """An entry whose damage is an error: tarfile itself takes a damaged header, or the lack of an end, for the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> StrictEntry:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the mark at the end
                raise
            raise tarfile.ReadError(str(error)) from error


def entry_path(name: str) -> str | None:
    """Return the board's path of an entry's name; None for one that leads up."""
    path = posixpath.normpath(f"/{name}")
    return None if ".." in name.split("/") else "/" + path.lstrip("/")


def entry_node(entry: tarfile.TarInfo, nodes: dict[str, Node]) -> Node:
    """Return what an entry's header says; a hard link's is that of the file in ``nodes``."""
    if entry.type == tarfile.LNKTYPE:
        known = nodes.get(entry_path(entry.linkname) or "")
        if known:
            return known
    target = entry.linkname if entry.type == tarfile.SYMTYPE else None
    kind = _TYPES.get(entry.type, "file")
    has_acl = "mask" in entry.pax_headers.get("SCHILY.acl.access", "") or f"SCHILY.xattr.{ACL}" in entry.pax_headers
    acl = some_acl(entry.gid) if has_acl else ()
    return Node(type=kind, uid=entry.uid, gid=entry.gid, mode=entry.mode & 0o7777, target=target, acl=acl)


class _Stream(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            self._rest = next(self._chunks, b"")
            if not self._rest:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
