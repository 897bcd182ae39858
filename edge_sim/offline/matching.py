"""Finds a plan's models on a board that somebody else deployed to.

A model lies in a directory that is called by its artifact's id. AWS's own ids were other ones than a plan's, so on a
real core a model is known by what is in it: the one directory, at the same place, with the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge_sim.facts import Node, below
from edge_sim.greengrass.plan import Entry
from edge_sim.greengrass.tree import BELOW
from edge_sim.offline.target import Target

_MODELS = ("model-owner", "model-without-owner")
_PLACES = (f"/{BELOW.models}", f"/{BELOW.public_models}")


def align(entries: Sequence[Entry], target: Target) -> tuple[Target, dict[str, str]]:
    """Return the board as if its models had the plan's names, and those names with the board's own.

    Where the deployer's own record exists, names are the plan's already, and the board is returned as it is.
    """
    if target.record.installed:
        return target, {}
    nodes = {entry.path: entry.node for entry in entries}
    names: dict[str, str] = {}
    for entry in entries:
        top = entry.path.rpartition("/")[0]
        missing = entry.rule in _MODELS and top.endswith(_PLACES) and entry.path not in target.disk
        candidates = _like(nodes, target.disk, entry.path, names=names) if missing else []
        if len(candidates) == 1:
            names[candidates[0]] = entry.path
    disk = {renamed(path, names): _relinked(node, names) for path, node in target.disk.items()}
    own = {new: old for old, new in names.items()}
    digest = target.digest
    read = (lambda path: digest(renamed(path, own))) if digest else None
    return replace(target, disk=disk, digest=read), own


def _like(nodes: Mapping[str, Node], disk: Mapping[str, Node], top: str, *, names: Mapping[str, str]) -> list[str]:
    """Return the directories beside ``top`` that no plan has and that hold the same files and directories."""
    content = _inside(nodes, top)
    parent = top.rpartition("/")[0]
    beside = (path for path in disk if path.rpartition("/")[0] == parent and path not in nodes and path not in names)
    return [path for path in beside if _inside(disk, path) == content]


def _inside(nodes: Mapping[str, Node], top: str) -> dict[str, str]:
    return {path[len(top) :]: node.type for path, node in nodes.items() if below(path, top)}


def renamed(path: str, names: Mapping[str, str]) -> str:
    """Return ``path`` with the directory that it lies in renamed."""
    for old, new in names.items():
        if below(path, old):
            return new + path[len(old) :]
    return path


def _relinked(node: Node, names: Mapping[str, str]) -> Node:
    return node if node.target is None else replace(node, target=renamed(node.target, names))
