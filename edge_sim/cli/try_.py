"""``edge-sim try``: whether functions can open their models, from a definition, its models and its code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli import completion
from edge_sim.cli.group_options import PROFILES, template_choice
from edge_sim.cli.options import UNKNOWN, PathType
from edge_sim.cli.output import Output, Writers, output_options, page_writers, print_notes
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.printing import printable

if TYPE_CHECKING:
    from edge_sim.definitions.assembly import SourceFile
    from edge_sim.definitions.conditions import Choice
    from edge_sim.definitions.definition import Definition
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.greengrass.rows import AccessRow
    from edge_sim.offline.starter import Parts
    from edge_sim.pages.page import Page
    from edge_sim.runs.results import BoardReport, Problem
    from edge_sim.runs.rows import FunctionRow
_EMPTY: dict[str, object] = {"ran": False, "not_run": None, "boards": [], "notes": []}
_FORMATS = ("text", "json", "html", "markdown")
_NO_MODULE = re.compile(r"No module named '(\w+)")


@dataclass(frozen=True, kw_only=True)
class BoardTrial:
    """What is known about one board: who may open what, how calls went, and what is wrong or not proven."""

    profile: str
    access: Sequence[AccessRow] = ()
    functions: Sequence[FunctionRow] = ()
    problems: Sequence[str] = ()
    not_proven: Sequence[str] = ()
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, object]:
        access, functions = ([row.as_json() for row in rows] for rows in (self.access, self.functions))
        return {**vars(self), "access": access, "functions": functions}


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """The answer. ``not_run``: why no board was simulated, so that access is only computed; None after a run.

    ``page`` makes the page of its data.
    """

    boards: Sequence[BoardTrial]
    exit_status: int
    page: Callable[[Mapping[str, object]], Page]
    not_run: str | None = None
    notes: Sequence[str] = field(default=())

    def as_json(self) -> dict[str, object]:
        boards = [board.as_json() for board in self.boards]
        about = {key: value for key, value in vars(self).items() if key != "page"}
        return {**about, "ran": self.not_run is None, "boards": boards}


@click.command("try", cls=ReportCommand, empty=_EMPTY)
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
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="FUNCTION=JSON",
    shell_complete=completion.code,
    help="The event that a function is called with; default: {}. May be repeated.",
)
@PROFILES
@output_options(*_FORMATS)
@template_choice
def command(
    paths: tuple[Path, ...],
    models: tuple[str, ...],
    code: tuple[str, ...],
    events: tuple[str, ...],
    names: tuple[str, ...],
    output: Output,
    choice: Choice,
) -> None:
    """Test whether the functions of GROUP can open their models on a board; needs no scenario.

    With every model and every function's code, GROUP is deployed to a simulated board, where a process with each
    function's identity tries to open the models, and every function is called once (long-lived functions only with
    an --event). Otherwise access is only computed, and status 6 means that nothing was run. RESOURCE and FUNCTION
    are ids or names. Other statuses are those of run and access.

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
    definition.require_values()
    parts = trial.parts(definition.group, models, code, events)
    result = _try(sources, definition, parts, profiles, choice)
    output.write(_writers(result))
    if output.fmt == "text":
        print_notes(result.notes)
    sys.exit(result.exit_status)


def _writers(result: TrialReport) -> Writers:
    return {
        "text": lambda: "".join(f"{printable(line)}\n" for line in _lines(result)),
        "json": lambda: json.dumps(result.as_json(), indent=2) + "\n",
        **page_writers(lambda: result.page(result.as_json())),
    }


def _try(
    sources: Sequence[SourceFile],
    definition: Definition,
    parts: Parts,
    profiles: Sequence[DeviceProfile],
    choice: Choice,
) -> TrialReport:
    from edge_sim.offline import trial

    missing = trial.missing(definition.group, parts)
    reason = f"a deployment also needs {', '.join(missing)}" if missing else ""
    notes = [*map(str, definition.notes)]
    if not missing:
        try:
            result = _run(sources, parts, profiles, choice)
            called = any(board.functions for board in result.boards)
            assumed = trial.assumptions(definition, parts) if called else trial.stand_ins(definition)
            return replace(result, notes=[*notes, *assumed])
        except UnsupportedEnvironmentError as error:
            reason = error.brief + (f". {error.hint}" if error.hint else "")
    return _computed(definition, parts, profiles, reason, notes)


