"""What really lies on the board's disk, and where that is not what the plan says.

Rows show a path as ``lstat`` does, with the resource and function that the plan gives it to. All paths are the
board's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge_sim.agent.rooted import inside, node_at
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, Node, below
from edge_sim.greengrass.changes import compare
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Entry, deployment_directory
from edge_sim.greengrass.rows import LayoutRow


def layout(root: Path, facts: HostFacts, group: Group | None = None, entries: Sequence[Entry] = ()) -> list[LayoutRow]:
    """Return everything below the deployment directory, and the sources of the group's local resources.

    The order is that of the paths, component by component, so that children follow their parents.
    """
    by_path = {entry.path: entry for entry in entries}
    rows = [_row(path, node, by_path) for path, node in walk(root, deployment_directory(facts)).items()]
    for resource in group.resources if group else ():
        source = resource.source_path
        node = None if source is None else node_at(inside(root, source, follow_last=False))
        if source is not None and node is not None:
            rows.append(LayoutRow(path=source, node=node, resource=resource.id))
    return sorted(rows, key=lambda row: (row.path.split("/"), row.resource or ""))


def differences(entries: Sequence[Entry], rows: Sequence[LayoutRow], top: str, *, owners: bool = True) -> list[str]:
    """Return one sentence for each path below ``top`` where the disk is not as planned, as found → as planned.

    Without ``owners`` those are left out: a process that may not set owners has left its own.
    """
    nodes = {entry.path: entry.node for entry in entries}
    disk = {row.path: row.node for row in rows if below(row.path, top)}
    if not owners:
        disk = {path: _owned_like(nodes.get(path, node), node) for path, node in disk.items()}
    texts = [f"{path}: is not part of the deployment" for path in disk if path not in nodes]
    changed = (line for line in compare(entries, disk) if line.kind)
    texts += (f"{line.path}: {', '.join(line.words) or 'is missing'}" for line in changed)
    return sorted(texts)


def _owned_like(model: Node, node: Node) -> Node:
    return replace(node, uid=model.uid, gid=model.gid)


def walk(root: Path, top: str, closed: set[str] | None = None) -> dict[str, Node]:
    """Return the board's path ``top`` and all below it, by ``lstat``; nothing when it does not exist.

    Directories that this process may not look into are put into ``closed``. Raises UnsupportedEnvironmentError for
    them when it is None.
    """
    place = inside(root, top, follow_last=False)
    try:
        node = node_at(place)
    except UnsupportedEnvironmentError:
        if closed is None:
            raise
        closed.add(top)
        return {}
    if node is None:
        return {}
    nodes = {top: node}
    waiting = [top] if node.type == "directory" else []
    while waiting:
        directory = waiting.pop()
        below = _entries_of(place / directory[len(top) + 1 :], directory, closed)
        nodes.update(below)
        waiting += [path for path, node in reversed(below.items()) if node.type == "directory"]
    return nodes


def _entries_of(place: Path, path: str, closed: set[str] | None) -> dict[str, Node]:
    """Return what is in one directory, by board path and in the order of the names."""
    try:
        nodes = ((name, node_at(place / name)) for name in sorted(os.listdir(place)))  # noqa: PTH208 - names, not paths
        return {f"{path}/{name}": node for name, node in nodes if node is not None}  # None: gone meanwhile
    except FileNotFoundError:  # gone meanwhile
        return {}
    except (PermissionError, UnsupportedEnvironmentError) as error:
        if closed is None:
            hint = "Run this as root."
            raise UnsupportedEnvironmentError(f"{path}: cannot be listed", details=str(error), hint=hint) from error
        closed.add(path)
        return {}


def _row(path: str, node: Node, entries: Mapping[str, Entry]) -> LayoutRow:
    entry = entries.get(path)
    if entry is None:
        return LayoutRow(path=path, node=node)
    return LayoutRow(path=path, node=node, resource=entry.resource, function=entry.function)
