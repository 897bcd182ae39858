"""``edge-sim board restore``: a real board as it was, after a run that was cut off."""

from __future__ import annotations

import click

from edge_sim.cli.output import say


@click.command("restore")
@click.argument("board", metavar="ssh://[USER@]HOST[:PORT]")
@click.option("--bundle", is_flag=True, help="Also remove the agent's bundle, which runs leave on the board.")
def restore(board: str, bundle: bool) -> None:
    """End the run that is in progress on a real board, and undo its changes.

    Use it after a run that lost its connection, was killed, or was started with --keep. A journal on the board
    lists what to undo.

    \b
    Example: edge-sim board restore ssh://pi@raspberrypi.local
    """
    from edge_sim.emulation.ssh import address, hold
    from edge_sim.emulation.ssh.connection import Connection

    where = address.parse(board)
    with Connection(where) as connection:
        connection.require_root()
        for sentence in hold.restore(connection):
            say(sentence)
        if bundle:
            hold.forget(connection)
    say(f"{where}: no run is in progress on the board")
