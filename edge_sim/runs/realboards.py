"""Real boards of a run: whose they are, and how each is looked at and judged before anything on it is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import drivers
from edge_sim.emulation.bundle import archive
from edge_sim.emulation.drivers import Progress
from edge_sim.emulation.ssh import address
from edge_sim.emulation.ssh.address import Address
from edge_sim.emulation.ssh.board import GREENGRASS_ROOT
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.offline import access, plantext, remote
from edge_sim.offline.accesstext import access_lines
from edge_sim.offline.capture import profile_of
from edge_sim.offline.inputs import Inputs
from edge_sim.offline.listing import Listing
from edge_sim.offline.packages import packed_group
from edge_sim.offline.plan import make_plan
from edge_sim.runs.runner import RealBoard


def check_own(board: Address, source: str, *, instead: str = "") -> None:
    """Raise UsageError for a board that ``source`` names and the user's own file does not list.

    What a stranger wrote must not act on it. ``instead`` is another way to allow it, as the hint's first words.
    """
    if board not in address.own_boards():
        raise UsageError(
            f"{source} names the real board {board}, which you have not named yourself",
            hint=f"{f'{instead}, or write' if instead else 'Write'} it on a line of {address.boards_file()}.",
        )


def judged(
    connection: Connection,
    inputs: Inputs,
    *,
    keep: bool,
    tls: bool = False,
    progress: Progress,
    show: Callable[[Sequence[str]], object],
) -> RealBoard:
    """Return the board at the other end of a connection as a run has it; nothing on it is changed.

    ``show`` takes, as lines, what a deployment would make there and who could open what. ``keep``: what a run makes
    stays there. ``tls``: the board's clock must be right. The connection stays the caller's, and must last as long as
    the board is used.

    Raises InvalidDefinitionError where the group is refused on that board, UnsupportedEnvironmentError where no run
    can be.
    """
    root = connection.become_root()
    progress(f"{connection.address}: inspecting the board")
    seen = remote.look(connection, GREENGRASS_ROOT, remote.interest(inputs.scenario))
    profile = profile_of(seen, connection.address.name)
    profile = replace(profile, greengrass=replace(profile.greengrass, root=GREENGRASS_ROOT))
    show(_lines(seen, profile, inputs, str(connection.address)))
    if not root:
        raise UnsupportedEnvironmentError(
            f"{connection.address}: the account is neither root nor allowed passwordless sudo: not proven there",
            hint="Log in as root, or allow it passwordless sudo (sudo -n). The group was checked without root; "
            "nothing was changed.",
        )
    clock = remote.clock_note(seen)
    if clock and tls:
        raise UnsupportedEnvironmentError(
            f"{connection.address}: {clock}", hint="Set it, or run without --tls. Nothing was changed."
        )
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


def _lines(seen: Listing, profile: DeviceProfile, inputs: Inputs, name: str) -> list[str]:
    with packed_group(inputs) as packed:
        plan = make_plan(packed, remote.target_of(seen, profile, inputs, name))
        return [
            *plantext.tree(plan),
            *access_lines(access.rows(plan), detailed=False),
            *(f"note: {note}" for note in plan.notes),
        ]
