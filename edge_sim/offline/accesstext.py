"""Access rows and blast radius for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_sim.greengrass.access import RIGHTS
from edge_sim.greengrass.blast import BlastRadius
from edge_sim.greengrass.rows import AccessRow, Answer

MANY = 8
"""So many rows that say the same, and names, are shown one by one."""


def access_lines(rows: Sequence[AccessRow], *, detailed: bool) -> Iterator[str]:
    """Yield a table, and below each row that is not as it should be (or each, when ``detailed``) its reasons.

    Unless ``detailed``, many rows of one function that say the same are one line, with the reasons of the first.
    """
    table = [(row, _cells(row, row.resource or row.path or "")) for row in rows] if detailed else list(_summary(rows))
    head = ("function", "resource", "expected", *RIGHTS, "")
    widths = [max(map(len, column)) for column in zip(head, *(cells for _, cells in table), strict=True)]
    for row, cells in ((None, head), *table):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        if row and (detailed or row.ok is False or row.agree is False):
            yield from _details(row)
        elif row and row.unknown:
            yield f"      {row.unknown}"
    agreed = [row.agree for row in rows]
    if True in agreed or False in agreed:
        counts = f"{agreed.count(True)} agree, {agreed.count(False)} disagree, {agreed.count(None)} not probed"
        yield f"computed and probed by real processes: {counts}"


def _summary(rows: Sequence[AccessRow]) -> Iterator[tuple[AccessRow, tuple[str, ...]]]:
    """Yield rows with their cells; of more than a few that differ in the resource alone, the first with a count."""
    alike: dict[tuple[str, ...], list[AccessRow]] = {}
    for row in rows:
        alike.setdefault(_cells(row, ""), []).append(row)
    many = {id(row): group for group in alike.values() if len(group) > MANY for row in group}
    for row in rows:
        group = many.get(id(row), [row])
        if row is group[0]:
            more = f" and {len(group) - 1} more" if len(group) > 1 else ""
            yield row, _cells(row, f"{row.resource or row.path}{more}")


def blast_lines(blast: BlastRadius, *, whole: bool) -> Iterator[str]:
    """Yield what the group's GIDs mean on the board, and who runs as root; long lists are cut unless ``whole``."""
    yield "blast radius"
    for reach in blast.groups:
        names = "/".join(reach.names) or "no such group on this board"
        members = (("models", reach.models), ("functions", reach.functions))
        whose = [f"{kind} {_list(ids, whole=whole)}" for kind, ids in members if ids]
        yield f"  gid {reach.gid} = {names}: {'; '.join(whose)}"
        yield from (f"    {warning}" for warning in reach.warnings)
    for name in blast.root_functions:
        yield f"  function {name} runs as root: it can open everything that its isolation lets it see"


def _list(names: Sequence[str], *, whole: bool) -> str:
    some = names if whole or len(names) <= MANY else names[:MANY]
    return ", ".join(some) + (f" and {len(names) - MANY} more" if len(some) < len(names) else "")


def _cells(row: AccessRow, resource: str) -> tuple[str, ...]:
    rights = (_right(answer, unknown=row.unknown is not None) for answer in row.answers.values())
    expected = row.expected if row.resource else "·"  # of a path in no attached resource the definition says nothing
    return (row.function, resource, expected, *rights, _verdict(row))


def _right(answer: Answer, *, unknown: bool) -> str:
    if answer.computed is None and unknown:
        return "unknown"
    if answer.computed is None:
        return {None: "·", True: "probed yes", False: "probed no"}[answer.probed]
    text = f"yes ({answer.by})" if answer.computed else "no"
    differs = answer.probed not in (None, answer.computed)
    return f"{text}, probed {'yes' if answer.probed else 'no'}" if differs else text


def _verdict(row: AccessRow) -> str:
    if row.agree is False:
        return "computed and probed disagree"
    if row.ok is None:
        return "unknown" if row.unknown else ""
    return "ok" if row.ok else "not as defined"


def _details(row: AccessRow) -> Iterator[str]:
    if row.path:  # a secret has none
        yield f"    {row.path}"
    for step in row.chain:
        yield f"      {step}"
    for reason in row.reasons:
        if reason not in row.chain:
            yield f"      {reason}"
    changes: dict[tuple[str, str], list[str]] = {}
    for right, answer in row.answers.items():
        if answer.fix:
            verb = "refuse" if answer.computed else "allow"
            changes.setdefault((verb, answer.fix), []).append(right)
    for (verb, change), rights in changes.items():
        yield f"      to {verb} {', '.join(rights)}: {change}"
