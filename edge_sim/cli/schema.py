"""``edge-sim schema``."""

from __future__ import annotations

import click

from edge_sim.errors import UsageError

_NAMES = ("scenario", "profile", "group", "updates")


@click.command("schema")
@click.argument("name", required=False, type=click.Choice(_NAMES), metavar=f"[{'|'.join(_NAMES)}]")
@click.option(
    "--markdown",
    "as_page",
    is_flag=True,
    help="Instead, explain every key of all these files, as docs/scenario.md does.",
)
def command(name: str | None, as_page: bool) -> None:
    """Print the JSON schema (draft 2020-12) of edge-sim.yaml, a profile, a canonical group or updates.yaml.

    Whatever a schema refuses, edge-sim refuses as well. Editors complete and check a file whose first line is
    "# yaml-language-server: $schema=FILE".

    \b
    Example: edge-sim schema scenario >edge-sim.schema.json
    """
    if as_page:
        if name:
            raise UsageError("--markdown explains all these files at once; leave the name out")
        from edge_sim.schemas.markdown import markdown

        click.echo(markdown(), nl=False)
        return
    if name is None:
        raise UsageError("schema needs a name", hint=f"Use one of {', '.join(_NAMES)}.")
    from edge_sim.schemas.catalogue import text

    click.echo(text(name), nl=False)
