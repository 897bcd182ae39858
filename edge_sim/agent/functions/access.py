"""Who can reach what on this board: the rows of ``greengrass.matrix``, probed by a real process of each function.

The computed answer reads nodes and the identity (``greengrass.access``); the probed one comes from a process with
exactly that identity and view which opens the paths (``functions.probe``).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from edge_sim.agent.functions import calls as functions
from edge_sim.agent.probe import NodesBelow
from edge_sim.agent.rooted import inside
from edge_sim.errors import AccessError
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.access import View
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.matrix import about, cached, questions, row
from edge_sim.greengrass.mounting import not_started
from edge_sim.greengrass.process import FunctionProcess, function_process
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rows import AccessRow, Answer, Probe

NOT_STORED = "its value arrives with a deployment, and no core was asked for it here"
NOT_ATTACHED = "the core returns a secret only to functions it is attached to"


def matrix(
    group: Group,
    root: Path,
    facts: HostFacts,
    planned: Mapping[str, Node] = MappingProxyType({}),
    *,
    every: bool = False,
    path: str | None = None,
) -> list[AccessRow]:
    """Return one row for every function and attached resource, and for every model not attached to it.

    ``planned`` are the plan's nodes by path: the computed answers believe them, paths outside it are looked at. With
    ``every`` there are rows for local resources that are not attached, too; with ``path`` there is one for it and no
    others. Secrets have no path: the process asks the core for those that the board has; for the others ``answers``,
    ``agree`` and ``ok`` are None.
    """
    nodes = NodesBelow(root, planned)
    places = cached(partial(tree, root))
    rows: list[AccessRow] = []
    with functions.asking(group, root, facts) as asker:
        for function in group.functions:
            process = function_process(group, function, facts)
            cells = (
                [about(group, process, facts, path)]
                if path
                else list(questions(group, process, facts, places, every=every))
            )
            answers = _probe(process, [seen for question in cells for seen, _ in question.paths], root, asker)
            view, stopped = View(process, nodes, facts), not_started(process, nodes)
            rows += [row(view, question, answers, stopped=stopped) for question in cells]
            rows += [] if path else secret_rows(group, function, answers, stopped=stopped)
    return rows


def _probe(process: FunctionProcess, paths: Sequence[str], root: Path, asker: functions.Asker) -> Mapping[str, Probe]:
    """Return what a real process could do, by path and secret's ARN; when it cannot even be started, why."""
    if not paths and not asker.secrets:
        return {}
    try:
        return functions.probe(process, paths, root, secrets=asker.secrets, environment=asker.environment(process))
    except AccessError as error:
        return dict.fromkeys((*paths, *asker.secrets), Probe(errors={"start": error.brief}))


def tree(root: Path, place: str, closed: set[str] | None = None) -> Iterator[str]:
    """Yield "" for the place itself and "/…" for the files and directories in it, top down; links are left out.

    Directories that this process may not look into are put into ``closed``.
    """
    yield ""
    top = inside(root, place)
    waiting = [""] if top.is_dir() else []
    for directory in waiting:  # grows while it is read: one level after the other
        try:
            entries = [(path, path.lstat().st_mode) for path in sorted((top / directory[1:]).iterdir())]
        except OSError as error:  # it went away, or is a process's that ended
            if closed is not None and isinstance(error, PermissionError):
                closed.add(place + directory)
            continue
        for path, mode in entries:
            rest = f"{directory}/{path.name}"
            if stat.S_ISDIR(mode):
                waiting.append(rest)
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                yield rest


def secret_rows(
    group: Group,
    function: Function,
    answers: Mapping[str, Probe] | None = None,
    *,
    stopped: str | None = None,
) -> list[AccessRow]:
    """Return a row for each secret of the group; ``answers`` has the core's answers by ARN."""
    attached = {resource.id for resource, _ in group.attached(function)}
    secrets = [(r, r.secret) for r in group.resources if r.secret]
    by_arn = answers or {}
    return [_secret(function, r, r.id in attached, by_arn.get(secret.arn), stopped) for r, secret in secrets]


def _secret(
    function: Function, resource: Resource, attached: bool, answer: Probe | None, stopped: str | None
) -> AccessRow:
    granted = attached and not stopped
    read = Answer(computed=granted, by="attachment" if granted else None)
    write = Answer(computed=False)
    agree = None
    reasons: tuple[str, ...] = (stopped or (NOT_STORED if attached else NOT_ATTACHED),)
    if answer is not None:
        read, write = replace(read, probed=answer.read), replace(write, probed=answer.write)
        agree = answer.read == granted
        reasons = ("the core's local endpoint returned it",) if answer.read else tuple(answer.errors.values())
    return AccessRow(
        function=function.id,
        resource=resource.id,
        type=resource.data.kind.type_name,
        path=None,
        paths=0,
        total=0,
        expected="ro" if attached else "none",
        read=read,
        write=write,
        list=Answer(),
        execute=Answer(),
        agree=agree,
        ok=False if attached and stopped else agree,
        reasons=reasons,
        chain=(),
        not_started=stopped,
    )
