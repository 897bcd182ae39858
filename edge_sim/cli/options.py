"""Arguments and options that several commands share, on a board as well: nothing heavy is imported here."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge_sim.cli import completion
from edge_sim.limits import LINKS as _LINKS
from edge_sim.limits import NAMES, Limits

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


def _known(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ``NAME=NUMBER`` as they were given, once each of them is a limit."""
    Limits().changed(value)
    return value


def _directory(context: click.Context, parameter: click.Parameter, value: str) -> str:
    parts = [part for part in str(absolute(context, parameter, value)).split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise click.BadParameter('must be a directory below /, without ".."')
    return "/" + "/".join(parts)


def template_choice(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--group`` and ``--parameter``, as one ``choice``."""

    @click.option("--group", "group_name", metavar="NAME", help="The group to use if a template holds several.")
    @click.option(
        "--parameter",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs,
        help="A value for a template's parameter, instead of its default; may be repeated.",
    )
    @functools.wraps(command)
    def with_choice(*args: Any, group_name: str | None, parameters: dict[str, str], **others: Any) -> None:
        from edge_sim.definitions.conditions import Choice

        command(*args, choice=Choice(group=group_name, parameters=parameters), **others)

    return with_choice


def _pairs(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    for text in value:
        if "=" not in text:
            raise click.BadParameter(f"{text}: expected NAME=VALUE")
    return {name: value for name, _, value in (text.partition("=") for text in value)}


def root_option(help_: str, **settings: Any) -> Option:
    """Return ``--root``: the directory of this machine that holds a board's files."""
    directory = PathType(path_type=Path, exists=True, file_okay=False)
    return click.option("--root", type=directory, metavar="DIR", help=help_, **settings)


def profile_option(help_: str, *, required: bool = False) -> Option:
    """Return ``--profile`` where a command takes one."""
    complete = completion.profiles
    return click.option(
        "--profile", "profile_name", metavar="NAME", shell_complete=complete, help=help_, required=required
    )


def driver_option(help_: str, *, default: str = "local") -> Option:
    """Return ``--driver``, of simulated boards."""
    drivers = click.Choice(["local", "docker"])
    return click.option("--driver", type=drivers, default=default, show_default=True, help=help_)


PROFILES = click.option(
    "--profile",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.all_profiles,
    help="A board's profile, or all for every profile; may be repeated.",
)
BOARD = click.option(
    "--board",
    "remote_board",
    metavar="ssh://[USER@]HOST[:PORT]",
    shell_complete=completion.real_boards,
    help="A real board; nothing is changed there.",
)
GROUP = click.argument("group", type=PathType(path_type=Path))
A_ROOT = root_option("A board's root directory.")
ROOT = root_option("The board's root directory; / on a real board.", required=True)
ROOT_HERE = root_option("The board's root directory; / on a real board.", default="/", show_default=True)
TO_FILE = click.option(
    "-o",
    "--output",
    type=PathType(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Write to this file.",
)
SOURCE = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="URI=PATH",
    help="The archive or folder to use for an S3 URI, or for a training job's or function's ARN; may be repeated.",
)
GREENGRASS_ROOT = click.option(
    "--greengrass-root",
    default="/greengrass",
    show_default=True,
    callback=_directory,
    metavar="PATH",
    help="Where the core is installed on the board.",
)
LINKS = click.option(
    "--links",
    type=click.Choice(_LINKS),
    help="How to handle links inside the package: refuse them (default) or copy their target. Overrides the scenario.",
)
LIMITS = click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=_known,
    help="Change a limit on packages; may be repeated. Overrides the scenario's. Defaults: "
    + ", ".join(f"{name}={getattr(Limits(), name)}" for name in NAMES)
    + ".",
)
STRICT = click.option("--strict", is_flag=True, help="Exit with status 6 if something about a board is unknown.")
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
