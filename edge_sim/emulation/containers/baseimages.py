"""``python -m edge_sim.emulation.containers.baseimages``: the bases of boards in containers, made and in the engine.

This is ``make base-images``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import click

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.containers import bases, engine, images
from edge_sim.errors import EdgeSimError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("architectures", nargs=-1, type=click.Choice(list(ARCHITECTURES)), metavar="[ARCHITECTURE]...")
def main(architectures: tuple[str, ...]) -> None:
    """Build the bases of boards in containers, and load them into Docker.

    ARCHITECTURE: armv6l, armv7l, aarch64 or x86_64; without one, all four.

    Existing bases are kept. One that cannot be built is reported, and the others are built all the same. The exit
    status is that of the first failure."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        failed = make(architectures or tuple(ARCHITECTURES))
    except EdgeSimError as error:
        click.echo(error.explained(), err=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(failed[0].exit_status if failed else 0)


def make(architectures: Sequence[str]) -> list[EdgeSimError]:
    """Return what failed, after reporting it. Raises UnsupportedEnvironmentError when no engine answers."""
    failed: list[EdgeSimError] = []
    for architecture in architectures:
        with engine.connected() as client:  # without an engine a base is of no use
            try:
                base = bases.make(architecture, click.echo)
            except EdgeSimError as error:
                click.echo(error.explained(), err=True)
                failed.append(error)
            else:
                click.echo(f"{base.architecture}: {images.import_base(base, client, click.echo)}")
    return failed


if __name__ == "__main__":
    main()
