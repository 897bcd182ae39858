"""``edge-sim board build|up|down|ls|exec|shell|logs``: boards in containers that stay."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from edge_sim import interrupts
from edge_sim.cli import cloud
from edge_sim.cli.board_exec import exec_
from edge_sim.cli.options import FORMAT
from edge_sim.cli.run import ONE_OF_EACH, bind
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.emulation.containers.board import DockerBoard
    from edge_sim.scenario import BoardFile

CONNECT_S = 60.0
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}"


@click.group("board")
def command() -> None:
    """Boards in containers, of four architectures."""


command.add_command(exec_)


@command.command()
@click.option("--profile", "names", multiple=True, metavar="NAME", help="Whose architecture's image; repeat it.")
@click.option("--all", "every", is_flag=True, help="The images of all four architectures.")
@click.option(
    "--base",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A root file system as a tar file, such as OpenWrt's, instead of Debian's.",
)
@FORMAT
def build(names: tuple[str, ...], every: bool, base: Path | None, fmt: str) -> None:
    """Build the images that are missing or have changed. Example: edge-sim board build --all"""
    from edge_sim.emulation.containers import images
    from edge_sim.profiles import load_profile

    chosen = ONE_OF_EACH if every else names
    architectures = list(dict.fromkeys(load_profile(name).architecture for name in chosen))
    if not architectures:
        raise UsageError("board build needs --profile NAME or --all")
    if base and len(architectures) > 1:
        raise UsageError("--base is for one architecture", hint="Name one --profile.")
    with _engine() as engine:
        tags = {architecture: images.build(architecture, base, _progress, engine) for architecture in architectures}
    click.echo(json.dumps(tags) if fmt == "json" else "\n".join(tags.values()))


@command.command()
@click.option("--profile", "profile_name", required=True, metavar="NAME", help="Which board.")
@click.option("--name", metavar="NAME", help="What to call it; default: the profile's name.")
@click.option("--thing", metavar="NAME", help="The core's thing name; default: the board's name.")
@click.option("--mqtt", metavar="URL", envvar="EDGE_SIM_MQTT_URL", help="Its broker; default: the running cloud's.")
@click.option(
    "--broker-cafile",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="CA certificates (PEM) an mqtts:// broker is checked with; default: the board's; our images have none.",
)
@click.option("--bind", "binds", multiple=True, metavar="HOST:BOARD", help="A path of this machine, on the board.")
@click.option(
    "--device",
    "passed",
    multiple=True,
    metavar="HOST:BOARD",
    help="A device node of this machine, for one of the board's.",
)
@click.option("--no-containers", is_flag=True, help="No containerised functions: the board gets no CAP_SYS_ADMIN.")
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

    \b
    Example: edge-sim cloud serve --bind docker &
             edge-sim board up --profile raspberry-pi-3
    """
    from edge_sim.emulation.containers import boards, images
    from edge_sim.emulation.containers.board import DockerBoard
    from edge_sim.profiles import load_profile
    from edge_sim.runs.agentprocess import AgentProcess
    from edge_sim.scenario import DeviceBacking

    started = time.monotonic()
    profile = load_profile(profile_name)
    name = _checked(name or profile.name)
    thing = _checked(thing or name)
    mqtt = _reachable(mqtt or cloud.advertised_broker("edge-sim cloud serve --bind docker"))
    agent = {"thing": thing, "broker": mqtt, "greengrassRoot": profile.greengrass.root}
    trusted = _trusted(broker_cafile, mqtt)
    if trusted:
        agent["cafile"] = trusted[0].path
    given = dict(bind(text) for text in binds)
    devices = [DeviceBacking(path=path, host=host) for path, host in (bind(text, "--device") for text in passed)]
    with _reserved(name), _engine() as engine:
        if name in boards.named(engine):
            raise UsageError(
                f"a board named {name} is there already, or a part of one",
                hint=f"Name this one with --name, or remove that one: edge-sim board down {name}",
            )
        image = images.build(profile.architecture, None, _progress, engine)
        marks = boards.labels(name, profile=profile, thing=thing, mqtt=mqtt)
        with contextlib.ExitStack() as undo:
            with interrupts.held():  # one that the engine is just making would stay
                network = _network(engine, name, mqtt, marks)
                undo.callback(boards.remove_network, engine, network)
            made = DockerBoard(
                profile,
                engine=engine,
                image=image,
                network=network,
                name=f"{boards.PREFIX}{name}",
                agent=agent,
                files=trusted,
                devices=devices,
                binds=given,
                core=profile.greengrass.version,
                contained=not no_containers,
                lasting=True,
                labels=marks,
            )
            with made as board:
                AgentProcess(board.start_agent()).wait_for("connected", timeout_s=CONNECT_S, alive=lambda: None)
            undo.pop_all()
    about = {"name": name, "profile": profile.name, "thing": thing, "mqtt": mqtt, **_about(made)}
    _say_up({**about, "seconds": round(time.monotonic() - started, 2)}, fmt)


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="All boards, and what killed runs left behind.")
def down(names: tuple[str, ...], every: bool) -> None:
    """Remove boards, with their storage. Example: edge-sim board down raspberry-pi-3"""
    from edge_sim.emulation.containers import boards, networks

    if bool(names) == every:
        raise UsageError("board down takes the names of boards, or --all")
    with _engine() as engine:
        if every:
            boards.remove_ownerless(engine)
        for name in names or boards.named(engine, lasting=True):
            boards.remove(engine, name)
            click.echo(f"removed {name}", err=True)
        if every:
            boards.remove_network(engine, networks.SHARED)


