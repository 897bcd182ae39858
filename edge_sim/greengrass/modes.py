"""A node's type and mode in letters."""

from __future__ import annotations

from collections.abc import Mapping

from edge_sim.facts import Node, NodeType

_LETTERS: Mapping[NodeType, str] = {
    "directory": "d",
    "file": "-",
    "link": "l",
    "char": "c",
    "block": "b",
    "fifo": "p",
    "socket": "s",
}


def symbolic(node: Node) -> str:
    """Return type and mode as ``ls -l`` writes them."""
    text = ""
    for shift, special, letters in ((6, 0o4000, "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT")):
        bits = node.mode >> shift
        text += ("r" if bits & 4 else "-") + ("w" if bits & 2 else "-")
        text += (letters[0] if bits & 1 else letters[1]) if node.mode & special else "x" if bits & 1 else "-"
    return _LETTERS[node.type] + text
