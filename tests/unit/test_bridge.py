"""The cloud's own client on a real broker that, for a while, acknowledges nothing or refuses it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from edge_sim import mqttclient
from edge_sim.agent import mqtt
from edge_sim.cloud import bridge
from edge_sim.cloud.bridge import Bridge
from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from tests.relay import Relay
from tests.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.process]
LIMIT_S = 60.0
NOTIFY = "$aws/things/t/jobs/notify"
REFUSALS: Mapping[int, Callable[[bytes], bytes]] = {
    packets.CONNACK: lambda packet: packet[:-1] + b"\3",
    packets.SUBACK: lambda packet: packet[:4] + b"\x80" * (len(packet) - 4),
}
"""A type of packet → the same packet with which a broker refuses."""


@dataclass
class Ground:
    """A cloud behind a relay, and a device that the broker serves without it.

    ``withheld`` and ``refused`` are types of packets that do not come through to the cloud, or say no.
    """

    withheld: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    refusals: int = 0
    heard: queue.Queue[str] = field(default_factory=queue.Queue)

    @contextmanager
    def up(self) -> Iterator[Ground]:
        with ExitStack() as stack:
            broker = stack.enter_context(start_broker())
            self.relay = Relay(int(broker.url.rpartition(":")[2]), alter=self._alter)
            stack.callback(self.relay.cut)
            self.store = Store()
            self.plane = DevicePlane(self.store, presign=lambda url, *_: url)
            self.jobs = JobsService(self.plane, region="eu-west-1", account="123456789012")
            self.jobs.things.create("t")
            self.bridge = stack.enter_context(Bridge(self.relay.url, self.plane, lambda _: None))
            self.device = mqtt.connect(
                broker.url,
                "t",
                30,
                subscriptions={NOTIFY: lambda topic, _: self.heard.put(topic)},
                on_connect=lambda: self.heard.put("connected"),
                on_disconnect=lambda *_: None,
            )
            stack.callback(self.device.close)
            assert self.heard.get(timeout=LIMIT_S) == "connected"
            yield self

    def create_job(self, name: str) -> None:
        self.jobs.create_job(name, [self.jobs.things.arn("t")], "{}")

    def unsent(self) -> int:
        """Return how many messages the cloud still keeps, those that were acknowledged forgotten."""
        with self.store.transaction():
            self.plane.outbox.tidy()
        return int(self.store.execute("SELECT count(*) FROM outbox")[0][0])

    def _alter(self, packet: bytes) -> bytes:
        kind = packet[0] >> 4
        if kind in self.withheld:
            return b""
        if kind not in self.refused:
            return packet
        self.refusals += 1
        return REFUSALS[kind](packet)


def test_a_broker_that_acknowledges_nothing_is_left_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages stay in the outbox, and go out again on the next connection: the device may hear them twice."""
    monkeypatch.setattr(mqttclient, "ACKNOWLEDGED_S", 0.5)
    with Ground().up() as ground:
        ground.withheld.add(packets.PUBACK)
        ground.create_job("first")
        assert ground.heard.get(timeout=LIMIT_S) == NOTIFY
        assert ground.unsent()
        until(lambda: not ground.bridge.connected)
        ground.withheld.clear()
        assert ground.heard.get(timeout=LIMIT_S) == NOTIFY
        until(lambda: not ground.unsent())
        ground.create_job("second")
        until(lambda: not ground.unsent())
        assert ground.bridge.connected


@pytest.mark.parametrize("kind", REFUSALS, ids=["connection", "subscriptions"])
def test_a_refusal_at_a_reconnect_is_tried_again(kind: int) -> None:
    with Ground().up() as ground:
        ground.refused.add(kind)
        ground.relay.cut()
        ground.relay.start()
        until(lambda: ground.refusals)
        ground.refused.clear()
        until(lambda: ground.bridge.connected)
        ground.create_job("later")
        assert ground.heard.get(timeout=LIMIT_S) == NOTIFY


def test_subscriptions_that_are_not_answered_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge._Client, "answer_limit_s", 0.5)
    monkeypatch.setattr(bridge, "MAX_RECONNECT_S", 1)
    with Ground().up() as ground:
        ground.withheld.add(packets.SUBACK)
        ground.relay.cut()
        ground.relay.start()
        until(lambda: ground.bridge._client.given_up)
        ground.withheld.clear()
        until(lambda: ground.bridge.connected)
