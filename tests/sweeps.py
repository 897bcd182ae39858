"""How much of a sweep a run of the tests takes: a sample of its points, or with ``make slow`` every one of them.

A sweep cuts, kills or fails something at every point, or compares thousands of inputs. The sample is the same in every
run, and says how large it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Point = TypeVar("Point")
WHOLE = os.environ.get("EDGE_SIM_SWEEPS") == "whole"


def points(of: Sequence[Point], every: int, first: int = 0) -> list[Point]:
    """Return every ``every``-th point from the ``first`` on, and the last one; in a whole sweep all of them.

    Sweeps over the same points that begin at different ones take all of them together.
    """
    chosen = range(len(of)) if WHOLE else sorted({*range(first % every, len(of), every), len(of) - 1})
    return [of[number] for number in chosen]


def size(whole: int, sample: int) -> int:
    """Return how many inputs a sweep takes."""
    return whole if WHOLE else sample
