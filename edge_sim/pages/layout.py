"""Paths as a tree with owner, group and mode; what differs from before, or from another board, is marked bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.modes import symbolic
from edge_sim.pages.page import Branch, Mode, PathTree, State, first

MOST = 400
"""Paths of one tree that a page shows."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """A board's own names for ids; the number where it has none."""

    users: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: HostFacts) -> Names:
        """Return the names that a board's accounts have; of several for one id, the first."""
        users = {user.uid: name for name, user in reversed([*facts.users.items()])}
        return cls(users=users, groups={gid: name for name, gid in reversed([*facts.groups.items()])})

    def user(self, uid: int) -> str:
        return self.users.get(uid, str(uid))

    def group(self, gid: int) -> str:
        return self.groups.get(gid, str(gid))


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One path with its node, None where that is not known, and as ``other`` what it is held against."""

    path: str
    node: Node | None
    other: Node | None = None
    whose: str | None = None
    mark: str = ""
    changes: Sequence[str] = ()
    state: State = "plain"


def tree(
    caption: str, leaves: Sequence[Leaf], names: Names, *, compared: str | None = None, opened: bool = True
) -> PathTree:
    """Return the tree; where there are too many paths, those that differ come before the others."""
    order = sorted(leaves, key=lambda leaf: leaf.path.split("/"))
    differing = [leaf for leaf in order if leaf.mark or leaf.changes]
    some, left_out = first([*differing, *(leaf for leaf in order if not (leaf.mark or leaf.changes))], MOST, "paths")
    shown = sorted(some, key=lambda leaf: leaf.path.split("/"))
    parents: list[str] = []
    branches = []
    for leaf in shown:
        while parents and not leaf.path.startswith(f"{parents[-1].rstrip('/')}/"):
            parents.pop()
        top = f"{parents[-1].rstrip('/')}/" if parents else ""
        branches.append(_branch(leaf, len(parents), leaf.path[len(top) :], names))
        parents.append(leaf.path)
    return PathTree(caption=caption, branches=branches, compared=compared, left_out=left_out, open=opened)


def words(node: Node, other: Node) -> list[str]:
    """Return how a node differs from another board's."""
    pairs = [("type", str(node.type), str(other.type))]
    pairs += [("uid", str(node.uid), str(other.uid)), ("gid", str(node.gid), str(other.gid))]
    if node.type != "link":
        pairs.append(("mode", f"{node.mode:04o}", f"{other.mode:04o}"))
    pairs.append(("target", str(node.target), str(other.target)))
    return [f"{name} {mine}, there {theirs}" for name, mine, theirs in pairs if mine != theirs]


def mode(node: Node, other: Node | None) -> Mode:
    """Return a mode whose characters are marked where they are not those of ``other``."""
    text = symbolic(node)
    differs = [False] * len(text)
    if other is not None and not (node.type == other.type == "link"):
        differs = [mine != theirs for mine, theirs in zip(text, symbolic(other), strict=True)]
    pairs = groupby(zip(text, differs, strict=True), key=lambda pair: pair[1])
    return Mode(
        parts=[("".join(letter for letter, _ in run), changed) for changed, run in pairs], octal=f"{node.mode:04o}"
    )


def _branch(leaf: Leaf, depth: int, name: str, names: Names) -> Branch:
    node, other = leaf.node, leaf.other
    branch = Branch(
        depth=depth,
        name=name,
        path=leaf.path,
        mode=None,
        whose=leaf.whose,
        mark=leaf.mark,
        changes=leaf.changes,
        state=leaf.state,
    )
    if node is None:
        return branch
    return replace(
        branch,
        mode=mode(node, other),
        user=(names.user(node.uid), other is not None and other.uid != node.uid),
        group=(names.group(node.gid), other is not None and other.gid != node.gid),
        target=node.target,
    )
