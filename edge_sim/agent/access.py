"""Who can reach what: every function against every resource, computed from the plan and probed by a real process.

The computed answer reads nodes and the identity (``greengrass.access``); the probed one comes from a process with
exactly that identity and view which opens the paths (``functions.probe``). They are two roads to one truth: where they
part, ``agree`` is false and one of the two is wrong. ``ok`` asks whether the probed access is what the definition says.

A model that is not attached is asked for as well, at its place on the board: sharing a group must not open it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from edge_sim.agent import functions
from edge_sim.agent.probe import paths_below
from edge_sim.agent.rooted import inside
from edge_sim.errors import AccessError
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.access import Access, computed
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Entry, model_directory, work_directory
from edge_sim.greengrass.process import FunctionProcess, effective_permission, function_process
from edge_sim.greengrass.resources import (
    TYPE_NAMES,
    LocalDevice,
    LocalVolume,
    Model,
    Resource,
    Secret,
)

MAX_PATHS = 200
"""How many paths of one resource are asked about; a larger one is sampled from the top, and ``paths`` says so."""
MAX_COUNTED = 10_000
"""Where counting a resource's paths ends: a volume may be a whole disk."""
MAX_REASONS = 5
"""How many paths with a fault are named in one row."""
NO_SECRETS_YET = "served by the core's local endpoint, which is not simulated yet"
NO_LANDLOCK = "ro on a device is not enforced here, where the kernel (or QEMU) has no Landlock"
Expected = Literal["ro", "rw", "none"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One cell of the matrix: the paths as the function would name them, and as the board names them."""

    resource: Resource
    expected: Expected
    paths: tuple[tuple[str, str], ...]
    total: int


def matrix(group: Group, root: Path, facts: HostFacts, entries: Sequence[Entry] = ()) -> list[dict[str, Any]]:
    """Return one row for every function and attached resource, and for every model not attached to it.

    ``entries`` is the plan; its nodes are what the computed answers believe, paths outside it are looked at. A row:
    ``function``, ``resource``, ``type``, ``path``, ``paths`` (how many were asked about), ``total``, ``expected``
    (``ro``, ``rw`` or ``none``), ``read`` and ``write`` with ``computed`` and ``probed``, ``agree``, ``ok`` and
    ``reasons``. Secrets have no path: their ``probed``, ``agree`` and ``ok`` are None. So they are for a device that
    is attached read-only where nothing refuses writing, but for reading, which is probed.
    """
    planned = {entry.path: entry.node for entry in entries}
    rows: list[dict[str, Any]] = []
    for function in group.functions:
        process = function_process(group, function, facts)
        questions = list(_questions(group, function, process, root, facts))
        asked = [path for question in questions for path, _ in question.paths]
        probed = _probed(process, asked, root)
        nodes = {**paths_below(root, _board_paths(process, questions)), **planned}
        rows += [_row(process, question, nodes, probed) for question in questions]
        rows += [_secret(function, r) for r, _ in group.attached(function) if isinstance(r.data, Secret)]
    return rows


def _probed(process: FunctionProcess, paths: Sequence[str], root: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return what a real process could do; when the board cannot even start it, nothing and why."""
    if not paths:
        return {}
    try:
        return functions.probe(process, paths, root)
    except AccessError as error:
        return {path: {"read": False, "write": False, "errors": {"start": error.brief}} for path in paths}


def _questions(
    group: Group, function: Function, process: FunctionProcess, root: Path, facts: HostFacts
) -> Iterator[Question]:
    attached = {resource.id: policy for resource, policy in group.attached(function)}
    contained = process.isolation == "GreengrassContainer"
    for resource in group.resources:
        policy = attached.get(resource.id)
        place = _board_place(group, resource, facts)
        if place is None or (policy is None and not isinstance(resource.data, Model)):
            continue
        seen_at = place
        if policy is not None:
            seen_at = _place(resource, function, facts, contained=contained)
        everything = list(islice(_tree(root, place), MAX_COUNTED))
        yield Question(
            resource=resource,
            expected=effective_permission(resource, policy) if policy else "none",
            paths=tuple((seen_at + rest, place + rest) for rest in everything[:MAX_PATHS]),
            total=len(everything),
        )


def _board_place(group: Group, resource: Resource, facts: HostFacts) -> str | None:
    """Return where a resource lies on the board, or None when it has no path (a secret, a model not deployed)."""
    if isinstance(resource.data, LocalDevice | LocalVolume):
        return resource.data.source_path
    artifact = group.artifacts.get(resource.id)
    return model_directory(facts, resource, artifact) if artifact else None


def _place(resource: Resource, function: Function, facts: HostFacts, *, contained: bool) -> str:
    """Return the path that the function itself uses for an attached resource."""
    if isinstance(resource.data, LocalDevice):
        return resource.data.source_path
    assert isinstance(resource.data, LocalVolume | Model)  # noqa: S101 - secrets have no place and never come here
    destination = resource.data.destination_path
    return destination if contained else f"{work_directory(facts, function)}/{destination.lstrip('/')}"


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


def _board_paths(process: FunctionProcess, questions: Sequence[Question]) -> Iterator[str]:
    yield from (mount.destination for mount in process.mounts)
    for question in questions:
        for seen_at, place in question.paths:
            yield from (seen_at, place)


def _row(
    process: FunctionProcess, question: Question, nodes: Mapping[str, Node], probed: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    answers = [(path, computed(process, nodes, path), probed[path]) for path, _ in question.paths]
    read, write = _summary(question.expected, answers)
    wanted = (question.expected != "none", question.expected == "rw")
    agree = all((c.read, c.write) == (p["read"], p["write"]) for _, c, p in answers)
    root_excused = question.expected == "none" and process.identity.uid == 0
    row = {
        "function": process.function.id,
        "resource": question.resource.id,
        "type": TYPE_NAMES[type(question.resource.data)],
        "path": question.paths[0][0],
        "paths": len(answers),
        "total": question.total,
        "expected": question.expected,
        "read": read,
        "write": write,
        "agree": agree,
        "ok": root_excused or (read["probed"], write["probed"]) == wanted,
        "reasons": _reasons(question.expected, answers, root_excused=root_excused),
    }
    unenforced = any(real.get("enforced") is False for *_, real in answers)
    return _not_enforced(row) if unenforced and read == {"computed": True, "probed": True} else row


def _not_enforced(row: Mapping[str, Any]) -> dict[str, Any]:
    """A read-only device that can be written here says nothing about a core, whose devices cgroup refuses it."""
    write = {**row["write"], "probed": None}
    return {**row, "write": write, "agree": None, "ok": None, "reasons": [row["reasons"][0], NO_LANDLOCK]}


def _summary(
    expected: Expected, answers: Sequence[tuple[str, Access, Mapping[str, Any]]]
) -> tuple[dict[str, bool], dict[str, bool]]:
    """Sum up over the paths: what is granted must hold for all of them, what is not must not hold for any."""
    reading = any if expected == "none" else all
    writing = all if expected == "rw" else any
    read = {"computed": reading(c.read for _, c, _ in answers), "probed": reading(p["read"] for *_, p in answers)}
    write = {"computed": writing(c.write for _, c, _ in answers), "probed": writing(p["write"] for *_, p in answers)}
    return read, write


def _reasons(
    expected: Expected, answers: Sequence[tuple[str, Access, Mapping[str, Any]]], *, root_excused: bool
) -> list[str]:
    """Return the chain of reasons for the first path, and for the first few that are not as they should be."""
    wanted = (expected != "none", expected == "rw")
    reasons = list(answers[0][1].reasons)
    if root_excused:
        reasons.append("the function runs as root, for whom AWS skips the check of shared groups")
    odd = [a for a in answers if (a[2]["read"], a[2]["write"]) != wanted or (a[1].read, a[1].write) != wanted]
    for path, answer, real in odd[:MAX_REASONS] if not root_excused else ():
        reasons.append(
            f"{path}: computed {_word(answer.read, answer.write)}, probed {_word(real['read'], real['write'])}"
            f" ({_errors(real)}), the definition says {expected}"
        )
    return reasons


def _word(read: bool, write: bool) -> str:
    return {(True, True): "rw", (True, False): "ro", (False, True): "write only"}.get((read, write), "none")


def _errors(real: Mapping[str, Any]) -> str:
    return ", ".join(f"{kind}: {error}" for kind, error in real["errors"].items()) or "no error"


def _secret(function: Function, resource: Resource) -> dict[str, Any]:
    return {
        "function": function.id,
        "resource": resource.id,
        "type": TYPE_NAMES[Secret],
        "path": None,
        "paths": 0,
        "total": 0,
        "expected": "ro",
        "read": {"computed": True, "probed": None},
        "write": {"computed": False, "probed": None},
        "agree": None,
        "ok": None,
        "reasons": [NO_SECRETS_YET],
    }
