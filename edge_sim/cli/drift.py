"""``edge-sim drift``: where a board differs from a group's plan."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import BOARD, GROUP, group_inputs
from edge_sim.cli.options import A_ROOT, GREENGRASS_ROOT, PathType
from edge_sim.cli.output import Output, Writers, output_options, page_writers, print_notes
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError
from edge_sim.printing import printable

if TYPE_CHECKING:
    from edge_sim.cli.group_options import ReadInputs
    from edge_sim.greengrass.group import Group
    from edge_sim.offline.drift import Drift
    from edge_sim.offline.target import Target
    from edge_sim.scenario import Scenario

DIFFERS, INCOMPLETE = 7, 6
_FILE = PathType(path_type=Path, exists=True, dir_okay=False, pipe_okay=True)
_EMPTY: dict[str, object] = {"target": None, "compared": 0, "differences": [], "not_compared": [], "notes": []}


@click.command("drift", cls=ReportCommand, empty=_EMPTY)
@GROUP
@A_ROOT
@click.option("--snapshot", type=_FILE, metavar="FILE", help="Output of the snapshot script on a board.")
@click.option("--tar", "tar_file", type=_FILE, metavar="FILE", help="A tar file of a board; nothing is extracted.")
@click.option("--image", metavar="NAME", help="A Docker image; it is not started.")
@BOARD
@GREENGRASS_ROOT
@group_inputs
@output_options("text", "json", "html", "markdown")
def command(
    group: Path,
    root: Path | None,
    snapshot: Path | None,
    tar_file: Path | None,
    image: str | None,
    remote_board: str | None,
    greengrass_root: str,
    read_inputs: ReadInputs,
    output: Output,
) -> None:
    """Show where a board differs from GROUP's plan; status 7 if it does.

    Compares type, owner, group, mode, ACLs and link target, and the content of packages that are available and that
    no function may write to. Status 6: everything that could be compared is as planned, but not everything could
    be.

    \b
    Example: edge-sim drift examples/no-container-ml --snapshot board.txt
    """
    if sum(source is not None for source in (root, snapshot, tar_file, image, remote_board)) != 1:
        raise UsageError("drift needs exactly one of --root, --snapshot, --tar, --image and --board")
    from edge_sim.offline.drift import drift
    from edge_sim.offline.packages import packed_group
    from edge_sim.scenario import redaction

    read = read_inputs(group)
    with (
        packed_group(read) as packed,
        _board(root, snapshot, tar_file, image, remote_board, read.group, greengrass_root) as board,
    ):
        result = drift(packed, board)
    result = redaction(read.scenario).value(replace(result, notes=(*read.notes, *result.notes)))
    output.write(_writers(result, board.name, read.scenario))
    if output.fmt == "text":
        print_notes(result.not_compared, "not compared")
        print_notes(result.notes)
    sys.exit(DIFFERS if result.differences else INCOMPLETE if result.not_compared else 0)


def _writers(drift: Drift, name: str, scenario: Scenario) -> Writers:
    from edge_sim.offline.page import drift_page

    document = {**_as_json(drift, name), "notes": drift.notes}
    places = scenario.definition.places
    return {
        "text": lambda: "\n".join(_lines(drift, name)) + "\n",
        "json": lambda: json.dumps(document, indent=2) + "\n",
        **page_writers(lambda: drift_page(drift, name, scenario.name, places, document)),
    }


@contextmanager
def _board(
    root: Path | None,
    snapshot: Path | None,
    tar_file: Path | None,
    image: str | None,
    remote_board: str | None,
    group: Group,
    greengrass_root: str,
) -> Iterator[Target]:
    from edge_sim.offline import listing, remote, target, tarlisting

    if root:
        yield target.of_root(root, group, greengrass_root)
    elif remote_board:
        yield remote.target(remote_board, group, greengrass_root)
    elif snapshot:
        yield listing.of_listing(listing.parse(snapshot), group, greengrass_root)
    elif tar_file:
        yield listing.of_listing(tarlisting.of_file(tar_file, greengrass_root), group, greengrass_root)
    else:
        yield listing.of_listing(tarlisting.of_image(str(image), greengrass_root), group, greengrass_root)


def _as_json(result: Drift, name: str) -> dict[str, object]:
    from edge_sim.greengrass.rows import node_json

    return {
        "target": name,
        "compared": result.compared,
        "differences": [
            {
                "path": difference.path,
                "kind": difference.kind,
                "resource": difference.resource,
                "function": difference.function,
                "words": list(difference.words),
                "expected": node_json(difference.expected) if difference.expected else None,
                "found": node_json(difference.actual) if difference.actual else None,
            }
            for difference in result.differences
        ],
        "not_compared": list(result.not_compared),
    }


def _lines(result: Drift, name: str) -> Iterator[str]:
    for entry in result.differences:
        whose = entry.resource or entry.function
        what = (
            ", ".join(entry.words)
            if entry.words
            else "missing"
            if entry.kind == "missing"
            else "not part of the deployment"
        )
        yield printable(f"{entry.path}: {what}" + (f"  [{whose}]" if whose else ""))
    verdict = f"{len(result.differences)} differences" if result.differences else "no difference"
    yield f"{name}: {result.compared} paths compared, {verdict}"
