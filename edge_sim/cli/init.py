"""``edge-sim init``: write a first scenario for a group."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from edge_sim.cli.options import PROFILES, PathType
from edge_sim.cli.output import print_notes, say
from edge_sim.errors import UsageError

_GUESS = "raspberry-pi-3"


@click.command("init")
@click.argument("paths", nargs=-1, metavar="[GROUP]...", type=PathType(path_type=Path))
@PROFILES
@click.option(
    "-o",
    "--output",
    type=PathType(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Write there; default: the folder of the first GROUP.",
)
def command(paths: tuple[Path, ...], names: tuple[str, ...], output: Path | None) -> None:
    """Write edge-sim.yaml for GROUP, a definition in any form and in one file or several; default: this folder's.

    Models and code are looked for beside the definition's files, by the names of resources and functions. Each line
    of the scenario says what it is for; what was not found is a comment in it, and a note here. Nothing is overwritten.

    \b
    Example: edge-sim init group.json --profile raspberry-pi-3 && edge-sim run .
    """
    from edge_sim.cli.output import write_file
    from edge_sim.definitions import reader
    from edge_sim.documents import STDIN
    from edge_sim.offline.initial import initial
    from edge_sim.profiles import load_profiles
    from edge_sim.scenario import SCENARIO, is_scenario

    for path in paths or (Path(),):
        if path == STDIN:
            raise UsageError("-: init needs the definition as a file", hint="Save it as a file first.")
        if is_scenario(path):
            raise UsageError(f"{path}: there is a scenario already", hint=f"See: edge-sim run {path}")
    first = (paths or (Path(),))[0]
    folder = (output or (first if first.is_dir() else first.parent)).resolve()
    result = initial(reader.sources(paths or (Path(),)), folder, load_profiles(names or (_GUESS,)))
    with contextlib.ExitStack() as undo:
        for file, text in result.files.items():
            write_file(file, text)
            undo.callback(file.unlink, missing_ok=True)
        undo.pop_all()  # all are there
    say(*(f"wrote {file}" for file in result.files))
    guess = [] if names else [f"board {_GUESS} is a guess; choose another with --profile"]
    print_notes([*guess, *result.assumed])
    print_notes(result.missing, label="missing")
    then = f"edge-sim run {folder}"
    say(f"fill in what is missing in {SCENARIO}, then: {then}" if result.missing else f"next: {then}")
