"""``edge-sim apply``: lay a group out on a board's root directory, all of it or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import GROUP, group_inputs
from edge_sim.cli.options import FORMAT, GREENGRASS_ROOT, ROOT
from edge_sim.cli.output import print_notes, say
from edge_sim.cli.report import ReportCommand

if TYPE_CHECKING:
    from edge_sim.cli.group_options import ReadInputs
_EMPTY: dict[str, object] = {"changed": False, "entries": [], "notes": []}


@click.command("apply", cls=ReportCommand, empty=_EMPTY)
@GROUP
@ROOT
@GREENGRASS_ROOT
@group_inputs
@FORMAT
def command(
    group: Path,
    root: Path,
    greengrass_root: str,
    read_inputs: ReadInputs,
    fmt: str,
) -> None:
    """Apply the plan shown by "edge-sim plan GROUP --root DIR". If anything fails, nothing is changed.

    Paths of an earlier deployment that the definition no longer has are removed; paths that no deployment created
    are kept. Accounts and groups are read from the board's own /etc. Setting owners needs root or a user namespace
    (unshare --map-auto --map-root-user).

    \b
    Example: edge-sim apply examples/no-container-ml --root /srv/boards/pi
    """
    from edge_sim.offline import plantext, target
    from edge_sim.offline.apply import apply
    from edge_sim.offline.packages import packed_group

    read = read_inputs(group)
    board = target.of_root(root, read.group, greengrass_root)
    with packed_group(read, listed=False) as packed:
        applied = apply(packed, root, board)
    notes = [*read.notes, *applied.notes]
    if fmt == "json":
        changes = [plantext.entry(line) for line in applied.lines if line.kind]
        click.echo(json.dumps({"changed": applied.changed, "entries": changes, "notes": notes}, indent=2))
        return
    say(*plantext.lines(applied.lines, board.facts, changes_only=True), plantext.summary(applied.lines))
    print_notes(notes)
