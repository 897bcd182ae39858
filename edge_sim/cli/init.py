"""``edge-sim init``: write a first scenario for a group."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import PROFILES, template_choice
from edge_sim.cli.options import FORMAT, PathType
from edge_sim.cli.output import print_notes, say
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError, file_error
from edge_sim.folders import write_file

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.offline.initial import Initial

_MISSING = 3
"""The exit status where a model or code is missing: what run would say of the scenario."""


@click.command("init", cls=ReportCommand, empty={"files": [], "missing": [], "notes": []})
@click.argument("paths", nargs=-1, metavar="[GROUP]...", type=PathType(path_type=Path))
@PROFILES
@click.option(
    "-o",
    "--output",
    type=PathType(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write to this folder, which is created if necessary. Default: the folder of the first GROUP.",
)
@FORMAT
@template_choice
def command(paths: tuple[Path, ...], names: tuple[str, ...], output: Path | None, fmt: str, choice: Choice) -> None:
    """Write edge-sim.yaml for GROUP, a definition in any form and in one or more files; default: this folder's.

    Searches for models and code beside the definition's files, by the names of resources and functions. Each line
    of the scenario has a comment that explains it; whatever is missing is listed in a comment and in the output,
    and the status is then 3. Nothing is overwritten.

    \b
    Example: edge-sim init group.json --profile raspberry-pi-3 && edge-sim run .
    """
    from edge_sim.definitions import reader
    from edge_sim.documents import STDIN
    from edge_sim.offline.initial import initial
    from edge_sim.scenario import is_scenario

    for path in paths or (Path(),):
        if path == STDIN:
            raise UsageError("-: init needs the definition as a file", hint="Save it as a file first.")
        if is_scenario(path):
            raise UsageError(
                f"{path}: the scenario already exists", hint=f"Run it with edge-sim run {path}, or delete it first."
            )
    first = (paths or (Path(),))[0]
    folder = (output or (first if first.is_dir() else first.parent)).resolve()
    if not folder.parent.is_dir():
        raise UsageError(f"{output}: cannot be created: the directory {folder.parent} does not exist")
    sources = reader.sources(paths or (Path(),), choice)
    result = initial(sources, folder, names, choice, ask=_answer)
    _write(result, folder)
    if fmt == "json":
        about = {"files": [str(file) for file in result.files], "missing": result.missing, "notes": result.assumed}
        click.echo(json.dumps({**about, "exit_status": _MISSING if result.missing else 0}, indent=2))
    else:
        _tell(result, folder)
    sys.exit(_MISSING if result.missing else 0)


def _answer(guess: str) -> str | None:
    """Return the board that a person at a terminal names; None where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    text = "Which board? (edge-sim profiles list names them)"
    return str(click.prompt(text, default=guess, value_proc=_profile, err=True))


def _profile(name: str) -> str:
    from edge_sim.profiles import profile_path

    try:
        profile_path(name)
    except UsageError as error:
        raise click.UsageError(f"{error.brief}. {error.hint}" if error.hint else error.brief) from error
    return name


def _write(result: Initial, folder: Path) -> None:
    """Write all the files, or none."""
    with contextlib.ExitStack() as undo:
        if not folder.exists():
            try:
                folder.mkdir()
            except OSError as error:
                raise file_error(f"{folder}: cannot be created: {error.strerror}", error) from error
            undo.callback(folder.rmdir)
        for file, text in result.files.items():
            write_file(file, text)
            undo.callback(file.unlink, missing_ok=True)
        undo.pop_all()  # all are there


def _tell(result: Initial, folder: Path) -> None:
    from edge_sim.scenario import SCENARIO

    say(*(f"wrote {file}" for file in result.files))
    print_notes(result.assumed)
    print_notes(result.missing, label="missing")
    then = f"edge-sim run {shlex.quote(str(folder))}"
    say(f"fill in what is missing in {SCENARIO}, then: {then}" if result.missing else f"next: {then}")
