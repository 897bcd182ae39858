"""``edge-sim profiles capture``: a device profile made of a real board."""

from __future__ import annotations

from pathlib import Path

import click

from edge_sim.cli.options import TO_FILE
from edge_sim.cli.output import say
from edge_sim.folders import write_file


@click.command("capture")
@click.argument("board", metavar="ssh://[USER@]HOST[:PORT]")
@TO_FILE
def capture(board: str, output: Path) -> None:
    """Write the profile of a real board: its accounts, devices, kernel, memory. Nothing is changed there.

    \b
    Example: edge-sim profiles capture ssh://pi@raspberrypi.local -o my-pi.yaml
             edge-sim validate GROUP --profile ./my-pi.yaml
    """
    from edge_sim.emulation.ssh import address
    from edge_sim.emulation.ssh.connection import Connection
    from edge_sim.offline import remote
    from edge_sim.offline.capture import as_yaml, profile_of

    where = address.parse(board)
    with Connection(where) as connection:
        connection.become_root()
        text = as_yaml(profile_of(remote.look(connection), where.name))
    write_file(output, text)
    say(f"{output}: the profile of {where}")
