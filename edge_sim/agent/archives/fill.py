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
from edge_sim.facts import MAX_LINKS
from edge_sim.greengrass.plan import Content


class Sink(Protocol):
    """Where members go. ``tree.Tree`` writes them, ``Nowhere`` forgets them."""

    def make_directory(self, path: Parts) -> None: ...
    def write_file(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None: ...
    def read_file(self, path: Parts) -> Iterator[Chunk]: ...


class Nowhere:
    """Reads everything, and keeps no more than the sizes, and those only when links will ask for them."""

    def __init__(self, *, keep_sizes: bool) -> None:
        self._keep_sizes = keep_sizes
        self._sizes: dict[Parts, int] = {}
        self.copies = 0
        """Files read again, each for a link."""

    def make_directory(self, path: Parts) -> None:
        """Nothing to do."""

    def write_file(self, path: Parts, *, executable: bool, data: Iterable[Chunk]) -> None:
        size = sum(len(chunk) for chunk in data)
        if self._keep_sizes:
            self._sizes[path] = size

    def read_file(self, path: Parts) -> Iterator[Chunk]:
        self.copies += 1
        for start in range(0, self._sizes[path], CHUNK):
            yield bytes(min(CHUNK, self._sizes[path] - start))


def fill(
    sink: Sink, members: Iterable[Member], budget: Budget, *, parents_implied: bool, refuse: Refuse
) -> tuple[Content, ...]:
    """Take every member into ``sink``, and return the contents, parents first. ``refuse`` is called for each member
    that is not allowed; when it does not raise, the member is skipped.
    """
    register = Register(parents_implied=parents_implied, refuse=refuse)
    filling = _Filling(sink, budget, register)
    for member in members:
        try:
            has_content = filling.enter(member)
        except ArchiveError as error:
            refuse(error)
            has_content = False
        if has_content:
            filling.take(member)
        for _ in member.data:  # nothing, unless it was refused: the next member lies behind it
            pass
    filling.copy_links(refuse)
    contents = register.contents
    if not contents:
        refuse(ArchiveError("EMPTY", "it holds no files or directories"))
    return contents


class _Filling:
    def __init__(self, sink: Sink, budget: Budget, register: Register) -> None:
        self._sink = sink
        self._budget = budget
        self._register = register
        self._rooted = False
        self._links: dict[Parts, links.Link] = {}

    def enter(self, member: Member) -> bool:
        """Claim the member's name and make the directories that it implies; False when it exists already."""
        if not member.path:
            if self._rooted:
                raise ArchiveError("DUPLICATE", "it has two entries for its root directory")
            self._rooted = True
            return False
        known = self._register.get(member.path)
        if member.link is not None and member.link.hard:
            self._check_hard(member.path, member.link)
        executable = member.executable and not member.directory
        for parent in self._register.claim(member.path, directory=member.directory, executable=executable):
            self._sink.make_directory(parent)
        return known is None

    def take(self, member: Member) -> None:
        if member.directory:
            self._sink.make_directory(member.path)
        elif member.link is not None:
            # What it leads to may come later. A hard link to a link is that link.
            self._links[member.path] = self._links.get(member.link.to, member.link) if member.link.hard else member.link
        else:
            self._sink.write_file(member.path, executable=member.executable, data=member.data)

    def copy_links(self, refuse: Refuse) -> None:
        """Write a copy of the file that each link leads to, over further links or at once."""
        for path, link in self._links.items():
            try:
                file = self._followed(path, link)
            except ArchiveError as error:
                refuse(error)
            else:
                self._register.become(path, executable=file.executable)
                self._sink.write_file(path, executable=file.executable, data=self._copied(tuple(file.path.split("/"))))

    def _check_hard(self, path: Parts, link: links.Link) -> None:
        """Raise unless tar could make this hard link now, with the same result as a copy."""
        known, other = self._register.get(link.to), self._links.get(link.to)
        if known is None or known.type != "file":
            raise links.no_earlier_file(path, link)
        if other is not None and not other.hard and link.to[:-1] != path[:-1]:
            raise links.moved(path, link)

    def _followed(self, path: Parts, first: links.Link) -> Content:
        """Return the file that the link at ``path`` leads to, over further links; raises where there is none."""
        link = first
        for _ in range(MAX_LINKS):
            for directory in link.through:
                above = self._register.get(directory)
                if above is None or above.type != "directory":
                    raise links.no_directory(path, first, directory)
            following = self._links.get(link.to)
            if following is None:
                break
            link = following
        known = self._register.get(link.to)
        if known is None or known.type != "file" or link.to in self._links:
            raise links.no_file(path, first)
        return known

    def _copied(self, path: Parts) -> Iterator[Chunk]:
        for chunk in self._sink.read_file(path):
            self._budget.copied(len(chunk))
            yield chunk
