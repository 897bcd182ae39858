"""Access rows and blast radius for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_sim.greengrass.access import RIGHTS

Row = Mapping[str, Any]


def access_lines(rows: Sequence[Row], *, detailed: bool) -> Iterator[str]:
    """Yield a table, and below each row that is not as it should be (or each, when ``detailed``) its reasons."""
    head = ("function", "resource", "expected", *RIGHTS, "")
    table = [head, *(_cells(row) for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(head))]
    for number, cells in enumerate(table):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        if number and (detailed or rows[number - 1]["ok"] is False or rows[number - 1]["agree"] is False):
            yield from _details(rows[number - 1])
    agreed = [row["agree"] for row in rows]
    if True in agreed or False in agreed:
        counts = f"{agreed.count(True)} rows agree, {agreed.count(False)} disagree, {agreed.count(None)} not probed"
        yield f"computed and probed by real processes: {counts}"


def blast_lines(blast: Row) -> Iterator[str]:
    """Yield what the group's GIDs mean on the board, and who runs as root."""
    yield "blast radius"
    for reach in blast["groups"]:
        names = "/".join(reach["names"]) or "no name"
        whose = [f"{kind} {', '.join(reach[kind])}" for kind in ("models", "functions") if reach[kind]]
        yield f"  gid {reach['gid']} = {names}: {'; '.join(whose)}"
        yield from (f"    {warning}" for warning in reach["warnings"])
    for name in blast["root_functions"]:
        yield f"  function {name} runs as root: it reaches everything that its isolation shows it"


def _cells(row: Row) -> tuple[str, ...]:
    rights = (_right(row[right]) for right in RIGHTS)
    return (row["function"], row["resource"] or row["path"], row["expected"], *rights, _verdict(row))


def _right(right: Row) -> str:
    if right["computed"] is None:
        return {None: "·", True: "probed yes", False: "probed no"}[right["probed"]]
    told = f"yes ({right['by']})" if right["computed"] else "no"
    return (
        told if right["probed"] in (None, right["computed"]) else f"{told}, probed {'yes' if right['probed'] else 'no'}"
    )


def _verdict(row: Row) -> str:
    if row["agree"] is False:
        return "computed and probed disagree"
    if row["ok"] is None:
        return ""
    return "ok" if row["ok"] else "not as defined"


def _details(row: Row) -> Iterator[str]:
    if row["path"]:  # a secret has none
        yield f"    {row['path']}"
    for step in row["chain"]:
        yield f"      {step}"
    for reason in row["reasons"]:
        if reason not in row["chain"]:
            yield f"      {reason}"
    changes: dict[tuple[str, str], list[str]] = {}
    for right in RIGHTS:
        answer = row[right]
        if answer["fix"]:
            verb = "refuse" if answer["computed"] else "allow"
            changes.setdefault((verb, answer["fix"]), []).append(right)
    for (verb, change), rights in changes.items():
        yield f"      to {verb} {', '.join(rights)}: {change}"
