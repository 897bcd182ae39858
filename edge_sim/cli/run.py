"""``edge-sim run``: the main job on a scenario."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edge_sim.cli.options import BROKER, BROKER_CAFILE, PROFILES, PathType, template_choice
from edge_sim.cli.output import Output, Writers, output_options, page_writers
from edge_sim.cli.report import Report
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.runs.results import RunReport
_EMPTY: dict[str, object] = {"ok": False, "scenario": None, "parts": {}, "boards": []}


@click.command("run", cls=Report, empty=_EMPTY)
@click.argument("scenario", type=PathType(path_type=Path))
@PROFILES
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
@output_options("text", "json", "sarif", "junit", "github", "html", "markdown")
@click.option("--keep", is_flag=True, help="Leave the boards' root directories behind and say where.")
@template_choice
def command(
    scenario: Path,
    names: tuple[str, ...],
    driver: Literal["local", "docker"],
    binds: tuple[str, ...],
    broker: str | None,
    broker_cafile: Path | None,
    output: Output,
    keep: bool,
    choice: Choice,
) -> None:
    """Deploy SCENARIO (a folder with edge-sim.yaml) to boards, run its functions and updates, and report.

    \b
    Example: edge-sim run examples/no-container-ml --driver docker --profile raspberry-pi-3 --format json
    """
    if broker_cafile and not broker:
        raise UsageError("--broker-cafile goes with --broker mqtts://HOST:PORT")
    if broker:
        from edge_sim.cloud.brokers.broker import tls_context

        tls_context(broker, broker_cafile)  # before anything is started
    from rich.console import Console

    from edge_sim.profiles import load_profiles
    from edge_sim.runs.cloudprocess import NamedBroker
    from edge_sim.runs.runner import run
    from edge_sim.scenario import load

    loaded = load(scenario, choice)
    profiles = load_profiles(names or loaded.boards)
    bind_list = dict(bind(text) for text in binds)
    console = Console(stderr=True)
    with _keep_folder(keep, local=driver == "local") as folder:
        with console.status("…") as status:

            def progress(text: str) -> None:
                status.update(text)
                if not console.is_terminal:
                    console.print(f"… {text}", highlight=False, markup=False, soft_wrap=True)

            report = run(
                loaded,
                profiles,
                driver=driver,
                broker=NamedBroker(url=broker, cafile=broker_cafile) if broker else None,
                binds=bind_list,
                keep=folder,
                progress=progress,
            )
        output.write(_writers(report), terminal=partial(_show, report))
    sys.exit(report.exit_status)


def _writers(report: RunReport) -> Writers:
    from edge_sim.runs.claims import CHECKS, of_run
    from edge_sim.runs.junit import to_junit
    from edge_sim.runs.page import page
    from edge_sim.runs.text import as_text
    from edge_sim.validation import annotations, sarif

    return {
        "text": lambda: as_text(report),
        "json": lambda: json.dumps(report.as_json(), indent=2) + "\n",
        "sarif": lambda: json.dumps(sarif.log(of_run(report), CHECKS), indent=2) + "\n",
        "junit": lambda: to_junit(report),
        "github": lambda: "".join(f"{line}\n" for line in annotations.github(of_run(report))),
        **page_writers(lambda: page(report)),
    }


def _show(report: RunReport) -> None:
    from edge_sim.runs.text import output, print_report

    print_report(report, output())


@contextlib.contextmanager
def _keep_folder(keep: bool, *, local: bool) -> Iterator[Path | None]:
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
