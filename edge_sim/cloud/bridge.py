"""The cloud's one MQTT client: requests of devices in, replies, notifications and deployments out.

It subscribes to the request topics alone, so its own replies never come back to it. Messages are published with
QoS 1 (AWS's is not known; a reply was once seen at QoS 0) and never retained: AWS refuses that on reserved topics.
"""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from edge_sim.cloud.brokers.broker import tls_context
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.outbox import Receipt
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.jobs import shadow, topics
from edge_sim.mqttclient import MqttClient, address, new_client, number, readable

_log = logging.getLogger(__name__)

Deployment = Mapping[str, object]
PendingDeployment = Callable[[str], Deployment | None]
"""Core thing name → the deployment it has to do, or None."""

READY_LIMIT_S = 10.0
KEEP_ALIVE_S = 30
MIN_RECONNECT_S = 1
MAX_RECONNECT_S = 8
MAX_QUEUED = 10_000
MAX_READS = 100
"""So that a broker that never pauses does not keep what has arrived from being answered."""
QOS = 1
_REFUSED_FILTER = 0x80


class Bridge:
    """Connects ``device`` and deployments to the broker at ``url``.

    ``pending`` tells the deployment in progress for a core; ``cafile`` is what an mqtts:// broker is checked with, and
    ``login`` the user and password that it takes.
    After a lost connection it comes back by itself, with its subscriptions; what is published meanwhile waits (at most
    MAX_QUEUED messages here, the others in the outbox). Raises UnsupportedEnvironmentError when the broker cannot be
    used.
    """

    def __init__(
        self,
        url: str,
        device: DevicePlane,
        pending: PendingDeployment,
        *,
        cafile: Path | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self._url, self._device, self._pending = url, device, pending
        self._versions = itertools.count(1)
        self._settled = threading.Event()
        self._refused: str | None = None
        self.connected = False
        """Whether devices are heard at this moment."""
        self._arrived: list[tuple[str, bytes]] = []
        self._client = _client(f"edge-sim-cloud-{uuid.uuid4().hex[:12]}", self._take_arrived)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        if login is not None:
            self._client.username_pw_set(*login)
        self._connect(cafile)
        device.outbox.publish = self.publish

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the broker; returns when the client's thread has ended."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> Receipt | None:
        """Hand one message to the broker, or keep it until the broker is back; None when too many wait already.

        Does not wait and does not raise.
        """
        try:
            info = self._client.publish(topic, payload, qos=QOS, retain=False)
        except (ValueError, OSError) as error:  # a message that no broker takes: it must not hold up the others
            _log.error("%s is not published: %s", topic, error)
            return _Lost()
        if info.rc == paho.MQTT_ERR_QUEUE_SIZE:
            return None
        if info.rc == paho.MQTT_ERR_NO_CONN:  # paho's receipt calls it failed; it is sent at the next connect
            info.rc = paho.MQTT_ERR_SUCCESS
        receipt: Receipt = info
        return receipt

    def announce(self, thing_name: str, deployment: Deployment) -> None:
        """Tell a core of a deployment. A core that is away hears of it when it asks, at its next connect."""
        payload = shadow.encode_delta(deployment, version=next(self._versions), timestamp=int(self._device.now()))
        self.publish(topics.deployment_delta(thing_name), payload)

    def _connect(self, cafile: Path | None) -> None:
        host, port, _ = address(self._url)
        context = tls_context(self._url, cafile)
        if context is not None:
            self._client.tls_set_context(context)
        try:
            self._client.connect(host, port, KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            raise self._unusable(str(error)) from error
        self._client.loop_start()
        if not self._settled.wait(READY_LIMIT_S) or self._refused:
            self.stop()
            raise self._unusable(self._refused or f"no answer to our subscriptions within {READY_LIMIT_S:g} s")

    def _unusable(self, reason: str) -> UnsupportedEnvironmentError:
        return UnsupportedEnvironmentError(f"the MQTT broker at {self._url} cannot be used: {reason}")

    def _on_connect(self, client: Any, userdata: object, flags: object, code: object, *more: object) -> None:
        self._refused = f"it refuses our connection ({code})" if number(code) else None
        if self._refused:
            self._settled.set()
            return
        filters = (*topics.REQUEST_FILTERS, topics.DEPLOYMENT_GET_FILTER)
        client.subscribe([(topic, QOS) for topic in filters])

    def _on_subscribe(self, client: Any, userdata: object, mid: object, codes: Any, *more: object) -> None:
        if any(number(code) >= _REFUSED_FILTER for code in codes):
            self._refused = "it refuses our subscriptions to $aws/things/+/…"
            client.give_up(self._refused)
        client.ready = self.connected = self._refused is None
        self._settled.set()

    def _on_disconnect(self, client: Any, *args: object) -> None:
        self.connected = False
        _log.info("the connection to %s is lost%s", self._url, f": {client.given_up}" if client.given_up else "")

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        self._arrived.append((message.topic, message.payload))

    def _take_arrived(self) -> None:
        """Answer what has arrived; called by the client's thread."""
        batch, self._arrived = self._arrived, []
        requests = []
        try:
            for topic, payload in batch:
                core = topics.deployment_asker(topic)
                if core is None:
                    requests.append((topic, payload))
                else:
                    self._answer_core(core)
            if requests:
                self._device.take(requests)
        except Exception:  # an exception here would end paho's thread, and the cloud would be deaf
            _log.exception("answering %d messages failed", len(batch))

    def _answer_core(self, core: str) -> None:
        payload = shadow.encode_accepted(
            self._pending(core), version=next(self._versions), timestamp=int(self._device.now())
        )
        self.publish(topics.deployment_get_accepted(core), payload)


class _Lost:
    """The receipt for what cannot be sent."""

    def is_published(self) -> bool:
        return True


class _Client(MqttClient):
    """paho's client, which calls ``arrived`` when it has read all that has arrived: messages that came together are one
    batch.

    In the client's own thread, as a second one would wait for the interpreter after each of paho's system calls.
    """

    answer_limit_s = KEEP_ALIVE_S
    """A node of a cluster that has just come back takes its time, and nobody else answers the devices."""
    arrived: Callable[[], None]

    def loop_read(self, max_packets: int = 1) -> Any:
        result = super().loop_read(max_packets)
        for _ in range(MAX_READS):
            if result != paho.MQTT_ERR_SUCCESS or not _more(self.socket()):
                break
            result = super().loop_read(max_packets)
        self.arrived()
        return result


def _more(connection: Any) -> bool:
    return connection is not None and readable(connection)


def _client(client_id: str, arrived: Callable[[], None]) -> Any:
    client = new_client(client_id, _Client)
    client.arrived = arrived
    client.reconnect_delay_set(MIN_RECONNECT_S, MAX_RECONNECT_S)
    client.max_queued_messages_set(MAX_QUEUED)
    client.max_inflight_messages_set(0)  # no limit: with one, paho looks at all of them for each acknowledgement
    return client
