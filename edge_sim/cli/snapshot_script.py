"""``edge-sim snapshot-script``: the script that lists a real board for ``edge-sim drift --snapshot``."""

from __future__ import annotations

import click


@click.command("snapshot-script")
def command() -> None:
    """Print a shell script that lists a board's deployment; it needs no Python on the board, and changes nothing.

    Run it on the board as root: sh snapshot.sh [GREENGRASS_ROOT [PATH...]], with the source paths of the
    definition's local resources. Pass its output to "edge-sim drift GROUP --snapshot FILE".

    \b
    Example: edge-sim snapshot-script | ssh root@board sh -s /greengrass /srv/meter >board.txt
    """
    from edge_sim.offline.listing import script

    click.echo(script(), nl=False)
