"""The agent's MQTT connection. The one file that knows paho (1.6 and 2.x alike).

``connect`` makes a channel that stays: after a lost connection it comes back by itself, waiting a little longer and
with some chance in it each time, and subscribes again before it says so. Everything is QoS 1; the session is clean,
because what was missed is asked for again (``$next/get``, shadow get) at every connect.

Handlers and the two callbacks run in the network thread: they may only put what they got into a queue.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

import paho.mqtt.client as paho

from edge_sim.errors import UnsupportedEnvironmentError, UsageError

Handler = Callable[[str, bytes], None]

CONNECT_LIMIT_S = 30.0
"""How long a start waits for its first connection: AWS's update agent gave up after 30 s (OTA page of 2018)."""
OPERATION_LIMIT_S = 5.0
"""How long a PUBACK or SUBACK may take: config.json's ``mqttOperationTimeout``, default and minimum 5."""
RETRY_FIRST_S = 1.0
STABLE_S = 60.0
"""A connection that lasted this long was a good one; a shorter one does not make the next wait short again (two
clients with one id would push each other out for ever)."""
RETRY_MOST_S = 60.0
"""Longest wait between two attempts: config.json's ``mqttMaxConnectionRetryInterval``, default 60."""
SUBSCRIPTIONS_PER_REQUEST = 8
"""AWS IoT's limit for one SUBSCRIBE packet."""
REFUSED = 0x80


class OfflineError(UnsupportedEnvironmentError):
    """The broker did not take or answer something in time, or there is no connection now."""


class Channel(Protocol):
    """Where messages come from and go to."""

    def subscribe(self, topic_filter: str, handler: Handler, /) -> None:
        """Have ``handler`` called for what matches, now and after every reconnect. Raises OfflineError."""

    def publish(self, topic: str, payload: bytes, /) -> None:
        """Send at QoS 1 and return when the broker has it. Raises OfflineError after OPERATION_LIMIT_S."""

    def close(self) -> None:
        """Say goodbye and stop. Harmless the second time."""


