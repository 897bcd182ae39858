"""Reads a zip's entries in the file's order, once ``zip_local`` has checked them all.

Stored and deflated data are read, each to its declared length and checksum. ``contents`` runs in a thread ahead of
``members``, which takes the data from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edge_sim.agent.archives import links
from edge_sim.agent.archives.errors import ArchiveError, Refuse, escaped
from edge_sim.agent.archives.inflate import engine, inflated
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.member import Member
from edge_sim.agent.archives.stream import CHUNK, Chunk, Stream
from edge_sim.agent.archives.zip_local import LocatedEntry, conflict

END = b""
"""Stands behind the data of each entry."""
_BATCH = 512
"""Pieces handed over at once at most, and fewer when they come to CHUNK bytes."""


def contents(index: Sequence[LocatedEntry], raw: Stream, budget: Budget) -> Iterator[list[Chunk]]:
    """Yield the data of all entries, END behind each, in batches; ``raw`` is the file from its beginning."""
    batch: list[Chunk] = []
    size_in_memory = 0
    for piece in _pieces(index, raw, budget):
        batch.append(piece)
        size_in_memory += len(piece)
        if size_in_memory >= CHUNK or len(batch) >= _BATCH:
            yield batch
            batch, size_in_memory = [], 0
    yield batch


def members(index: Sequence[LocatedEntry], data: Iterator[Chunk], budget: Budget, refuse: Refuse) -> Iterator[Member]:
    """Yield the members; ``data`` is what ``contents`` hands over. ``refuse`` is called for bad links."""
    for entry in index:
        mine = iter(lambda: next(data), END)
        if entry.kind == "link":
            yield from _link(entry, b"".join(mine), budget, refuse)
        elif entry.name is not None:
            yield Member(path=entry.path, directory=entry.kind == "directory", executable=entry.executable, data=mine)
        for _ in mine:  # what the caller did not read
            pass
    for _ in data:  # up to the file's end
        pass


def _link(entry: LocatedEntry, target: bytes, budget: Budget, refuse: Refuse) -> Iterator[Member]:
    try:
        link = links.target(entry.path, target, hard=False, limits=budget.limits)
    except ArchiveError as error:
        refuse(error)
    else:
        yield Member(path=entry.path, directory=False, executable=False, data=iter(()), link=link)


def _pieces(index: Sequence[LocatedEntry], raw: Stream, budget: Budget) -> Iterator[Chunk]:
    at = 0
    for entry in index:
        _skip(raw.pieces(entry.start - at))
        packed = raw.pieces(entry.packed)
        if entry.name is None:
            _skip(packed)
        else:
            yield from _data(entry, packed, budget)
        yield END
        at = entry.start + entry.packed
    _skip(raw.rest())  # the directory, for the digest's sake


def _data(entry: LocatedEntry, packed: Iterable[Chunk], budget: Budget) -> Iterator[Chunk]:
    label, crc32 = escaped(entry.name or ""), engine().crc32
    size = checksum = 0
    for piece in inflated(packed, entry.packed, label) if entry.method else packed:
        size += len(piece)
        checksum = crc32(piece, checksum)
        budget.produced(len(piece))
        if size > entry.size:
            raise conflict(label, "is larger than declared")
        yield piece
    if size != entry.size:
        raise conflict(label, "is smaller than declared")
    if checksum != entry.crc:
        raise ArchiveError("DAMAGED", f"the checksum (CRC) of {label} does not match", member=label)


def _skip(pieces: Iterable[Chunk]) -> None:
    for _ in pieces:
        pass
