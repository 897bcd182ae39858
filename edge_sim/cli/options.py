"""Arguments and options that several commands share, on a board as well: nothing heavy is imported here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Option = Callable[[Callable[..., None]], Callable[..., None]]
"""What gives a command an option."""


class PathType(click.Path):
    """A path, which is never empty (that would mean the current folder) and of the kind that is asked for.

    ``pipe_okay``: the file is read once, from its start to its end, so that a pipe will do.
    """

    def __init__(self, *, pipe_okay: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pipe_okay = pipe_okay

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if value == "":
            self.fail("the path is empty.", param, ctx)
        path = Path(value)
        kind = "file" if self.file_okay and not self.dir_okay else "folder" if not self.file_okay else ""
        right = path.is_dir() if kind == "folder" else path.is_file() or (self._pipe_okay and path.is_fifo())
        if self.exists and kind and not right:
            from edge_sim.documents import unusable

            self.fail(f"{value}: {unusable(path, kind)}.", param, ctx)
        return super().convert(value, param, ctx)


class SecondsRange(click.FloatRange):
    """A range of seconds; click's own takes NaN for a number within any range."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


def absolute(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return a path of the board as it was given: it begins with ``/``, for it belongs to no working directory here."""
    if value is not None and not value.startswith("/"):
        raise click.BadParameter("must be an absolute path on the board")
    return value


def _writable(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    if file is not None:
        from edge_sim.folders import check_file

        check_file(file)
    return file


def _directory(context: click.Context, parameter: click.Parameter, value: str) -> str:
    parts = [part for part in str(absolute(context, parameter, value)).split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise click.BadParameter('must be a directory below /, without ".."')
    return "/" + "/".join(parts)


def root_option(help_: str, **settings: Any) -> Option:
    """Return ``--root``: the directory of this machine that holds a board's files."""
    directory = PathType(path_type=Path, exists=True, file_okay=False)
    return click.option("--root", type=directory, metavar="DIR", help=help_, **settings)


def driver_option(help_: str, *, default: str = "local") -> Option:
    """Return ``--driver``, of simulated boards."""
    drivers = click.Choice(["local", "docker"])
    return click.option("--driver", type=drivers, default=default, show_default=True, help=help_)


def to_file(help_: str, *, required: bool = False) -> Option:
    """Return ``-o FILE``: where it cannot be written is said before the work is done."""
    return click.option(
        "-o",
        "--output",
        type=PathType(path_type=Path, dir_okay=False),
        metavar="FILE",
        callback=_writable,
        help=help_,
        required=required,
    )


A_ROOT = root_option("A board's root directory.")
ROOT = root_option("The board's root directory; / on a real board.", required=True)
ROOT_HERE = root_option("The board's root directory; / on a real board.", default="/", show_default=True)
TO_FILE = to_file("Write to this file.", required=True)
GREENGRASS_ROOT = click.option(
    "--greengrass-root",
    default="/greengrass",
    show_default=True,
    callback=_directory,
    metavar="PATH",
    help="Where the core is installed on the board.",
)
STRICT = click.option("--strict", is_flag=True, help="Exit with status 6 if something is unknown.")
UNKNOWN = 6
"""The exit status of --strict."""
FORMAT = click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
BROKER = click.option(
    "--broker",
    metavar="URL",
    help="mqtt://… or mqtts://…; default: mosquitto from PATH, otherwise the embedded broker.",
)
BROKER_CAFILE = click.option(
    "--broker-cafile",
    type=PathType(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="CA file (PEM) used to verify an mqtts:// broker; default: the system's CAs.",
)
