"""``edge-sim run``: the main job on a scenario."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edge_sim.cli import completion, run_board
from edge_sim.cli.addresses import named_broker
from edge_sim.cli.group_options import PROFILES, template_choice
from edge_sim.cli.options import BROKER, BROKER_CAFILE, PathType, driver_option
from edge_sim.cli.output import Output, Writers, output_options, page_writers, say
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.runs.results import RunReport
_EMPTY: dict[str, object] = {"ok": False, "scenario": None, "parts": {}, "boards": []}


@click.command("run", cls=ReportCommand, empty=_EMPTY)
@click.argument("scenario", type=PathType(path_type=Path))
@PROFILES
@driver_option("local: namespaces of this machine; docker: containers of the boards' own architecture.")
@click.option(
    "--board",
    "boards",
    multiple=True,
    metavar="ssh://[USER@]HOST[:PORT]",
    shell_complete=completion.real_boards,
    help="A real board, reached with your own OpenSSH; may be repeated. With --profile, simulated boards run as well.",
)
@click.option("--yes", is_flag=True, help="Change a real board without asking.")
@click.option("--tls", is_flag=True, help="With --board: the cloud requires certificates; each board gets its own.")
@click.option(
    "--bind", "binds", multiple=True, metavar="HOST:BOARD", help="Mount a path of this machine on every board."
)
@BROKER
@BROKER_CAFILE
@output_options("text", "json", "sarif", "junit", "github", "html", "markdown")
@click.option(
    "--summary", "detail", flag_value="summary", help="Text format: print only problems, and a line for each board."
)
@click.option(
    "--verbose",
    "detail",
    flag_value="verbose",
    help="Text format: also print reasons, logs, messages and complete trees.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the boards' root directories and print where they are; on a real board, until edge-sim board restore.",
)
@template_choice
def command(
    scenario: Path,
    names: tuple[str, ...],
    driver: Literal["local", "docker"],
    boards: tuple[str, ...],
    yes: bool,
    tls: bool,
    binds: tuple[str, ...],
    broker: str | None,
    broker_cafile: Path | None,
    output: Output,
    detail: Literal["summary", "verbose"] | None,
    keep: bool,
    choice: Choice,
) -> None:
    """Deploy SCENARIO (a folder with edge-sim.yaml) to boards, run its functions and updates, and report.

    With --board the run uses a real board, which is restored afterwards except for the agent's bundle. The board's
    state and all planned changes are shown before anything is changed.

    \b
    Example: edge-sim run examples/no-container-ml --driver docker --profile raspberry-pi-3 --format json
             edge-sim run examples/no-container-ml --board ssh://pi@raspberrypi.local
    """
    from edge_sim.profiles import load_profiles
    from edge_sim.runs.runner import run
    from edge_sim.scenario import load

    named = named_broker(broker, broker_cafile)
    loaded = load(scenario, choice)
    real = run_board.chosen(loaded, boards, profiles=bool(names))
    profiles = load_profiles(names or (() if boards else loaded.boards))
    run_board.refuse_mixture(real, profiles, driver, binds)
    run_board.refuse_tls(tls, real, profiles, broker)
    bind_list = dict(bind(text) for text in binds)
    with (
        _keep_folder(keep, local=driver == "local") as folder,
        run_board.opened(scenario, choice, real, yes=yes, keep=keep, tls=tls) as opened,
    ):
        with shown() as display:
            report = run(
                loaded,
                profiles,
                real=opened,
                driver=driver if profiles else "local",
                broker=named,
                tls=tls,
                binds=bind_list,
                keep=folder,
                progress=display.say,
                on_step=display.step,
            )
        output.write(_writers(report, detail), terminal=partial(_show, report, detail, str(scenario)))
    sys.exit(report.exit_status)


def _writers(report: RunReport, detail: Literal["summary", "verbose"] | None) -> Writers:
    from edge_sim.runs.claims import CHECKS, of_run
    from edge_sim.runs.junit import to_junit
    from edge_sim.runs.page import page
    from edge_sim.runs.text import as_text
    from edge_sim.validation import annotations, sarif

    return {
        "text": lambda: as_text(report, detail or "usual"),
        "json": lambda: json.dumps(report.as_json(), indent=2) + "\n",
        "sarif": lambda: json.dumps(sarif.log(of_run(report), CHECKS), indent=2) + "\n",
        "junit": lambda: to_junit(report),
        "github": lambda: "".join(f"{line}\n" for line in annotations.github(of_run(report))),
        **page_writers(lambda: page(report)),
    }


def _show(report: RunReport, detail: Literal["summary", "verbose"] | None, scenario: str) -> None:
    from edge_sim.runs.summary import next_step
    from edge_sim.runs.text import output, print_report

    print_report(report, output(), detail or "usual")
    say(f"next: {next_step(report, scenario)}")


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
            say(f"kept: {place}", err=True)
            # The board's accounts are subordinate ids then, whose files only they may remove.
            if local and os.geteuid() != 0:
                say(f"hint: To remove it: unshare --map-auto --map-root-user rm -r {shlex.quote(str(place))}", err=True)


def bind(text: str, option: str = "--bind") -> tuple[str, Path]:
    """Return board path and host path of an ``option`` HOST:BOARD; raises UsageError."""
    host, colon, board = text.rpartition(":")
    if not colon or not host or not board.startswith("/") or ".." in board.split("/"):
        raise UsageError(f"{option} {text}: not HOST:BOARD with an absolute path on the board")
    path = Path(host).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"{option} {text}: {path} does not exist on this machine")
    return board, path
