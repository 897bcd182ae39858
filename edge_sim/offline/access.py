"""Who may open what on a board, computed from the plan alone: the rows of ``greengrass.matrix`` without a probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edge_sim.agent.functions import access
from edge_sim.agent.functions.access import matrix, secret_rows
from edge_sim.agent.probe import NodesBelow
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import Node, resolve
from edge_sim.greengrass.access import Access, View
from edge_sim.greengrass.matrix import about, cached, questions, row
from edge_sim.greengrass.mounting import not_started
from edge_sim.greengrass.plan import board_place, deployment_directory, function_directory
from edge_sim.greengrass.process import function_process
from edge_sim.greengrass.rows import AccessRow
from edge_sim.offline.plan import UNKNOWN, OfflinePlan


def rows(plan: OfflinePlan, root: Path | None = None, closed: set[str] | None = None) -> list[AccessRow]:
    """Return a row for every function and every resource that has a path, on the board as it is after the plan.

    ``root`` is where the board lies: then what is in a volume is asked about as well, but for directories that only
    root may look into, which are put into ``closed``.
    """
    facts, top = plan.target.facts, deployment_directory(plan.target.facts)
    known = after(plan)
    tree = cached(_tree(known) if root is None else _tree_below(root, top, _tree(known), closed))
    nodes = known if root is None else NodesBelow(root, known, _removals(plan))
    shared: dict[object, Access] = {}
    table = []
    for function in plan.group.functions:
        process = function_process(plan.group, function, facts)
        cells = list(questions(plan.group, process, facts, tree, every=True))
        view, stopped = View(process, nodes, facts, shared), not_started(process, nodes)
        table += [row(view, question, stopped=stopped) for question in cells]
        table += secret_rows(plan.group, function, stopped=stopped)
    return table


def of_path(plan: OfflinePlan, path: str, root: Path | None = None) -> list[AccessRow]:
    """Return a row for every function and one path, as the function would name it; ``root`` is where the board lies."""
    facts, known = plan.target.facts, after(plan)
    nodes = known if root is None else NodesBelow(root, known, _removals(plan))
    undecided = dict(_undecided(plan))
    table = []
    for function in plan.group.functions:
        process = function_process(plan.group, function, facts)
        view = View(process, nodes, facts, undecided=undecided)
        table.append(row(view, about(plan.group, process, facts, path), stopped=not_started(process, nodes)))
    return table


def _undecided(plan: OfflinePlan) -> Iterator[tuple[str, str]]:
    """Yield the board's directories of packages that were not given, each with why their contents are not known."""
    facts = plan.target.facts
    for owner in plan.unknown:
        resource = plan.group.resource(owner.id) if owner.kind == "resource" else None
        place = board_place(plan.group, resource, facts) if resource else None
        if owner.kind == "function":
            place = function_directory(
                facts, next(function for function in plan.group.functions if function.id == owner.id)
            )
        if place is not None:
            yield place, f"{owner}: {UNKNOWN}"


def probe_rows(plan: OfflinePlan, root: Path, path: str | None = None) -> list[AccessRow]:
    """Return the rows with what real processes could do on the board below ``root``, or those of one path.

    Raises InvalidDefinitionError when something of the plan is not there at all; UnsupportedEnvironmentError when this
    process cannot start others with a function's identity.
    """
    check_applied(plan)
    return matrix(plan.group, root, plan.target.facts, nodes_of(plan), every=True, path=path)


def check_applied(plan: OfflinePlan) -> None:
    """Raise InvalidDefinitionError when something of the plan is not on the board at all."""
    missing = [line.path for line in plan.changes if line.kind == "create"]
    if missing:
        problem = f"{missing[0]}: does not exist on the board: nothing to probe"
        raise InvalidDefinitionError(problem, hint="Deploy the group first: edge-sim apply GROUP --root DIR")


def nodes_of(plan: OfflinePlan) -> dict[str, Node]:
    """Return what the plan makes, by path."""
    return {entry.path: entry.node for entry in plan.entries}


def after(plan: OfflinePlan) -> Mapping[str, Node]:
    """Return what is on the board once the plan has been carried out, with the parents of all paths."""
    removals = _removals(plan)
    there = {**plan.target.facts.paths, **plan.target.disk}
    nodes = {path: node for path, node in there.items() if path not in removals}
    nodes |= {entry.path: entry.node for entry in plan.entries}
    for path in list(nodes):
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            nodes.setdefault(path, Node(type="directory", uid=0, gid=0, mode=0o755))
    return nodes


def _removals(plan: OfflinePlan) -> set[str]:
    return {line.path for line in plan.lines if line.kind == "remove"}


def _tree_below(
    root: Path, deployed: str, below: Callable[[str], Iterator[str]], closed: set[str] | None
) -> Callable[[str], Iterator[str]]:
    """Return what yields the places in ``below`` where they are deployed, and those on the board elsewhere."""

    def tree(place: str) -> Iterator[str]:
        yield from below(place) if place.startswith(f"{deployed}/") else access.tree(root, place, closed)

    return tree


def _tree(nodes: Mapping[str, Node]) -> Callable[[str], Iterator[str]]:
    """Return what yields "" for a place and "/…" for files and directories in it, one level after the other."""
    inside: dict[str, list[str]] = {}
    for path in sorted(nodes):
        inside.setdefault(path.rpartition("/")[0] or "/", []).append(path)

    def tree(place: str) -> Iterator[str]:
        yield ""
        top = resolve(nodes, place)
        waiting = [top]
        for directory in waiting:  # grows while it is read
            for path in inside.get(directory, ()):
                if nodes[path].type in ("file", "directory"):
                    yield path[len(top.rstrip("/")) :]
                    waiting.append(path)

    return tree
