"""The picture of who reaches what on one board: functions, the groups they are in, resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edge_sim.greengrass.blast import BlastRadius
from edge_sim.greengrass.rows import AccessRow
from edge_sim.pages.access import state
from edge_sim.pages.page import Picture, Reach, State, first

MOST = 40
"""Functions and resources that a picture shows: more of them is no picture."""


def pictures(boards: Iterable[tuple[str, Sequence[AccessRow], BlastRadius]]) -> list[Picture]:
    """Return the pictures of some boards; those of which it is the same have one."""
    same: list[tuple[Picture, list[str]]] = []
    for name, rows, blast in boards:
        drawn = picture("", rows, blast)
        known = next((names for earlier, names in same if earlier == drawn), None)
        if known is not None:
            known.append(name)
        elif drawn:
            same.append((drawn, [name]))
    return [replace(drawn, caption=f"Who can open what on {', '.join(names)}") for drawn, names in same]


def picture(caption: str, rows: Sequence[AccessRow], blast: BlastRadius) -> Picture | None:
    """Return the picture, None where no function reaches anything; rows that are not as defined are shown first."""
    named = [row for row in rows if row.resource]
    ties = sorted((tie for tie in map(_reach, named) if tie), key=lambda tie: _ORDER.index(tie.state))
    if not ties:
        return None
    functions, _ = first([*dict.fromkeys(row.function for row in [*_bad(named), *named])], MOST, "functions")
    resources, _ = first([*dict.fromkeys(str(row.resource) for row in [*_bad(named), *named])], MOST, "resources")
    shown = [tie for tie in ties if tie.function in functions and tie.resource in resources]
    groups = {
        f"{'/'.join(reach.names) or 'no name'} ({reach.gid})": reach
        for reach in blast.groups
        if {*reach.functions} & {*functions} or {*reach.models} & {*resources}
    }
    hidden = len(ties) - len(shown)
    return Picture(
        caption=caption,
        functions=functions,
        groups=[*groups],
        resources=resources,
        members=[(f, label) for label, reach in groups.items() for f in reach.functions if f in functions],
        owns=[(label, model) for label, reach in groups.items() for model in reach.models if model in resources],
        reaches=shown,
        left_out=f"{hidden} more lines are omitted here; the access matrix has them." if hidden else None,
    )


_ORDER: tuple[State, ...] = ("bad", "open", "good", "plain")


def _bad(rows: Sequence[AccessRow]) -> list[AccessRow]:
    return [row for row in rows if state(row) == "bad"]


def _reach(row: AccessRow) -> Reach | None:
    """Return a line where the function has a right, or should have one and has not."""
    rights = [right for right in ("read", "write") if _has(row, right == "write")]
    bad = state(row) == "bad"
    if not rights and not (bad and row.expected != "none"):
        return None
    by = row.read.by or row.write.by
    how = f"{' and '.join(rights) or 'no access'}" + (f", by {by}" if by and rights else "")
    return Reach(
        function=row.function,
        resource=str(row.resource),
        how=f"{how} (expected {row.expected})" if bad else how,
        intended=by in (None, "attachment"),
        state=state(row),
    )


def _has(row: AccessRow, write: bool) -> bool:
    answer = row.write if write else row.read
    return bool(answer.computed if answer.probed is None else answer.probed)
