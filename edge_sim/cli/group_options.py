"""Arguments and options of the commands that read a group: the group, what it needs, and the boards it is for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sim.cli import completion
from edge_sim.cli.options import Option, PathType
from edge_sim.limits import LINKS as _LINKS
from edge_sim.limits import NAMES, Limits, Links

if TYPE_CHECKING:
    from edge_sim.definitions.conditions import Choice
    from edge_sim.offline.inputs import Inputs

    ReadInputs = Callable[..., Inputs]
    """``read_inputs`` of ``offline/inputs.py``, to be called with GROUP."""


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


def profile_option(help_: str, *, required: bool = False) -> Option:
    """Return ``--profile`` where a command takes one."""
    complete = completion.profiles
    return click.option(
        "--profile", "profile_name", metavar="NAME", shell_complete=complete, help=help_, required=required
    )


def _known(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ``NAME=NUMBER`` as they were given, once each of them is a limit."""
    Limits().changed(value)
    return value


GROUP = click.argument("group", type=PathType(path_type=Path))
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
SOURCE = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="URI=PATH",
    help="The archive or folder to use for an S3 URI, or for a training job's or function's ARN; may be repeated.",
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


def group_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that GROUP is read with, as one ``read_inputs``."""

    @SOURCE
    @LINKS
    @LIMITS
    @template_choice
    @functools.wraps(command)
    def with_inputs(
        *args: Any,
        sources: tuple[str, ...],
        links: Links | None,
        limits: tuple[str, ...],
        choice: Choice,
        **others: Any,
    ) -> None:
        from edge_sim.offline.inputs import read_inputs

        reading = functools.partial(read_inputs, sources=sources, limits=limits, links=links, choice=choice)
        command(*args, read_inputs=reading, **others)

    return with_inputs
