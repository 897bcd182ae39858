"""``edge-sim board restore``: a real board as it was, after a run that was cut off."""

from __future__ import annotations

import click

from edge_sim.cli.output import say
from edge_sim.errors import UnsupportedEnvironmentError


@click.command("restore")
@click.argument("board", metavar="ssh://[USER@]HOST[:PORT]")
def restore(board: str) -> None:
    """End the run that is on a real board, and undo what it did there.

    For a run that lost its connection, or was killed. What is to be undone is in a journal on the board.

    \b
    Example: edge-sim board restore ssh://pi@raspberrypi.local
    """
    from edge_sim.emulation.ssh import address
    from edge_sim.emulation.ssh.board import restore as put_back
    from edge_sim.emulation.ssh.connection import Connection

    where = address.parse(board)
    with Connection(where) as connection:
        if not connection.become_root():
            raise UnsupportedEnvironmentError(
                f"{where}: the account is not root's and has no sudo without a password",
                hint="Log in as root, or allow it sudo -n.",
            )
        for sentence in put_back(connection):
            say(sentence)
    say(f"{where}: no run is on the board")
