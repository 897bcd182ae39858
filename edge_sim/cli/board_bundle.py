"""``edge-sim board bundle``: the agent for a board in one file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_sim.arch import ARCHITECTURES
from edge_sim.cli.group_options import profile_option
from edge_sim.cli.options import FORMAT, TO_FILE
from edge_sim.cli.output import say
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError
from edge_sim.folders import write_file


@click.command("bundle", cls=ReportCommand)
@profile_option("Build for this profile's architecture.")
@click.option("--architecture", type=click.Choice(list(ARCHITECTURES)), help="Build for this architecture.")
@TO_FILE
@click.option("--deb", is_flag=True, help="Write a Debian package with the same content and a systemd unit instead.")
@FORMAT
def bundle(profile_name: str | None, architecture: str | None, output: Path, deb: bool, fmt: str) -> None:
    """Write the agent for a board as a tar.gz; the board needs only a kernel and a shell to run it.

    It contains a C library and Python from Debian's packages. docs/boards.md explains how to install it.

    \b
    Example: edge-sim board bundle --profile raspberry-pi-3 -o agent.tar.gz
    """
    if (profile_name is None) == (architecture is None):
        raise UsageError("board bundle needs either --profile NAME or --architecture NAME")
    from edge_sim.emulation.bundle import archive
    from edge_sim.profiles import load_profile

    chosen = architecture or load_profile(str(profile_name)).architecture
    with shown() as display:
        result = archive.bundle(chosen, display.say)
    content = result.packed
    if deb:
        from edge_sim.emulation.bundle.deb import package

        content = package(result)
    write_file(output, content)
    about = {"file": str(output), "version": result.version, "architecture": chosen}
    sizes = {"bytes": len(content), "unpacked_bytes": result.unpacked}
    if fmt == "json":
        click.echo(json.dumps({**about, **sizes}))
    else:
        size = f"{len(content) / 1e6:.1f} MB, {result.unpacked / 1e6:.1f} MB unpacked"
        say(f"{output}: {result.version} for {chosen}, {size}")
