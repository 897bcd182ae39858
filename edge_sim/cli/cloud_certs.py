"""``edge-sim cloud certs``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edge_sim.cli.options import PathType
from edge_sim.cloud import hosts, notes
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.jobs.topics import is_thing_name

_ANSWER_LIMIT_S = 30.0
_SERVE = "edge-sim cloud serve --tls --state cloud.sqlite"


@click.command("certs")
@click.argument("thing")
@click.option("--out", "folder", type=PathType(path_type=Path), required=True, help="A new folder for the files.")
@click.option(
    "--host", help="Host name or address at which the board reaches the cloud. Default: the one it listens on."
)
def command(thing: str, folder: Path, host: str | None) -> None:
    """Create a certificate for THING, and write its board's files: certs/ and config/config.json, as on a V1 core.

    Its policy, edge-sim-device, allows the thing's own topics and the topics of its group's subscriptions.

    Example: edge-sim cloud certs my-core --out my-core
    """
    if not is_thing_name(thing):
        raise UsageError(f"{thing!r}: not the name of a thing (1 to 128 of a-z, A-Z, 0-9, : _ -)")
    if host is not None and not hosts.NAME.fullmatch(host):
        raise UsageError(f"--host {host!r}: neither a host name nor an IPv4 address")
    about = _secured()
    if host is not None:
        _check_name(about, host)
    exports = about["exports"]
    from edge_sim.cloud.clients import make_client
    from edge_sim.cloud.provisioning import Endpoints, provision

    iot = make_client(
        "iot",
        endpoint_url=about["http"],
        region=about["region"],
        secret=exports["AWS_SECRET_ACCESS_KEY"],
        cafile=about["cafile"],
    )
    urls = [about[name] if host is None else _elsewhere(about[name], host) for name in ("http", "mqtt")]
    files = provision(iot, thing, Endpoints(http=urls[0], mqtt=urls[1], cafile=Path(about["cafile"])), folder)
    for path in (files.cafile, files.certificate, files.key, files.config):
        click.echo(path)


def _check_name(about: Mapping[str, Any], host: str) -> None:
    """Raise UsageError unless the cloud's certificate is for ``host``, as a board will ask."""
    import socket
    import ssl
    from urllib.parse import urlsplit

    url = urlsplit(about["http"])
    try:
        plain = socket.create_connection((url.hostname or "", url.port or 0), timeout=_ANSWER_LIMIT_S)
        with plain, ssl.create_default_context(cafile=about["cafile"]).wrap_socket(plain, server_hostname=host):
            return
    except ssl.SSLCertVerificationError as error:
        hint = f"Start the cloud with that name: {_SERVE} --name {host}"
        raise UsageError(f"--host {host}: the cloud's certificate is for other names", hint=hint) from error
    except OSError as error:
        why = f"the cloud at {about['http']} does not answer: {error.strerror or error}"
        raise UnsupportedEnvironmentError(f"no certificate can be created: {why}") from error


def _elsewhere(url: str, host: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{host}:{rest.rpartition(':')[2]}"


def _secured() -> dict[str, Any]:
    """Return what the first cloud with TLS has left behind of itself."""
    clouds = notes.read()
    cloud_with_tls = next((cloud for cloud in clouds if cloud.get("cafile")), None)
    if cloud_with_tls is None:
        why = f"the cloud at {clouds[0]['http']} serves without TLS" if clouds else "no local cloud is running"
        raise UnsupportedEnvironmentError(f"no certificate can be created: {why}", hint=f"Start one: {_SERVE}")
    return cloud_with_tls
