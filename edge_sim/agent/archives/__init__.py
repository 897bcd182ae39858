"""Unpacks a model or code package, or refuses it as a whole.

``unpack`` opens a ``reading``: the content decides the type, and ``tar_reader`` (over ``inflate`` and ``pax``) or
``zip_reader`` (over ``zip_index`` and ``zip_local``) hands out one member at a time. ``fill`` asks ``names`` whether
it may exist, and has ``tree`` write it below an open directory. ``check`` does the same for a verdict only. The
standard library's extractors are not used: they let damaged and hostile archives through.

The rule: an archive is taken only if GNU tar and bsdtar, or Info-ZIP, 7-Zip and bsdtar, and Go's and Python's
libraries see the same names, types and bytes in it (modes, times and owners aside, links as links), and what everyday
tools make is taken. Where one reader alone is wrong by a known bug, Go decides: V1's core was written in it.

Ours: everything that is refused here but a nested tar member without a directory entry, which V1 refused as well
(AWS: ml-console.md). Inferred: a flat tar.gz, and a zip without directory entries, unpack.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edge_sim.agent.archives.errors import ArchiveError, UnpackError, at_once
from edge_sim.agent.archives.fill import fill
from edge_sim.agent.archives.reading import Reading
from edge_sim.agent.archives.tree import TreeWriter, check_empty, empty, open_directory
from edge_sim.greengrass.plan import Content, Modes
from edge_sim.limits import Limits

__all__ = ["ArchiveError", "Limits", "UnpackError", "unpack"]


def unpack(
    source: BinaryIO | Path,
    destination: int | Path,
    *,
    file_name: str,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    modes: Modes,
    sha256: str | None = None,
) -> tuple[Content, ...]:
    """Unpack ``source`` into an existing empty directory and return its contents, parents first.

    ``source`` is an open file that can seek, or a path; ``destination`` a directory's descriptor, or a path
    without links. ``file_name`` says which kind is expected (``.tar.gz``, ``.tgz``, ``.zip``); the content must
    agree. Owner and modes, also of the destination itself, come from ``modes`` (-1 leaves an owner alone). What is
    read must have the digest ``sha256`` (lower-case hex), where it is given. Afterwards everything is on the disk.

    Raises ArchiveError when the archive is refused, or somebody else unpacks to the same place, and UnpackError when
    the machine fails; the destination is empty again then (unless the machine cannot even do that).
    """
    try:
        with _directory(destination) as descriptor, _all_or_nothing(descriptor), _file(source) as stream:
            return _unpack(stream, TreeWriter(descriptor, modes), file_name, limits, sha256)
    except ArchiveError as error:
        raise error.inside(file_name) from error
    except MemoryError as error:
        raise UnpackError(file_name, OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))) from error
    except OSError as error:
        raise UnpackError(file_name, error) from error


def _unpack(
    source: BinaryIO, tree: TreeWriter, file_name: str, limits: Limits, sha256: str | None
) -> tuple[Content, ...]:
    with closing(tree):
        with Reading(source, file_name=file_name, limits=limits, refuse=at_once) as reading:
            implied = reading.kind == "zip"
            contents = fill(tree, reading.members(), reading.budget, parents_implied=implied, refuse=at_once)
            reading.finish(sha256)
        tree.finish()
    return contents


@contextmanager
def _directory(destination: int | Path) -> Iterator[int]:
    if isinstance(destination, int):
        yield destination
        return
    descriptor = open_directory(destination)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _all_or_nothing(descriptor: int) -> Iterator[None]:
    """Keep others from unpacking to this directory, check that it is empty, and empty it again after a failure."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ArchiveError("DESTINATION", "another package is being unpacked to the same place", hint=None) from error
    try:
        check_empty(descriptor)
        try:
            yield
        except BaseException:
            with suppress(OSError):
                empty(descriptor)
            raise
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _file(source: BinaryIO | Path) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield source
        return
    with source.open("rb") as stream:
        yield stream
