"""How true simulated boards are, in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_sim.certificate import CertificateRow, Verdict
from edge_sim.pages.page import Cell, State, Table

_STATES: Mapping[Verdict, State] = {"true": "good", "emulated": "plain", "not faithful": "open"}


def sentence(rows: Sequence[CertificateRow]) -> str:
    """Return a board's fidelity in one sentence; empty where nothing was asked."""
    if not rows:
        return ""
    by_verdict = {word: [row.fact for row in rows if row.verdict == word] for word in _STATES}
    parts = [f"{len(by_verdict['true'])} of {len(rows)} properties are as on the real board"]
    if by_verdict["emulated"]:
        parts.append(f"{', '.join(by_verdict['emulated'])} {_are(by_verdict['emulated'])} emulated")
    if by_verdict["not faithful"]:
        parts.append(f"{', '.join(by_verdict['not faithful'])} {_are(by_verdict['not faithful'])} not faithful")
    return "; ".join(parts) + "."


def table(boards: Mapping[str, Sequence[CertificateRow]]) -> Table:
    """Return a row for each property and a column for each board."""
    facts = dict.fromkeys(row.fact for rows in boards.values() for row in rows)
    by_fact = {name: {row.fact: row for row in rows} for name, rows in boards.items()}
    return Table(
        caption="Properties of each simulated board beside those of the real one",
        columns=["property", *boards],
        rows=[[Cell(text=fact), *(_cell(rows.get(fact)) for rows in by_fact.values())] for fact in facts],
    )


def _cell(row: CertificateRow | None) -> Cell:
    if row is None:
        return Cell(text="not asked", state="open")
    value = row.actual if row.verdict == "true" else f"{row.actual}, not {row.claimed}"
    if row.actual == row.claimed:
        value = row.actual
    detail = " · ".join(filter(None, (value, row.reason)))
    return Cell(text=row.verdict, state=_STATES[row.verdict], detail=detail)


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