@command.command("ls")
@FORMAT
def list_(fmt: str) -> None:
    """List the boards. Example: edge-sim board ls --format json"""
    from edge_sim.emulation.containers import boards

    with _engine() as engine:
        found = boards.listed(engine)
    if fmt == "json":
        click.echo(json.dumps([asdict(board) for board in found], indent=2))
        return
    if not found:
        click.echo("no boards; make one: edge-sim board up --profile NAME", err=True)
    width = max((len(board.name) for board in found), default=0)
    for board in found:
        click.echo(f"{board.name:<{width}}  {board.architecture:<8}  {board.state:<8}  {board.thing}  {board.mqtt}")


@command.command()
@click.argument("name")
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
@click.argument("name")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C or the board's end.")
def logs(name: str, follow: bool) -> None:
    """Print what a board's agent has said, a JSON object a line. Example: edge-sim board logs raspberry-pi-3"""
    from edge_sim.emulation.containers import boards

    with _engine() as engine:
        for part in boards.find(engine, name).logs(stream=True, follow=follow):
            click.echo(part.decode(errors="replace"), nl=False)


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    from edge_sim.emulation.containers import engine

    with engine.connected() as client:
        yield client


@contextlib.contextmanager
def _reserved(name: str) -> Iterator[None]:
    """Keep the name of a board that is not there yet; raises UsageError while another process makes one of that name.

    An abstract socket: it goes with its process, however that ends.
    """
    with socket.socket(socket.AF_UNIX) as kept:
        try:
            kept.bind(f"\0edge-sim board {name}")
        except OSError as error:
            raise UsageError(f"a board named {name} is just being made", hint="Name this one with --name.") from error
        yield


def _trusted(cafile: Path | None, mqtt: str) -> list[BoardFile]:
    """Return the CA certificates as a file of the board; raises UsageError where they would check nothing."""
    if cafile is None:
        return []
    from edge_sim.cloud.brokers.broker import tls_context
    from edge_sim.runs.drivers import CAFILE
    from edge_sim.scenario import BoardFile

    tls_context(mqtt, cafile)
    return [BoardFile(path=CAFILE, copy=cafile)]


def _reachable(mqtt: str) -> str:
    """Return the broker's URL, provided that a container can reach such a broker."""
    parts = urlsplit(mqtt)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise UsageError(f"broker address {mqtt!r}: not like mqtt://host:port or mqtts://host:port")
    if parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127."):
        raise UsageError(
            f"{mqtt}: a container does not reach this machine's loopback",
            hint="Start the cloud where boards reach it: edge-sim cloud serve --bind docker",
        )
    return mqtt


def _network(engine: Any, name: str, mqtt: str, marks: dict[str, str]) -> str:
    """Return the network from which the board reaches its broker: the shared one, or one of its own that leads out."""
    from edge_sim.emulation.containers import boards, networks

    shared = networks.find(engine, networks.SHARED)
    if shared and shared.gateway == urlsplit(mqtt).hostname:
        return shared.name
    return networks.make(engine, f"{boards.PREFIX}{name}", marks, internal=False).name


def _about(board: DockerBoard) -> dict[str, Any]:
    return {"uname": board.machine, "standing_in": board.standing_in, "notes": list(board.notes)}


def _say_up(about: dict[str, Any], fmt: str) -> None:
    if fmt == "json":
        click.echo(json.dumps(about))
        return
    for note in about["notes"]:
        click.echo(f"  • {note}")
    standing_in = f" ({about['standing_in']})" if about["standing_in"] else ""
    click.echo(
        f"{about['name']} is up: {about['uname']}{standing_in}, thing {about['thing']} connected to {about['mqtt']}, "
        f"{about['seconds']} s"
    )


def _checked(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise UsageError(f"{name}: not a name for a board", hint="Letters, digits, - and _, at most 63.")
    return name


def _progress(text: str) -> None:
    click.echo(f"… {text}", err=True)
