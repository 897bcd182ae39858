"""``edge-sim cloud serve|env``."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import shlex
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sim.cli import cloud_certs, running_cloud
from edge_sim.cli.addresses import own_address
from edge_sim.cli.groups import Commands
from edge_sim.cli.options import BROKER, BROKER_CAFILE, FORMAT, PathType, SecondsRange
from edge_sim.cli.report import ReportCommand, printed
from edge_sim.cloud import hosts, notes
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.interrupts import awaited

if TYPE_CHECKING:
    from edge_sim.cloud.server import Cloud, Tls
    from edge_sim.emulation.catalogue import Offer

PORT = click.IntRange(0, 65535)


@click.group("cloud", cls=Commands)
def command() -> None:
    """Serve the local cloud: Greengrass V1 API, IoT Jobs over a real MQTT broker, artifact URLs."""


command.add_command(cloud_certs.command)


@command.command(cls=ReportCommand, indent=None)
@click.option("--state", type=PathType(path_type=Path), help="SQLite file for the cloud's state.")
@click.option("--port", type=PORT, help="HTTP port; 0 picks a free one. Default: 0, with --tls 8443.")
@click.option(
    "--bind",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help='Address to listen on; "docker": a network for boards in containers.',
)
@BROKER
@BROKER_CAFILE
@click.option(
    "--sources",
    metavar="aws|URL",
    default="moto",
    callback=lambda _context, _option, text: _checked_sources(text),
    help="Where models and secrets come from: real AWS, or a server that speaks S3, SageMaker and Secrets Manager. "
    "Default: moto in this process.",
)
@click.option("--tls", is_flag=True, help="Serve HTTPS and MQTT over TLS with certificates on both sides.")
@click.option("--mqtt-port", type=PORT, help="MQTT port with --tls; 0 picks a free one. Default: 8883.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="With --tls: another host name or address that boards use for this machine; may be repeated.",
)
@click.option(
    "--updates",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="updates.yaml: builds to offer instead of AWS's last release; "
    "an update installs the last one listed for its pair.",
)
@click.option(
    "--rollout-minute",
    "minute_s",
    type=SecondsRange(0.1, 60.0),
    default=60.0,
    metavar="SECONDS",
    help="Length of a minute in a job's rollout rate; timeouts are not affected. Default: 60.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    metavar="N",
    help="Maximum number of concurrent MQTT clients of the mosquitto that the cloud starts.",
)
@click.option("--for-a-run", "private", is_flag=True, hidden=True)  # cloud env and board up are not to find it
@FORMAT
def serve(
    state: Path | None,
    port: int | None,
    bind: str,
    broker: str | None,
    broker_cafile: Path | None,
    sources: str,
    tls: bool,
    mqtt_port: int | None,
    names: tuple[str, ...],
    updates: Path | None,
    minute_s: float,
    connections: int,
    private: bool,
    fmt: str,
) -> None:
    """Run the local cloud until SIGTERM or Ctrl-C. When ready, print the exports that boto3 and the AWS CLI need.

    Without --tls clients are not authenticated, so the cloud listens only on loopback or the containers' network. With
    --tls, things have a certificate (edge-sim cloud certs), and API calls are signed with a key that the state holds.

    A restart with the same --state keeps everything of Greengrass, IoT and /edge-sim/, except secret values. Whatever
    you put into moto's S3, SageMaker or Secrets Manager yourself is lost when the process ends.

    CreateSoftwareUpdateJob offers a simulated core 1.11.6 and OTA agent 1.3.0 for all seven pairs of system and
    architecture, unless --updates, edge-sim ota create --version or PUT /edge-sim/builds offers another build.

    Example: edge-sim cloud serve --state cloud.sqlite --tls --bind 192.168.1.10
    """
    secured = _tls(tls, mqtt_port, names, broker)
    from edge_sim.cloud.server import Cloud
    from edge_sim.emulation import catalogue

    offers = catalogue.read_offers(updates) if updates else ()
    ends = _ends()
    with (
        _address(bind, open_=tls or private) as address,
        Cloud(
            state=state,
            port=port if port is not None else 8443 if tls else 0,
            address=address,
            broker=broker,
            broker_cafile=broker_cafile,
            sources=sources,
            catalogue=catalogue.newest,
            died=ends.put,
            tls=secured,
            minute_s=minute_s,
            connections=connections,
        ) as cloud,
    ):
        _register(cloud, offers)
        about, exports = _about(cloud), {**cloud.exports(), "EDGE_SIM_MQTT_URL": cloud.mqtt_url}
        with contextlib.nullcontext() if private else notes.left({**about, "exports": exports}):
            ready = {**about, "exports": exports} if private else about
            print(json.dumps(ready) if fmt == "json" else _shown(exports, secret=tls), flush=True)
            printed()
            why = awaited(ends)
    if why:
        raise UnsupportedEnvironmentError(why, hint="Start the cloud again.")


def _ends() -> queue.SimpleQueue[str]:
    """Return a queue for the reasons to end, with an empty one at SIGTERM and Ctrl-C: we are asked to."""
    ends: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.put(""))
    return ends


def _checked_sources(text: str) -> str:
    if text not in ("moto", "aws") and not re.fullmatch(r"https?://[^/\s]+/?", text):
        raise UsageError(f"--sources {text}: expected aws or the URL of a server, such as http://127.0.0.1:5000")
    return text


def _about(cloud: Cloud) -> dict[str, Any]:
    from edge_sim.cloud.server import ACCOUNT, REGION

    return {
        "http": cloud.http_url,
        "mqtt": cloud.mqtt_url,
        "broker": cloud.broker_kind,
        "region": REGION,
        "account": ACCOUNT,
        "state": str(cloud.state) if cloud.state else None,
        "cafile": str(cloud.cafile) if cloud.cafile else None,
    }


def _register(cloud: Cloud, offers: Sequence[Offer]) -> None:
    for offer in offers:
        where = (offer.operating_system, offer.architecture, offer.version)
        cloud.parts.updates.register(offer.software, *where, offer.chunks())


@command.command(cls=ReportCommand)
@FORMAT
def env(fmt: str) -> None:
    """Print the exports of the running cloud, or of the first if there are several. Example:
    eval "$(edge-sim cloud env)" """
    about = running_cloud.note()
    click.echo(json.dumps(about["exports"]) if fmt == "json" else _exports(about["exports"]))


@contextlib.contextmanager
def _address(bind: str, *, open_: bool) -> Iterator[str]:
    """Yield the address to listen on; for ``docker`` the boards' network exists as long as somebody uses it.

    ``open_``: it may be any address of this machine.
    """
    if bind != "docker":
        _check_address(bind, open_=open_)
        yield bind
        return
    from edge_sim.emulation.containers import boards, engine, networks

    with engine.connected() as client:
        try:
            yield networks.make(client, networks.SHARED, boards.labels()).gateway
        finally:
            networks.remove_unused(client, networks.SHARED)


def _tls(with_tls: bool, mqtt_port: int | None, names: tuple[str, ...], broker: str | None) -> Tls | None:
    """Return how TLS is to be served, None without."""
    if not with_tls:
        if mqtt_port is not None or names:
            raise UsageError(f"{'--name' if names else '--mqtt-port'} goes with --tls")
        return None
    if broker:
        raise UsageError(
            "--tls and --broker cannot be combined", hint="The broker that --broker names has its own listeners."
        )
    from edge_sim.cloud.server import Tls

    for name in names:
        if not hosts.NAME.fullmatch(name):
            raise UsageError(f"--name {name!r}: neither a host name nor an IPv4 address")
    return Tls(mqtt_port=8883 if mqtt_port is None else mqtt_port, names=tuple(map(str.lower, names)))


def _check_address(text: str, *, open_: bool) -> None:
    """Raise UsageError unless clients can use ``text`` as it stands, for it is part of every URL."""
    address = own_address(text, kind="neither an IPv4 address nor docker", who="a board")
    if not open_ and not address.is_loopback:
        raise UsageError(
            f"--bind {text}: other machines could reach a cloud without authentication",
            hint='Add --tls, or name a loopback address, or "docker" for boards in containers.',
        )


def _shown(exports: dict[str, str], *, secret: bool) -> str:
    """Return the exports as a server prints them, whose output may be a log: without a key that is secret."""
    if not secret:
        return _exports(exports)
    shown = {name: value for name, value in exports.items() if name != "AWS_SECRET_ACCESS_KEY"}
    return f'{_exports(shown)}\n# with AWS_SECRET_ACCESS_KEY: eval "$(edge-sim cloud env)"'


def _exports(values: dict[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
