"""How far a board's part of a run has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BoardStep:
    """The step that a board's part begins, the ``number``-th of ``total``; ``ended``: it was the last one.

    A number may be left out: what a failed deployment or this machine makes impossible is not begun.
    """

    board: str
    text: str
    number: int
    total: int
    ended: bool = False

    def __str__(self) -> str:
        return f"{self.board}: {self.text} ({self.number} of {self.total})"


OnStep = Callable[[BoardStep], None]
"""Called from each board's own thread."""


class StepCounter:
    """Counts the steps of one board's part, as they are begun."""

    def __init__(self, board: str, total: int, on_step: OnStep) -> None:
        self._board = board
        self._total = total
        self._number = 0
        self._on_step = on_step

    def begin(self, text: str) -> None:
        """Say that the next step begins."""
        self._number += 1
        self._on_step(BoardStep(board=self._board, text=text, number=self._number, total=self._total))

    def end(self, text: str) -> None:
        """Say how the board's part ended."""
        self._on_step(BoardStep(board=self._board, text=text, number=self._total, total=self._total, ended=True))
