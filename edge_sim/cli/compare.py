"""``edge-sim compare``: what differs between two reports."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edge_sim.cli.options import PathType
from edge_sim.cli.output import Output, output_options, page_writers
from edge_sim.cli.report import ReportCommand

DIFFERS = 7
_EMPTY: dict[str, object] = {
    "a": None,
    "b": None,
    "equal": False,
    "compared": {},
    "differences": [],
    "not_compared": [],
}


@click.command("compare", cls=ReportCommand, empty=_EMPTY)
@click.argument("a", type=PathType(path_type=Path))
@click.argument("b", type=PathType(path_type=Path))
@output_options("text", "json", "html", "markdown")
def command(a: Path, b: Path, output: Output) -> None:
    """Show which access, path, mode, rule or update differs between the reports A and B; status 7 if any does.

    A and B are JSON or HTML reports of run, validate, matrix, access, plan or drift. Only what both reports contain
    is compared; ids, times and line numbers are ignored. Boards and kinds of facts that only one report contains
    are listed.

    \b
    Example: edge-sim compare before.html after.html --report difference.html
    """
    from edge_sim.comparison.compare import compare, lines
    from edge_sim.comparison.facts import read
    from edge_sim.comparison.page import page
    from edge_sim.redaction import Redaction

    comparison = Redaction(()).value(compare(read(a), read(b)))
    output.write(
        {
            "text": lambda: "\n".join(lines(comparison)) + "\n",
            "json": lambda: json.dumps(comparison.as_json(), indent=2) + "\n",
            **page_writers(lambda: page(comparison)),
        }
    )
    sys.exit(DIFFERS if comparison.differences else 0)
