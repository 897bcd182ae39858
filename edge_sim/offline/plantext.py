"""A plan or a drift for people, as a tree with what changes, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.changes import MARKS, Line
from edge_sim.greengrass.modes import symbolic
from edge_sim.greengrass.plan import deployment_directory
from edge_sim.greengrass.rows import node_json
from edge_sim.offline.plan import Planned


def as_json(planned: Planned) -> dict[str, object]:
    """Return the plan as ``edge-sim plan --format json`` prints it; modes are octal text, as ``chmod`` takes them."""
    return {
        "target": planned.target.name,
        "entries": [entry(line) for line in planned.lines],
        "uses": [
            {
                "path": use.path,
                "resource": use.resource,
                "reason": use.reason,
                "found": node_json(use.node) if use.node else None,
                "unknown": use.doubt,
            }
            for use in planned.uses
        ],
        "unknown": [{"kind": one.kind, "id": one.id, "address": one.address} for one in planned.unknown],
        "changes": _counts(planned.lines),
    }


def entry(line: Line) -> dict[str, object]:
    """Return one line: the node that is planned, whose it is and why, and ``change``, null where there is none."""
    planned = line.entry
    found = line.found
    return {
        "path": line.path,
        **node_json(line.node),
        "resource": planned.resource if planned else None,
        "function": planned.function if planned else None,
        "rule": planned.rule if planned else None,
        "reason": planned.reason if planned else "no longer in the definition",
        "change": {"kind": line.kind, "words": list(line.words), "found": node_json(found) if found else None}
        if line.kind
        else None,
    }


def tree(planned: Planned) -> Iterator[str]:
    """Yield the plan as lines of text: one a path, with ``+``, ``~`` or ``-`` before what is to be done."""
    facts = planned.target.facts
    yield f"{planned.target.name}: {deployment_directory(facts)}"
    yield from lines(planned.lines, facts)
    owners = _Names(facts)
    for use in planned.uses:
        missing = f"{'?' * 10} {'unknown' if use.doubt else 'not there'}"
        there = f"{symbolic(use.node)} {owners.of(use.node)}" if use.node else missing
        yield f"  {there}  {use.path}  [{use.resource}]  # {use.reason}"
    yield summary(planned.lines) + (f", {planned.unknowns} unknown" if planned.unknowns else "")


def lines(plan: Sequence[Line], facts: HostFacts, *, changes_only: bool = False) -> Iterator[str]:
    """Yield one line of text a path; its rule and reason follow where they are not those of the line before."""
    owners = _Names(facts)
    shown = [line for line in plan if line.kind or not changes_only]
    width = max((len(owners.of(line.node)) for line in shown), default=0)
    before = None
    for line in shown:
        text = _line(line, deployment_directory(facts), owners, width)
        why = f"{line.entry.rule}: {line.entry.reason}" if line.entry else None
        yield printable(f"{text}  # {why}" if why and why != before else text)
        before = why


def summary(lines: Sequence[Line]) -> str:
    """Return the counts in one sentence."""
    counts = _counts(lines)
    if not any(counts.values()):
        return f"{len(lines)} paths, nothing to change"
    return f"{len(lines)} paths: {counts['create']} to make, {counts['change']} to change, {counts['remove']} to remove"


def printable(line: str) -> str:
    """Return a line that stays one and moves no cursor: names on a board may hold anything."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)


class _Names:
    """The board's own names for ids; the number where it has none."""

    def __init__(self, facts: HostFacts) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        for name, user in facts.users.items():
            self._users.setdefault(user.uid, name)
        for name, gid in facts.groups.items():
            self._groups.setdefault(gid, name)

    def of(self, node: Node) -> str:
        return f"{self._users.get(node.uid, node.uid)}:{self._groups.get(node.gid, node.gid)}"


def _line(line: Line, top: str, owners: _Names, width: int) -> str:
    relative = line.path[len(top) + 1 :]
    depth = relative.count("/") + 1 if relative else 0
    name = line.path.rpartition("/")[2] if depth else line.path
    text = f"{MARKS[line.kind]} {symbolic(line.node)} {owners.of(line.node):<{width}}  {'  ' * depth}{name}"
    if line.node.target is not None:
        text += f" → {line.node.target}"
    planned = line.entry
    if planned:
        whose = planned.resource or planned.function
        text += f"  [{whose}]" if whose else ""
    if line.words:
        return f"{text}  ({', '.join(line.words)})"
    return text if planned else f"{text}  (no longer in the definition)"


def _counts(lines: Sequence[Line]) -> Mapping[str, int]:
    return {kind: sum(line.kind == kind for line in lines) for kind in ("create", "change", "remove")}
