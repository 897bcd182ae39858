"""A board seen from afar: what lies on it, and the few texts that say who lives there.

Two sources: what ``snapshot.sh`` printed on a real board, and the headers of a tar file (``tarlisting``). Both become a
``Listing``, and that a ``Target`` like any other board.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from edge_sim.agent.deployment import state
from edge_sim.agent.deployment.belongings import decoded_group
from edge_sim.agent.deployment.state import State
from edge_sim.agent.probe import Files, StandIn, cgroup_mounts, describe, mount_flags
from edge_sim.documents import read_text
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.facts import PROGRAMS, UPDATE_TOOLS, AclEntry, HostFacts, Node, NodeType, below, resolve
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import deployment_directory, paths_of_interest
from edge_sim.greengrass.tree import Tree
from edge_sim.offline.target import Target

HEAD = "# edge-sim snapshot 1"
_TYPES: dict[str, NodeType] = {
    "d": "directory",
    "-": "file",
    "l": "link",
    "c": "char",
    "b": "block",
    "p": "fifo",
    "s": "socket",
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """``nodes``, ``texts`` and ``digests`` (SHA-256) by board path.

    ``absent`` were looked for and are not there; ``closed`` not looked into. In a ``whole`` listing every path that is
    missing does not exist; else only those below the deployment directory.
    """

    name: str
    nodes: Mapping[str, Node]
    texts: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    architecture: str | None = None
    system: Mapping[str, str] = field(default_factory=dict)
    """What only the running system tells, by the script's names; empty where nothing was running."""
    greengrass_root: str | None = None
    whole: bool = False
    notes: tuple[str, ...] = ()

    def look(self, path: str) -> Node | None:
        """Return the node at ``path``; links on the way are followed."""
        if path in self.nodes or path == "/":
            return self.nodes.get(path)
        return self.nodes.get(posixpath.join(self.real(posixpath.dirname(path)), posixpath.basename(path)))

    def real(self, path: str) -> str:
        """Return ``path`` without the links that it leads through, itself included."""
        return resolve(self.nodes, path)

    def digest(self, path: str) -> str | None:
        return self.digests.get(path) or self.digests.get(self.real(path))

    def text(self, path: str) -> str:
        return self.texts.get(self.real(path), "")


def script() -> str:
    """Return the shell script that lists a board."""
    return resources.files("edge_sim.offline").joinpath("snapshot.sh").read_text(encoding="utf-8")


def parse(path: Path) -> Listing:
    """Read what the script printed into a file. Raises InvalidDefinitionError, with the line, for anything else."""
    return parse_text(path, read_text(path))


def parse_text(path: Path, text: str) -> Listing:
    """Read what the script printed; ``path`` is what a fault's place and the listing are called by."""
    lines = text.splitlines()
    if not lines or lines[0] != HEAD:
        hint = "Create it with: edge-sim snapshot-script"
        raise InvalidDefinitionError("not a snapshot", place=Position(file=path), hint=hint)
    if lines[-1] != "# end":
        end = Position(file=path, line=len(lines))
        raise InvalidDefinitionError("the snapshot is truncated", place=end, hint="Take it again.")
    reader = _Reader(path)
    for number, line in enumerate(lines[1:-1], 2):
        reader.take(number, line)
    return reader.listing()


