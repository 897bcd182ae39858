"""The MQTT broker of a run: the one that is named, else mosquitto as a child, else one inside this process.

Differences to AWS IoT Core that a user must know (docs/fidelity.md): a reply reaches every subscriber of its topic and
nobody without a subscription, rates are not limited, mosquitto keeps retained messages on reserved topics.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from edge_sim.errors import UnsupportedEnvironmentError, UsageError

_log = logging.getLogger(__name__)

Kind = Literal["external", "mosquitto", "embedded"]

HOST = "127.0.0.1"
CONNECT_LIMIT_S = 5.0
START_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0
START_TRIES = 3
MAX_PAYLOAD = 131072
"""Bytes of one message on AWS IoT Core."""
MAX_KEEP_ALIVE_S = 1200
PORTS = {"mqtt": 1883, "mqtts": 8883}
_PR_SET_PDEATHSIG = 1

_CONFIG = """\
# Written by edge-sim for one run.
listener {port} {host}
allow_anonymous true
max_qos 1
message_size_limit {max_payload}
max_keepalive {max_keep_alive}
max_inflight_messages 100
max_queued_messages 1000
max_connections 200
persistence false
set_tcp_nodelay true
persistent_client_expiration 1h
log_dest stderr
log_type error
log_type warning
# Only read when started as root: changing the user would clear the parent-death signal, so Popen did it before.
user root
"""


class Engine(Protocol):
    """What stands behind a broker's URL."""

    def alive(self) -> bool:
        """Tell whether it still serves."""

    def wait(self) -> str:
        """Return, when it has ended, why."""

    def stop(self) -> None:
        """End it; returns within STOP_LIMIT_S or so."""


class Broker:
    """A broker that serves at ``url`` until ``stop`` (or the end of the ``with`` block).

    When it ends on its own, ``died`` is called once, from another thread, with one sentence.
    """

    def __init__(self, url: str, kind: Kind, engine: Engine, died: Callable[[str], None] | None) -> None:
        self.url = url
        self.kind = kind
        self._engine = engine
        self._stopping = threading.Event()
        if died is not None and kind != "external":
            threading.Thread(target=self._watch, args=(died,), name="broker-watch", daemon=True).start()

    def alive(self) -> bool:
        """Tell whether the broker still serves."""
        return not self._stopping.is_set() and self._engine.alive()

    def stop(self) -> None:
        """End a broker that was started here; one that was named is left alone."""
        self._stopping.set()
        self._engine.stop()

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self, died: Callable[[str], None]) -> None:
        reason = self._engine.wait()
        if not self._stopping.is_set():
            died(f"the MQTT broker ({self.kind}, {self.url}) has ended: {reason}")


def start_broker(url: str | None = None, died: Callable[[str], None] | None = None, *, host: str = HOST) -> Broker:
    """Return a broker that takes connections.

    ``url``: ``mqtt://host[:port]`` or ``mqtts://…`` of one that runs already. ``host``: the address of this machine
    on which one of our own listens. Raises UsageError when it is no such
    URL and UnsupportedEnvironmentError when nothing answers there, or no broker can be started. Call it from a
    thread that lives as long as the broker is needed: Linux ends mosquitto with the thread that started it.
    """
    if url is not None:
        return _external(url, died)
    program = shutil.which("mosquitto")
    if program is not None:
        try:
            engine = Mosquitto(program, host)
        except UnsupportedEnvironmentError as error:
            _log.warning("%s; using the embedded broker instead", error)
        else:
            return Broker(f"mqtt://{host}:{engine.port}", "mosquitto", engine, died)
    return start_embedded(died, host=host)


def start_embedded(died: Callable[[str], None] | None = None, *, host: str = HOST) -> Broker:
    """Return the broker that needs nothing but pip: amqtt in a thread of this process."""
    try:
        from edge_sim.cloud.embedded_broker import Embedded  # amqtt takes half a second to load
    except ImportError as error:
        raise UnsupportedEnvironmentError(
            "no MQTT broker: mosquitto is not on the PATH and amqtt is not installed",
            hint="apt-get install mosquitto, pip install 'edge-sim[sim]', or name one with --broker",
        ) from error
    engine = Embedded(host, max_payload=MAX_PAYLOAD, start_limit_s=START_LIMIT_S, stop_limit_s=STOP_LIMIT_S)
    return Broker(f"mqtt://{host}:{engine.port}", "embedded", engine, died)


def address(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is wanted. Raises UsageError when ``url`` is no broker's."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--broker {url}: {error}") from error
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise UsageError(f"--broker {url}: not of the form mqtt://host:port or mqtts://host:port")
    return parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts"


class Mosquitto:
    """A mosquitto process on a free port of ``host``. It never outlives the thread that made it."""

    def __init__(self, program: str, host: str) -> None:
        self._host = host
        self._directory = tempfile.TemporaryDirectory(prefix="edge-sim-broker-")
        try:
            self.port, self._process = self._launch(program)
        except BaseException:
            self._directory.cleanup()
            raise

    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> str:
        return _ending(self._process.wait())

    def stop(self) -> None:
        _end(self._process)
        self._directory.cleanup()

    def _launch(self, program: str) -> tuple[int, subprocess.Popen[bytes]]:
        said = ""
        for _ in range(START_TRIES):  # another program may take the free port between our look and mosquitto's bind
            port = _free_port(self._host)
            process = self._spawn(program, port)
            if _answers(self._host, port, process):
                return port, process
            _end(process)
            said = (Path(self._directory.name) / "log").read_text(errors="replace")[-2000:].strip()
        raise UnsupportedEnvironmentError(f"{program} does not start", details=said or None)

    def _spawn(self, program: str, port: int) -> subprocess.Popen[bytes]:
        folder = Path(self._directory.name)
        folder.chmod(0o755)
        config = folder / "mosquitto.conf"
        config.write_text(
            _CONFIG.format(port=port, host=self._host, max_payload=MAX_PAYLOAD, max_keep_alive=MAX_KEEP_ALIVE_S)
        )
        config.chmod(0o644)
        with (folder / "log").open("wb") as log:
            try:
                return subprocess.Popen(
                    [program, "-c", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_die_with(os.getpid()),
                    start_new_session=True,  # Ctrl-C is ours to handle; we then stop it
                    **_account(),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise UnsupportedEnvironmentError(f"{program} cannot be started: {error}") from error


class External:
    """Somebody else's broker."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port

    def alive(self) -> bool:
        return _connects(*self._address)

    def wait(self) -> str:
        raise NotImplementedError("an external broker is not watched; its clients notice")

    def stop(self) -> None:
        return


def _external(url: str, died: Callable[[str], None] | None) -> Broker:
    host, port, _ = address(url)
    if not _connects(host, port):
        raise UnsupportedEnvironmentError(
            f"--broker {url}: nothing answers at {host} port {port}",
            hint="start it, or leave --broker out: edge-sim then starts its own",
        )
    return Broker(url, "external", External(host, port), died)


def _account() -> dict[str, Any]:
    """Return Popen's arguments that make mosquitto run as its own user when we are root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("mosquitto")
    except KeyError:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:  # runs in the child, after Popen has changed its user
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(host: str, port: int, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        if _connects(host, port):
            # A stranger on our port would answer as well; then mosquitto has ended or is about to.
            return process.poll() is None
        time.sleep(0.02)
    return False


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_LIMIT_S):
            return True
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT_S)


def _ending(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
