"""The MQTT broker of a run: the one that is named, else mosquitto as a child, else one inside this process.

Differences to AWS IoT Core that a user must know (docs/fidelity.md): a reply reaches every subscriber of its topic and
nobody without a subscription, rates are not limited, mosquitto keeps retained messages on reserved topics.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from edge_sim.cloud.brokers.mosquitto import Mosquitto
from edge_sim.cloud.brokers.packets import MAX_CONNECTIONS
from edge_sim.errors import INSTALL, UnsupportedEnvironmentError, UsageError, file_error
from edge_sim.mqttclient import address
from edge_sim.process import daemon

Kind = Literal["external", "mosquitto", "embedded"]
Died = Callable[[str], None]

HOST = "127.0.0.1"
CONNECT_LIMIT_S = 5.0
START_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0
MAX_PAYLOAD = 131072
"""Bytes of one message on AWS IoT Core."""
_CAFILE_HINT = "It goes with %s mqtts://HOST:PORT."


class Engine(Protocol):
    """What stands behind the URL of a broker of our own."""

    def alive(self) -> bool:
        """Tell whether it still serves."""

    def wait(self) -> str:
        """Return, when it has ended, why."""

    def stop(self) -> None:
        """End it; returns within STOP_LIMIT_S or so."""


class Broker:
    """A broker that serves at ``url`` until ``stop`` (or the end of the ``with`` block).

    ``engine`` is None for one that was named: it is left alone, and its clients notice its end. When one of our own
    ends on its own, ``died`` is called once, from another thread, with one sentence.
    """

    def __init__(self, url: str, kind: Kind, engine: Engine | None = None, died: Died | None = None) -> None:
        self.url = url
        self.kind = kind
        self._engine = engine
        self._stopping = threading.Event()
        if engine is not None and died is not None:
            threading.Thread(target=self._watch, args=(engine, died), name="broker-watch", daemon=True).start()

    def alive(self) -> bool:
        """Tell whether a broker of our own still serves, or a named one was not given up yet."""
        return not self._stopping.is_set() and (self._engine is None or self._engine.alive())

    def stop(self) -> None:
        """End a broker that was started here; one that was named is left alone."""
        self._stopping.set()
        if self._engine is not None:
            self._engine.stop()

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self, engine: Engine, died: Died) -> None:
        reason = engine.wait()
        if not self._stopping.is_set():
            died(f"the MQTT broker ({self.kind}, {self.url}) has ended: {reason}")


def start_broker(
    url: str | None = None,
    died: Died | None = None,
    *,
    host: str = HOST,
    cafile: Path | None = None,
    connections: int = MAX_CONNECTIONS,
) -> Broker:
    """Return a broker that takes connections.

    ``url``: ``mqtt://host[:port]`` or ``mqtts://…`` of one that runs already, ``cafile`` the CA certificates (PEM) that
    the latter is checked with, None for the system's. ``host``: the address of this machine on which one of our own
    listens, ``connections`` how many clients it takes at once. Raises UsageError when one of them cannot be used and
    UnsupportedEnvironmentError when nothing, or nobody trusted, answers there, or no broker can be started: a mosquitto
    that is installed but does not start is reported, not replaced. Call it from a thread that lives as long as the
    broker is needed: Linux ends mosquitto with the thread that started it.
    """
    if url is not None:
        return _external(url, cafile)
    if cafile is not None:
        raise UsageError(f"--broker-cafile {cafile}: only together with --broker", hint=_CAFILE_HINT % "--broker")
    program = daemon("mosquitto")
    if program is None:
        return start_embedded(died, host=host, connections=connections)
    engine = _mosquitto(program, host, connections)
    return Broker(f"mqtt://{host}:{engine.port}", "mosquitto", engine, died)


def start_private(login: tuple[str, str], died: Died | None = None, *, connections: int = MAX_CONNECTIONS) -> Broker:
    """Return a mosquitto on loopback that takes only ``login``: the broker behind ``front``.

    Raises UnsupportedEnvironmentError when there is none: the embedded broker knows no passwords.
    """
    program = daemon("mosquitto")
    if program is None:
        raise UnsupportedEnvironmentError(
            "--tls needs mosquitto, which is not installed: the embedded broker has no TLS",
            hint="apt-get install mosquitto",
        )
    engine = _mosquitto(program, HOST, connections, login)
    return Broker(f"mqtt://{HOST}:{engine.port}", "mosquitto", engine, died)


def _mosquitto(program: str, host: str, connections: int, login: tuple[str, str] | None = None) -> Mosquitto:
    return Mosquitto(
        program,
        host,
        max_payload=MAX_PAYLOAD,
        start_limit_s=START_LIMIT_S,
        stop_limit_s=STOP_LIMIT_S,
        login=login,
        connections=connections,
    )


def start_embedded(died: Died | None = None, *, host: str = HOST, connections: int = MAX_CONNECTIONS) -> Broker:
    """Return the broker that needs nothing but pip: amqtt in a thread of this process."""
    try:
        from edge_sim.cloud.brokers.embedded import Embedded  # amqtt takes half a second to load
    except ImportError as error:
        raise UnsupportedEnvironmentError(
            "no MQTT broker: neither mosquitto nor amqtt is installed",
            hint=f"apt-get install mosquitto; or {INSTALL}; or name one with --broker",
        ) from error
    engine = Embedded(
        host,
        max_payload=MAX_PAYLOAD,
        start_limit_s=START_LIMIT_S,
        stop_limit_s=STOP_LIMIT_S,
        connections=connections,
    )
    return Broker(f"mqtt://{host}:{engine.port}", "embedded", engine, died)


def tls_context(url: str, cafile: Path | None, option: str = "--broker") -> ssl.SSLContext | None:
    """Return how the broker at ``url``, which ``option`` names, is checked; None for one without TLS.

    Raises UsageError for a URL that is no broker's, and for a bad ``cafile``.
    """
    secure = address(url, option)[2]
    if cafile is not None and not secure:
        hint = _CAFILE_HINT % option
        why = f"{url} has no TLS, so there is no certificate to verify"
        raise UsageError(f"--broker-cafile {cafile}: {why}", hint=hint)
    if not secure:
        return None
    try:
        context = ssl.create_default_context(cafile=str(cafile) if cafile else None)
    except OSError as error:
        raise file_error(f"--broker-cafile {cafile}: cannot be read as CA certificates: {error}", error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _external(url: str, cafile: Path | None) -> Broker:
    host, port, _ = address(url, "--broker")
    context = tls_context(url, cafile)
    try:
        _greet(host, port, context)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason or str(error)
        raise UnsupportedEnvironmentError(
            f"--broker {url}: TLS failed: {why}",
            hint="Pass its CA certificates with --broker-cafile, and use the host name in its certificate.",
        ) from error
    except OSError as error:
        raise UnsupportedEnvironmentError(
            f"--broker {url}: nothing answers at {host} port {port}: {error.strerror or error}",
            hint="start it, or leave --broker out: edge-sim then starts its own",
        ) from error
    return Broker(url, "external")


def _greet(host: str, port: int, context: ssl.SSLContext | None) -> None:
    with socket.create_connection((host, port), timeout=CONNECT_LIMIT_S) as plain:
        if context is not None:
            context.wrap_socket(plain, server_hostname=host).close()
