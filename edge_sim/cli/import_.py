"""``edge-sim import``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import template_choice
from edge_sim.cli.options import PathType, to_file
from edge_sim.cli.output import say
from edge_sim.cli.report import ReportCommand
from edge_sim.folders import write_file

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.definitions.definition import Definition
    from edge_sim.report import Finding


@click.command("import", cls=ReportCommand, empty={"form": None, "bundle": None, "notes": [], "findings": []})
@click.argument("paths", nargs=-1, required=True, type=PathType(path_type=Path))
@to_file("Write to this file instead of standard output.")
@click.option("--format", "fmt", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@template_choice
def command(paths: tuple[Path, ...], output: Path | None, fmt: str, choice: Choice) -> None:
    """Convert any form of a group's definition to one canonical file; report on stderr what could not be recovered.

    PATHS: files, a folder of files, or a scenario. Forms: the API's …DefinitionVersion objects, Create… requests
    and Get… responses, CloudFormation and SAM templates, greengo.yaml, a core's group.json, and the output of this
    command.

    JSON: {"form", "bundle", "notes", "findings": [{"id", "severity", "path", "file", "line", "column",
    "message"}]}. If nothing can be written, the YAML output is empty and the JSON output contains the error.

    Example: edge-sim import /greengrass/ggc/deployment/group/group.json -o group.yaml
    """
    from edge_sim.definitions.shapes import NULLS
    from edge_sim.definitions.writer import canonical, dump
    from edge_sim.scenario import read

    definition = read(*paths, choice=choice).definition
    definition.refuse(definition.ambiguities)
    if fmt == "json":
        document = {
            "form": definition.form,
            "bundle": canonical(definition),
            "notes": [str(note) for note in definition.notes],
        }
        findings = [_entry(definition, finding) for finding in definition.findings]
        _write(output, json.dumps({**document, "findings": findings}, indent=2, ensure_ascii=False) + "\n")
        return
    _write(output, dump(definition))
    for note in definition.notes:
        say(f"note: {note}", err=True)
    for finding in definition.findings:
        treatment = "left out" if finding.id in NULLS else "kept as it is"
        say(f"{treatment}: {definition.locate(finding.path)}: {finding.message}", err=True)


def _entry(definition: Definition, finding: Finding) -> dict[str, object]:
    place = definition.locate(finding.path)
    where = {"file": str(place.file), "line": place.line, "column": place.column} if place else {}
    return {"id": finding.id, "severity": finding.severity, "path": finding.path, **where, "message": finding.message}


def _write(output: Path | None, text: str) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    write_file(output, text)
