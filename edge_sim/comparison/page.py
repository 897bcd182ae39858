"""A comparison as a page."""

from __future__ import annotations

from collections.abc import Sequence

from edge_sim.comparison.compare import Comparison, Difference, words
from edge_sim.comparison.facts import KINDS
from edge_sim.pages.page import Block, BoardVerdict, Cell, Issue, Lines, Page, Section, Table, first

MOST = 400
"""Differences of one kind that a page shows."""


def page(comparison: Comparison) -> Page:
    """Return the page of ``edge-sim compare``: a card for each board that differs, a table for each kind of fact."""
    boards = dict.fromkeys(difference.name.board for difference in comparison.differences)
    by_kind = {
        kind: [difference for difference in comparison.differences if difference.name.kind == kind] for kind in KINDS
    }
    return Page(
        command="compare",
        subject="",
        state="bad" if comparison.differences else "open" if comparison.not_compared else "good",
        verdict=comparison.verdict,
        about={"A": comparison.a, "B": comparison.b},
        boards=[
            _board(board, [difference for difference in comparison.differences if difference.name.board == board])
            for board in boards
        ],
        sections=[
            *(
                Section(title=f"{kind[:1].upper()}{kind[1:]}", blocks=_table(differences))
                for kind, differences in by_kind.items()
            ),
            Section(
                title="Not compared",
                blocks=[Lines(lines=comparison.not_compared)] if comparison.not_compared else [],
            ),
        ],
        data=comparison.as_json(),
    )


def _board(name: str, differences: Sequence[Difference]) -> BoardVerdict:
    count = f"{len(differences)} difference{'s' * (len(differences) != 1)}"
    issues = [
        Issue(where=f"{difference.name.kind}: {difference.name.name}", message=words(difference))
        for difference in differences
    ]
    return BoardVerdict(name=name or "the definition alone", state="bad", verdict=count, issues=issues)


def _table(differences: Sequence[Difference]) -> list[Block]:
    rows = [
        [
            Cell(text=difference.name.name),
            Cell(text=difference.name.board),
            Cell(text=field),
            Cell(text=a or "none", state="plain" if a else "open", code=True),
            Cell(text=b or "none", state="bad" if b else "open", code=True),
        ]
        for difference in differences
        for field, a, b in difference.fields or (_presence(difference),)
    ]
    some, left_out = first(rows, MOST, "differences")
    columns = ["what", "board", "in", "A", "B"]
    return [Table(caption="What differs", columns=columns, rows=some, left_out=left_out)] if rows else []


def _presence(difference: Difference) -> tuple[str, str | None, str | None]:
    return ("there", "yes", None) if difference.change == "only in A" else ("there", None, "yes")
