"""A comparison as a page."""

from __future__ import annotations

from collections.abc import Sequence

from edge_sim.comparison.compare import Comparison, Difference, words
from edge_sim.comparison.facts import KINDS
from edge_sim.pages.page import Block, Board, Cell, Issue, Lines, Page, Section, Table, first

MOST = 400
"""Differences of one kind that a page shows."""


def page(comparison: Comparison) -> Page:
    """Return the page of ``edge-sim compare``: a card for each board that differs, a table for each kind of fact."""
    boards = dict.fromkeys(one.name.board for one in comparison.differences)
    by_kind = {kind: [one for one in comparison.differences if one.name.kind == kind] for kind in KINDS}
    return Page(
        command="compare",
        subject="",
        state="bad" if comparison.differences else "open" if comparison.not_compared else "good",
        verdict=comparison.verdict,
        about={"A": comparison.a, "B": comparison.b},
        boards=[_board(board, [one for one in comparison.differences if one.name.board == board]) for board in boards],
        sections=[
            *(Section(title=f"{kind[:1].upper()}{kind[1:]}", blocks=_table(found)) for kind, found in by_kind.items()),
            Section(
                title="Not compared",
                blocks=[Lines(lines=comparison.not_compared)] if comparison.not_compared else [],
            ),
        ],
        data=comparison.as_json(),
    )


def _board(name: str, found: Sequence[Difference]) -> Board:
    count = f"{len(found)} difference{'s' * (len(found) != 1)}"
    issues = [Issue(where=f"{one.name.kind}: {one.name.name}", message=words(one)) for one in found]
    return Board(name=name or "the definition alone", state="bad", verdict=count, issues=issues)


def _table(found: Sequence[Difference]) -> list[Block]:
    rows = [
        [
            Cell(text=one.name.name),
            Cell(text=one.name.board),
            Cell(text=field),
            Cell(text=a or "none", state="plain" if a else "open", code=True),
            Cell(text=b or "none", state="bad" if b else "open", code=True),
        ]
        for one in found
        for field, a, b in one.fields or (_presence(one),)
    ]
    some, left_out = first(rows, MOST, "differences")
    columns = ["what", "board", "in", "A", "B"]
    return [Table(caption="What differs", columns=columns, rows=some, left_out=left_out)] if rows else []


def _presence(one: Difference) -> tuple[str, str | None, str | None]:
    return ("there", "yes", None) if one.change == "only in A" else ("there", None, "yes")
