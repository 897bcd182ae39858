"""How a disk differs from a plan: what is to be made, changed and removed, path by path.

Pure: the planned entries and the existing nodes go in. ``plan``, ``apply`` and ``drift`` are readings of the answer.
Type, owner, group, permission bits, ACLs (no plan has one) and link targets are compared; that the bytes in a file
change must be said (``rewritten``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sim.facts import Node
from edge_sim.greengrass.plan import Entry

Kind = Literal["create", "change", "remove"]
MARKS: dict[Kind | None, str] = {"create": "+", "change": "~", "remove": "-", None: " "}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One path of the plan, or of the disk alone. ``kind`` is None where nothing changes. ``expected`` is None for a
    path to remove, ``actual`` for one that does not exist. ``entry`` is the planned one, if any.
    """

    path: str
    kind: Kind | None
    expected: Node | None
    actual: Node | None
    entry: Entry | None = None
    rewritten: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """Return what changes in words, such as ``mode 0755 → 0750``; nothing unless ``kind`` is ``change``."""
        if self.expected is None or self.actual is None:
            return ()
        parts = [f"{name} {was} → {becomes}" for name, was, becomes in _parts(self.actual, self.expected)]
        return (*parts, "new content") if self.rewritten else tuple(parts)

    @property
    def node(self) -> Node:
        """Return the planned node, or else the actual one."""
        node = self.expected or self.actual
        assert node is not None  # noqa: S101 - one of the two is always given
        return node


def compare(
    entries: Sequence[Entry],
    disk: Mapping[str, Node],
    ours: Collection[str] = (),
    rewritten: Collection[str] = (),
) -> tuple[Line, ...]:
    """Return one line for every planned path and every path of ``ours`` that is on the disk without being planned.

    ``ours`` are the paths an earlier deployment made; everything else is somebody else's and stays. Files in
    ``rewritten`` get new content. The order is that of the paths, component by component.
    """
    lines = [_line(entry, disk.get(entry.path), entry.path in rewritten) for entry in entries]
    paths = {entry.path for entry in entries}
    removals = (path for path in set(ours) - paths if path in disk)
    lines += (Line(path=path, kind="remove", expected=None, actual=disk[path]) for path in removals)
    return tuple(sorted(lines, key=lambda line: line.path.split("/")))


def differ(expected: Node, actual: Node) -> bool:
    """Tell whether two nodes are not the same. A link's own mode means nothing on Linux (symlink(7))."""
    return bool(_parts(actual, expected))


def _line(entry: Entry, actual: Node | None, rewritten: bool) -> Line:
    kind: Kind | None = "create" if actual is None else "change" if rewritten or differ(entry.node, actual) else None
    return Line(path=entry.path, kind=kind, expected=entry.node, actual=actual, entry=entry, rewritten=rewritten)


def _parts(actual: Node, expected: Node) -> list[tuple[str, str, str]]:
    if actual.type != expected.type:
        return [("type", actual.type, expected.type)]
    values = [("uid", str(actual.uid), str(expected.uid)), ("gid", str(actual.gid), str(expected.gid))]
    if expected.type != "link":
        values.append(("mode", f"{actual.mode:04o}", f"{expected.mode:04o}"))
    values.append(("ACL", "some" if actual.acl else "none", "some" if expected.acl else "none"))
    values.append(("target", str(actual.target), str(expected.target)))
    return [(name, was, becomes) for name, was, becomes in values if was != becomes]
