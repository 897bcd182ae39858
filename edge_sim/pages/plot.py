"""Where the areas of a chart go: stacked, a step at each moment, every number worked out here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_sim.pages.page import Chart

_WIDTH, _HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 150, 20, 24
_TICKS = 5


@dataclass(frozen=True, kw_only=True)
class Area:
    """One part of the whole as an SVG path; ``y``: where its name stands."""

    name: str
    number: int
    path: str
    y: int


@dataclass(frozen=True, kw_only=True)
class Words:
    """A text and where it stands."""

    x: int
    y: int
    text: str
    anchor: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart laid out, in user units; ``legend``: where the names begin."""

    width: int
    height: int
    top: int
    bottom: int
    legend: int
    areas: Sequence[Area]
    ticks: Sequence[Words]
    marks: Sequence[Words]


def plot(chart: Chart) -> Plot:
    """Lay a chart out."""
    end = max(chart.seconds, default=0) or 1
    whole = max((sum(values) for values in zip(*(values for _, values in chart.series), strict=True)), default=1) or 1
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT

    def x(seconds: float) -> int:
        return _LEFT + round((right - _LEFT) * seconds / end)

    def y(value: float) -> int:
        return bottom - round((bottom - _TOP) * value / whole)

    below = [0] * len(chart.seconds)
    areas: list[Area] = []
    for number, (name, values) in enumerate(chart.series):
        above = [low + value for low, value in zip(below, values, strict=True)]
        if any(values):
            there = _steps([x(at) for at in chart.seconds], [y(value) for value in above])
            back = _steps([x(at) for at in chart.seconds], [y(value) for value in below])[::-1]
            path = "M" + " L".join(f"{at} {value}" for at, value in (*there, *back)) + " Z"
            areas.append(Area(name=name, number=number, path=path, y=_TOP + 18 * len(areas)))
        below = above
    times = [
        Words(x=x(end * at / _TICKS), y=_HEIGHT - 6, text=f"{end * at / _TICKS:.0f} s", anchor="middle")
        for at in range(_TICKS + 1)
    ]
    levels = [Words(x=_LEFT - 6, y=y(value) + 4, text=f"{value:,}", anchor="end") for value in (0, whole // 2, whole)]
    marks = [
        Words(x=x(at), y=12, text=text, anchor="end" if at > end / 2 else "start")
        for at, text in chart.marks
        if 0 <= at <= end
    ]
    return Plot(
        width=_WIDTH,
        height=_HEIGHT,
        top=_TOP,
        bottom=bottom,
        legend=right + 14,
        areas=areas,
        ticks=[*times, *levels],
        marks=marks,
    )


def _steps(xs: Sequence[int], ys: Sequence[int]) -> list[tuple[int, int]]:
    """Return the corners of a line that keeps each value until the next moment."""
    corners: list[tuple[int, int]] = []
    for number, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if number:
            corners.append((x, ys[number - 1]))
        corners.append((x, y))
    return corners
