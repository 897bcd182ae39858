"""Progress of what takes longer, on standard error: a line for each board on a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from edge_sim.printing import printable

if TYPE_CHECKING:
    from rich.table import Table

    from edge_sim.runs.steps import BoardStep

_BAR, _WIDE = 20, 90
"""Columns of a bar, and of a terminal that has room for one."""


class Display:
    """What is going on: one sentence, and each board's step with the seconds since its first one."""

    def __init__(self, *, drawn: bool) -> None:
        self._drawn = drawn
        self._begin = time.monotonic()
        self._text = "…"
        self._boards: dict[str, tuple[BoardStep, float, float]] = {}

    def say(self, text: str) -> None:
        """Show a sentence that is about no single board."""
        self._text = text
        self._print(text)

    def step(self, step: BoardStep) -> None:
        """Show a board's step, from any thread."""
        now = time.monotonic()
        _, first, _ = self._boards.get(step.board, (step, now, now))
        self._boards[step.board] = step, first, now
        self._print(str(step))

    def _print(self, text: str) -> None:
        if not self._drawn:
            click.echo(printable(f"…{time.monotonic() - self._begin:4.0f} s  {text}"), err=True)

    def table(self, width: int) -> Table:
        """Return what a terminal of so many columns shows now; a narrow one has no bars."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        table = Table.grid(padding=(0, 2, 0, 0))
        if not self._boards:
            table.add_row(Text(printable(self._text)), f"{now - self._begin:.0f} s")
        for step, first, last in self._boards.copy().values():
            seconds = (last if step.ended else now) - first
            done = step.number if step.ended else step.number - 1
            bar = [ProgressBar(total=step.total, completed=done, width=_BAR)] if width >= _WIDE else []
            count = Text(f"{step.number:>{len(str(step.total))}} of {step.total}  {seconds:3.0f} s")
            table.add_row(step.board, *bar, count, Text(printable(step.text)))
        for column in table.columns:
            column.no_wrap = True
        return table


@contextlib.contextmanager
def shown() -> Iterator[Display]:
    """Show progress while the block lasts; what was drawn on a terminal is gone after it."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield Display(drawn=False)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    display = Display(drawn=not console.is_dumb_terminal)
    if console.is_dumb_terminal:
        yield display
        return
    with Live(
        get_renderable=lambda: display.table(console.width), console=console, transient=True, redirect_stdout=False
    ):
        yield display
