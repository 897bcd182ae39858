"""``edge-sim run --board``: which real boards the user means, and whether they may be changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sim.cli.output import confirm, progress, say
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.emulation.ssh.address import Address
    from edge_sim.runs.runner import RealBoard
    from edge_sim.scenario import Scenario


def chosen(scenario: Scenario, named: Sequence[str], *, profiles: bool) -> list[Address]:
    """Return the real boards of a run: those of the command line, else those of the scenario that are the user's own.

    ``profiles``: the command line names simulated boards, and so takes the place of the scenario's. Raises UsageError
    for a board of the scenario that the user has not named anywhere.
    """
    from edge_sim.emulation.ssh import address
    from edge_sim.runs.realboards import check_own

    if named or profiles:
        return list(dict.fromkeys(map(address.parse, named)))
    named_boards = [address.parse(board) for board in scenario.real_boards]
    for board in named_boards:
        check_own(board, "the scenario", instead=f"Name it with --board {board}")
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


def refuse_tls(tls: bool, real: Sequence[Address], profiles: Sequence[DeviceProfile], broker: str | None) -> None:
    """Raise UsageError where boards of a run cannot have certificates that are wanted."""
    if not tls:
        return
    if broker:
        raise UsageError("--tls and --broker cannot be combined", hint="A broker of your own has its own certificates.")
    if profiles or not real:
        raise UsageError("--tls is only for boards over ssh: simulated boards have no certificates")


@contextmanager
def opened(
    scenario: Path, choice: Choice, boards: Sequence[Address], *, yes: bool, keep: bool, tls: bool
) -> Iterator[list[RealBoard]]:
    """Connect to boards, show what a run would do there, and ask unless ``yes``; the connections last as the block.

    ``keep``: what a run makes stays there. ``tls``: the boards get certificates, which need a clock that is right.

    Raises InvalidDefinitionError where the group is refused on a board, UnsupportedEnvironmentError where no run can
    be, UsageError where nobody can be asked.
    """
    if not boards:
        yield []
        return
    if not (yes or sys.stdin.isatty()):
        raise UsageError("a run changes a real board, and there is no terminal to confirm it", hint="Add --yes.")
    from edge_sim.emulation.ssh.connection import Connection
    from edge_sim.offline.inputs import read_inputs
    from edge_sim.runs.realboards import judged

    with ExitStack() as stack:
        inputs = read_inputs(scenario, choice=choice)
        real = []
        for address in boards:
            progress(f"{address}: connecting")
            connection = stack.enter_context(Connection(address))
            real.append(judged(connection, inputs, keep=keep, tls=tls, progress=progress, show=_show))
        if not yes:
            back = "leave it there" if keep else "put everything back"
            confirm(f"Run the scenario there, and {back} afterwards?")
        yield real


def _show(lines: Sequence[str]) -> None:
    say(*lines, err=True)
