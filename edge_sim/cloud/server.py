"""The local cloud as a whole: one HTTP server and one MQTT broker on loopback ports, in a thread of their own.

``with Cloud() as cloud:`` runs everything until the block ends; ``cloud.exports()`` are the variables with which boto3
and the AWS CLI talk to it unchanged. SigV4 signatures are not verified, unless there is TLS: then things show their
certificates, calls are signed with a key of this state, and the ports may be reached from other machines. State lies in
one SQLite file and the folder ``FILE.d`` beside it; without a file, in a temporary folder that is removed at the end.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from edge_sim.cloud import statefile
from edge_sim.cloud.app import App
from edge_sim.cloud.brokers.broker import Broker, start_broker, start_private
from edge_sim.cloud.brokers.front import ALPN_MQTT, Front
from edge_sim.cloud.brokers.packets import MAX_CONNECTIONS
from edge_sim.cloud.clients import TEST_ACCESS_KEY
from edge_sim.cloud.greengrass.updates import Catalogue
from edge_sim.cloud.http_connection import HttpConnection
from edge_sim.cloud.jobs.rollouts import MINUTE_S
from edge_sim.cloud.loopthread import LoopThread
from edge_sim.cloud.wiring import CloudParts, CloudSettings, load_sources, wire
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.folders import while_in_use

if TYPE_CHECKING:  # cryptography is imported with the first certificate
    from edge_sim.cloud.ca import CertificateAuthority

REGION = "us-east-1"
ACCOUNT = "123456789012"
"""moto's account, so that ARNs of its services and of ours agree."""
START_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Tls:
    """TLS with certificates on both sides. ``names``: further host names and addresses that the cloud is reached by.

    ``mqtt_port`` 0 takes a free one.
    """

    mqtt_port: int = 0
    names: tuple[str, ...] = ()


