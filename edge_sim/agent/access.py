"""Who can reach what on this board: the rows of ``greengrass.matrix``, probed by a real process of each function.

The computed answer reads nodes and the identity (``greengrass.access``); the probed one comes from a process with
exactly that identity and view which opens the paths (``functions.probe``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge_sim.agent import functions
from edge_sim.agent.probe import paths_below
from edge_sim.agent.rooted import inside
from edge_sim.errors import AccessError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.access import RIGHTS
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.matrix import Question, about, questions, row
from edge_sim.greengrass.plan import Entry
from edge_sim.greengrass.process import FunctionProcess, function_process
from edge_sim.greengrass.resources import TYPE_NAMES, Resource, Secret

NO_SECRETS_YET = "served by the core's local endpoint, which is not simulated yet"


def matrix(
    group: Group,
    root: Path,
    facts: HostFacts,
    entries: Sequence[Entry] = (),
    *,
    every: bool = False,
    path: str | None = None,
) -> list[dict[str, Any]]:
    """Return one row for every function and attached resource, and for every model not attached to it.

    ``entries`` is the plan; its nodes are what the computed answers believe, paths outside it are looked at. With
    ``every`` there are rows for local resources that are not attached, too; with ``path`` there is one for it and no
    others. Secrets have no path: their ``probed``, ``agree`` and ``ok`` are None.
    """
    planned = {entry.path: entry.node for entry in entries}
    rows: list[dict[str, Any]] = []
    for function in group.functions:
        process = function_process(group, function, facts)
        asked = [about(path)] if path else list(questions(group, process, facts, partial(_tree, root), every=every))
        probed = _probed(process, [path for question in asked for path, _ in question.paths], root)
        nodes = {**paths_below(root, _board_paths(process, asked)), **planned}
        rows += [row(process, question, facts, nodes, probed) for question in asked]
        rows += [] if path else secret_rows(group, function)
    return rows


def _probed(process: FunctionProcess, paths: Sequence[str], root: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return what a real process could do; when the board cannot even start it, nothing and why."""
    if not paths:
        return {}
    try:
        return functions.probe(process, paths, root)
    except AccessError as error:
        nothing: dict[str, Any] = {"errors": {"start": error.brief}}
        nothing.update(dict.fromkeys(RIGHTS, False))
        return dict.fromkeys(paths, nothing)


def _tree(root: Path, place: str) -> Iterator[str]:
    """Yield "" for the place itself and "/…" for the files and directories in it, top down; links are left out."""
    yield ""
    top = inside(root, place)
    waiting = [top] if top.is_dir() else []
    for directory in waiting:  # grows while it is read: one level after the other
        for path in _entries(directory):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                continue
            yield "/" + path.relative_to(top).as_posix()
            if path.is_dir():
                waiting.append(path)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:  # it went away, or is a process's that ended
        return []


def _board_paths(process: FunctionProcess, asked: Sequence[Question]) -> Iterator[str]:
    yield from (mount.destination for mount in process.mounts)
    for question in asked:
        for seen_at, place in question.paths:
            yield from (seen_at, place)


def secret_rows(group: Group, function: Function) -> list[dict[str, Any]]:
    """Return the rows of the secrets attached to a function."""
    return [_secret(function, r) for r, _ in group.attached(function) if isinstance(r.data, Secret)]


def _secret(function: Function, resource: Resource) -> dict[str, Any]:
    nothing = {"computed": False, "probed": None, "by": None, "fix": None}
    return {
        "function": function.id,
        "resource": resource.id,
        "type": TYPE_NAMES[Secret],
        "path": None,
        "paths": 0,
        "total": 0,
        "expected": "ro",
        "read": {"computed": True, "probed": None, "by": "attachment", "fix": None},
        "write": nothing,
        "list": {**nothing, "computed": None},
        "execute": {**nothing, "computed": None},
        "agree": None,
        "ok": None,
        "reasons": [NO_SECRETS_YET],
        "chain": [],
    }
