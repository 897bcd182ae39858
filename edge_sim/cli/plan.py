"""``edge-sim plan``: what a deployment would create on a board, path by path, compared with the board."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import GROUP, group_inputs, profile_option
from edge_sim.cli.options import A_ROOT, GREENGRASS_ROOT, STRICT, UNKNOWN
from edge_sim.cli.output import Output, output_options, page_writers, print_notes
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.cli.group_options import ReadInputs
_EMPTY: dict[str, object] = {
    "target": None,
    "entries": [],
    "uses": [],
    "unknown": [],
    "changes": {"create": 0, "change": 0, "remove": 0},
    "notes": [],
}


@click.command("plan", cls=ReportCommand, empty=_EMPTY)
@GROUP
@profile_option("A fresh board with this profile.")
@A_ROOT
@GREENGRASS_ROOT
@group_inputs
@STRICT
@output_options("text", "json", "html", "markdown")
def command(
    group: Path,
    profile_name: str | None,
    root: Path | None,
    greengrass_root: str,
    read_inputs: ReadInputs,
    strict: bool,
    output: Output,
) -> None:
    """Show every path that deploying GROUP creates: type, owner, mode, link target, and why.

    GROUP is a scenario's folder or a definition. With --root the plan is compared with the board (+ create, ~
    change, - remove). Nothing is changed, and root is not needed. Status 3: the core would refuse the group.

    \b
    Example: edge-sim plan examples/no-container-ml --profile raspberry-pi-3
    """
    if (profile_name is None) == (root is None):
        raise UsageError("plan needs either --profile NAME or --root DIR", hint="See: edge-sim profiles list")
    from edge_sim.offline import plantext, target
    from edge_sim.offline.packages import packed_group
    from edge_sim.offline.page import plan_page
    from edge_sim.offline.plan import make_plan
    from edge_sim.profiles import load_profile
    from edge_sim.scenario import redaction

    read = read_inputs(group)
    if profile_name:
        board = target.of_profile(load_profile(profile_name), read.scenario.files)
    else:
        assert root is not None  # noqa: S101 - checked above
        board = target.of_root(root, read.group, greengrass_root)
    with packed_group(read) as packed:
        result = make_plan(packed, board)
    notes = redaction(read.scenario).value([*read.notes, *result.notes])
    document = {**plantext.as_json(result), "notes": notes}
    output.write(
        {
            "text": lambda: "\n".join(plantext.tree(result)) + "\n",
            "json": lambda: json.dumps(document, indent=2) + "\n",
            **page_writers(
                lambda: plan_page(result, read.scenario.name, read.scenario.definition.places, notes, document)
            ),
        }
    )
    if output.fmt == "text":
        print_notes(notes)
    sys.exit(UNKNOWN if strict and result.unknowns else 0)
