"""Where the boxes and lines of a picture go: three columns, no line through a box, every number worked out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sim.pages.page import Picture, State

_WIDTH, _BOX, _HEIGHT, _GAP, _TOP = 960, 220, 40, 12, 34
_COLUMNS = {"group": 0, "function": 330, "resource": _WIDTH - _BOX}
_LETTERS = 27
"""Characters of the page's monospaced 12 px font that a box has room for."""
Kind = Literal["function", "group", "resource"]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle with its label and a quiet ``note`` below it; ``name`` is the whole of both."""

    kind: Kind
    x: int
    y: int
    label: str
    name: str
    note: str = ""
    width: int = _BOX
    height: int = _HEIGHT


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve as an SVG path. ``kind``: a tie of a group, or access that is intended or not."""

    path: str
    kind: Literal["tie", "intended", "unintended"]
    state: State
    title: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture laid out, in user units."""

    width: int
    height: int
    heads: Sequence[tuple[int, str]]
    boxes: Sequence[Box]
    lines: Sequence[Curve]


def draw(picture: Picture) -> Drawing:
    """Lay a picture out."""
    columns: Mapping[Kind, Sequence[str]] = {
        "group": picture.groups,
        "function": picture.functions,
        "resource": picture.resources,
    }
    tallest = max(map(len, columns.values()))
    height = _TOP + tallest * (_HEIGHT + _GAP)
    owners = {resource: f"group {group}" for group, resource in picture.owns}
    boxes = {
        (kind, name): _box(
            kind,
            name,
            owners.get(name, "") if kind == "resource" else "",
            _TOP + (tallest - len(names)) * (_HEIGHT + _GAP) // 2 + at * (_HEIGHT + _GAP),
        )
        for kind, names in columns.items()
        for at, name in enumerate(names)
    }
    lines = [_tie(boxes["group", g], boxes["function", f], f"{f} is in group {g}") for f, g in picture.members]
    for reach in picture.reaches:
        start, end = boxes["function", reach.function], boxes["resource", reach.resource]
        title = f"{reach.function} → {reach.resource}: {reach.how}"
        kind: Literal["intended", "unintended"] = "intended" if reach.intended else "unintended"
        lines.append(Curve(path=_curve(start, end), kind=kind, state=reach.state, title=title))
    heads = {"function": "functions", "group": "groups of the board", "resource": "resources"}
    shown = [(_COLUMNS[kind], heads[kind]) for kind, names in columns.items() if names]
    return Drawing(width=_WIDTH, height=height, heads=shown, boxes=[*boxes.values()], lines=lines)


def _box(kind: Kind, name: str, note: str, y: int) -> Box:
    whole = f"{name}, {note}" if note else name
    return Box(kind=kind, x=_COLUMNS[kind], y=y, label=_short(name), name=whole, note=_short(note))


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _tie(start: Box, end: Box, title: str) -> Curve:
    return Curve(path=_curve(start, end), kind="tie", state="plain", title=title)


def _curve(start: Box, end: Box) -> str:
    x1, y1 = start.x + start.width, start.y + start.height // 2
    x2, y2 = end.x, end.y + end.height // 2
    bend = (x2 - x1) // 2
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
