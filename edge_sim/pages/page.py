"""A report's page as values. Every command builds one from its typed rows; ``html`` and ``markdown`` read it.

Nothing here is escaped: names, logs and messages are a stranger's, and it is the reader's part to make them harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, get_args

State = Literal["bad", "open", "good", "plain"]
"""``bad``: not as it should be; ``open``: not known, or not proven here; ``plain``: no judgement."""
STATES: tuple[State, ...] = get_args(State)
"""Worst first."""
_T = TypeVar("_T")


def worst(states: Iterable[State]) -> State:
    """Return the worst of some states, ``good`` where there is none."""
    return min(states, key=STATES.index, default="good")


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Something to act on: where, what, why and what to do.

    ``place`` is ``file:line:column`` of the user's file; ``anchor`` is what links lead to; ``boards`` are those it
    holds for, none where it is about the definition alone; ``details_are`` heads the details.
    """

    where: str
    message: str
    state: State = "bad"
    remedies: Sequence[str] = ()
    place: str | None = None
    boards: Sequence[str] = ()
    details: Sequence[str] = ()
    details_are: str = "Details"
    log: Sequence[str] = ()
    anchor: str = ""


@dataclass(frozen=True, kw_only=True)
class BoardVerdict:
    """A board's verdict on the first screen. ``about`` says what it is, ``fidelity`` how true to the real one."""

    name: str
    state: State
    verdict: str
    about: str = ""
    fidelity: str = ""
    issues: Sequence[Issue] = ()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table; ``detail`` is a second, quieter line, ``link`` the anchor of what explains it."""

    text: str
    state: State = "plain"
    detail: str | None = None
    link: str | None = None
    code: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first ``headers`` of each row name it. ``left_out`` says what is not in it."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    headers: int = 1
    left_out: str | None = None


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A mode as ``ls -l`` writes it, in runs of characters that differ from another board's, or do not."""

    parts: Sequence[tuple[str, bool]]
    octal: str


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One path of a tree. ``mark`` is + ~ - or nothing, ``changes`` says what differs; None: mode unknown."""

    depth: int
    name: str
    path: str
    mode: Mode | None
    user: tuple[str, bool] = ("", False)
    group: tuple[str, bool] = ("", False)
    target: str | None = None
    whose: str | None = None
    mark: str = ""
    changes: Sequence[str] = ()
    state: State = "plain"


@dataclass(frozen=True, kw_only=True)
class PathTree:
    """Paths of one board, parents before children; ``compared`` says what it is held against."""

    caption: str
    branches: Sequence[Branch]
    compared: str | None = None
    left_out: str | None = None
    open: bool = True


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A function reaches a resource: ``how`` in words; ``state`` is bad where the definition says otherwise."""

    function: str
    resource: str
    how: str
    intended: bool
    state: State


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Who reaches what: functions, the board's groups (label), resources, and what ties them together."""

    caption: str
    functions: Sequence[str]
    groups: Sequence[str]
    resources: Sequence[str]
    members: Sequence[tuple[str, str]]
    owns: Sequence[tuple[str, str]]
    reaches: Sequence[Reach]
    left_out: str | None = None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One thing that happened in an update, ``seconds`` after its first event."""

    seconds: float
    kind: str
    text: str
    detail: str | None = None
    state: State = "plain"


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What happened in one update of one board, in order."""

    caption: str
    state: State
    verdict: str
    moments: Sequence[Moment]
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """How a whole is divided as time goes by: ``series`` are its parts, from the bottom up, with a value a moment.

    ``seconds`` are the moments; ``marks`` are moments with a name.
    """

    caption: str
    seconds: Sequence[float]
    series: Sequence[tuple[str, Sequence[int]]]
    marks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Log:
    """Lines that a function wrote, or what it returned."""

    caption: str
    lines: Sequence[str]
    open: bool = False


@dataclass(frozen=True, kw_only=True)
class Issues:
    """Several issues in full."""

    issues: Sequence[Issue]
    left_out: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Sentences, one a line."""

    lines: Sequence[str]
    left_out: str | None = None


Block = Table | PathTree | Picture | Timeline | Chart | Log | Issues | Lines


@dataclass(frozen=True, kw_only=True)
class Section:
    """A headed part of a page; one without blocks is not shown."""

    title: str
    blocks: Sequence[Block]
    note: str | None = None

    @property
    def anchor(self) -> str:
        return "-".join(self.title.lower().split())


@dataclass(frozen=True, kw_only=True)
class Page:
    """One report. ``data`` is the JSON document of the same result, which an HTML file carries.

    ``boards_are`` heads the boards where they are not a verdict each.
    """

    command: str
    subject: str
    state: State
    verdict: str
    about: Mapping[str, str]
    boards: Sequence[BoardVerdict]
    sections: Sequence[Section]
    data: Mapping[str, object]
    boards_are: str = ""


def together(boards: Iterable[BoardVerdict]) -> list[BoardVerdict]:
    """Return boards worst first; those of which the same is to be said are one, with all their names."""
    merged: list[BoardVerdict] = []
    for board in sorted(boards, key=lambda board: STATES.index(board.state)):
        same = next((at for at, other in enumerate(merged) if replace(other, name=board.name) == board), None)
        if same is None:
            merged.append(board)
        else:
            merged[same] = replace(board, name=f"{merged[same].name}, {board.name}")
    return merged


def from_first(moments: Iterable[Moment]) -> list[Moment]:
    """Return moments in order, with the seconds counted from the first of them."""
    order = sorted(moments, key=lambda moment: moment.seconds)
    return [replace(moment, seconds=moment.seconds - order[0].seconds) for moment in order]


def first(items: Sequence[_T], most: int, what: str) -> tuple[Sequence[_T], str | None]:
    """Return at most ``most`` items, and a sentence about the rest; ``what`` names the items."""
    if len(items) <= most:
        return items, None
    return items[:most], f"{len(items) - most} more {what} of {len(items)} are omitted here; the data has all of them."