class Cloud:
    """The local cloud, as a context manager.

    ``state``: the SQLite file, or None. ``port``: of HTTP, 0 means a free one. ``address``: of this machine, for HTTP
    and a broker of its own; it also stands in every URL that is handed out. ``broker``: None for one of its own, or the
    URL of a running one; ``broker_cafile`` is what an mqtts:// one is checked with. ``sources``: "moto" (in this
    process), "aws", or the URL of a server that speaks S3, SageMaker and Secrets Manager. ``catalogue`` has the builds
    that CreateSoftwareUpdateJob offers where none was registered. ``died`` is called, from another thread, when the
    broker ends on its own. ``tls`` None serves without.

    Enter it in a thread that lives as long as the cloud is needed: mosquitto ends with the thread that started it.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        port: int = 0,
        address: str = LOOPBACK,
        broker: str | None = None,
        broker_cafile: Path | None = None,
        sources: str = "moto",
        catalogue: Catalogue = lambda *_: None,
        died: Callable[[str], None] | None = None,
        tls: Tls | None = None,
        minute_s: float = MINUTE_S,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.state = state
        self.http_url = ""
        self.mqtt_url = ""
        self.broker_kind = ""
        """``mosquitto``, ``embedded`` or ``external``."""
        self._port = port
        self._address = address
        self._broker = broker
        self._broker_cafile = broker_cafile
        self._sources = sources
        self._catalogue = catalogue
        self._died = died
        self._tls = tls
        self._minute_s = minute_s
        self._connections = connections
        self._key = (TEST_ACCESS_KEY, TEST_ACCESS_KEY)
        self._front: Front | None = None
        self.cafile: Path | None = None
        """The CA certificate of a cloud with TLS."""
        self._stack = ExitStack()
        self._parts: CloudParts | None = None

    def __enter__(self) -> Cloud:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def parts(self) -> CloudParts:
        """What the cloud is made of, for callers in the same process."""
        if self._parts is None:
            raise RuntimeError("the cloud is not running")
        return self._parts

    def load_sources(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Same as ``PUT /edge-sim/sources``."""
        load_sources(self.parts.source_server, entries)

    def exports(self) -> dict[str, str]:
        """Return the environment with which AWS's own clients use this cloud."""
        variables = {
            "AWS_ENDPOINT_URL_GREENGRASS": self.http_url,
            "AWS_ENDPOINT_URL_IOT": self.http_url,
            "AWS_ENDPOINT_URL_IOT_JOBS_DATA_PLANE": self.http_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,  # what the CLI's second version and other SDKs ask first
            "AWS_ACCESS_KEY_ID": self._key[0],
            "AWS_SECRET_ACCESS_KEY": self._key[1],
        }
        if self.cafile is not None:
            variables["AWS_CA_BUNDLE"] = str(self.cafile)
        if self.parts.source_server is not None:
            url = self.parts.source_server.url()
            variables |= {f"AWS_ENDPOINT_URL_{name}": url for name in ("S3", "SAGEMAKER", "SECRETS_MANAGER")}
        return variables

    def _start(self) -> None:
        folder = self._folder()

        @cache
        def authority() -> CertificateAuthority:
            from edge_sim.cloud.ca import CertificateAuthority  # with cryptography

            return CertificateAuthority(folder / "ca")

        listener = self._listener(self._port)
        login = ("edge-sim", secrets.token_urlsafe(24)) if self._tls else None
        broker = self._stack.enter_context(self._start_broker(login))
        self.broker_kind = broker.kind
        scheme, port = ("https" if self._tls else "http"), listener.getsockname()[1]
        self.http_url, self.mqtt_url = f"{scheme}://{self._address}:{port}", broker.url
        door: socket.socket | None = None
        if self._tls is not None:
            door = self._listener(self._tls.mqtt_port)
            self.mqtt_url = f"mqtts://{self._address}:{door.getsockname()[1]}"
            self.cafile, self._key = authority().cafile.resolve(), (TEST_ACCESS_KEY, authority().access_key())
        settings = CloudSettings(
            state=self.state,
            folder=folder,
            http_url=self.http_url,
            mqtt_url=self.mqtt_url,
            broker_url=broker.url,
            broker_cafile=self._broker_cafile,
            broker_login=login,
            authority=authority,
            key=self._key if self._tls else None,
            names=frozenset(self._names()),
            region=REGION,
            account=ACCOUNT,
            sources=self._sources,
            catalogue=self._catalogue,
            minute_s=self._minute_s,
        )
        parts = wire(settings, self._stack, self._review)
        context = authority().server_context(self._names(), required=False) if self._tls else None
        http = LoopThread("the HTTP server", partial(serve, parts.app, listener, context))
        self._stack.callback(http.stop, STOP_LIMIT_S)
        http.start(START_LIMIT_S)
        if door is not None and login is not None:
            self._front = self._open_front(door, authority(), parts, int(broker.url.rpartition(":")[2]), login)
        parts.deployments.resume()
        self._parts = parts

    def _start_broker(self, login: tuple[str, str] | None) -> Broker:
        limit = {"connections": self._connections + 1}  # with the cloud's own; mosquitto 2.0.11 takes another
        if login is not None:
            return start_private(login, self._died, **limit)
        return start_broker(self._broker, self._died, host=self._address, cafile=self._broker_cafile, **limit)

    def _open_front(
        self,
        listener: socket.socket,
        authority: CertificateAuthority,
        parts: CloudParts,
        inner: int,
        login: tuple[str, str],
    ) -> Front:
        context = authority.server_context(self._names(), required=True, alpn=[ALPN_MQTT])
        front = Front(listener, context, parts.gate, inner=inner, login=login, connections=self._connections)
        self._stack.callback(front.stop)
        return front

    def _review(self) -> None:
        """Disconnect clients that have lost a right."""
        if self._front is not None:
            self._front.review()

    def _listener(self, port: int) -> socket.socket:
        listener = bind(port, self._address)
        self._stack.callback(listener.close)
        return listener

    def _names(self) -> list[str]:
        """Return the addresses and host names that a cloud with TLS is reached by."""
        if self._tls is None:
            return []
        own = "localhost" if ipaddress.ip_address(self._address).is_loopback else socket.gethostname().lower()
        return [self._address, own, *self._tls.names]

    def _folder(self) -> Path:
        if self.state is None:
            return self._stack.enter_context(while_in_use("edge-sim-serve-"))[0]
        statefile.look(self.state)  # nothing is made beside a file that is somebody else's
        folder = self.state.with_name(f"{self.state.name}.d")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}", hint="Choose another state file.") from error
        lock = (folder / "lock").open("w")
        self._stack.callback(lock.close)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"{self.state}: another cloud is using this state", hint="Stop it first.") from error
        return folder


async def serve(
    app: App,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Serve an ASGI application on a bound socket until ``stop`` is set; ``ready()`` is called when it answers.

    ``context``: of TLS, None for plain HTTP.
    h11 is the parser: strict, and the same code on every machine.
    """
    config = uvicorn.Config(
        app,
        http=HttpConnection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=64 * 1024,
    )
    config.load()
    config.ssl = context
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))  # outside the main thread it leaves signals alone
    stopping = asyncio.create_task(stop.wait())
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)  # uvicorn has no event for this
    ready()
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


def bind(port: int, address: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens; raises UnsupportedEnvironmentError when the port is taken."""
    # The protocol is named because asyncio turns Nagle's algorithm off only then: without it every call takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(128)  # from now on nobody else gets the port
    except (OSError, OverflowError) as error:
        listener.close()
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use by another program" if in_use else f"cannot be used: {error}"
        raise UnsupportedEnvironmentError(
            f"port {port} of {address} {why}", hint="Choose another port, or 0 for a free one."
        ) from error
    return listener
