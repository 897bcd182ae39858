"""Which facts of two reports differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sim.comparison.facts import KINDS, Fields, Kind, Name, ReportFacts
from edge_sim.printing import printable

Change = Literal["only in A", "only in B", "different"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A fact that only one report has, or that is another in both; ``fields`` holds what differs as (name, A, B)."""

    name: Name
    change: Change
    fields: Sequence[tuple[str, str | None, str | None]] = ()

    def as_json(self) -> dict[str, object]:
        fields = [{"field": name, "a": a, "b": b} for name, a, b in self.fields]
        about = {"kind": self.name.kind, "board": self.name.board or None, "name": self.name.name}
        return {**about, "change": self.change, "fields": fields}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, by kind; what differs; and, in sentences, what only one of the two speaks of."""

    a: str
    b: str
    compared: Mapping[Kind, int]
    differences: Sequence[Difference]
    not_compared: Sequence[str]

    def as_json(self) -> dict[str, object]:
        """Return the document of ``edge-sim compare --format json``."""
        return {
            "a": self.a,
            "b": self.b,
            "equal": not self.differences,
            "compared": dict(self.compared),
            "differences": [difference.as_json() for difference in self.differences],
            "not_compared": list(self.not_compared),
        }

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        total = sum(self.compared.values())
        if not self.differences:
            return f"No difference in {total} facts"
        counts = Counter(difference.name.kind for difference in self.differences)
        parts = [f"{counts[kind]} of {self.compared.get(kind, 0)} {_plural(kind)}" for kind in KINDS if counts[kind]]
        return f"{', '.join(parts)} {'differs' if sum(counts.values()) == 1 else 'differ'}"


def compare(a: ReportFacts, b: ReportFacts) -> Comparison:
    """Compare two reports: what both speak of. A kind, or a board, that one of them does not know is named."""
    kinds = [kind for kind in KINDS if kind in a.kinds & b.kinds]
    boards = (a.boards & b.boards) | {""}
    names = sorted(
        (name for name in {*a.facts, *b.facts} if name.kind in kinds and name.board in boards),
        key=lambda name: (KINDS.index(name.kind), name.board, name.name),
    )
    differences = [
        difference for name in names if (difference := _difference(name, a.facts.get(name), b.facts.get(name)))
    ]
    counts = Counter(name.kind for name in names)
    return Comparison(
        a=a.file,
        b=b.file,
        compared={kind: counts[kind] for kind in kinds},
        differences=differences,
        not_compared=tuple(_alone(a, b)),
    )


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield the comparison as text: a line a difference."""
    yield f"A: {printable(comparison.a)}"
    yield f"B: {printable(comparison.b)}"
    for difference in comparison.differences:
        where = f"{difference.name.board}  " if difference.name.board else ""
        yield printable(f"{difference.name.kind}  {where}{difference.name.name}: {words(difference)}")
    yield from (printable(f"not compared: {text}") for text in comparison.not_compared)
    yield comparison.verdict


def words(difference: Difference) -> str:
    """Return what differs, in words."""
    if difference.change != "different":
        return difference.change
    return ", ".join(f"{field} {a or 'none'} → {b or 'none'}" for field, a, b in difference.fields)


def _difference(name: Name, a: Fields | None, b: Fields | None) -> Difference | None:
    if a is None or b is None:
        return Difference(name=name, change="only in B" if a is None else "only in A")
    keys = dict.fromkeys((*a, *b))
    fields = tuple((key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key))
    return Difference(name=name, change="different", fields=fields) if fields else None


def _alone(a: ReportFacts, b: ReportFacts) -> Iterator[str]:
    for word, mine, other in (("A", a, b), ("B", b, a)):
        kinds = [_plural(kind) for kind in KINDS if kind in mine.kinds - other.kinds]
        if kinds:
            yield f"{', '.join(kinds)}: only {word} contains them"
        boards = sorted(mine.boards - other.boards)
        if boards:
            yield f"{', '.join(boards)}: only in {word}"


def _plural(kind: Kind) -> str:
    return {"access": "access rows", "property": "properties"}.get(kind, f"{kind}s")
