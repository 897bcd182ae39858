"""Access rows of one board or many as a matrix of functions and resources, and the rows that need a word in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_sim.greengrass.access import Right
from edge_sim.greengrass.rows import AccessRow, Answer
from edge_sim.pages.page import Cell, Issue, State, Table, first

MOST = 300
"""Rows of the matrix, and rows explained, that a page shows."""
_LETTERS: Mapping[Right, str] = {"read": "r", "write": "w"}
_MARKS: Mapping[State, str] = {"bad": "✗", "open": "?", "good": "✓", "plain": "·"}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A row with its board; ``place`` is ``file:line:column`` of its resource, else function, in the user's file."""

    board: str
    row: AccessRow
    place: str | None = None

    @property
    def name(self) -> tuple[str, str]:
        return self.row.function, self.row.resource or self.row.path or ""


def state(row: AccessRow) -> State:
    """Return how a row looks: bad where it is not as defined, or the computed and the probed answer disagree."""
    if row.agree is False or row.ok is False:
        return "bad"
    if row.ok:
        return "good"
    return "open" if row.unknown or row.expected != "none" else "plain"


def matrix(rows: Sequence[Judged], boards: Sequence[str], issues: Mapping[Judged, Issue]) -> Table:
    """Return a row for each function and resource and a column for each board; cells lead to ``issues``."""
    by_name: dict[tuple[str, str], dict[str, Judged]] = {}
    for judged in rows:
        by_name.setdefault(judged.name, {})[judged.board] = judged
    order = [*by_name]
    shown = set(_worst_first(by_name)[:MOST])
    _, left_out = first(order, MOST, "pairs of function and resource, none worse than those shown,")
    lines = []
    for name in filter(shown.__contains__, order):
        on = by_name[name]
        row = next(iter(on.values())).row
        cells = [_cell(on.get(board), issues) for board in boards]
        lines.append(
            [
                Cell(text=name[0]),
                Cell(text=name[1], detail=row.type),
                Cell(text=row.expected if row.resource else "·"),
                *cells,
            ]
        )
    return Table(
        caption="What each function can do with each resource",
        columns=["function", "resource", "expected", *boards],
        rows=lines,
        headers=2,
        left_out=left_out,
    )


def issues(rows: Iterable[Judged]) -> dict[Judged, Issue]:
    """Return an issue for each row that is bad or open; boards of which the same is to be said share one."""
    merged: dict[tuple[object, ...], tuple[Issue, list[Judged]]] = {}
    for judged in rows:
        row, how = judged.row, state(judged.row)
        if how not in ("bad", "open"):
            continue
        key = (*judged.name, judged.place, how, row.reasons, row.chain, tuple(remedies(row)))
        if key in merged:
            issue, same = merged[key]
            merged[key] = replace(issue, boards=(*issue.boards, judged.board)), [*same, judged]
        else:
            issue = Issue(
                where=row.name,
                message=message(row),
                state=how,
                remedies=tuple(remedies(row)),
                place=judged.place,
                boards=(judged.board,),
                details=row.chain,
                details_are="The path, step by step",
                anchor=f"access-{len(merged) + 1}",
            )
            merged[key] = issue, [judged]
    return {judged: issue for issue, same in merged.values() for judged in same}


def message(row: AccessRow) -> str:
    """Return what is to be said about a row, in one sentence."""
    why = "; ".join(row.reasons)
    if row.agree is False:
        return f"computed and probed access differ: a bug in edge-sim, please report it: {why}"
    if row.ok is None:
        return f"not decided: {row.unknown or why or 'nothing could be checked'}"
    has = _has(row)
    statement = f"expected {row.expected}, but {has}" if has else f"the definition says {row.expected}"
    return f"{statement}: {row.not_started or why}"


def letters(row: AccessRow) -> str:
    """Return read and write as ``rw``, ``r-`` or ``--``: the probed answer, else the computed one; ``?`` where none."""
    return "".join(_letter(_LETTERS[right], row.answers[right]) for right in _LETTERS)


def _letter(letter: str, answer: Answer) -> str:
    had = answer.computed if answer.probed is None else answer.probed
    return "?" if had is None else letter if had else "-"


def _cell(judged: Judged | None, known: Mapping[Judged, Issue]) -> Cell:
    if judged is None:
        return Cell(text="–", detail="not checked", state="open")
    row, issue = judged.row, known.get(judged)
    how = state(row)
    probed = any(answer.probed is not None for answer in row.answers.values())
    by = row.read.by or row.write.by
    quiet = " · ".join(filter(None, (by, "probed" if probed else "computed")))
    if how == "bad":
        quiet = f"expected {row.expected}"
    return Cell(
        text=f"{_MARKS[how]} {letters(row)}", state=how, detail=quiet, link=issue.anchor if issue else None, code=True
    )


def _has(row: AccessRow) -> str:
    wrong = _wrong(row)
    verbs: dict[Right, str] = {"read": "read", "write": "write to"}
    can = [verbs.get(right, right) for right, had in wrong if had]
    cannot = [verbs.get(right, right) for right, had in wrong if not had]
    clauses = [f"{row.function} can {' and '.join(can)} it"] if can else []
    clauses += [f"{row.function} cannot {' or '.join(cannot)} it"] if cannot else []
    return ", and ".join(clauses)


def _wrong(row: AccessRow) -> list[tuple[Right, bool]]:
    """Return the rights that are not as the definition says, each with whether the function has it."""
    rights: dict[Right, bool] = {"read": row.expected != "none", "write": row.expected == "rw"}
    wrong = []
    for right, wish in rights.items():
        answer = row.answers[right]
        had = answer.computed if answer.probed is None else answer.probed
        if had is not None and had != wish:
            wrong.append((right, had))
    return wrong


def remedies(row: AccessRow) -> list[str]:
    """Return the changes that would make a row as defined; equal ones of several rights are one."""
    wrong = [right for right, _ in _wrong(row)]
    by_fix: dict[tuple[str, str], list[str]] = {}
    for right in wrong or [*_LETTERS]:
        answer = row.answers[right]
        if answer.fix:
            by_fix.setdefault(("refuse" if answer.computed else "allow", answer.fix), []).append(right)
    return [f"To {verb} {' and '.join(rights)}: {change}" for (verb, change), rights in by_fix.items()]


def _worst_first(by_name: Mapping[tuple[str, str], Mapping[str, Judged]]) -> list[tuple[str, str]]:
    order: tuple[State, ...] = ("bad", "open", "good", "plain")
    return sorted(by_name, key=lambda name: min(order.index(state(answer.row)) for answer in by_name[name].values()))
