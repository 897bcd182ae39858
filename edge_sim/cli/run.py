"""``edge-sim run``: the main job on a scenario."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click

from edge_sim.cli.options import BROKER, BROKER_CAFILE
from edge_sim.errors import UsageError

ONE_OF_EACH = ("raspberry-pi-zero-w", "raspberry-pi-3", "raspberry-pi-4", "generic-x86_64")
"""What ``--all`` means, a profile of each architecture: armv6l, armv7l, aarch64, x86_64.

Boards on which Greengrass did everything: on OpenWrt, AWS's guide says, it had no ML inference.
"""


@click.command("run")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--profile", "names", multiple=True, metavar="NAME", help="Board to run on; repeat it. Default: the scenario's."
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Instead of --profile, one board of each architecture: " + ", ".join(ONE_OF_EACH) + ".",
)
@click.option(
    "--driver",
    type=click.Choice(["local", "docker"]),
    default="local",
    show_default=True,
    help="local: namespaces of this machine; docker: containers of the boards' own architecture.",
)
@click.option("--bind", "binds", multiple=True, metavar="HOST:BOARD", help="A path of this machine, on every board.")
@BROKER
@BROKER_CAFILE
@click.option("--format", "fmt", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
@click.option("--keep", is_flag=True, help="Leave the boards' root directories behind and say where.")
def command(
    scenario: Path,
    names: tuple[str, ...],
    every: bool,
    driver: Literal["local", "docker"],
    binds: tuple[str, ...],
    broker: str | None,
    broker_cafile: Path | None,
    fmt: str,
    keep: bool,
) -> None:
    """Deploy SCENARIO (a folder with edge-sim.yaml) to boards, run its functions and updates, and report.

    \b
    Example: edge-sim run examples/no-container-ml --driver docker --all --format json
    """
    if every and names:
        raise UsageError("--all and --profile exclude each other")
    if broker_cafile and not broker:
        raise UsageError("--broker-cafile goes with --broker mqtts://HOST:PORT")
    from rich.console import Console

    from edge_sim.profiles import load_profile
    from edge_sim.runs.cloudprocess import NamedBroker
    from edge_sim.runs.runner import run
    from edge_sim.scenario import load

    loaded = load(scenario)
    chosen = ONE_OF_EACH if every else names or loaded.boards
    profiles = [load_profile(name) for name in dict.fromkeys(chosen)]
    given = dict(bind(text) for text in binds)
    told = Console(stderr=True)
    with _kept(keep, local=driver == "local") as kept:
        with told.status("…") as status:

            def progress(text: str) -> None:
                status.update(text)
                if not told.is_terminal:
                    told.print(f"… {text}", highlight=False, markup=False)

            report = run(
                loaded,
                profiles,
                driver=driver,
                broker=NamedBroker(url=broker, cafile=broker_cafile) if broker else None,
                binds=given,
                keep=kept,
                progress=progress,
            )
        if fmt == "json":
            click.echo(json.dumps(report.as_json(), indent=2))
        elif fmt == "junit":
            from edge_sim.runs.junit import to_junit

            click.echo(to_junit(report), nl=False)
        else:
            from edge_sim.runs.text import print_report

            print_report(report, Console())
    sys.exit(report.exit_status)


@contextlib.contextmanager
def _kept(keep: bool, *, local: bool) -> Iterator[Path | None]:
    """Yield a directory for what is kept; say where it is however the run ends, and leave none that is empty."""
    if not keep:
        yield None
        return
    place = Path(tempfile.mkdtemp(prefix="edge-sim-"))
    try:
        yield place
    finally:
        if not any(place.iterdir()):
            place.rmdir()
        else:
            click.echo(f"kept: {place}", err=True)
            # The board's accounts are subordinate ids then, whose files only they may remove.
            if local and os.geteuid() != 0:
                click.echo(f"hint: To remove it: unshare --map-auto --map-root-user rm -r {place}", err=True)


def bind(text: str, option: str = "--bind") -> tuple[str, Path]:
    """Return board path and host path of an ``option`` HOST:BOARD; raises UsageError."""
    host, colon, board = text.rpartition(":")
    if not colon or not host or not board.startswith("/") or ".." in board.split("/"):
        raise UsageError(f"{option} {text}: not HOST:BOARD with an absolute path on the board")
    path = Path(host).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"{option} {text}: {path} does not exist on this machine")
    return board, path
