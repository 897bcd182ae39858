"""``edge-sim agent run|layout|access|invoke``: the commands that run on the board."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

_ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="/",
    show_default=True,
    help="The board's root directory; / on a real one.",
)
_ARCHITECTURE = click.option("--architecture", help="Stand in for this architecture instead of the machine's own.")
_SYSTEM = click.option("--operating-system", help="Stand in for this system instead of what os-release says.")


@click.group("agent")
def command() -> None:
    """What runs on the board: deployments, functions, updates."""
