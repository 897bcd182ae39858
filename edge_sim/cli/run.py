"""``edge-sim run``: the main job on a scenario."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import click

from edge_sim.errors import UnsupportedEnvironmentError


@click.command("run")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--profile", "names", multiple=True, metavar="NAME", help="Board to run on; repeat it. Default: the scenario's."
)
@click.option("--broker", metavar="URL", help="mqtt://… or mqtts://…; else mosquitto from the PATH, else embedded.")
@click.option("--format", "fmt", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
@click.option("--keep", is_flag=True, help="Leave the boards' root directories behind and say where.")
def command(scenario: Path, names: tuple[str, ...], broker: str | None, fmt: str, keep: bool) -> None:
    """Deploy SCENARIO (a folder with edge-sim.yaml) to boards, run its functions and updates, and report.

    \b
    Example: edge-sim run examples/no-container-ml --profile raspberry-pi-3 --format json
    """
    try:
        from rich.console import Console

        from edge_sim.emulation.scenario import load
        from edge_sim.profiles import load_profile
        from edge_sim.runs.runner import run
    except ModuleNotFoundError as error:
        raise UnsupportedEnvironmentError(
            f"this command needs the package {error.name}", hint='Install it with: pip install "edge-sim[sim]"'
        ) from error

    loaded = load(scenario)
    profiles = [load_profile(name) for name in names or loaded.boards]
    kept = Path(tempfile.mkdtemp(prefix="edge-sim-")) if keep else None
    told = Console(stderr=True)
    with told.status("…") as status:

        def progress(text: str) -> None:
            status.update(text)
            if not told.is_terminal:
                told.print(f"… {text}", highlight=False, markup=False)

        report = run(loaded, profiles, broker=broker, keep=kept, progress=progress)
    if fmt == "json":
        click.echo(json.dumps(report.as_json(), indent=2))
    elif fmt == "junit":
        from edge_sim.runs.junit import to_junit

        click.echo(to_junit(report), nl=False)
    else:
        from edge_sim.runs.text import print_report

        print_report(report, Console())
    if kept:
        click.echo(f"kept: {kept}", err=True)
    sys.exit(report.exit_status)
