"""A plan or a drift for people, as a tree with what changes, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.changes import MARKS, Line
from edge_sim.greengrass.modes import symbolic
from edge_sim.greengrass.plan import deployment_directory
from edge_sim.greengrass.rows import node_json
from edge_sim.offline.plan import OfflinePlan
from edge_sim.printing import printable


def as_json(plan: OfflinePlan) -> dict[str, object]:
    """Return the plan as ``edge-sim plan --format json`` prints it; modes are octal text, as ``chmod`` takes them."""
    return {
        "target": plan.target.name,
        "entries": [entry(line) for line in plan.lines],
        "uses": [
            {
                "path": use.path,
                "resource": use.resource,
                "reason": use.reason,
                "found": node_json(use.node) if use.node else None,
                "unknown": use.doubt,
            }
            for use in plan.uses
        ],
        "unknown": [{"kind": owner.kind, "id": owner.id, "address": owner.address} for owner in plan.unknown],
        "changes": _counts(plan.lines),
    }


def entry(line: Line) -> dict[str, object]:
    """Return one line: the node that is planned, whose it is and why, and ``change``, null where there is none."""
    target = line.entry
    actual = line.actual
    return {
        "path": line.path,
        **node_json(line.node),
        "resource": target.resource if target else None,
        "function": target.function if target else None,
        "rule": target.rule if target else None,
        "reason": target.reason if target else "no longer in the definition",
        "change": {"kind": line.kind, "words": list(line.words), "found": node_json(actual) if actual else None}
        if line.kind
        else None,
    }


def tree(plan: OfflinePlan) -> Iterator[str]:
    """Yield the plan as lines of text: one a path, with ``+``, ``~`` or ``-`` before what is to be done."""
    facts = plan.target.facts
    yield f"{plan.target.name}: {deployment_directory(facts)}"
    yield from lines(plan.lines, facts)
    owners = _Names(facts)
    for use in plan.uses:
        missing = f"{'?' * 10} {'unknown' if use.doubt else 'missing'}"
        there = f"{symbolic(use.node)} {owners.of(use.node)}" if use.node else missing
        yield f"  {there}  {use.path}  [{use.resource}]  # {use.reason}"
    yield summary(plan.lines) + (f", {plan.unknowns} unknown" if plan.unknowns else "")


def lines(plan: Sequence[Line], facts: HostFacts, *, changes_only: bool = False) -> Iterator[str]:
    """Yield one line of text a path; its rule and reason follow where they are not those of the line before."""
    owners = _Names(facts)
    selection = [line for line in plan if line.kind or not changes_only]
    width = max((len(owners.of(line.node)) for line in selection), default=0)
    before = None
    for line in selection:
        text = _line(line, deployment_directory(facts), owners, width)
        why = f"{line.entry.rule}: {line.entry.reason}" if line.entry else None
        yield printable(f"{text}  # {why}" if why and why != before else text)
        before = why


def summary(lines: Sequence[Line]) -> str:
    """Return the counts in one sentence."""
    counts = _counts(lines)
    if not any(counts.values()):
        return f"{len(lines)} paths, nothing to change"
    kinds = ", ".join(f"{counts[kind]} to {kind}" for kind in ("create", "change", "remove"))
    return f"{len(lines)} paths: {kinds}"


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
    target = line.entry
    if target:
        whose = target.resource or target.function
        text += f"  [{whose}]" if whose else ""
    if line.words:
        return f"{text}  ({', '.join(line.words)})"
    return text if target else f"{text}  (no longer in the definition)"


def _counts(lines: Sequence[Line]) -> Mapping[str, int]:
    return {kind: sum(line.kind == kind for line in lines) for kind in ("create", "change", "remove")}
