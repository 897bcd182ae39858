"""A client of paho-mqtt, 1.6 and 2.x alike, as the agent, the cloud and a fleet's cores use it."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho

from edge_sim.errors import UsageError

ANSWER_LIMIT_S = 10.0
"""How long a broker that has taken the connection may leave CONNECT and the first SUBSCRIBE packets unanswered."""
ACKNOWLEDGED_S = 30.0
"""How long it may leave a message unacknowledged. The same message goes out again on the next connection, so this is
far above what a busy broker takes."""
PORTS = {"mqtt": 1883, "mqtts": 8883}
REFUSALS = 3
"""After so many refusals in a row without a connection between them, trying again is of no use: a busy broker may hang
up on a client once, and a rule that is being changed may refuse it once."""
_UNAVAILABLE = (3, 136)
"""CONNACK's one code that says "later", in MQTT 3.1.1 and as paho 2 has it."""
_NOT_HEARD = "the broker refused a subscription: its rules do not let this client receive messages on its topics"
_HUNG_UP = "the broker closed the connection before it answered"
_HUNG_UP_TLS = f"{_HUNG_UP}; it may not accept this core's certificate"
_HUNG_UP_LATER = (
    "the broker closed the connection at a subscription: its rules may not let this client receive messages on its "
    "topics"
)


class MqttClient(paho.Client):
    """paho's client, which closes a connection on which the broker keeps it waiting.

    paho itself waits for a PUBACK or SUBACK for ever, as long as pings are answered; a broker whose queue is dead
    answers them. What was not acknowledged paho sends again on the next connection. The owner sets ``ready`` when its
    subscriptions are granted.
    """

    answer_limit_s: float = ANSWER_LIMIT_S
    ready = False
    given_up = ""
    """Why this connection is closed from here, empty while it is not."""
    refusal = ""
    """How the broker has refused this client on this connection, empty while it has not."""
    refusals = 0
    """How many attempts in a row have ended so."""
    _taken = _later = False
    _opened_at = 0.0

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._sent: list[tuple[float, Any]] = []  # a deque takes 600 bytes for each core of a fleet
        self._sent_lock = threading.Lock()  # whoever publishes and paho's own thread both forget

    def reconnect(self) -> Any:
        self.ready, self.given_up, self.refusal = False, "", ""
        self._taken = self._later = False
        self._opened_at = time.monotonic()
        result = super().reconnect()
        self._opened_at = time.monotonic()
        return result

    def publish(self, *words: Any, **options: Any) -> Any:
        info = super().publish(*words, **options)
        if info.rc in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_NO_CONN):
            self._oldest_unacknowledged()  # else receipts stay till the next look: in a fleet, of many clients
            self._sent.append((time.monotonic(), info))
        return info

    def loop_misc(self) -> Any:
        connection = self.socket()
        if connection is not None and not self.given_up:
            reason = self._kept_waiting(connection)
            if reason:
                self.give_up(reason)
        return super().loop_misc()

    def give_up(self, reason: str) -> None:
        """Close the connection as if the broker had: paho reports that, and connects again."""
        self.given_up = reason
        connection: Any = self.socket()
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def taken(self, code: Any) -> bool:
        """Take CONNACK's code; return whether the broker takes this client. If not, paho reports the end besides."""
        self._taken = number(code) == 0
        if not self._taken:
            self.refusal = f"the broker refused the connection ({code})"
            self._later = number(code) in _UNAVAILABLE
        return self._taken

    def not_heard(self) -> None:
        """Close the connection: a subscription without which it is of no use was refused."""
        self.refusal = _NOT_HEARD
        self.give_up(self.refusal)

    def lost(self, reason: str, *, secure: bool) -> str:
        """Return why the connection is gone, of which paho says ``reason``; a refusal is counted.

        ``secure``: with TLS, where a broker hangs up on a client whose certificate it does not take.
        """
        hung_up = not (self.ready or self.given_up or self.refusal)
        if hung_up and secure:
            self.refusal = _HUNG_UP_LATER if self._taken else _HUNG_UP_TLS
        self.refusals = self.refusals + 1 if self.refusal and not self._later else 0
        if hung_up and not self._taken:
            reason = _HUNG_UP
        return self.refusal or self.given_up or reason

    def failed(self, error: OSError | ValueError) -> None:
        """Take note of why no connection could be made: TLS may end in a refusal."""
        self.refusals = self.refusals + 1 if isinstance(error, ssl.SSLError) else 0

    @property
    def is_kept_out(self) -> bool:
        """Whether the broker refuses this client and is likely to go on with it."""
        return self.refusals >= REFUSALS

    def _kept_waiting(self, connection: Any) -> str:
        now = time.monotonic()
        if not self.ready:
            late = now - self._opened_at > self.answer_limit_s
            return f"it did not answer for {self.answer_limit_s:g} s" if late else ""
        oldest = self._oldest_unacknowledged()
        # What is still to be read may be the acknowledgement: then it is this program that is late.
        if oldest is None or now - max(oldest, self._opened_at) <= ACKNOWLEDGED_S or readable(connection):
            return ""
        return f"the broker left a message unacknowledged for {ACKNOWLEDGED_S:g} s"

    def _oldest_unacknowledged(self) -> float | None:
        """Return when the oldest message was sent that is not acknowledged, and forget those before it."""
        with self._sent_lock:
            while self._sent and _is_published(self._sent[0][1]):
                del self._sent[0]
            return self._sent[0][0] if self._sent else None


def address(url: str, what: str = "broker address") -> tuple[str, int, bool]:
    """Return host, port, and whether it is TLS, of a broker's URL. Raises UsageError, which begins with ``what``."""
    if "@" in url:  # its text would show the password
        raise UsageError(f"{what}: it must hold no user and no password, because edge-sim sends none to a broker")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in PORTS or not parts.hostname:
        raise UsageError(f"{what} {url}: expected mqtt://HOST:PORT or mqtts://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{what} {url}: it must hold only a host and a port")
    return parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts"


def new_client(client_id: str, kind: type[MqttClient] = MqttClient) -> Any:
    """Return a client that speaks MQTT 3.1.1 in a clean session and sends at once; ``kind`` is its class."""
    versions = getattr(paho, "CallbackAPIVersion", None)
    options: dict[str, Any] = {"client_id": client_id, "clean_session": True, "protocol": paho.MQTTv311}
    client: Any = kind(versions.VERSION2, **options) if versions else kind(**options)
    client.on_socket_open = _send_at_once
    return client


def number(code: Any) -> int:
    """Return a reason code, an object in paho 2, as the plain number that it is in paho 1.6."""
    return int(getattr(code, "value", code))


def readable(connection: Any) -> bool:
    """Tell whether a socket, of TLS or not, has something to read."""
    pending = getattr(connection, "pending", None)
    if pending and pending():  # TLS has read more than it has handed out
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _is_published(info: Any) -> bool:
    try:
        return bool(info.is_published())
    except RuntimeError:  # without a connection: paho's receipt says so for good, and paho sends it at the next one
        return True


def _send_at_once(_client: Any, _userdata: Any, connection: Any) -> None:
    """Turn Nagle's algorithm off: with it a small message waits up to 40 ms for the peer's delayed ACK."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