def backoff(attempt: int, *, most: float = RETRY_MOST_S, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before attempt ``attempt`` (from 0): doubling, half of it left to chance."""
    ceiling = min(most, RETRY_FIRST_S * 2.0 ** min(attempt, 16))
    return max(RETRY_FIRST_S / 2, ceiling * (0.5 + chance() / 2))


def connect(
    url: str,
    client_id: str,
    keep_alive_s: int,
    *,
    on_connect: Callable[[], None],
    on_disconnect: Callable[[str], None],
    cafile: str | None = None,
    limit_s: float = CONNECT_LIMIT_S,
    retry_most_s: float = RETRY_MOST_S,
    stop: threading.Event | None = None,
) -> Channel:
    """Connect to ``mqtt://host:port`` or ``mqtts://host:port`` and return the channel.

    ``on_connect`` is called whenever the connection is up and every subscription is back; ``on_disconnect`` with the
    reason when it is lost. Raises UsageError for an address it cannot read and UnsupportedEnvironmentError when there
    is no connection within ``limit_s`` seconds (or ``stop`` is set before).
    """
    host, port, secure = _address(url)
    channel = _PahoChannel(client_id, on_connect, on_disconnect, retry_most_s)
    if secure:
        channel.use_tls(tls_context(cafile))
    channel.open(host, port, keep_alive_s, limit_s, stop or threading.Event())
    return channel


def tls_context(cafile: str | None) -> ssl.SSLContext:
    """Return how a TLS server is checked: with the CA certificates in ``cafile``, None for the system's.

    Raises UsageError when they cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise UsageError(f"{cafile}: cannot be read as CA certificates ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _address(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise UsageError(f"broker address {url!r}: not like mqtt://host:port or mqtts://host:port")
    secure = parts.scheme == "mqtts"
    return parts.hostname, port or (8883 if secure else 1883), secure


class _PahoChannel:
    """A Channel on a paho client whose network loop runs in paho's own thread."""

    def __init__(
        self,
        client_id: str,
        on_connect: Callable[[], None],
        on_disconnect: Callable[[str], None],
        retry_most_s: float,
    ) -> None:
        self._tell_connected = on_connect
        self._tell_disconnected = on_disconnect
        self._retry_most_s = retry_most_s
        self._handlers: dict[str, Handler] = {}
        self._granted: dict[int, int] = {}
        self._awaited: set[int] = set()
        self._changed = threading.Condition()
        self._failures = 0
        self._connected_at = 0.0
        self._refusal = ""
        self._closing = False
        self._client = _client(client_id)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def use_tls(self, context: ssl.SSLContext) -> None:
        self._client.tls_set_context(context)

    def open(self, host: str, port: int, keep_alive_s: int, limit_s: float, stop: threading.Event) -> None:
        deadline = time.monotonic() + limit_s
        where = f"no MQTT broker at {host}:{port}"
        hint = "start the local cloud first (edge-sim cloud serve), or name the right broker"
        attempt = 0
        while True:
            try:
                self._client.connect(host, port, keep_alive_s)
                break
            except ssl.SSLError as error:
                raise UnsupportedEnvironmentError(
                    f"{where}: TLS failed: {error}",
                    hint="name its CA certificates in the agent's configuration: cafile",
                ) from error
            except OSError as error:
                wait = backoff(attempt, most=4)
                if time.monotonic() + wait > deadline or stop.wait(wait):
                    raise UnsupportedEnvironmentError(f"{where}: {error}", hint=hint) from error
            attempt += 1
        self._client.loop_start()
        if not self._wait(self._client.is_connected, max(1.0, deadline - time.monotonic())):
            self.close()
            reason = self._refusal or "it does not answer"
            raise UnsupportedEnvironmentError(f"{where}: {reason}", hint=hint)

    def subscribe(self, topic_filter: str, handler: Handler, /) -> None:
        self._handlers[topic_filter] = handler
        result, mid = self._client.subscribe(topic_filter, 1)
        if result != paho.MQTT_ERR_SUCCESS or not self._wait(lambda: mid in self._granted, OPERATION_LIMIT_S):
            raise OfflineError(f"subscription to {topic_filter}: the broker did not answer")
        if self._granted.pop(mid) >= REFUSED:
            raise OfflineError(f"subscription to {topic_filter}: the broker refused it")

    def publish(self, topic: str, payload: bytes, /) -> None:
        if not self._client.is_connected():
            raise OfflineError(f"message to {topic}: not connected to the broker")
        info = self._client.publish(topic, payload, qos=1)
        with suppress(RuntimeError, ValueError):  # how paho says that it was not sent
            info.wait_for_publish(OPERATION_LIMIT_S)
            if info.is_published():
                return
        raise OfflineError(f"message to {topic}: the broker did not confirm it within {OPERATION_LIMIT_S:g} s")

    def close(self) -> None:
        self._closing = True
        self._client.disconnect()
        # paho joins its thread without a limit, and that thread may be inside a connect attempt
        stopper = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopper.start()
        stopper.join(1.0)

    def _wait(self, condition: Callable[[], bool], limit_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, limit_s)

    # From here on: paho's thread. Trailing arguments differ between 1.6 and 2.x, hence *_rest.

    def _on_connect(self, client: Any, _userdata: Any, _flags: Any, reason: Any, *_rest: Any) -> None:
        if reason != 0:
            self._refusal = f"it refused the connection ({reason})"
            return
        self._connected_at = time.monotonic()
        filters = [(name, 1) for name in self._handlers]
        step = SUBSCRIPTIONS_PER_REQUEST
        requests = [filters[start : start + step] for start in range(0, len(filters), step)]
        self._awaited = {client.subscribe(request)[1] for request in requests}
        with self._changed:
            self._changed.notify_all()
        if not self._awaited:
            self._tell_connected()

    def _on_subscribe(self, _client: Any, _userdata: Any, mid: int, codes: Any, *_rest: Any) -> None:
        worst = max((int(getattr(code, "value", code)) for code in codes), default=0)
        if mid not in self._awaited:
            with self._changed:
                self._granted[mid] = worst
                self._changed.notify_all()
            return
        self._awaited.discard(mid)
        if worst >= REFUSED:
            self._tell_disconnected("the broker refused a subscription that it allowed before")
        elif not self._awaited:
            self._tell_connected()

    def _on_disconnect(self, _client: Any, _userdata: Any, *rest: Any) -> None:
        reason = rest[1] if len(rest) >= 3 else rest[0]  # 2.x passes flags first
        if time.monotonic() - self._connected_at > STABLE_S:
            self._failures = 0
        self._schedule_retry()
        if not self._closing and not self._refusal:
            self._tell_disconnected(str(reason))

    def _on_connect_fail(self, *_arguments: Any) -> None:
        self._schedule_retry()

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        for topic_filter, handler in list(self._handlers.items()):
            if paho.topic_matches_sub(topic_filter, message.topic):
                handler(message.topic, message.payload)

    def _schedule_retry(self) -> None:
        """Set the next wait. With its two limits equal, paho waits just that long; alone it has no jitter."""
        wait = backoff(self._failures, most=self._retry_most_s)
        self._failures += 1
        self._client.reconnect_delay_set(min_delay=wait, max_delay=wait)


def _client(client_id: str) -> Any:
    """Make a paho client, whichever paho this is."""
    versions = getattr(paho, "CallbackAPIVersion", None)
    options: dict[str, Any] = {"client_id": client_id, "clean_session": True, "protocol": paho.MQTTv311}
    client = paho.Client(versions.VERSION2, **options) if versions else paho.Client(**options)
    client.on_socket_open = _send_at_once
    return client


def _send_at_once(_client: Any, _userdata: Any, connection: Any) -> None:
    """Turn Nagle's algorithm off: with it a small message waits up to 40 ms for the peer's delayed ACK."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
