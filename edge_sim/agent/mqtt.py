"""The agent's MQTT connection (``mqttclient`` knows which paho it is).

``connect`` makes a channel that keeps trying for as long as it lives: to connect at first and after a lost connection,
waiting a little longer and with some chance in it each time, and it subscribes before it says that it is connected. Why
it cannot connect is said once, not at every try, and once more when the broker keeps refusing. Everything is QoS 1; the
session is clean, because what was missed is asked for again (``$next/get``, shadow get) at every connect.

Handlers and the two callbacks run in the network thread: they may only put what they got into a queue.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import paho.mqtt.client as paho

from edge_sim.agent.tls import NOT_YET_VALID, context, distrust
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.mqttclient import MqttClient, address, new_client

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.agent.proxy import Proxy

Handler = Callable[[str, bytes], None]

OPERATION_LIMIT_S = 5.0
"""How long a PUBACK or SUBACK may take: config.json's ``mqttOperationTimeout``, default and minimum 5."""
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
"""Longest wait between two attempts: config.json's ``mqttMaxConnectionRetryInterval``, default 60."""
STABLE_S = 2 * RETRY_MOST_S
"""A connection that lasted this long was a good one; a shorter one does not make the next wait short again. Two clients
with one id push each other out: each of their connections lasts as long as the other one waits."""
PUSHED_OUT = 3
"""After so many short connections in a row another client with our id is the likely reason."""
SUBSCRIPTIONS_PER_REQUEST = 8
"""AWS IoT's limit for one SUBSCRIBE packet."""
REFUSED = 0x80


class OfflineError(UnsupportedEnvironmentError):
    """The broker did not take or answer something in time, or there is no connection now."""


class Publisher(Protocol):
    """Where messages go to."""

    def publish(self, topic: str, payload: bytes, /) -> None:
        """Send at QoS 1. Raises OfflineError where it cannot be sent now."""


class Channel(Publisher, Protocol):
    """Where messages come from and go to. ``publish`` returns when the broker has the message."""

    def subscribe(self, topic_filter: str, handler: Handler, /) -> None:
        """Have ``handler`` called for what matches, now and after every reconnect. Raises OfflineError."""

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
    subscriptions: Mapping[str, Handler],
    on_connect: Callable[[], None],
    on_disconnect: Callable[[str, bool], None],
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    wait: Callable[[int], float] = backoff,
    now: Callable[[], float] = time.monotonic,
) -> Channel:
    """Return a channel to ``mqtt://host:port`` or ``mqtts://host:port``, which connects by itself from now on.

    ``on_connect`` is called whenever the connection is up with every subscription, ``on_disconnect`` when it is lost or
    cannot be made, with the reason and whether it is likely to stay so (``mqttclient.REFUSALS``). Each reason is said
    once until the next good connection, and once more when it becomes likely to stay. ``tls``: how an mqtts:// broker
    is checked, None for the system's CAs; ``proxy``: what it is reached through. ``wait`` is asked for the seconds
    before an attempt by its number since the last good connection (from 0), ``now`` for the time. Raises UsageError for
    an address that cannot be read.
    """
    host, port, secure = address(url)
    channel = _PahoChannel(client_id, subscriptions, on_connect, on_disconnect, wait, now)
    channel.open(host, port, keep_alive_s, tls or context(None) if secure else None, proxy)
    return channel


