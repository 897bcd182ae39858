"""``edge-sim rules``."""

from __future__ import annotations

import json

import click

from edge_sim.cli import completion
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError


@click.command("rules", cls=ReportCommand)
@click.argument("rule_id", required=False, metavar="[ID]", shell_complete=completion.rules)
@click.option("--migration", is_flag=True, help="List the checks of edge-sim migrate instead.")
@click.option("--format", "fmt", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
def command(rule_id: str | None, migration: bool, fmt: str) -> None:
    """List what V1 refused or warned about, or explain one rule: AWS's text, source, a bad and a good definition.

    \b
    Example: edge-sim rules model-no-container-permission
    """
    from edge_sim.greengrass.rules import RULES
    from edge_sim.v2.checks import CHECKS
    from edge_sim.validation import explain

    if rule_id is None:
        rules = CHECKS if migration else RULES
        if fmt == "json":
            click.echo(json.dumps([explain.as_json(rule) for rule in rules], indent=2))
        elif fmt == "markdown":
            click.echo(explain.migration_markdown() if migration else explain.markdown(), nl=False)
        else:
            click.echo("\n".join(explain.listing(rules)))
        return
    if fmt == "markdown":
        raise UsageError("markdown is the whole catalogue; leave ID out")
    rule = explain.find(rule_id)
    if fmt == "json":
        click.echo(json.dumps(explain.as_json(rule, with_examples=True), indent=2))
    else:
        click.echo("\n".join(explain.explanation(rule)))
