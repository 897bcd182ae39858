"""``edge-sim try``: whether functions can open their models, from a definition and what lies behind it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli import completion
from edge_sim.cli.options import FORMAT, PROFILES, UNKNOWN, PathType, template_choice
from edge_sim.cli.output import print_notes, say
from edge_sim.cli.progress import shown
from edge_sim.cli.report import Report
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.definitions.assembly import Source
    from edge_sim.definitions.conditions import Choice
    from edge_sim.definitions.definition import Definition
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.greengrass.rows import AccessRow
    from edge_sim.offline.starter import Parts
    from edge_sim.runs.results import BoardReport
_EMPTY: dict[str, object] = {"ran": False, "not_run": None, "boards": [], "notes": []}


@dataclass(frozen=True, kw_only=True)
class BoardTrial:
    """What is known about one board: who may open what, and what went wrong or is not proven."""

    profile: str
    access: Sequence[AccessRow] = ()
    problems: Sequence[str] = ()
    not_proven: Sequence[str] = ()
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "access": [row.as_json() for row in self.access]}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The answer. ``not_run``: why no board was simulated, so that access is only computed; None after a run."""

    boards: Sequence[BoardTrial]
    exit_status: int
    not_run: str | None = None
    notes: Sequence[str] = field(default=())

    def as_json(self) -> dict[str, object]:
        boards = [board.as_json() for board in self.boards]
        return {**vars(self), "ran": self.not_run is None, "boards": boards}


@click.command("try", cls=Report, empty=_EMPTY)
@click.argument("paths", nargs=-1, required=True, metavar="GROUP...", type=PathType(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="RESOURCE=FILE",
    shell_complete=completion.models,
    help="A model's archive or folder; may be repeated.",
)
@click.option(
    "--code",
    "code",
    multiple=True,
    metavar="FUNCTION=FOLDER",
    shell_complete=completion.code,
    help="A function's Python code; may be repeated.",
)
@PROFILES
@FORMAT
@template_choice
def command(
    paths: tuple[Path, ...],
    models: tuple[str, ...],
    code: tuple[str, ...],
    names: tuple[str, ...],
    fmt: str,
    choice: Choice,
) -> None:
    """Say whether the functions of GROUP can open their models on a board, without a scenario.

    With every model and every function's code, GROUP is deployed to a simulated board, where a process with each
    function's rights tries to open the models; no function is called. Otherwise access is only computed, and status 6
    says that nothing was run. RESOURCE and FUNCTION are ids or names. Other statuses are those of run and access.

    \b
    Example: edge-sim try group.json --model birds=model.tar.gz --code watch=watch/ --profile raspberry-pi-3
    """
    if not names:
        raise UsageError("try needs --profile NAME", hint="See: edge-sim profiles list")
    from edge_sim import scenario
    from edge_sim.definitions import reader
    from edge_sim.documents import STDIN
    from edge_sim.offline import trial
    from edge_sim.profiles import load_profiles

    for path in paths:
        if path == STDIN or scenario.is_scenario(path):
            what = "the standard input" if path == STDIN else "a scenario"
            hint = "Save it as a file first." if path == STDIN else f"See: edge-sim run {path}"
            raise UsageError(f"{path}: try takes definitions, not {what}", hint=hint)
    profiles = load_profiles(names)
    sources = reader.sources(paths, choice)
    definition = reader.definition(sources, choice)
    definition.refuse(definition.errors)
    parts = trial.parts(definition.group, models, code)
    result = _try(sources, definition, parts, profiles, choice)
    result = scenario.redaction(scenario.Scenario(name="try", definition=definition)).value(result)
    if fmt == "json":
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        say(*_lines(result))
    if fmt == "text":
        print_notes(result.notes)
    sys.exit(result.exit_status)


def _try(
    sources: Sequence[Source],
    definition: Definition,
    parts: Parts,
    profiles: Sequence[DeviceProfile],
    choice: Choice,
) -> Trial:
    from edge_sim.offline import trial

    missing = trial.missing(definition.group, parts)
    reason = f"a deployment also needs {', '.join(missing)}" if missing else None
    notes = [*map(str, definition.notes)]
    if not missing:
        try:
            result = _run(sources, parts, profiles, choice)
            return replace(result, notes=[*notes, *trial.stand_ins(definition.group)])
        except UnsupportedEnvironmentError as error:
            reason = error.brief + (f". {error.hint}" if error.hint else "")
    return replace(_computed(definition, parts, profiles), not_run=reason, notes=notes)


def _run(sources: Sequence[Source], parts: Parts, profiles: Sequence[DeviceProfile], choice: Choice) -> Trial:
    from edge_sim.offline import trial
    from edge_sim.runs.runner import run

    with (
        trial.scenario(sources, [profile.name for profile in profiles], parts, choice) as scenario,
        shown() as display,
    ):
        report = run(scenario, profiles, progress=display.say, on_step=display.step)
    return Trial(boards=[_of_report(board) for board in report.boards], exit_status=report.exit_status)


def _of_report(board: BoardReport) -> BoardTrial:
    problems = [f"{one.where}: {one.message}" + (f" (hint: {one.hint})" if one.hint else "") for one in board.problems]
    return BoardTrial(
        profile=board.profile,
        access=board.access,
        problems=problems,
        not_proven=board.not_proven,
        notes=board.notes,
    )


def _computed(definition: Definition, parts: Parts, profiles: Sequence[DeviceProfile]) -> Trial:
    from edge_sim.cli.access import look, status
    from edge_sim.offline import target, trial
    from edge_sim.offline.packages import packed_group
    from edge_sim.offline.plan import make_plan
    from edge_sim.runs.runner import check_definition

    check_definition(trial.with_core(definition))
    with packed_group(trial.inputs(definition, parts)) as packed:
        seen = [look(make_plan(packed, target.of_profile(one)), None, None, None, probe=False) for one in profiles]
    boards = [  # what is missing is named by this command's options, not by those of access
        BoardTrial(
            profile=profile.name, access=board.access, notes=[note for note in board.notes if "--source" not in note]
        )
        for profile, board in zip(profiles, seen, strict=True)
    ]
    return Trial(boards=boards, exit_status=status([row for board in boards for row in board.access]) or UNKNOWN)


def _lines(result: Trial) -> Iterator[str]:
    from edge_sim.offline.accesstext import access_lines

    for board in result.boards:
        yield board.profile
        if board.access:
            yield from (f"  {line}" for line in access_lines(board.access, detailed=False))
        for label, texts in (("problem", board.problems), ("not proven", board.not_proven), ("note", board.notes)):
            yield from (f"  {label}: {text}" for text in texts)
    if result.not_run:
        yield f"nothing was run: {result.not_run}"
        yield "the access above is computed, not proven"
    else:
        yield "ok" if result.exit_status == 0 else f"not ok (exit {result.exit_status})"
