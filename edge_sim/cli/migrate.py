"""``edge-sim migrate``: what changes for a group on Greengrass V2, and the files to migrate it with."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli import completion
from edge_sim.cli.group_options import GROUP, group_inputs
from edge_sim.cli.options import STRICT, UNKNOWN, PathType
from edge_sim.cli.output import Output, Writers, page_writers, say
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import REPORT_INSTALL
from edge_sim.printing import printable

if TYPE_CHECKING:
    from edge_sim.cli.group_options import ReadInputs
    from edge_sim.limits import Limits
    from edge_sim.offline.migration.materials import Materials
    from edge_sim.offline.migration.moves import Migration, NucleusChoice
BLOCKED = 3
_EMPTY: dict[str, object] = {
    "ok": False,
    "unknown": 0,
    "name": None,
    "from": None,
    "to": [],
    "nucleus": None,
    "chosen": None,
    "functions": [],
    "models": [],
    "access": {},
    "mapping": [],
    "findings": [],
    "ignored": [],
    "notes": [],
}


@click.command("migrate", cls=ReportCommand, empty=_EMPTY)
@GROUP
@click.option(
    "--target",
    type=click.Choice(["classic", "lite", "auto"]),
    default="auto",
    show_default=True,
    help="The nucleus; auto selects the one with fewer blocking findings.",
)
@click.option(
    "--from-profile",
    "from_name",
    required=True,
    metavar="NAME",
    shell_complete=completion.profiles,
    help="The board that the group runs on now.",
)
@click.option(
    "--to-profile",
    "to_names",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.profiles,
    help="A board to migrate to; may be repeated. Default: the --from-profile board.",
)
@click.option(
    "-o",
    "--output",
    type=PathType(path_type=Path),
    metavar="FOLDER",
    help="Write the report and the V2 files to this folder.",
)
@click.option("--bucket", metavar="NAME", help="The S3 bucket for artifacts; default: the models' bucket.")
@click.option(
    "--config",
    "config_file",
    type=PathType(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The core's config.json, to carry its settings over.",
)
@click.option(
    "--run",
    "run_file",
    type=PathType(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A run's report (edge-sim run --format json), to find lost messages and writes to models.",
)
@click.option(
    "--include-values",
    is_flag=True,
    help="Write the values of variables that look like secrets, instead of placeholders.",
)
@group_inputs
@STRICT
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json", "sarif", "html", "markdown"]),
    default="text",
    show_default=True,
)
def command(
    group: Path,
    target: NucleusChoice,
    from_name: str,
    to_names: tuple[str, ...],
    output: Path | None,
    bucket: str | None,
    config_file: Path | None,
    run_file: Path | None,
    include_values: bool,
    read_inputs: ReadInputs,
    strict: bool,
    fmt: str,
) -> None:
    """Show what changes for GROUP on Greengrass V2: what blocks, what changes without an error, what to know.

    GROUP is a scenario's folder or a definition. The board it runs on now and the boards to migrate to are judged
    separately. Nothing is sent anywhere. Status 3: something blocks the migration.

    \b
    Example: edge-sim migrate examples/no-container-ml --from-profile raspberry-pi-3 --to-profile raspberry-pi-4
    """
    from edge_sim.offline.migration.materials import materials
    from edge_sim.offline.migration.moves import migration
    from edge_sim.offline.migration.runreport import Observations, observations
    from edge_sim.offline.target import Target, boards
    from edge_sim.profiles import load_profile, load_profiles

    Output(fmt=fmt).check(())
    leaving = load_profile(from_name)
    going = load_profiles(to_names) or [leaving]
    inputs = read_inputs(group, faulty=True)
    with materials(inputs) as packages:
        result = migration(
            inputs,
            packages,
            target=target,
            leaving=Target(name=leaving.name, facts=boards(inputs.scenario, [leaving])[0][leaving.name]),
            boards={profile.name: profile.facts() for profile in going},
            config=_config(config_file),
            observations=observations(run_file) if run_file else Observations(),
            bucket=bucket,
            include_values=include_values,
        )
        notes = _write(result, packages, inputs.limits, output) if output else []
    _print(result, fmt)
    for note in notes:
        say(f"note: {note}", err=True)
    unknown = UNKNOWN if strict and result.judgement.unknowns else 0
    sys.exit(unknown if result.judgement.ok else BLOCKED)


def _config(file: Path | None) -> Mapping[str, object]:
    """Return the core's configuration; nothing where it was not given."""
    if file is None:
        return {}
    from edge_sim.documents import read_bytes
    from edge_sim.errors import InvalidDefinitionError, Position
    from edge_sim.strictjson import members

    try:
        return members(read_bytes(file))
    except ValueError as error:
        raise InvalidDefinitionError(f"not a config.json: {error}", place=Position(file=file)) from error


def _write(result: Migration, packages: Materials, limits: Limits, output: Path) -> list[str]:
    """Write the folder, and return notes on what is missing in it."""
    from edge_sim.offline.migration.files import write_files
    from edge_sim.offline.migration.folder import whole_folder
    from edge_sim.offline.migration.report import as_json, as_sarif, lines

    with whole_folder(output) as folder:
        notes = write_files(folder, result.moves, packages, limits, blocking=len(result.judgement.errors))
        text = "\n".join([*lines(result), *(printable(f"note: {note}") for note in notes)]) + "\n"
        (folder / "report.txt").write_text(text, encoding="utf-8")
        (folder / "report.json").write_text(json.dumps(as_json(result), indent=2) + "\n", encoding="utf-8")
        page = _page(result)
        if page is None:
            notes.append(f"report.html was not written, because it needs the package Jinja2. {REPORT_INSTALL}")
        else:
            (folder / "report.html").write_text(page, encoding="utf-8")
        (folder / "report.sarif").write_text(json.dumps(as_sarif(result), indent=2) + "\n", encoding="utf-8")
    return notes


def _page(result: Migration) -> str | None:
    """Return the report as HTML, the same for the same input; None where what renders it is not installed."""
    if find_spec("jinja2") is None:
        return None
    from edge_sim.offline.migration.page import migration_page
    from edge_sim.pages.html import render

    return render(migration_page(result), dated=False)


def _print(result: Migration, fmt: str) -> None:
    from edge_sim.offline.migration import report
    from edge_sim.offline.migration.page import migration_page

    writers: Writers = {
        "text": lambda: "\n".join(report.lines(result)) + "\n",
        "json": lambda: json.dumps(report.as_json(result), indent=2) + "\n",
        "sarif": lambda: json.dumps(report.as_sarif(result), indent=2) + "\n",
        **page_writers(lambda: migration_page(result)),
    }
    Output(fmt=fmt).write(writers)
