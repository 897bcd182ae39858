"""Access rows and blast radius for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_sim.greengrass.access import RIGHTS
from edge_sim.greengrass.blast import BlastRadius
from edge_sim.greengrass.rows import AccessRow, Answer


def access_lines(rows: Sequence[AccessRow], *, detailed: bool) -> Iterator[str]:
    """Yield a table, and below each row that is not as it should be (or each, when ``detailed``) its reasons."""
    head = ("function", "resource", "expected", *RIGHTS, "")
    table = [head, *(_cells(row) for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(head))]
    for row, cells in zip((None, *rows), table, strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        if row and (detailed or row.unknown or row.ok is False or row.agree is False):
            yield from _details(row)
    agreed = [row.agree for row in rows]
    if True in agreed or False in agreed:
        counts = f"{agreed.count(True)} rows agree, {agreed.count(False)} disagree, {agreed.count(None)} not probed"
        yield f"computed and probed by real processes: {counts}"


def blast_lines(blast: BlastRadius) -> Iterator[str]:
    """Yield what the group's GIDs mean on the board, and who runs as root."""
    yield "blast radius"
    for reach in blast.groups:
        names = "/".join(reach.names) or "no name"
        members = (("models", reach.models), ("functions", reach.functions))
        whose = [f"{kind} {', '.join(ids)}" for kind, ids in members if ids]
        yield f"  gid {reach.gid} = {names}: {'; '.join(whose)}"
        yield from (f"    {warning}" for warning in reach.warnings)
    for name in blast.root_functions:
        yield f"  function {name} runs as root: it reaches everything that its isolation shows it"


def _cells(row: AccessRow) -> tuple[str, ...]:
    rights = (_right(answer, unknown=row.unknown is not None) for answer in row.answers.values())
    return (row.function, row.resource or row.path or "", row.expected, *rights, _verdict(row))


def _right(answer: Answer, *, unknown: bool) -> str:
    if answer.computed is None and unknown:
        return "unknown"
    if answer.computed is None:
        return {None: "·", True: "probed yes", False: "probed no"}[answer.probed]
    told = f"yes ({answer.by})" if answer.computed else "no"
    differs = answer.probed not in (None, answer.computed)
    return f"{told}, probed {'yes' if answer.probed else 'no'}" if differs else told


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
