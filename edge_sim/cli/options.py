"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

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
    "--greengrass-root", default="/greengrass", show_default=True, help="Where the core is installed on the board."
)
FORMAT = click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
