"""``edge-sim run --board``: real boards, looked at and judged before anything on them is changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.output import progress, say
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.emulation.ssh.address import Address
    from edge_sim.emulation.ssh.connection import Connection
    from edge_sim.offline.inputs import Inputs
    from edge_sim.offline.listing import Listing
    from edge_sim.runs.runner import RealBoard
    from edge_sim.scenario import Scenario


def chosen(scenario: Scenario, named: Sequence[str], *, profiles: bool) -> list[Address]:
    """Return the real boards of a run: those of the command line, else those of the scenario that are the user's own.

    ``profiles``: the command line names simulated boards, and so takes the place of the scenario's. Raises UsageError
    for a board of the scenario that the user has not named anywhere.
    """
    from edge_sim.emulation.ssh import address

    if named or profiles:
        return list(dict.fromkeys(map(address.parse, named)))
    named_boards = [address.parse(board) for board in scenario.real_boards]
    for board in named_boards:
        if board not in address.own_boards():
            raise UsageError(
                f"the scenario names a real board, {board}, and you have not",
                hint=f"Name it with --board {board}, or on a line of {address.boards_file()}.",
            )
    return named_boards


def refuse_mixture(
    real: Sequence[Address], profiles: Sequence[DeviceProfile], driver: str, binds: Sequence[str]
) -> None:
    """Raise UsageError for what a run with real boards cannot have."""
    if real and binds:
        raise UsageError("--bind is for simulated boards")
    if real and profiles and driver == "docker":
        problem = "boards in containers and real ones reach the cloud in different ways"
        raise UsageError(problem, hint="Run one after the other.")


@contextmanager
def opened(
    scenario: Path, choice: Choice, boards: Sequence[Address], *, yes: bool, keep: bool
) -> Iterator[list[RealBoard]]:
    """Connect to boards, show what a run would do there, and ask unless ``yes``; the connections last as the block.

    ``keep``: what a run makes stays there.

    Raises InvalidDefinitionError where the group is refused on a board, UnsupportedEnvironmentError where no run can
    be, UsageError where nobody can be asked.
    """
    from edge_sim.emulation.ssh.connection import Connection
    from edge_sim.offline.inputs import read_inputs

    if boards and not (yes or sys.stdin.isatty()):
        raise UsageError("a run changes things on a real board, and nobody can be asked here", hint="Add --yes.")
    with ExitStack() as stack:
        inputs = read_inputs(scenario, choice=choice) if boards else None
        judged = []
        for address in boards:
            progress(f"{address}: connecting")
            connection = stack.enter_context(Connection(address))
            assert inputs is not None  # noqa: S101 - there are boards
            judged.append(_judged(connection, inputs, keep=keep))
        if boards and not yes:
            back = "leave it there" if keep else "put everything back"
            click.confirm(f"Run the scenario there, and {back} afterwards?", abort=True, err=True)
        yield judged


def _judged(connection: Connection, inputs: Inputs, *, keep: bool) -> RealBoard:
    from edge_sim.emulation import drivers
    from edge_sim.emulation.bundle import archive
    from edge_sim.emulation.ssh.board import GREENGRASS_ROOT
    from edge_sim.offline import remote
    from edge_sim.offline.capture import profile_of
    from edge_sim.runs.runner import RealBoard

    root = connection.become_root()
    progress(f"{connection.address}: looking at the board")
    seen = remote.look(connection, GREENGRASS_ROOT, remote.interest(inputs.scenario))
    profile = profile_of(seen, connection.address.name)
    profile = replace(profile, greengrass=replace(profile.greengrass, root=GREENGRASS_ROOT))
    _show(seen, profile, inputs, str(connection.address))
    if not root:
        raise UnsupportedEnvironmentError(
            f"{connection.address}: the account is not root's and has no sudo without a password: not proven there",
            hint="Log in as root, or allow it sudo -n. What is shown above was judged without; nothing was changed.",
        )
    clock = remote.clock_note(seen)
    return RealBoard(
        profile=profile,
        driver=drivers.ssh(
            connection,
            archive.bundle(profile.architecture, progress, newest=False),
            remote.visit(seen, inputs.scenario),
            keep=keep,
        ),
        notes=[clock] if clock else [],
    )


def _show(seen: Listing, profile: DeviceProfile, inputs: Inputs, name: str) -> None:
    """Print what the run's deployment would make on the board, and who could open what."""
    from edge_sim.offline import access, plantext, remote
    from edge_sim.offline.accesstext import access_lines
    from edge_sim.offline.packages import packed_group
    from edge_sim.offline.plan import make_plan

    with packed_group(inputs) as packed:
        plan = make_plan(packed, remote.target_of(seen, profile, inputs, name))
        lines = [
            *plantext.tree(plan),
            *access_lines(access.rows(plan), detailed=False),
            *(f"note: {note}" for note in plan.notes),
        ]
    say(*lines, err=True)
