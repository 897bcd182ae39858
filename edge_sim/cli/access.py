"""``edge-sim access``: which function may open what, why, and which change would alter it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli import completion
from edge_sim.cli.group_options import BOARD, GROUP, PROFILES, group_inputs
from edge_sim.cli.options import A_ROOT, GREENGRASS_ROOT, STRICT, UNKNOWN, absolute
from edge_sim.cli.output import Output, Writers, output_options, page_writers, print_notes, progress
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError
from edge_sim.printing import printable

if TYPE_CHECKING:
    from edge_sim.cli.group_options import ReadInputs
    from edge_sim.greengrass.group import Group
    from edge_sim.greengrass.rows import AccessRow
    from edge_sim.offline.inputs import Inputs
    from edge_sim.offline.page import BoardAccess
    from edge_sim.offline.plan import OfflinePlan
    from edge_sim.offline.target import Target

    Prober = Callable[[OfflinePlan], list[AccessRow]]

DISAGREEMENT, NOT_AS_DEFINED = 1, 4
_EMPTY: dict[str, object] = {"boards": [], "unknown": 0, "notes": []}


@click.command("access", cls=ReportCommand, empty=_EMPTY)
@GROUP
@click.option(
    "--function",
    "function_id",
    metavar="F",
    shell_complete=completion.functions,
    help="Show only this function, with its chain of reasons.",
)
@click.option(
    "--path",
    metavar="P",
    callback=absolute,
    help="Show access to this path, as functions name it, instead of the resources.",
)
@PROFILES
@A_ROOT
@BOARD
@click.option(
    "--probe",
    is_flag=True,
    help="With --root or --board, as root: also open each path from a process with the function's identity.",
)
@GREENGRASS_ROOT
@group_inputs
@STRICT
@output_options("text", "json", "html", "markdown")
def command(
    group: Path,
    function_id: str | None,
    path: str | None,
    names: tuple[str, ...],
    root: Path | None,
    remote_board: str | None,
    probe: bool,
    greengrass_root: str,
    read_inputs: ReadInputs,
    strict: bool,
    output: Output,
) -> None:
    """For each function and resource, show whether it can be read, written, listed or executed, and why.

    Access is granted by attachment, by a shared GID alone, by world bits, by ownership, or because the process is root.
    Where access differs from the definition, and always with --function or --path, the chain of reasons follows, with
    the change that would grant a missing right or remove an unexpected one. The blast radius (what the GIDs mean on
    this board) comes last. What a profile does not list is unknown; the last line counts unknowns. Status 4: access is
    not as the definition says; 1: computed and probed access disagree.

    \b
    Example: edge-sim access examples/no-container-ml --profile raspberry-pi-3
    """
    if probe and root is None and remote_board is None:
        raise UsageError("--probe needs a board that the group has been deployed to: --root DIR or --board ssh://HOST")
    from edge_sim.offline.packages import packed_group
    from edge_sim.offline.plan import make_plan
    from edge_sim.scenario import redaction

    read = read_inputs(group)
    _check(function_id, [function.id for function in read.group.functions])
    if bool(root) + bool(names) + bool(remote_board) > 1:
        raise UsageError("--root, --board and --profile cannot be combined")
    with packed_group(read) as packed, ExitStack() as stack:
        prober: Prober | None = None
        if remote_board:
            targets, remote_prober = _remote(stack, remote_board, read.group, greengrass_root, path)
            prober = remote_prober if probe else None
        else:
            targets = _targets(read, names, root, greengrass_root)
            prober = _local(root, path) if probe and root else None
        boards = [
            look(make_plan(packed, board), root and root.resolve(), path, function_id, prober) for board in targets
        ]
    boards, notes = redaction(read.scenario).value((boards, read.notes))
    output.write(_writers(boards, read, notes, detailed=bool(function_id or path)))
    if output.fmt == "text":
        print_notes([note for board in boards for note in board.notes] + notes)
    unknown = sum(board.unknown for board in boards)
    sys.exit(status([row for board in boards for row in board.access]) or (UNKNOWN if strict and unknown else 0))


def look(
    plan: OfflinePlan, root: Path | None, path: str | None, function_id: str | None, prober: Prober | None = None
) -> BoardAccess:
    """Answer for one board; ``root`` is where it lies on this machine, ``prober`` what tries it out there."""
    from edge_sim.greengrass.blast import blast_radius
    from edge_sim.offline import access
    from edge_sim.offline.page import BoardAccess

    closed: set[str] = set()
    if prober:
        rows = prober(plan)
    elif path:
        rows = access.of_path(plan, path, root)
    else:
        rows = access.rows(plan, root, closed)
    selection = [row for row in rows if function_id in (None, row.function)]
    asked_for_all = path is None and function_id is None
    unasked = {use.resource for use in plan.uses if use.doubt and asked_for_all} - {row.resource for row in rows}
    odd = (f"{line.path}: not as planned: {', '.join(line.words)}" for line in plan.changes if prober and line.words)
    stopped = dict.fromkeys(row.not_started for row in selection if row.not_started)
    unseen = (f"{place}: not read, because only root may read it" for place in sorted(closed))
    return BoardAccess(
        target=plan.target.name,
        access=selection,
        blast_radius=blast_radius(plan.group, plan.target.facts),
        notes=[*plan.notes, *odd, *unseen, *(f"{why}: it can open nothing" for why in stopped)],
        unknown=sum(row.unknown is not None for row in selection) + len(unasked),
    )


def _check(function_id: str | None, known: Sequence[str]) -> None:
    if function_id is not None and function_id not in known:
        raise UsageError(f"the group has no function {function_id}", hint=f"Functions: {', '.join(known) or 'none'}.")


def _remote(
    stack: ExitStack, board: str, group: Group, greengrass_root: str, path: str | None
) -> tuple[list[Target], Prober]:
    """Return a board over ssh, and what probes it as long as ``stack`` keeps the connection."""
    from edge_sim.emulation.ssh.address import parse
    from edge_sim.emulation.ssh.connection import Connection
    from edge_sim.offline import remote, remoteprobe

    connection = stack.enter_context(Connection(parse(board)))
    seen, target = remote.seen_target(connection, group, greengrass_root)
    return [target], lambda plan: remoteprobe.probe_rows(plan, connection, seen, path, progress)


def _local(root: Path, path: str | None) -> Prober:
    from edge_sim.offline import access

    return lambda plan: access.probe_rows(plan, root.resolve(), path)


def _targets(read: Inputs, names: Sequence[str], root: Path | None, greengrass_root: str) -> list[Target]:
    from edge_sim.offline import target
    from edge_sim.profiles import load_profiles

    if root:
        return [target.of_root(root, read.group, greengrass_root)]
    targets = names or read.scenario.boards
    if not targets:
        raise UsageError(
            "access needs --profile NAME, --root DIR or --board ssh://HOST", hint="See: edge-sim profiles list"
        )
    return [target.of_profile(profile, read.scenario.files) for profile in load_profiles(targets)]


def status(rows: Sequence[AccessRow]) -> int:
    """Return the exit status of what was found: 1 for a disagreement, 4 for access not as defined, else 0."""
    if any(row.agree is False for row in rows):
        return DISAGREEMENT
    return NOT_AS_DEFINED if any(row.ok is False for row in rows) else 0


def _writers(boards: Sequence[BoardAccess], read: Inputs, notes: Sequence[str], *, detailed: bool) -> Writers:
    from edge_sim.offline.page import access_page

    unknown = sum(board.unknown for board in boards)
    document = {"boards": [board.as_json() for board in boards], "unknown": unknown, "notes": notes}
    places = read.scenario.definition.places
    return {
        "text": lambda: "\n".join(_lines(boards, unknown, detailed=detailed)) + "\n",
        "json": lambda: json.dumps(document, indent=2) + "\n",
        **page_writers(lambda: access_page(boards, read.scenario.name, places, notes, document)),
    }


def _lines(boards: Sequence[BoardAccess], unknown: int, *, detailed: bool) -> Iterator[str]:
    from edge_sim.offline.accesstext import access_lines, blast_lines

    for board in boards:
        yield board.target
        lines = (*access_lines(board.access, detailed=detailed), *blast_lines(board.blast_radius, whole=detailed))
        yield from (f"  {printable(line)}" for line in lines)
    if unknown:
        yield f"{unknown} unknown"
