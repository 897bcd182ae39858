"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click


def absolute(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return a path of the board as it was given: it begins with ``/``, for it belongs to no working directory here."""
    if value is not None and not value.startswith("/"):
        raise click.BadParameter("must be an absolute path of the board")
    return value


def _directory(context: click.Context, parameter: click.Parameter, value: str) -> str:
    parts = [part for part in str(absolute(context, parameter, value)).split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise click.BadParameter('must be a directory below /, without ".."')
    return "/" + "/".join(parts)


GROUP = click.argument("group", type=click.Path(path_type=Path))
ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    metavar="DIR",
    help="The board's root directory; / on a real one.",
)
SOURCE = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="URI=PATH",
    help="The archive or folder behind an S3 URI, a training job's or a function's ARN; repeat it.",
)
GREENGRASS_ROOT = click.option(
    "--greengrass-root",
    default="/greengrass",
    show_default=True,
    callback=_directory,
    metavar="PATH",
    help="Where the core is installed on the board.",
)
FORMAT = click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