class _PahoChannel:
    """A Channel on a paho client whose network loop runs in paho's own thread."""

    def __init__(
        self,
        client_id: str,
        subscriptions: Mapping[str, Handler],
        on_connect: Callable[[], None],
        on_disconnect: Callable[[str, bool], None],
        wait: Callable[[int], float],
        now: Callable[[], float],
    ) -> None:
        self._id = client_id
        self._tell_connected = on_connect
        self._tell_disconnected = on_disconnect
        self._wait_before = wait
        self._now = now
        self._handlers: dict[str, Handler] = dict(subscriptions)
        self._granted: dict[int, int] = {}
        self._awaited: set[int] = set()
        self._changed = threading.Condition()
        self._failures = 0
        self._short = 0
        self._connected_at: float | None = None
        self._reasons: set[str] = set()
        """Why there was no connection, each said once until the next good one."""
        self._lasting = self._secure = False
        self._where = ""
        self._closing = False
        self._client = _client(client_id, self._on_failure)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def open(self, host: str, port: int, keep_alive_s: int, tls: ssl.SSLContext | None, proxy: Proxy | None) -> None:
        if proxy is not None and proxy.serves(host):
            self._client.connector = partial(proxy.connect, host, port)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._secure = tls is not None
        self._where = f"{host}:{port}"
        self._schedule_retry()
        self._failures = 0
        self._client.connect_async(host, port, keep_alive_s)
        self._client.loop_start()

    def subscribe(self, topic_filter: str, handler: Handler, /) -> None:
        self._handlers[topic_filter] = handler
        if not self._client.is_connected():  # then it is in the next connection's subscriptions
            return
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
        if not client.taken(reason):
            return
        self._connected_at = self._now()
        filters = [(name, 1) for name in self._handlers]
        step = SUBSCRIPTIONS_PER_REQUEST
        requests = [filters[start : start + step] for start in range(0, len(filters), step)]
        self._awaited = {client.subscribe(request)[1] for request in requests}
        if not self._awaited:
            self._up()

    def _on_subscribe(self, client: Any, _userdata: Any, mid: int, codes: Any, *_rest: Any) -> None:
        worst = max((int(getattr(code, "value", code)) for code in codes), default=0)
        if mid not in self._awaited:
            with self._changed:
                self._granted[mid] = worst
                self._changed.notify_all()
            return
        self._awaited.discard(mid)
        if worst >= REFUSED:
            self._connected_at = None
            client.not_heard()
        elif not self._awaited:
            self._up()

    def _up(self) -> None:
        self._client.ready = True
        self._lasting = False
        if self._short < PUSHED_OUT:  # then the next loss is no news
            self._reasons.clear()
        self._tell_connected()

    def _on_disconnect(self, client: Any, _userdata: Any, *rest: Any) -> None:
        reason = rest[1] if len(rest) >= 3 else rest[0]  # 2.x passes flags first
        since, self._connected_at = self._connected_at, None
        if since is not None and self._now() - since > STABLE_S:
            self._failures = self._short = 0
            self._reasons.clear()
        elif since is not None and not client.given_up:
            self._short += 1
        self._schedule_retry()
        why = client.lost(str(reason), secure=self._secure)
        if since is not None and not client.given_up and self._short >= PUSHED_OUT:
            why = self._pushed_out()
        elif not client.ready:
            nobody = client.given_up and not client.refusal
            why = f"{'no MQTT broker at ' if nobody else ''}{self._where}: {why}"
        self._tell(why)

    def _pushed_out(self) -> str:
        return (
            f"the broker closed the connection {PUSHED_OUT} times soon after it was opened: another client is "
            "connected "
            f"as {self._id!r} (a broker allows one connection per client id), or the broker's rules forbid what this "
            "one does; stop the other board, or give it its own thing"
        )

    def _on_failure(self, reason: str) -> None:
        self._schedule_retry()
        self._tell(f"no MQTT broker at {self._where}: {reason}")

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        for topic_filter, handler in list(self._handlers.items()):
            if paho.topic_matches_sub(topic_filter, message.topic):
                handler(message.topic, message.payload)

    def _tell(self, reason: str) -> None:
        """Say why there is no connection, unless that is known already, as is whether it is likely to stay so."""
        lasting = self._client.is_kept_out
        if not self._closing and (reason not in self._reasons or lasting != self._lasting):
            self._reasons.add(reason)
            self._lasting = lasting
            self._tell_disconnected(reason, lasting)

    def _schedule_retry(self) -> None:
        """Set the next wait. With its two limits equal, paho waits just that long; alone it has no jitter."""
        wait = self._wait_before(self._failures)
        self._failures += 1
        self._client.reconnect_delay_set(min_delay=wait, max_delay=wait)


class _Client(MqttClient):
    """A client that says why it could not connect."""

    on_failure: Callable[[str], None]
    connector: Callable[[], socket.socket] | None = None
    """Makes the connection, None: directly."""

    def reconnect(self) -> Any:
        try:
            return super().reconnect()
        except (OSError, ValueError) as error:  # ValueError: a host name that cannot be one
            self.failed(error)
            self.on_failure(_in_words(error))
            raise OSError(str(error)) from error

    def _create_socket_connection(self) -> Any:  # paho's own name, of 1.6 and 2.x alike
        return self.connector() if self.connector else super()._create_socket_connection()


def _in_words(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "" if error.verify_code == NOT_YET_VALID else "; cafile in the configuration names its CA"
        return f"its certificate is not trusted ({distrust(error)}){hint}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return getattr(error, "strerror", None) or str(error)


def _client(client_id: str, on_failure: Callable[[str], None]) -> Any:
    client = new_client(client_id, _Client)
    client.on_failure = on_failure
    return client