class _Reader:
    """Takes in a snapshot line by line; the first letter says what a line is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nodes: dict[str, Node] = {}
        self._texts: dict[str, list[str]] = {}
        self._digests: dict[str, str] = {}
        self._sets: dict[str, set[str]] = {"0": set(), "x": set(), "!": set()}
        self._last = ""
        self._system: dict[str, str] = {}
        self._words: dict[str, str] = {}

    def take(self, number: int, line: str) -> None:
        kind, _, rest = line.partition(" ")
        try:
            if kind == "n":
                self._node(rest)
            elif kind == ">":
                self._nodes[self._last] = replace(self._nodes[self._last], target=rest)
            elif kind == "s":
                self._digests[self._last] = rest
            elif kind == "t":
                self._last = rest
                self._texts[rest] = []
            elif kind == "|":
                self._texts[self._last].append(rest)
            elif kind == "f":
                name, value = rest.split(" ", 1)
                self._system[name] = value
            elif kind in ("g", "m"):
                self._words[kind] = rest
            elif kind == "r":
                path = Tree(self._words.get("g", "")).config
                self._texts[path] = [json.dumps({"runtime": {"allowFunctionsToRunAsRoot": rest}})]
            elif kind in self._sets:
                self._sets[kind].add(rest)
            elif line:
                raise ValueError(kind)
        except (KeyError, ValueError) as error:
            place = Position(file=self._path, line=number)
            raise InvalidDefinitionError(f"not a line of a snapshot: {line[:80]!r}", place=place) from error

    def listing(self) -> Listing:
        return Listing(
            name=str(self._path),
            nodes=self._nodes,
            texts={path: "\n".join(lines) for path, lines in self._texts.items()},
            digests=self._digests,
            absent=frozenset(self._sets["0"]),
            closed=frozenset(self._sets["x"]),
            architecture=self._words.get("m"),
            system=self._system,
            greengrass_root=self._words.get("g"),
            notes=tuple(f"{path}: a name with a line break begins like this" for path in sorted(self._sets["!"])),
        )

    def _node(self, text: str) -> None:
        mode, uid, gid, path = text.split(" ", 3)
        acl = some_acl(int(gid)) if mode[10:] == "+" else ()
        self._nodes[path] = Node(type=_TYPES[mode[0]], uid=int(uid), gid=int(gid), mode=_bits(mode[1:10]), acl=acl)
        self._last = path


def some_acl(gid: int) -> tuple[AclEntry, ...]:
    """Return what stands for an ACL that is only known to exist."""
    return (AclEntry(kind="group", id=gid, bits=0),)


def _bits(letters: str) -> int:
    """Return the permission bits that ``ls -l`` writes as nine letters."""
    if len(letters) != 9 or not re.fullmatch(r"([r-][w-][xsS-]){2}[r-][w-][xtT-]", letters):
        raise ValueError(letters)
    mode = int("".join("0" if letter in "-ST" else "1" for letter in letters), 2)
    for place, bit in ((2, 0o4000), (5, 0o2000), (8, 0o1000)):
        mode |= bit if letters[place] in "sStT" else 0
    return mode


def of_listing(listing: Listing, group: Group, greengrass_root: str = "/greengrass") -> Target:
    """Return the listed board as a target; a snapshot knows the Greengrass root itself."""
    greengrass_root = listing.greengrass_root or greengrass_root
    files = Files(look=listing.look, text=listing.text, names=lambda path: _names(listing, path))
    interest = paths_of_interest(group, greengrass_root)
    stand_in = StandIn(architecture=listing.architecture)
    facts = with_system(describe(files, interest, greengrass_root=greengrass_root, stand_in=stand_in), listing)
    record = listing.text(Tree(greengrass_root).record)
    deployed = listing.text(Tree(greengrass_root).group_file)
    return Target(
        name=listing.name,
        owned=False,
        record=_record(record) if record else State(),
        deployed=decoded_group(deployed) if deployed else None,
        facts=facts,
        notes=listing.notes,
        digest=listing.digest if listing.digests else None,
        disk=_below(listing, facts),
        closed=frozenset(path for path in listing.closed if path.startswith(deployment_directory(facts))),
        unseen=frozenset() if listing.whole else frozenset(_unseen(interest, facts, listing.absent)),
    )


def with_system(facts: HostFacts, listing: Listing) -> HostFacts:
    """Return facts with what the listing has from the running system; without any they stay as they are."""
    system = listing.system
    if not system:
        return facts
    mounts = listing.text("/proc/self/mounts")
    cgroups, subsystems = cgroup_mounts(mounts)
    return replace(
        facts,
        kernel=system.get("kernel", ""),
        libc_version=system.get("libc", "").removeprefix("glibc "),
        memory_kib=_number(r"MemTotal:\s*(\d+) kB", listing.text("/proc/meminfo")) or 0,
        storage_kib=_number(r"(\d+)", system.get("storage", "")) or 0,
        cpus=len(re.findall(r"^processor\s*:", listing.text("/proc/cpuinfo"), re.MULTILINE)) or 1,
        cgroups=cgroups,
        cgroup_subsystems=subsystems,
        mounts=mount_flags(mounts),
        programs={name: _is_there(name, system[name]) for name in PROGRAMS if name in system},
        protected_links=system.get("protected_symlinks", "0") != "0",
    )


def _is_there(name: str, place: str) -> bool:
    """Return whether a program is at ``place``; BusyBox's commands are not enough for V1's update agent."""
    return place != "-" and not (name in UPDATE_TOOLS and posixpath.basename(place) == "busybox")


def _number(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else None


def _unseen(paths: Iterable[str], facts: HostFacts, absent: Collection[str]) -> Iterator[str]:
    """Yield the paths that nobody has looked at: of a link, what it leads to."""
    for path in paths:
        ends = {path, resolve(facts.paths, path)}
        if any(end not in facts.paths and end not in absent for end in ends):
            yield path


def _record(content: str) -> State:
    try:
        return state.decode(content.encode())
    except (ValueError, KeyError, TypeError, AttributeError):
        return State()


def _below(listing: Listing, facts: HostFacts) -> dict[str, Node]:
    """Return what lies at and below the deployment directory, also when a link leads there."""
    top = deployment_directory(facts)
    start = top if top in listing.nodes else listing.real(top)
    inner = {path: node for path, node in listing.nodes.items() if below(path, start)}
    return {top + path[len(start) :]: node for path, node in inner.items()}


def _names(listing: Listing, directory: str) -> list[str]:
    top = listing.real(directory)
    return [posixpath.basename(path) for path in listing.nodes if posixpath.dirname(path) == top]