def _run(sources: Sequence[SourceFile], parts: Parts, profiles: Sequence[DeviceProfile], choice: Choice) -> TrialReport:
    from edge_sim.offline import trial
    from edge_sim.runs.page import page
    from edge_sim.runs.runner import run

    with (
        trial.scenario(sources, [profile.name for profile in profiles], parts, choice) as scenario,
        shown() as display,
    ):
        report = run(scenario, profiles, progress=display.say, on_step=display.step)
    report = replace(report, boards=[_fair(board, parts) for board in report.boards])
    return TrialReport(
        boards=[_of_report(board) for board in report.boards],
        exit_status=report.exit_status,
        page=lambda data: replace(page(report), command="try", data=data),
    )


def _fair(board: BoardReport, parts: Parts) -> BoardReport:
    """Return a board's report in which no fault of this machine, or of an assumed event, is one of the function."""
    problems: list[Problem] = []
    not_proven = [*board.not_proven]
    for problem in board.problems:
        code = parts.code.get(problem.where)
        module = _NO_MODULE.search(problem.message) if problem.kind == "function" and code else None
        if module and code and not [*code.folder.glob(f"{module[1]}*")]:
            not_proven.append(
                f"function {problem.where}: its code imports {module[1]}, which is neither in the function's folder "
                "nor on this machine; whether the board has it is unknown"
            )
        elif problem.kind == "function" and not problem.hint and problem.where not in parts.events:
            hint = f"It was called with {{}}; pass the event that it expects with --event {problem.where}=JSON."
            problems.append(replace(problem, hint=hint))
        else:
            problems.append(problem)
    return replace(board, problems=problems, not_proven=not_proven)


def _of_report(board: BoardReport) -> BoardTrial:
    problems = [
        f"{problem.where}: {problem.message}" + (f" (hint: {problem.hint})" if problem.hint else "")
        for problem in board.problems
    ]
    return BoardTrial(
        profile=board.profile,
        access=board.access,
        functions=board.functions,
        problems=problems,
        not_proven=board.not_proven,
        notes=board.notes,
    )


def _computed(
    definition: Definition, parts: Parts, profiles: Sequence[DeviceProfile], reason: str, notes: Sequence[str]
) -> TrialReport:
    from edge_sim.cli.access import look, status
    from edge_sim.offline import target, trial
    from edge_sim.offline.packages import packed_group
    from edge_sim.offline.page import access_page
    from edge_sim.offline.plan import make_plan
    from edge_sim.pages.page import worst
    from edge_sim.runs.runner import check_definition
    from edge_sim.scenario import redaction

    check_definition(trial.with_core(definition))
    inputs = trial.inputs(definition, parts)
    with packed_group(inputs) as packed:
        seen = [look(make_plan(packed, target.of_profile(profile)), None, None, None) for profile in profiles]
    # what is missing is named by this command's options, not by those of access
    own = [replace(board, notes=[note for note in board.notes if "--source" not in note]) for board in seen]
    boards, reason, notes = redaction(inputs.scenario).value((own, reason, [*notes]))

    def page(data: Mapping[str, object]) -> Page:
        answer = access_page(boards, inputs.scenario.name, definition.places, notes, data)
        verdict = f"{answer.verdict}; computed, not proven: {reason}"
        return replace(answer, command="try", verdict=verdict, state=worst((answer.state, "open")))

    rows = [row for board in boards for row in board.access]
    return TrialReport(
        boards=[BoardTrial(profile=board.target, access=board.access, notes=board.notes) for board in boards],
        exit_status=status(rows) or UNKNOWN,
        page=page,
        not_run=reason,
        notes=notes,
    )


def _lines(result: TrialReport) -> Iterator[str]:
    from edge_sim.offline.accesstext import access_lines

    for board in result.boards:
        yield board.profile
        if board.access:
            yield from (f"  {line}" for line in access_lines(board.access, detailed=False))
        for row in board.functions:
            yield f"  {row.function}: called, {'returned' if row.error is None else 'failed'} in {row.seconds} s"
        for label, texts in (("problem", board.problems), ("not proven", board.not_proven), ("note", board.notes)):
            yield from (f"  {label}: {text}" for text in texts)
    if result.not_run:
        yield f"nothing was run: {result.not_run}"
        yield "the access above is computed, not proven"
    else:
        yield "ok" if result.exit_status == 0 else f"not ok (exit {result.exit_status})"
