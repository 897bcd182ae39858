"""amqtt as a broker inside this process, taught to pass AWS's ``$aws/…`` topics.

What amqtt 0.12.1 does that AWS or mosquitto do not, and what we do about it:

* After a publish to any ``$`` topic (hard-coded, [MQTT-4.7.2-1]) it stops listening to the client without closing its
  connection: ``_handle_message_delivery`` below lets ``$aws/`` through, and closes after anything that is not allowed.
* A second client with the same id does not evict the first when it asks for a clean session: ``_delete_session``
  below does, as AWS and MQTT 3.1.1 say.
* MQTT 3.1.1 only: a version 5 CONNECT is refused.
* A connection without a CONNECT stays for ever, one that breaks while being refused is neither counted out nor
  closed: ``_initialize_client_session`` and ``stream_connected`` below see to that.
* A publish is delivered with the subscriber's QoS, not the lower of both.
* Anonymous clients lose their session a second after they leave, also with ``clean_session`` off: nothing is kept
  for them. Our agent asks again after each connect and does not count on it.
* Keep-alive is not enforced: a client that vanishes without closing its socket is not noticed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from amqtt.broker import Broker as AmqttBroker
from amqtt.errors import MQTTError

from edge_sim.cloud.brokers.packets import MAX_CONNECTIONS
from edge_sim.cloud.loopthread import LoopThread, close

_log = logging.getLogger(__name__)

RESERVED = "$aws/"
CONNECT_LIMIT_S = 10.0
PORT = 0
"""0: the system chooses."""


class AwsBroker(AmqttBroker):  # type: ignore[misc]
    """amqtt's broker, with AWS's reserved topics and a limit on the size of a message."""

    max_payload = 131072

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._connected: set[asyncio.StreamWriter] = set()

    async def shutdown(self) -> None:
        await close(self._server, self._connected)  # amqtt waits for those that have not sent a CONNECT
        await super().shutdown()

    async def stream_connected(self, reader: object, writer: Any, listener_name: str) -> None:
        self._connected.add(writer)
        try:
            await super().stream_connected(reader, writer, listener_name)
        except Exception as error:
            _log.debug("a connection ended badly: %r", error)
        finally:
            self._connected.discard(writer)
            writer.close()

    async def _initialize_client_session(self, *connection: Any) -> object:
        try:
            return await asyncio.wait_for(super()._initialize_client_session(*connection), CONNECT_LIMIT_S)
        except Exception as error:
            # What amqtt expects; anything else would keep the connection's place taken for ever.
            raise MQTTError(f"no CONNECT: {error!r}") from error

    async def _handle_message_delivery(self, client_session: Any, handler: Any, wait_deliver: Any) -> bool:
        message = wait_deliver.result()
        fault = self._fault(message)
        if fault is not None:
            _log.warning("%s %s; closing its connection", client_session.client_id, fault)
            await handler.handle_connection_closed()
        elif message is not None and message.topic.startswith(RESERVED):
            await self._broadcast_message(client_session, message.topic, message.data)
        else:
            await super()._handle_message_delivery(client_session, handler, wait_deliver)
        return True  # False would leave the client connected to a broker that no longer listens to it

    def _fault(self, message: Any) -> str | None:
        """Return why a message must end its sender's connection, or None."""
        if message is None:
            return None
        topic, size = message.topic or "", len(message.data or b"")
        if size > self.max_payload:
            return f"sent {size} bytes"
        if not topic or "#" in topic or "+" in topic or (topic.startswith("$") and not topic.startswith(RESERVED)):
            return f"published to the topic {topic!r:.300}"
        packet = message.publish_packet
        if topic.startswith(RESERVED) and packet is not None and packet.retain_flag:
            return f"tried to retain a message on {topic:.300}"  # AWS refuses that on reserved topics
        return None

    async def _delete_session(self, client_id: str) -> None:
        _, former = self._sessions.get(client_id, (None, None))
        await super()._delete_session(client_id)
        if former is not None:
            await former.handle_connection_closed()
            await self._stop_handler(former)

    @property
    def port(self) -> int:
        """The port that the system chose for the one listener."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def _server(self) -> asyncio.Server:
        return cast(asyncio.Server, self._servers["default"].instance)


class Embedded:
    """The broker on an event loop in a thread of its own. Raises UnsupportedEnvironmentError when it cannot start."""

    def __init__(
        self,
        host: str,
        *,
        max_payload: int,
        start_limit_s: float,
        stop_limit_s: float,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self._host, self._max_payload, self._stop_limit_s = host, max_payload, stop_limit_s
        self._connections = connections
        self.port = 0
        self._thread = LoopThread("the embedded MQTT broker", self._serve)
        self._thread.start(start_limit_s)

    def alive(self) -> bool:
        return self._thread.alive()

    def wait(self) -> str:
        self._thread.wait()
        error = self._thread.error
        return "its thread has ended" if error is None else str(error) or type(error).__name__

    def stop(self) -> None:
        self._thread.stop(self._stop_limit_s)

    async def _serve(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        listener = {"type": "tcp", "bind": f"{self._host}:{PORT}", "max_connections": self._connections}
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        broker = AwsBroker({"listeners": {"default": listener}, "plugins": plugins})
        broker.max_payload = self._max_payload
        await broker.start()
        self.port = broker.port
        ready()
        await stopping.wait()
        try:
            await asyncio.wait_for(broker.shutdown(), self._stop_limit_s)
        except asyncio.TimeoutError:
            _log.debug("the embedded broker was slow to shut down")
