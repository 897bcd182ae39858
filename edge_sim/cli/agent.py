"""``edge-sim agent run|layout|access|invoke|certificate``: the commands that run on the board.

``run`` prints one JSON object a line for every event; the others print one JSON object. They need only the four light
packages and the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.groups import Commands
from edge_sim.cli.options import GREENGRASS_ROOT, ROOT_HERE, PathType
from edge_sim.errors import UsageError, file_error

if TYPE_CHECKING:
    from edge_sim.agent.deployment.state import State
    from edge_sim.facts import HostFacts
    from edge_sim.greengrass.group import Group
    from edge_sim.greengrass.plan import Entry

_BOARD = click.option(
    "--config",
    type=PathType(path_type=Path, exists=True, dir_okay=False),
    help="The agent's configuration: where the core is installed, and what a simulated board represents.",
)


@click.group("agent", cls=Commands)
def command() -> None:
    """Run the agent on a board: deployments, functions, updates."""


@command.command()
@ROOT_HERE
@click.option(
    "--config",
    type=PathType(path_type=Path),
    required=True,
    help="A V1 core's config.json, or edge-sim's own JSON: thing, broker; also cafile, certificate, key, keepAlive, "
    "askEvery, stableWindow, connectLimit, stepTimeout, allowLoopback, greengrassRoot, packages, architecture, "
    "operatingSystem.",
)
def run(root: Path, config: Path) -> None:
    """Connect and carry out deployments and updates until SIGTERM.

    Example: edge-sim agent run --root / --config /etc/edge-sim/agent.json
    """
    from edge_sim.agent import program

    program.run(root, config)


@command.command()
@ROOT_HERE
@GREENGRASS_ROOT
@_BOARD
def layout(root: Path, greengrass_root: str, config: Path | None) -> None:
    """Print every path of the deployed group as it is on disk, and where it differs from the plan."""
    from edge_sim.agent.deployment import layout as disk
    from edge_sim.greengrass.plan import deployment_directory

    group, facts, entries, record = _deployed(root, greengrass_root, config)
    rows = disk.layout(root, facts, group, entries)
    differences = disk.differences(entries, rows, deployment_directory(facts), owners=not record.not_proven)
    document = {"layout": [row.as_json() for row in rows], "differences": differences, "not_proven": record.not_proven}
    _answer(document, status=7 if differences else 0)


@command.command()
@ROOT_HERE
@GREENGRASS_ROOT
@_BOARD
@click.option("--planned", is_flag=True, help="Read the group and its plan, as a host sends them, from standard input.")
def access(root: Path, greengrass_root: str, config: Path | None, planned: bool) -> None:
    """Show which function may open what, computed from the definition and probed by a real process of each function.

    Status 4: access is not as the definition says; 1: computed and probed access disagree.
    """
    from edge_sim.agent.functions import planned as sent
    from edge_sim.agent.functions.access import matrix

    if planned:
        rows = sent.rows(sys.stdin.buffer.read(), root, greengrass_root)
    else:
        group, facts, entries, _ = _deployed(root, greengrass_root, config)
        rows = matrix(group, root, facts, {entry.path: entry.node for entry in entries})
    agree = all(row.agree is not False for row in rows)
    as_defined = all(row.ok is not False for row in rows)
    _answer({"access": [row.as_json() for row in rows]}, status=0 if agree and as_defined else 4 if agree else 1)


@command.command()
@click.argument("function_id")
@ROOT_HERE
@GREENGRASS_ROOT
@_BOARD
@click.option("--event", default="{}", help="The event, as JSON.", show_default=True)
def invoke(function_id: str, root: Path, greengrass_root: str, config: Path | None, event: str) -> None:
    """Run a deployed function once, as the process the core would start for it.

    Example: sudo edge-sim agent invoke read-digits --event '{}'
    """
    from edge_sim.agent.functions import calls as functions
    from edge_sim.agent.functions.writes import states, writes
    from edge_sim.greengrass.process import function_process
    from edge_sim.strictjson import loads

    try:
        value = loads(event.encode("utf-8", "surrogateescape"), exact=False)
    except ValueError as error:
        raise UsageError(f"--event is not JSON: {error}") from error
    group, facts, _, _ = _deployed(root, greengrass_root, config)
    before = states(group, function_id, root, facts)
    outcome = functions.invoke(group, function_id, value, root, facts)
    changes = [vars(write) for write in writes(before, states(group, function_id, root, facts))]
    process = function_process(group, next(f for f in group.functions if f.id == function_id), facts)
    about = {"isolation": process.isolation, "identity": vars(process.identity), "writes": changes}
    _answer({**vars(outcome), **about}, status=0 if outcome.ok else 4)


@command.command()
@ROOT_HERE
@click.option("--expect", metavar="JSON", required=True, help="The device profile to compare with, as JSON.")
def certificate(root: Path, expect: str) -> None:
    """Compare this board with a device profile: what is true, emulated or not faithful.

    Example: edge-sim agent certificate --expect "$(edge-sim profiles show raspberry-pi-3 --format json)"
    """
    from edge_sim.agent.certificate import observe, read_claims
    from edge_sim.certificate import judge

    claims = read_claims(expect)
    _answer({"certificate": [row.as_json() for row in judge(claims, observe(root))]}, status=0)


def _deployed(root: Path, greengrass_root: str, config: Path | None) -> tuple[Group, HostFacts, Sequence[Entry], State]:
    """Return the group deployed below ``root``, the board's facts, the plan that was applied, and the record of it."""
    from edge_sim.agent.configfile import read_config
    from edge_sim.agent.deployment import state
    from edge_sim.agent.deployment.deployments import MAX_DOCUMENT_BYTES
    from edge_sim.agent.probe import StandIn, probe
    from edge_sim.agent.rooted import file_bytes, inside
    from edge_sim.greengrass import groupfile
    from edge_sim.greengrass.plan import paths_of_interest, plan
    from edge_sim.greengrass.tree import Tree
    from edge_sim.strictjson import members

    stand_in = StandIn()
    if config is not None:
        settings = read_config(config, root)
        greengrass_root = settings.greengrass_root
        stand_in = StandIn(architecture=settings.architecture, operating_system=settings.operating_system)
    gg = inside(root.resolve(), greengrass_root)
    path = inside(root.resolve(), Tree(greengrass_root).group_file)
    try:
        document = members(file_bytes(path, MAX_DOCUMENT_BYTES + 1), max_bytes=MAX_DOCUMENT_BYTES)
    except OSError as error:
        raise file_error(f"{path}: cannot be read: {error.strerror}", error, hint="Deploy a group first.") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    group = groupfile.decode(document)
    paths = paths_of_interest(group, greengrass_root)
    facts = probe(root, paths, greengrass_root=greengrass_root, stand_in=stand_in)
    record = state.read(gg)
    return group, facts, plan(group, facts, record.contents(group, facts), record.code(group, facts)), record


def _answer(value: dict[str, object], *, status: int) -> None:
    click.echo(json.dumps(value))
    sys.exit(status)
