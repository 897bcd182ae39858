"""A client of paho-mqtt, 1.6 and 2.x alike, as the agent and the cloud use it."""

from __future__ import annotations

import socket
from typing import Any

import paho.mqtt.client as paho


def new_client(client_id: str, kind: type[paho.Client] = paho.Client) -> Any:
    """Return a client that speaks MQTT 3.1.1 in a clean session and sends at once; ``kind`` is its class."""
    versions = getattr(paho, "CallbackAPIVersion", None)
    options: dict[str, Any] = {"client_id": client_id, "clean_session": True, "protocol": paho.MQTTv311}
    client: Any = kind(versions.VERSION2, **options) if versions else kind(**options)
    client.on_socket_open = _send_at_once
    return client


def number(code: Any) -> int:
    """Return a reason code, an object in paho 2, as the plain number that it is in paho 1.6."""
    return int(getattr(code, "value", code))


def _send_at_once(_client: Any, _userdata: Any, connection: Any) -> None:
    """Turn Nagle's algorithm off: with it a small message waits up to 40 ms for the peer's delayed ACK."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
