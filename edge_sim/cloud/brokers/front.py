"""The front of a broker with mutual TLS: who may connect, and which packets pass.

mosquitto knows a client by its certificate's CN, but its dynamic-security plugin is then not asked at CONNECT (tried
with 2.0.11): neither the client id nor a disabled client is looked at, so a thing could take another's session over.
So TLS ends here. An ``Admission`` is asked about every CONNECT, PUBLISH and SUBSCRIBE and about every message to a
client; mosquitto, which only this process has the password of, does the rest. As at AWS, what is not allowed ends the
connection; what is no longer allowed after a change does so at once (``review``).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sqlite3
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.packets import MalformedError
from edge_sim.cloud.loopthread import LoopThread, close
from edge_sim.cloud.peers import common_name

_log = logging.getLogger(__name__)

ALPN_MQTT = "x-amzn-mqtt-ca"
"""What a client offers that speaks MQTT with a certificate on port 443 (IoT developer guide, "Device communication
protocols"); taken on any port."""
HANDSHAKE_LIMIT_S = 10.0
CONNECT_LIMIT_S = 10.0
START_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0
MAX_PAYLOAD = 131072
MAX_PACKET = MAX_PAYLOAD + 16 * 1024
"""Room for topic and properties besides."""
MAX_TOPIC_BYTES, MAX_SLASHES, MAX_FILTERS, MAX_CLIENT_ID = 256, 7, 8, 128
"""AWS IoT's limits of a topic, a SUBSCRIBE packet and a client id (General Reference, "AWS IoT Core quotas")."""


class Permit(Protocol):
    """What one connection may do, as things stand now."""

    def publish(self, topic: str, retain: bool, /) -> bool: ...

    def subscribe(self, topic_filter: str, /) -> bool: ...

    def receive(self, topic: str, /) -> bool: ...


class Admission(Protocol):
    """Who may do what. Called in the front's thread."""

    def admit(self, certificate_id: str, client_id: str, /) -> Permit | str:
        """Return what a client may do that shows this certificate, or why it may not connect."""


@dataclass(eq=False, kw_only=True)
class _Session:
    certificate: str
    client_id: str
    version: int
    keep_alive: int | None
    """The keep-alive that a client of version 5 gets in place of the one that it asked for; None: no other."""
    permit: Permit
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    inner_reader: asyncio.StreamReader
    inner_writer: asyncio.StreamWriter

    def end(self, why: str) -> None:
        """Say why in the log, and hang up."""
        _log.warning("MQTT client %.128r: %s; its connection is closed", self.client_id, why)
        if not self.writer.is_closing():
            self.writer.write(packets.farewell(self.version))
        self.close()

    def close(self) -> None:
        for writer in (self.inner_writer, self.writer):
            writer.close()


class Front:
    """Serves MQTT over TLS on a bound socket, for the broker at ``inner`` (a loopback port).

    ``login`` is the user and password that the broker takes, ``connections`` how many clients at once. Raises
    UnsupportedEnvironmentError when it cannot start.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        gate: Admission,
        *,
        inner: int,
        login: tuple[str, str],
        connections: int = packets.MAX_CONNECTIONS,
    ) -> None:
        self._connections = connections
        self._listener, self._context, self._gate, self._inner, self._login = listener, context, gate, inner, login
        self._sessions: set[_Session] = set()
        self._connected: set[asyncio.StreamWriter] = set()
        self._thread = LoopThread("MQTT over TLS", self._serve)
        self._thread.start(START_LIMIT_S)

    def review(self) -> None:
        """Ask again about every connection, and close those that are no longer allowed; returns when that is done."""
        self._thread.call(self._review, STOP_LIMIT_S)

    def stop(self) -> None:
        """Close every connection and stop."""
        self._thread.stop(STOP_LIMIT_S)

    async def _serve(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        server = await asyncio.start_server(
            self._take, sock=self._listener, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_LIMIT_S
        )
        ready()
        await stopping.wait()
        for session in self._sessions:
            session.close()
        await close(server, self._connected)

    def _review(self) -> None:
        for session in list(self._sessions):
            self._check(session)

    def _check(self, session: _Session) -> None:
        """Give a session the rights that it has now, or end it."""
        try:
            answer = self._gate.admit(session.certificate, session.client_id)
        except sqlite3.Error as error:
            answer = f"its rights cannot be read: {error}"
        if isinstance(answer, str):
            session.end(answer)
        else:
            session.permit = answer

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connected.add(writer)
        try:
            if len(self._connected) <= self._connections:
                session = await asyncio.wait_for(self._session(reader, writer), CONNECT_LIMIT_S)
                if session is not None:
                    await self._pass(session)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            _log.debug("an MQTT connection ended: %r", error)
        except MalformedError as error:
            _log.warning("an MQTT client sent something other than MQTT: %s", error)
        finally:
            self._connected.discard(writer)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Session | None:
        """Return the session of a client that may connect; None for one that was refused."""
        certificate = common_name(writer.get_extra_info("peercert"))
        first, body = await _packet(reader, client=True)
        if first != packets.CONNECT << 4:
            raise MalformedError("the first packet is not a CONNECT")
        request = packets.connect(body)
        answer = self._gate.admit(certificate, request.client_id)
        why = answer if isinstance(answer, str) else _connect_problem(request, answer)
        if isinstance(answer, str) or why is not None:
            _log.warning("MQTT client %.128r with certificate %s is refused: %s", request.client_id, certificate, why)
            writer.write(packets.refusal(request.version))
            await writer.drain()
            return None
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner)
        inner_writer.write(request.as_user(*self._login))
        granted = request.granted_keep_alive
        return _Session(
            certificate=certificate,
            client_id=request.client_id,
            version=request.version,
            keep_alive=granted if request.version == packets.V5 and granted != request.keep_alive else None,
            permit=answer,
            reader=reader,
            writer=writer,
            inner_reader=inner_reader,
            inner_writer=inner_writer,
        )

    async def _pass(self, session: _Session) -> None:
        """Let packets through in both directions until one side hangs up."""
        self._sessions.add(session)
        self._check(session)  # a change since it was admitted did not find it here
        ways = [asyncio.create_task(_inward(session)), asyncio.create_task(_outward(session))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                if isinstance(way.exception(), MalformedError):
                    session.end(str(way.exception()))
        finally:
            self._sessions.discard(session)
            for way in ways:
                way.cancel()
            session.close()


async def _inward(session: _Session) -> None:
    """Pass on what the client sends, as far as it may."""
    while True:
        first, body = await _packet(session.reader, client=True)
        kind = first >> 4
        packets.check_size(kind, len(body), session.version)
        why = None
        if kind == packets.PUBLISH:
            why = _publish_problem(packets.publish(first & 0x0F, body, session.version), session.permit)
        elif kind == packets.SUBSCRIBE:
            why = _subscribe_problem(packets.subscribe(body, session.version), session.permit)
        elif kind == packets.CONNECT:
            why = "it sent a second CONNECT"
        if why is not None:
            return session.end(why)
        session.inner_writer.write(packets.packet(first, body))
        await session.inner_writer.drain()


async def _outward(session: _Session) -> None:
    """Pass on what the broker sends, but for messages that the client may not receive."""
    while True:
        first, body = await _packet(session.inner_reader)
        if first >> 4 == packets.PUBLISH:
            message = packets.publish(first & 0x0F, body, session.version)
            if not session.permit.receive(message.topic):
                if message.id is not None:
                    session.inner_writer.write(packets.packet(packets.PUBACK << 4, message.id))
                continue
        elif first >> 4 == packets.CONNACK and session.keep_alive is not None:
            body = packets.with_keep_alive(body, session.keep_alive)
        session.writer.write(packets.packet(first, body))
        await session.writer.drain()


async def _packet(reader: asyncio.StreamReader, *, client: bool = False) -> tuple[int, bytes]:
    """Return the next packet's first byte and body; ``client``: one that a client has sent."""
    (first,) = await reader.readexactly(1)
    if client:
        packets.check_first(first)
    length = packets.Length()
    while length.open:
        length.add(*await reader.readexactly(1))
    if length.value > MAX_PACKET:
        raise MalformedError(f"a packet of {length.value} bytes")
    return first, await reader.readexactly(length.value)


def _connect_problem(request: packets.Connect, permit: Permit) -> str | None:
    if len(request.client_id.encode()) > MAX_CLIENT_ID:
        return f"its client id is longer than {MAX_CLIENT_ID} bytes"
    if request.will_topic is None:
        return None
    if request.will_topic.startswith("$"):
        return f"a will on the reserved topic {request.will_topic!r:.300} would speak for a device that is gone"
    will = packets.Publish(topic=request.will_topic, retain=request.will_retain, id=None, size=request.will_size)
    problem = _publish_problem(will, permit)
    return problem and f"its will: {problem}"


def _publish_problem(message: packets.Publish, permit: Permit) -> str | None:
    if message.size > MAX_PAYLOAD:
        return f"a payload of {message.size} bytes"
    if not message.topic or "+" in message.topic or "#" in message.topic:
        return f"no topic to publish on: {message.topic!r:.300}"  # an alias is not accepted: the broker offers none
    if _too_long(message.topic):
        return f"a topic longer than {MAX_TOPIC_BYTES} bytes or with more than {MAX_SLASHES} slashes"
    if message.retain and message.topic.startswith("$"):
        return f"it tried to retain a message on the reserved topic {message.topic!r}"
    if not permit.publish(message.topic, message.retain):
        return f"it may not {'retain' if message.retain else 'publish'} on {message.topic!r}"
    return None


def _subscribe_problem(filters: list[str], permit: Permit) -> str | None:
    if len(filters) > MAX_FILTERS:
        return f"more than {MAX_FILTERS} subscriptions in one packet"
    for each in filters:
        if _too_long(each):
            return f"a topic filter longer than {MAX_TOPIC_BYTES} bytes or with more than {MAX_SLASHES} slashes"
        if not permit.subscribe(each):
            return f"it may not subscribe to {each!r}"
    return None


def _too_long(topic: str) -> bool:
    return len(topic.encode()) > MAX_TOPIC_BYTES or topic.count("/") > MAX_SLASHES
