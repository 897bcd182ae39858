"""Unpacks a model or code package, or refuses it as a whole.

``unpack`` looks at the content, lets ``tar_reader`` (over ``inflate`` and ``pax``) or ``zip_reader`` (over
``zip_index``) hand out one member at a time, asks ``names`` whether it may exist, and has ``tree`` write it below
an open directory. The standard library's extractors are not used: they let damaged and hostile archives through.

Ours: everything that is refused here but a nested tar member without a directory entry, which V1 refused as well
(AWS: ml-console.md). Inferred: a flat tar.gz, and a zip without directory entries, unpack.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from edge_sim.agent.archives import tar_reader, zip_reader
from edge_sim.agent.archives.errors import ArchiveError, UnpackError
from edge_sim.agent.archives.inflate import GzipReader
from edge_sim.agent.archives.limits import Budget, Limits
from edge_sim.agent.archives.member import Member
from edge_sim.agent.archives.names import Register
from edge_sim.agent.archives.tree import Tree, check_empty, empty, open_empty_directory
from edge_sim.agent.archives.zip_index import end_records
from edge_sim.greengrass.plan import Content, Modes

__all__ = ["ArchiveError", "Limits", "UnpackError", "unpack"]

Kind = Literal["tar.gz", "zip"]

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\3\4", "zip"),
    (0, b"PK\5\6", "zip"),
    (257, b"ustar", "tar"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
)
_TAIL = 22 + 0xFFFF


def unpack(
    source: BinaryIO | Path,
    destination: int | Path,
    *,
    file_name: str,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    modes: Modes,
) -> tuple[Content, ...]:
    """Unpack ``source`` into an existing empty directory and return what is there now, parents first.

    ``source`` is an open file that can seek, or a path; ``destination`` a directory's descriptor, or a path
    without links. ``file_name`` says which kind is expected (``.tar.gz``, ``.tgz``, ``.zip``); the content must
    agree. Owner and modes, also of the destination itself, come from ``modes`` (-1 leaves an owner alone).

    Raises ArchiveError when the archive is refused and UnpackError when the machine fails; the destination is
    empty again then.
    """
    try:
        with _directory(destination) as descriptor, _file(source) as opened:
            return _unpack(opened, descriptor, file_name, limits, modes)
    except ArchiveError as error:
        raise error.inside(file_name) from error
    except OSError as error:
        raise UnpackError(file_name, error) from error


def _unpack(source: BinaryIO, destination: int, file_name: str, limits: Limits, modes: Modes) -> tuple[Content, ...]:
    length = source.seek(0, os.SEEK_END)
    before = _state(source)
    kind = _check_kind(source, length, file_name)
    source.seek(0)
    budget = Budget(limits, length)
    members = _tar_members(source, budget) if kind == "tar.gz" else zip_reader.members(source, length, budget)
    tree = Tree(destination, modes)
    try:
        contents = _fill(tree, members, parents_implied=kind == "zip")
        if _state(source) != before:
            raise ArchiveError("CHANGED", "it changed while it was read", hint="deploy again")
        tree.finish()
    except BaseException:
        tree.close()
        empty(destination)
        raise
    tree.close()
    return contents


def _fill(tree: Tree, members: Iterator[Member], *, parents_implied: bool) -> tuple[Content, ...]:
    register = Register()
    contents: list[Content] = []
    rooted = False
    for member in members:
        if not member.path:
            if rooted:
                raise ArchiveError("DUPLICATE", "it has two entries for its root")
            rooted = True
            continue
        known = register.has(member.path)
        for parent in register.claim(member.path, directory=member.directory, parents_implied=parents_implied):
            tree.make_directory(parent)
            contents.append(Content(path="/".join(parent), type="directory"))
        if known:
            continue
        contents.append(_write(tree, member))
    if not contents:
        raise ArchiveError("EMPTY", "there is nothing in it")
    return tuple(contents)


def _write(tree: Tree, member: Member) -> Content:
    path = "/".join(member.path)
    if member.directory:
        tree.make_directory(member.path)
        for _ in member.data:  # nothing, or an error
            pass
        return Content(path=path, type="directory")
    tree.write_file(member.path, executable=member.executable, data=member.data)
    return Content(path=path, type="file", executable=member.executable)


def _tar_members(source: BinaryIO, budget: Budget) -> Iterator[Member]:
    stream = GzipReader(source, budget)
    head = stream.peek(tar_reader.BLOCK)
    if head and head != bytes(tar_reader.BLOCK) and head[257:262] != b"ustar":
        inner = _content_type(head)
        raise ArchiveError("TYPE", f"its content is gzip around {inner}, not around a tar")
    return tar_reader.members(stream, budget)


def _check_kind(source: BinaryIO, length: int, file_name: str) -> Kind:
    """Return what the name promises, once the content has kept the promise."""
    name = file_name.lower()
    expected: Kind | None = "tar.gz" if name.endswith((".tar.gz", ".tgz")) else None
    if name.endswith(".zip"):
        expected = "zip"
    if expected is None:
        raise ArchiveError("TYPE", "a package must be a .tar.gz or a .zip")
    source.seek(0)
    found = _content_type(source.read(tar_reader.BLOCK))
    if found != ("gzip" if expected == "tar.gz" else "zip"):
        raise ArchiveError("TYPE", f"its name says {expected}, its content is {found}")
    if expected == "tar.gz":
        source.seek(max(0, length - _TAIL))
        if end_records(source.read(_TAIL)):
            raise ArchiveError("TYPE", "it is a tar.gz and a zip at once")
    return expected


def _content_type(head: bytes) -> str:
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return name
    if not head:
        return "empty"
    if head.lstrip()[:1] == b"<":
        return "a web page or XML (an error answer?)"
    return "of an unknown type"


@contextmanager
def _directory(destination: int | Path) -> Iterator[int]:
    if isinstance(destination, int):
        check_empty(destination, "the destination")
        yield destination
        return
    descriptor = open_empty_directory(destination)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _file(source: BinaryIO | Path) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield source
        return
    with source.open("rb") as opened:
        yield opened


def _state(source: BinaryIO) -> tuple[int, ...]:
    """Return what changes when somebody writes to the file."""
    status = os.fstat(source.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
