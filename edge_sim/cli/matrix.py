"""``edge-sim matrix``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edge_sim.cli import completion
from edge_sim.cli.group_options import template_choice
from edge_sim.cli.options import STRICT, UNKNOWN, PathType, driver_option
from edge_sim.cli.output import Output, Writers, output_options, page_writers
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.runs.onboards import Place
    from edge_sim.scenario import Scenario
    from edge_sim.validation.cache import Cache
    from edge_sim.validation.grid import MatrixRow, RunOutcome
_EMPTY: dict[str, object] = {"ok": False, "unknown": 0, "cells": []}


@click.command("matrix", cls=ReportCommand, empty=_EMPTY)
@click.argument("paths", nargs=-1, required=True, metavar="GROUP...", type=PathType(path_type=Path))
@click.option(
    "--profile",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    shell_complete=completion.all_profiles,
    help="A board's profile, or all; may be repeated.",
)
@click.option("--ggc", metavar="VERSIONS", help="Core versions, such as 1.9,1.10,1.11; default: each profile's own.")
@click.option("--real", is_flag=True, help="Run GROUP, a scenario, on simulated boards as well.")
@driver_option("What --real uses: this machine's processor, or containers of the boards' own architecture.")
@click.option("--no-cache", is_flag=True, help="Ignore cached results.")
@STRICT
@output_options("text", "json", "sarif", "junit", "github", "html", "markdown")
@template_choice
def command(
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    ggc: str | None,
    real: bool,
    driver: Literal["local", "docker"],
    no_cache: bool,
    strict: bool,
    output: Output,
    choice: Choice,
) -> None:
    """Check GROUP against many boards and core versions: pass, fail, unsupported or unknown, with the first cause.

    Nothing is started without --real. Results are cached in $XDG_CACHE_HOME/edge-sim, by content. Exit status 3 if
    GROUP cannot be read, a cell fails, a board given by name (not by "all") is unsupported, or nothing passes; 1 if
    a simulated board and the rules disagree about the definition; otherwise the worst exit status of the --real
    boards.

    \b
    Example: edge-sim matrix examples/no-container-ml --profile all --ggc 1.9,1.10,1.11
    """
    from edge_sim.folders import user_cache
    from edge_sim.profiles import load_profiles
    from edge_sim.scenario import read, redaction
    from edge_sim.validation.cache import Cache

    profiles = load_profiles(names)
    versions = tuple(dict.fromkeys(part.strip() for part in ggc.split(","))) if ggc else ()
    scenario = read(*paths, choice=choice)
    scenario.definition.refuse(scenario.definition.errors)
    folder = None if no_cache else user_cache()
    cache = Cache(folder / "matrix") if folder else None
    cells = redaction(scenario).value(_cells(scenario, profiles, versions, cache))
    if real:
        outcomes = _real(scenario, profiles, cells, driver, cache)
        cells = [replace(cell, real=outcomes[cell.profile, cell.ggc]) for cell in cells]
    status = _status(cells, names=set(names) - {"all"}) or (UNKNOWN if strict and _unknown(cells) else 0)
    output.write(_writers(cells, scenario.name, status))
    sys.exit(status)


def _writers(cells: Sequence[MatrixRow], name: str, status: int) -> Writers:
    from edge_sim.greengrass.rules import RULES
    from edge_sim.validation import annotations, grid, junit, sarif
    from edge_sim.validation.page import matrix_page
    from edge_sim.validation.results import Check, of_matrix

    rows = [cell.as_json() for cell in cells]
    document = {"ok": status == 0, "unknown": _unknown(cells), "cells": rows}
    return {
        "text": lambda: "\n".join([*grid.lines(cells), *_real_lines(cells), *_unknown_line(cells)]) + "\n",
        "json": lambda: json.dumps(document, indent=2) + "\n",
        "sarif": lambda: json.dumps(sarif.log(of_matrix(cells), [Check.of(rule) for rule in RULES]), indent=2) + "\n",
        "junit": lambda: junit.matrix_to_junit(cells),
        "github": lambda: "".join(f"{line}\n" for line in annotations.github(of_matrix(cells))),
        **page_writers(lambda: matrix_page(cells, name, status, document)),
    }


def _cells(
    scenario: Scenario, profiles: Sequence[DeviceProfile], versions: tuple[str, ...], cache: Cache | None
) -> list[MatrixRow]:
    from edge_sim.offline.target import boards
    from edge_sim.validation import grid
    from edge_sim.validation.cache import key, stable
    from edge_sim.validation.grid import MatrixRow
    from edge_sim.versions import parse_version

    numbers = {text: parse_version(text) for text in versions}
    definition = scenario.definition
    facts, faults = boards(scenario, profiles)
    cells = []
    for profile in profiles:
        own = profile.greengrass.version
        for ggc, version in numbers.items() or [(own, parse_version(own))]:
            board, fault = facts[profile.name], faults.get(profile.name)
            name = key("cell", scenario.digest, f"{definition.files} {fault}", stable(board), profile.name, ggc)
            row_before = MatrixRow.from_json(cache.get(name)) if cache else None
            cell = row_before or grid.cell(definition, profile.name, board, ggc, version, fault)
            if cache and not row_before:
                cache.put(name, cell.as_json())
            cells.append(cell)
    return cells


def _real(
    scenario: Scenario,
    profiles: Sequence[DeviceProfile],
    cells: Sequence[MatrixRow],
    driver: Literal["local", "docker"],
    cache: Cache | None,
) -> Mapping[Place, RunOutcome]:
    from edge_sim.runs.onboards import on_boards

    if scenario.file is None:
        raise UsageError("--real needs a scenario: a folder with edge-sim.yaml", hint="See: edge-sim run --help")
    by_name = {profile.name: profile for profile in profiles}
    places = {(cell.profile, cell.ggc): by_name[cell.profile] for cell in cells}
    with shown() as display:
        return on_boards(scenario, places, driver, cache, display.say)


def _unknown(cells: Sequence[MatrixRow]) -> int:
    return sum(cell.unknowns for cell in cells)


def _unknown_line(cells: Sequence[MatrixRow]) -> Iterator[str]:
    if _unknown(cells):
        yield ""
        names = dict.fromkeys(cell.profile for cell in cells if cell.unknowns)
        yield f"{_unknown(cells)} unknown, on {', '.join(names)}: edge-sim validate --profile NAME lists them"


def _status(cells: Sequence[MatrixRow], names: set[str]) -> int:
    from edge_sim.validation.grid import agrees

    if not all(map(agrees, cells)):
        return 1
    good = [cell for cell in cells if cell.status in ("pass", "unknown")]
    bad = [cell for cell in cells if cell.status == "fail" or (cell not in good and cell.profile in names)]
    if bad or not good:
        return 3
    return min((cell.real.exit_status for cell in good if cell.real and cell.real.exit_status), default=0)


def _real_lines(cells: Sequence[MatrixRow]) -> Iterator[str]:
    from edge_sim.validation.grid import agrees

    if any(cell.real for cell in cells):
        yield ""
        yield "On simulated boards:"
    for cell in cells:
        if cell.real:
            word = cell.real.status if agrees(cell) else f"{cell.real.status}, NOT as computed"
            why = f": {cell.real.message}" if cell.real.message else ""
            yield f"  {cell.profile} ({cell.ggc})  {word}{why}"
