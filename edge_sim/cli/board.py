"""``edge-sim board build|up|down|ls|exec|shell|logs``: boards in containers; ``bundle|restore`` are for real ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sim.cli import completion, running_cloud
from edge_sim.cli.board_bundle import bundle
from edge_sim.cli.board_exec import exec_
from edge_sim.cli.board_restore import restore
from edge_sim.cli.group_options import profile_option
from edge_sim.cli.groups import Commands
from edge_sim.cli.options import FORMAT, PathType
from edge_sim.cli.output import say
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.cli.run import bind
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.emulation.board import Board
    from edge_sim.scenario import DeviceBacking

CONNECT_S = 60.0
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}"

ONE_OF_EACH = ("raspberry-pi-zero-w", "raspberry-pi-3", "raspberry-pi-4", "generic-x86_64")
"""A profile of each architecture: armv6l, armv7l, aarch64, x86_64."""


@click.group("board", cls=Commands)
def command() -> None:
    """Manage boards in containers, of four architectures, and the agent on real ones."""


command.add_command(exec_)
command.add_command(bundle)
command.add_command(restore)


@command.command(cls=ReportCommand)
@click.option(
    "--profile",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.profiles,
    help="Build the image of this profile's architecture; may be repeated.",
)
@click.option("--all", "every", is_flag=True, help="Build the images of all four architectures.")
@click.option(
    "--base",
    type=PathType(path_type=Path, exists=True, dir_okay=False),
    help="A tar file with a root file system, such as OpenWrt's, to use instead of Debian's.",
)
@FORMAT
def build(names: tuple[str, ...], every: bool, base: Path | None, fmt: str) -> None:
    """Build the images that are missing or out of date."""
    from edge_sim.emulation.containers import images
    from edge_sim.emulation.containers.bases import SUITE
    from edge_sim.emulation.drivers import image_of, suite_of
    from edge_sim.profiles import load_profile

    profiles = [load_profile(name) for name in (ONE_OF_EACH if every else names)]
    architectures = {profile.architecture for profile in profiles}
    if not architectures:
        raise UsageError("board build needs --profile NAME or --all")
    if base and len(architectures) > 1:
        raise UsageError("--base is for one architecture", hint="Name one --profile.")
    with _engine() as engine, shown() as display:
        tags = {}
        for profile in profiles:
            suite = SUITE if base else suite_of(profile)
            name = profile.architecture if suite == SUITE else f"{profile.architecture} {suite}"
            if base:
                tags[name] = images.build(profile.architecture, base, display.say, engine)
            else:
                tags[name] = image_of(profile, display.say, engine)
    click.echo(json.dumps(tags) if fmt == "json" else "\n".join(tags.values()))


@command.command(cls=ReportCommand)
@profile_option("The board's profile.", required=True)
@click.option("--name", metavar="NAME", help="The board's name; default: the profile's.")
@click.option("--thing", metavar="NAME", help="The core's thing name; default: the board's name.")
@click.option(
    "--mqtt", metavar="URL", envvar="EDGE_SIM_MQTT_URL", help="The agent's broker; default: the running cloud's."
)
@click.option(
    "--broker-cafile",
    type=PathType(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="CA file (PEM) used to verify an mqtts:// broker; default: the board's own CAs (edge-sim's images have none).",
)
@click.option("--bind", "binds", multiple=True, metavar="HOST:BOARD", help="Mount a path of this machine on the board.")
@click.option(
    "--device",
    "passed",
    multiple=True,
    metavar="HOST:BOARD",
    help="Pass a device node of this machine through to the board.",
)
@click.option("--no-containers", is_flag=True, help="Disable functions in containers: the board gets no CAP_SYS_ADMIN.")
@FORMAT
def up(
    profile_name: str,
    name: str | None,
    thing: str | None,
    mqtt: str | None,
    broker_cafile: Path | None,
    binds: tuple[str, ...],
    passed: tuple[str, ...],
    no_containers: bool,
    fmt: str,
) -> None:
    """Start a board and wait until its agent is connected.

    Create the board's thing before its first deployment: aws iot create-thing.

    \b
    Example: edge-sim cloud serve --bind docker &
             edge-sim board up --profile raspberry-pi-3
    """
    from edge_sim.emulation import drivers
    from edge_sim.emulation.board import AgentSettings, BoardSpec
    from edge_sim.profiles import load_profile
    from edge_sim.runs.agentprocess import AgentProcess

    started = time.monotonic()
    profile = load_profile(profile_name)
    name = _checked(name or profile.name)
    thing = _checked(thing or name)
    mqtt = _broker(mqtt or running_cloud.broker("edge-sim cloud serve --bind docker"), broker_cafile)
    spec = BoardSpec(
        profile=profile,
        agent=AgentSettings(thing=thing, broker=mqtt, cafile=broker_cafile),
        devices=_passed_through(passed),
        binds=dict(bind(text) for text in binds),
        core=profile.greengrass.version,
        contained=not no_containers,
    )
    with shown() as display:
        display.say(f"{name}: creating the board")
        with drivers.lasting(name, spec, display.say) as board:
            display.say(f"{name}: waiting for its agent to connect")
            AgentProcess(board.start_agent()).wait_for("connected", timeout_s=CONNECT_S, alive=lambda: None)
    about = {"name": name, "profile": profile.name, "thing": thing, "mqtt": mqtt, **_about(board)}
    _say_up({**about, "seconds": round(time.monotonic() - started, 2)}, fmt)


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.boards)
@click.option("--all", "every", is_flag=True, help="Remove all boards, and whatever killed runs left behind.")
def down(names: tuple[str, ...], every: bool) -> None:
    """Remove boards and their storage."""
    from edge_sim.emulation.containers import boards, networks

    if bool(names) == every:
        raise UsageError("board down needs the names of boards, or --all")
    with _engine() as engine:
        if every:
            boards.remove_ownerless(engine)
        for name in names or boards.names(engine, lasting=True):
            boards.remove(engine, name)
            say(f"removed {name}", err=True)
        if every:
            boards.remove_network(engine, networks.SHARED)


@command.command("ls", cls=ReportCommand)
@FORMAT
def list_(fmt: str) -> None:
    """List the boards. Example: edge-sim board ls --format json"""
    from edge_sim.emulation.containers import boards

    with _engine() as engine:
        records = boards.records(engine)
    if fmt == "json":
        click.echo(json.dumps([asdict(board) for board in records], indent=2))
        return
    if not records:
        click.echo("no boards; create one: edge-sim board up --profile NAME", err=True)
    width = max((len(board.name) for board in records), default=0)
    for board in records:
        say(f"{board.name:<{width}}  {board.architecture:<8}  {board.state:<8}  {board.thing}  {board.mqtt}")


@command.command()
@click.argument("name", shell_complete=completion.boards)
def shell(name: str) -> None:
    """Open a shell on a board as its root. Example: edge-sim board shell raspberry-pi-3"""
    from edge_sim.emulation.containers import boards

    docker = shutil.which("docker")
    if docker is None:
        raise UnsupportedEnvironmentError("board shell needs the docker command", hint="apt-get install docker.io")
    with _engine() as engine:
        container = boards.find(engine, name)
        umask = f"{boards.umask_of(container):04o}"
    terminal = ["--tty"] if sys.stdin.isatty() else []
    login = ["sh", "-c", 'umask "$1"; exec sh -l', "sh", umask]
    os.execv(docker, [docker, "exec", "--interactive", *terminal, container.id, *login])  # noqa: S606


@command.command()
@click.argument("name", shell_complete=completion.boards)
@click.option("--follow", is_flag=True, help="Follow until Ctrl-C or until the board ends.")
def logs(name: str, follow: bool) -> None:
    """Print the events of a board's agent, one JSON object per line."""
    from edge_sim.emulation.containers import boards

    with _engine() as engine:
        for part in boards.find(engine, name).logs(stream=True, follow=follow):
            click.echo(part.decode(errors="replace"), nl=False)


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    from edge_sim.emulation.containers import engine

    with engine.connected() as client:
        yield client


