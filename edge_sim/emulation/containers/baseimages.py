"""``python -m edge_sim.emulation.containers.baseimages``: the bases of all four architectures, made and in the engine.

This is ``make base-images``. Existing bases are not made again; one that cannot be made is reported, the others are
made.
"""

from __future__ import annotations

import signal
import sys

import click

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.containers import bases, engine, images
from edge_sim.errors import EdgeSimError


def main() -> None:
    """Exit status: that of the first failure, 0 without one."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        failed = make_all()
    except EdgeSimError as error:
        click.echo(error.explained(), err=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(failed[0].exit_status if failed else 0)


def make_all() -> list[EdgeSimError]:
    """Return what failed, after reporting it. Raises UnsupportedEnvironmentError when no engine answers."""
    failed: list[EdgeSimError] = []
    for architecture in ARCHITECTURES:
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
