"""A core's MQTT session under gevent: paho's external loop, one descriptor, no thread and no select() of its own.

libev watches the socket; what arrives is read in the hub, which must not wait, and only handed on there. A lost
connection is made again with the agent's own back-off. To be imported where gevent has changed Python's sockets.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gevent

from edge_sim.agent.mqtt import (
    RETRY_MOST_S,
    STABLE_S,
    SUBSCRIPTIONS_PER_REQUEST,
    OfflineError,
    backoff,
)
from edge_sim.mqttclient import address, new_client, number

KEEP_ALIVE_S = 600
READ = 1
_REFUSED = 0x80


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """Where sessions go. ``source``: the address that they come from, empty for the system's choice."""

    url: str
    source: str = ""


class MqttSession:
    """A Publisher for the agent's Jobs client, with one client id; its filters are those of its constructor.

    ``on_message`` is called in the hub, and so are ``on_up`` (connected and subscribed) and ``on_down`` (why it is not;
    whether it is likely to stay so, though it is tried again). None of them may wait. ``context`` makes the TLS
    context, None without TLS.
    """

    __slots__ = (
        "_awaited",
        "_broker",
        "_client",
        "_closing",
        "_failures",
        "_filters",
        "_on_down",
        "_on_message",
        "_on_up",
        "_secured",
        "_up_at",
        "_watcher",
    )

    def __init__(
        self,
        client_id: str,
        broker: BrokerAddress,
        filters: Sequence[str],
        *,
        on_message: Callable[[str, bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str, bool], None],
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._broker = broker
        self._filters = filters
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._watcher: Any = None
        self._failures = 0
        self._awaited = 0
        self._up_at: float | None = None
        self._closing = False
        self._client = client = new_client(client_id)
        self._secured = context is not None
        if context is not None:
            client.tls_set_context(context())
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._arrived
        client.on_socket_close = self._unwatch
        client.on_socket_register_write = self._write

    def open(self) -> None:
        """Connect, and again after a while where that fails; to be called in a greenlet."""
        host, port, _ = address(self._broker.url)
        try:
            self._client.connect(host, port, KEEP_ALIVE_S, bind_address=self._broker.source)
        except (OSError, ValueError) as error:
            self._client.failed(error)
            self._failed(str(error))
            return
        # Before this, what the socket has to say would be read by nobody; libev tells of it now.
        self._watcher = gevent.get_hub().loop.io(self._client.socket().fileno(), READ)
        self._watcher.start(self._read)

    def publish(self, topic: str, payload: bytes, /) -> None:
        """Send at QoS 1, without waiting for the broker: who asks waits for the answer anyway. Raises OfflineError."""
        if self._up_at is None:
            raise OfflineError(f"message to {topic}: not connected to the broker")
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        """Say goodbye and stay away."""
        self._closing = True
        self._client.disconnect()
        self._client.loop_write()

    def drop(self, back_s: float) -> None:
        """Lose the connection without a goodbye, and come back after ``back_s``."""
        if self._closing or self._client.socket() is None:
            return
        self._lost()
        self._client._sock_close()
        self._on_down("dropped", False)
        gevent.spawn_later(back_s, self.open)

    def tend(self) -> None:
        """Keep the connection alive, or notice that it is not; to be called every few seconds."""
        if self._client.socket() is not None:
            self._client.loop_misc()

    # ---- called by libev and by paho, in the hub

    def _read(self) -> None:
        client = self._client
        client.loop_read()
        pending = getattr(client.socket(), "pending", None)
        while pending is not None and pending():  # TLS has read more than it has handed out
            client.loop_read()
            pending = getattr(client.socket(), "pending", None)

    def _write(self, _client: Any, _userdata: Any, _socket: Any) -> None:
        gevent.get_hub().loop.run_callback(self._write_out)

    def _write_out(self) -> None:
        self._client.loop_write()
        if self._client.want_write():
            gevent.spawn_later(0.01, self._write_out)

    def _unwatch(self, _client: Any = None, _userdata: Any = None, _socket: Any = None) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def _connected(self, client: Any, _userdata: Any, _flags: Any, reason: Any, *_rest: Any) -> None:
        if not client.taken(reason):
            return
        step = SUBSCRIPTIONS_PER_REQUEST
        requests = [self._filters[at : at + step] for at in range(0, len(self._filters), step)]
        self._awaited = len(requests)
        for request in requests:
            client.subscribe([(name, 1) for name in request])

    def _subscribed(self, client: Any, _userdata: Any, _mid: int, codes: Any, *_rest: Any) -> None:
        if any(number(code) >= _REFUSED for code in codes):
            self._client.not_heard()
            return
        self._awaited -= 1
        if not self._awaited:
            self._up_at = time.monotonic()
            self._client.ready = True
            self._on_up()

    def _disconnected(self, client: Any, _userdata: Any, *rest: Any) -> None:
        reason = rest[1] if len(rest) >= 3 else rest[0]  # 2.x passes flags first
        if self._closing:
            return
        self._lost()
        self._failed(client.lost(str(reason), secure=self._secured))

    def _arrived(self, _client: Any, _userdata: Any, message: Any) -> None:
        self._on_message(message.topic, message.payload)

    def _lost(self) -> None:
        if self._up_at is not None and time.monotonic() - self._up_at > STABLE_S:
            self._failures = 0
        self._up_at = None

    def _failed(self, reason: str) -> None:
        self._on_down(reason, self._client.is_kept_out)
        wait = backoff(self._failures, most=RETRY_MOST_S)
        self._failures += 1
        if not self._closing:
            gevent.spawn_later(wait, self.open)
