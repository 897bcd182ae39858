"""Takes the members of an archive one by one into a directory, or (for a check) to nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from edge_sim.agent.archives import links
from edge_sim.agent.archives.errors import ArchiveError, Refuse
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.member import Member
from edge_sim.agent.archives.names import Parts, Register
from edge_sim.agent.archives.stream import CHUNK, Chunk
from edge_sim.greengrass.plan import Content


class Sink(Protocol):
    """Where members go. ``tree.Tree`` writes them, ``Nowhere`` forgets them."""

    def make_directory(self, path: Parts) -> None: ...
    def write_file(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None: ...
    def read_file(self, path: Parts) -> Iterator[Chunk]: ...


class Nowhere:
    """Reads everything and keeps no more than the sizes."""

    def __init__(self) -> None:
        self._sizes: dict[Parts, int] = {}
        self.copies = 0
        """Files read again, each for a link."""

    def make_directory(self, path: Parts) -> None:
        """Nothing to do."""

    def write_file(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None:
        self._sizes[path] = sum(len(chunk) for chunk in data)

    def read_file(self, path: Parts) -> Iterator[Chunk]:
        self.copies += 1
        for start in range(0, self._sizes[path], CHUNK):
            yield bytes(min(CHUNK, self._sizes[path] - start))


def fill(
    sink: Sink, members: Iterable[Member], budget: Budget, *, parents_implied: bool, refuse: Refuse
) -> tuple[Content, ...]:
    """Take every member into ``sink``, and return what is there now, parents first.

    ``refuse`` is told of members that may not be there; when it does not raise, they are read over.
    """
    filling = _Filling(sink, budget, Register(parents_implied=parents_implied, refuse=refuse))
    for member in members:
        try:
            wanted = filling.enter(member)
        except ArchiveError as error:
            refuse(error)
            wanted = False
        if wanted:
            filling.take(member)
        for _ in member.data:  # nothing, unless it was refused: the next member lies behind it
            pass
    filling.copy_links(refuse)
    if not filling.contents:
        refuse(ArchiveError("EMPTY", "there is nothing in it"))
    return tuple(filling.contents.values())


class _Filling:
    def __init__(self, sink: Sink, budget: Budget, register: Register) -> None:
        self._sink = sink
        self._budget = budget
        self._register = register
        self._rooted = False
        self._links: dict[Parts, Parts] = {}
        self.contents: dict[Parts, Content] = {}

    def enter(self, member: Member) -> bool:
        """Claim the member's name and make the directories that it implies; False when it is there already."""
        if not member.path:
            if self._rooted:
                raise ArchiveError("DUPLICATE", "it has two entries for its root")
            self._rooted = True
            return False
        known = self._register.has(member.path)
        for parent in self._register.claim(member.path, directory=member.directory):
            self._make_directory(parent)
        return not known

    def take(self, member: Member) -> None:
        if member.directory:
            self._make_directory(member.path)
        elif member.link is not None:
            self._links[member.path] = member.link  # what it leads to may come later
        else:
            self._write(member.path, executable=member.executable, data=member.data)

    def copy_links(self, refuse: Refuse) -> None:
        """Write a copy of the file that each link leads to, over further links or at once."""
        for path, first in self._links.items():
            last = links.followed(first, self._links)
            if self._is_file(last):
                self._write(path, executable=self.contents[last].executable, data=self._copied(last))
            else:
                refuse(links.no_file(path, first))

    def _write(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None:
        self._sink.write_file(path, executable=executable, data=data)
        self.contents[path] = Content(path="/".join(path), type="file", executable=executable)

    def _make_directory(self, path: Parts) -> None:
        self._sink.make_directory(path)
        self.contents[path] = Content(path="/".join(path), type="directory")

    def _is_file(self, path: Parts) -> bool:
        known = self.contents.get(path)
        return known is not None and known.type == "file"

    def _copied(self, path: Parts) -> Iterator[Chunk]:
        for chunk in self._sink.read_file(path):
            self._budget.copied(len(chunk))
            yield chunk
