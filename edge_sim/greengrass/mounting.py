"""Whether a container can be made: every mount needs a place to lie on, else the function does not start.

What the agent's sandbox does (``agent/functions/view.py``), computed. Of V1 it is only known that a volume from /proc
may not appear in /proc (access-local-resources.md); what its container did otherwise AWS does not say, of /runtime too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from edge_sim.facts import Node, resolve
from edge_sim.greengrass.access import View
from edge_sim.greengrass.process import FunctionProcess, Mount, containers_own, mounting_order


def not_started(process: FunctionProcess, nodes: Mapping[str, Node]) -> str | None:
    """Return why the function cannot be started with its mounts, so that it can open nothing; None when it can."""
    before: tuple[Mount, ...] = ()
    for mount in sorted(process.mounts, key=lambda mount: mounting_order(mount.destination)):
        why = _no_place(mount, View(replace(process, mounts=before), nodes), nodes)
        if why:
            return f"function {process.function.id} does not start: {why}"
        before += (mount,)
    return None


def _no_place(mount: Mount, view: View, nodes: Mapping[str, Node]) -> str | None:
    point = view.point(mount.destination)
    own = containers_own(point, sysfs=view.sysfs)
    if own:
        return f"cannot mount {mount.destination}: {own} belongs to the container itself"
    way = (view.look(str(place)) for place in (PurePosixPath(point), *PurePosixPath(point).parents))
    if not point.startswith("/dev/") and any(node is not None and node.type == "link" for node in way):
        return f"{mount.destination}: too many levels of symbolic links"  # else none would be left
    around, there, source = view.mount(point), view.look(point), nodes.get(resolve(nodes, mount.source))
    if there is None and around is not None and around.read_only and nodes.get(resolve(nodes, around.source)):
        return (
            f"{mount.destination} does not exist in {around.source}, which is mounted read-only at {around.destination}"
        )
    if there and source and (there.type == "directory") != (source.type == "directory"):
        return f"{mount.source}, a {source.type}, cannot be mounted on {mount.destination}, a {there.type}"
    return None
