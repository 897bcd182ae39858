"""Where the parts of a chart go: areas on each other, a step at each moment, and round numbers beside them.

The areas are in units of their own, which a page stretches; all else is in percent of them, so that text keeps its size
on a narrow screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sim.pages.page import Chart

WIDTH, HEIGHT = 1000, 256
_TICKS = 5
"""At most so many steps on an axis."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """One part of the whole as an SVG path; ``last`` is its number at the end."""

    name: str
    number: int
    path: str
    last: int


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A text and where it stands on its axis, in percent from the left or from the top."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart laid out."""

    width: int
    height: int
    areas: Sequence[Area]
    times: Sequence[Tick]
    levels: Sequence[Tick]
    marks: Sequence[Tick]


def plot(chart: Chart) -> Plot:
    """Lay a chart out."""
    end = max(chart.seconds, default=0) or 1
    whole = max((sum(values) for values in zip(*(values for _, values in chart.series), strict=True)), default=1) or 1
    xs = [round(WIDTH * at / end) for at in chart.seconds]

    def ys(values: Sequence[int]) -> list[int]:
        return [HEIGHT - round(HEIGHT * value / whole) for value in values]

    below = [0] * len(chart.seconds)
    areas: list[Area] = []
    for number, (name, values) in enumerate(chart.series):
        above = [low + value for low, value in zip(below, values, strict=True)]
        if any(values):
            corners = (*_steps(xs, ys(above)), *_steps(xs, ys(below))[::-1])
            path = "M" + " L".join(f"{x} {y}" for x, y in corners) + " Z"
            areas.append(Area(name=name, number=number, path=path, last=values[-1]))
        below = above
    return Plot(
        width=WIDTH,
        height=HEIGHT,
        areas=areas,
        times=[Tick(at=_percent(at, end), text=f"{at:,g} s") for at in _round(end)],
        levels=[Tick(at=100 - _percent(at, whole), text=f"{at:,g}") for at in _round(whole, least=1)],
        marks=[Tick(at=_percent(at, end), text=text) for at, text in chart.marks if 0 <= at <= end],
    )


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2)


def _round(end: float, least: float = 0) -> list[float]:
    """Return numbers from 0 to ``end`` whose distance, ``least`` or more, is 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(end / _TICKS))
    step = max(least, next(step for step in (power, 2 * power, 5 * power, 10 * power) if end / step <= _TICKS))
    return [round(step * number, 9) for number in range(math.floor(end / step) + 1)]


def _steps(xs: Sequence[int], ys: Sequence[int]) -> list[tuple[int, int]]:
    """Return the corners of a line that keeps each value until the next moment."""
    corners: list[tuple[int, int]] = []
    for number, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if number:
            corners.append((x, ys[number - 1]))
        corners.append((x, y))
    return corners
