"""``edge-sim validate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import PROFILES, template_choice
from edge_sim.cli.options import STRICT, UNKNOWN, PathType
from edge_sim.cli.output import Output, Writers, output_options, page_writers
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import InvalidDefinitionError, Position

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.greengrass.rules.settings import RuleSettings
    from edge_sim.validation.verdict import Verdict

_EMPTY: dict[str, object] = {
    "ok": False,
    "unknown": 0,
    "form": "unreadable",
    "profiles": [],
    "findings": [],
    "ignored": [],
    "notes": [],
}


@click.command("validate", cls=ReportCommand, empty=_EMPTY)
@click.argument("paths", nargs=-1, required=True, metavar="GROUP...", type=PathType(path_type=Path))
@PROFILES
@click.option("--ggc", metavar="VERSION", help="The core's version, such as 1.9 or 1.10.4; default: the profile's.")
@click.option(
    "--limit",
    "limit_texts",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Change a quota, such as resources-per-function=10; may be repeated.",
)
@click.option("--gid-only", is_flag=True, help="Require a model's GroupOwner to be a GID, as the developer guide does.")
@STRICT
@output_options("text", "json", "sarif", "junit", "github", "html", "markdown")
@template_choice
def command(
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    ggc: str | None,
    limit_texts: tuple[str, ...],
    gid_only: bool,
    strict: bool,
    output: Output,
    choice: Choice,
) -> None:
    """Show what Greengrass V1 would have refused in GROUP, before anything is deployed.

    GROUP: a scenario's folder, a definition in any form that `edge-sim import` reads, several files together, or -,
    standard input. Without --profile only the definition itself is checked. What a profile does not list is
    unknown; the last line counts unknowns. Status 3: the definition has errors.

    \b
    Example: edge-sim validate examples/no-container-ml --profile raspberry-pi-3 --format github
    """
    from edge_sim.greengrass.rules.settings import RuleSettings, quotas
    from edge_sim.versions import parse_version

    settings = RuleSettings(quotas=quotas(limit_texts), gid_only=gid_only)
    version = parse_version(ggc) if ggc else None
    verdict = _verdict(paths, names, version, settings, choice, refuse=output.only_text)
    output.write(_writers(verdict, ", ".join(map(str, paths))))
    sys.exit(3 if not verdict.ok else UNKNOWN if strict and verdict.unknowns else 0)


def _verdict(
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    version: tuple[int, int, int] | None,
    settings: RuleSettings,
    choice: Choice,
    *,
    refuse: bool,
) -> Verdict:
    from edge_sim.offline.target import boards
    from edge_sim.profiles import load_profiles
    from edge_sim.scenario import read, redaction
    from edge_sim.validation.verdict import judge, unreadable

    profiles = load_profiles(names)
    try:
        scenario = read(*paths, choice=choice)
    except InvalidDefinitionError as error:
        if refuse:
            raise
        return unreadable(error.place or Position(file=paths[0]), error.problem, error.hint)
    facts, faults = boards(scenario, profiles)
    verdict = judge(scenario.definition, facts, version=version, settings=settings, faults=faults)
    return redaction(scenario).value(verdict)


def _writers(verdict: Verdict, subject: str) -> Writers:
    from edge_sim.validation import annotations, formats, junit, sarif, text
    from edge_sim.validation.page import verdict_page
    from edge_sim.validation.results import of_verdict

    return {
        "text": lambda: "\n".join(text.lines(verdict)) + "\n",
        "json": lambda: json.dumps(formats.as_json(verdict), indent=2) + "\n",
        "sarif": lambda: json.dumps(sarif.to_sarif(verdict), indent=2) + "\n",
        "junit": lambda: junit.to_junit(verdict),
        "github": lambda: "".join(f"{line}\n" for line in annotations.github(of_verdict(verdict))),
        **page_writers(lambda: verdict_page(verdict, subject)),
    }