def _broker(mqtt: str, cafile: Path | None) -> str:
    """Return the broker's URL; raises UsageError unless it is one, and where CA certificates would check nothing."""
    from edge_sim.cloud.brokers.broker import tls_context

    tls_context(mqtt, cafile, option="--mqtt")
    return mqtt


def _passed_through(options: tuple[str, ...]) -> list[DeviceBacking]:
    """Return the board's devices behind which are nodes of this machine."""
    if not options:  # the module costs a board without any a quarter of a second
        return []
    from edge_sim.scenario import DeviceBacking

    return [DeviceBacking(path=path, host=host) for path, host in (bind(text, "--device") for text in options)]


def _about(board: Board) -> dict[str, Any]:
    return {"uname": board.machine, "standing_in": board.standing_in, "notes": list(board.notes)}


def _say_up(about: dict[str, Any], fmt: str) -> None:
    if fmt == "json":
        click.echo(json.dumps(about))
        return
    for note in about["notes"]:
        say(f"  • {note}")
    standing_in = f" ({about['standing_in']})" if about["standing_in"] else ""
    say(
        f"{about['name']} is up: {about['uname']}{standing_in}, connected to {about['mqtt']} as {about['thing']}, "
        f"{about['seconds']} s"
    )


def _checked(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise UsageError(f"{name}: not a valid board name", hint="Use letters, digits, - and _, at most 63 in all.")
    return name
