"""The channel on a real broker: it keeps trying, comes back, subscribes again, and says once what is wrong."""

from __future__ import annotations

import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from edge_sim import mqttclient
from edge_sim.agent import mqtt, tls
from edge_sim.cloud.bridge import Bridge
from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.broker import Broker, start_broker
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.store import Store
from edge_sim.errors import UsageError
from tests.relay import Relay
from tests.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.process]
LIMIT_S = 60.0


class Client:
    """A channel whose callbacks go to queues."""

    def __init__(
        self, url: str, name: str = "client", *subscriptions: str, cafile: str | None = None, keep_alive: int = 30
    ) -> None:
        self.changes: queue.Queue[str] = queue.Queue()
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.channel = mqtt.connect(
            url,
            name,
            keep_alive,
            subscriptions=dict.fromkeys(subscriptions, self.take),
            on_connect=lambda: self.changes.put("connected"),
            on_disconnect=lambda reason, lasting: self.changes.put(f"{reason}, and again" if lasting else reason),
            tls=tls.context(cafile) if cafile else None,
            wait=partial(mqtt.backoff, most=0.5),
        )

    def take(self, topic: str, payload: bytes) -> None:
        self.messages.put((topic, payload))

    def change(self) -> str:
        return self.changes.get(timeout=LIMIT_S)

    def subscribe(self, topic: str) -> None:
        self.channel.subscribe(topic, self.take)


def withholding(broker: Broker, withheld: set[int]) -> Relay:
    """Return a relay that swallows packets of some types from the broker, whichever ``withheld`` has at the time."""
    port = int(broker.url.rpartition(":")[2])
    return Relay(port, alter=lambda packet: b"" if packet[0] >> 4 in withheld else packet)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with start_broker() as found:
        yield found


@pytest.mark.process
def test_messages_arrive_and_publish_returns_when_the_broker_has_them(broker: Broker) -> None:
    client = Client(broker.url)
    with closing(client.channel):
        assert client.changes.get(timeout=LIMIT_S) == "connected"
        client.subscribe("$aws/things/board/jobs/+/get/+")
        client.channel.publish("$aws/things/board/jobs/$next/get/accepted", b"{}")
        assert client.messages.get(timeout=LIMIT_S) == ("$aws/things/board/jobs/$next/get/accepted", b"{}")


@pytest.mark.process
def test_a_lost_connection_comes_back_with_its_subscriptions(broker: Broker) -> None:
    relay = Relay(int(broker.url.rsplit(":", 1)[1]))
    client = Client(f"mqtt://127.0.0.1:{relay.port}", "cut-off")
    other = Client(broker.url, "other")
    with closing(client.channel), closing(other.channel):
        assert client.changes.get(timeout=LIMIT_S) == "connected"
        for number in range(10):  # more than one SUBSCRIBE packet may hold
            client.subscribe(f"a/{number}")
        relay.cut()
        assert client.change() != "connected"
        with pytest.raises(mqtt.OfflineError, match="not connected"):
            client.channel.publish("a/0", b"")
        relay.start()
        assert client.changes.get(timeout=LIMIT_S) == "connected"
        for number in range(10):
            other.channel.publish(f"a/{number}", b"again")
            assert client.messages.get(timeout=LIMIT_S) == (f"a/{number}", b"again")
    relay.cut()


def test_a_half_open_connection_is_noticed_by_its_silence_and_made_anew(broker: Broker) -> None:
    relay = Relay(int(broker.url.rsplit(":", 1)[1]))
    client = Client(f"mqtt://127.0.0.1:{relay.port}", "half-open", keep_alive=1)
    with closing(client.channel):
        assert client.change() == "connected"
        relay.freeze()
        assert client.change() != "connected"
        relay.freeze(frozen=False)
        until(lambda: client.change() == "connected")  # an attempt may have begun before
    relay.cut()


def test_a_broker_that_is_not_there_is_waited_for_and_told_once(broker: Broker) -> None:
    """The agent ended with status 6 when its broker was down for 30 s at boot."""
    relay = Relay(int(broker.url.rsplit(":", 1)[1]))
    relay.cut()
    client = Client(f"mqtt://127.0.0.1:{relay.port}", "early", "early/topic")
    with closing(client.channel):
        assert client.change() == f"no MQTT broker at 127.0.0.1:{relay.port}: Connection refused"
        until(lambda: client.channel._failures >= 4)  # type: ignore[attr-defined]
        relay.start()
        assert client.change() == "connected"
        client.channel.publish("early/topic", b"!")  # what was to be subscribed to is
        assert client.messages.get(timeout=LIMIT_S) == ("early/topic", b"!")
    relay.cut()
    assert client.changes.empty()


def test_what_takes_a_connection_and_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqttclient.MqttClient, "answer_limit_s", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        with closing(client.channel):
            assert client.change().endswith(": it did not answer for 0.2 s")
            until(lambda: client.channel._failures >= 2)  # type: ignore[attr-defined]


def test_a_broker_that_stops_acknowledging_is_left_and_the_message_goes_out_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers pings all the while: so a link looks whose queue has died with a node of a cluster."""
    monkeypatch.setattr(mqttclient, "ACKNOWLEDGED_S", 0.5)
    monkeypatch.setattr(mqtt, "OPERATION_LIMIT_S", 0.1)
    withheld: set[int] = set()
    relay = withholding(broker, withheld)
    client, other = Client(relay.url, "waiting"), Client(broker.url, "hearing", "said/#")
    with closing(client.channel), closing(other.channel):
        assert (client.change(), other.change()) == ("connected", "connected")
        withheld.add(packets.PUBACK)
        with pytest.raises(mqtt.OfflineError, match="did not confirm it within"):
            client.channel.publish("said/first", b"")
        assert client.change() == "the broker left a message unacknowledged for 0.5 s"
        withheld.clear()
        until(lambda: client.change() == "connected")  # an attempt may have begun before
        heard = [other.messages.get(timeout=LIMIT_S)[0] for _ in range(2)]
        assert heard == ["said/first", "said/first"], "at least once is QoS 1's promise"
        monkeypatch.setattr(mqtt, "OPERATION_LIMIT_S", LIMIT_S)
        client.channel.publish("said/next", b"")
    relay.cut()


def test_a_broker_that_leaves_the_subscriptions_unanswered_is_left(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqttclient.MqttClient, "answer_limit_s", 0.5)
    withheld = {packets.SUBACK}
    relay = withholding(broker, withheld)
    client = Client(relay.url, "deaf", "heard/topic")
    with closing(client.channel):
        assert client.change() == f"no MQTT broker at 127.0.0.1:{relay.port}: it did not answer for 0.5 s"
        withheld.clear()
        until(lambda: client.change() == "connected")
        client.channel.publish("heard/topic", b"!")
        assert client.messages.get(timeout=LIMIT_S) == ("heard/topic", b"!")
    relay.cut()


def test_two_boards_of_one_name_are_told_of_each_other_and_do_not_fight(broker: Broker) -> None:
    """A broker keeps one client of an id, as AWS IoT does: each connection lasts as long as the other one waits."""
    boards = [Client(broker.url, "twin") for _ in range(2)]
    with closing(boards[0].channel), closing(boards[1].channel):
        for board in boards:
            changes = [board.change()]
            while not changes[-1].startswith("the broker closed the connection 3 times soon after it was opened"):
                changes.append(board.change())
            assert "another client is connected as 'twin'" in changes[-1]
            assert changes.count("connected") == 3
    told = [change for board in boards for change in board.changes.queue]
    assert all(change == "connected" for change in told)
    assert mqtt.STABLE_S > mqtt.RETRY_MOST_S, "or the other one's wait would count as a good connection"


REFUSAL = bytes((packets.CONNACK << 4, 2, 0, 5))


def test_a_broker_that_keeps_refusing_is_told_again_as_lasting(broker: Broker) -> None:
    refuses = [True]

    def alter(packet: bytes) -> bytes:
        return REFUSAL if refuses and packet[0] >> 4 == packets.CONNACK else packet

    relay = Relay(int(broker.url.rpartition(":")[2]), alter=alter)
    client = Client(relay.url, "refused", "heard/topic")
    with closing(client.channel):
        why = f"127.0.0.1:{relay.port}: the broker refused the connection (Not authorized)"
        assert (client.change(), client.change()) == (why, f"{why}, and again")
        refuses.clear()
        assert client.change() == "connected"
        refuses.append(True)
        relay.cut()
        relay.start()
        changes = [client.change()]
        while not changes[-1].endswith(", and again"):
            changes.append(client.change())
        assert why in changes
    relay.cut()


@pytest.mark.parametrize("secure", [False, True])
def test_a_broker_that_hangs_up_instead_of_answering_is_told(secure: bool, tmp_path: Path) -> None:
    """So a broker refuses a certificate under TLS 1.3; the agent said nothing of it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    _make_certificate(key, certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up, args=(listener, context if secure else None), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        client = Client(f"{'mqtts' if secure else 'mqtt'}://{address}", cafile=str(certificate) if secure else None)
        with closing(client.channel):
            why = f"{address}: the broker closed the connection before it answered"
            if not secure:
                assert client.change() == why
                until(lambda: client.channel._failures > mqttclient.REFUSALS)  # type: ignore[attr-defined]
                assert client.changes.empty(), "it may be a broker that is about to end"
                return
            why += "; it may not accept this core's certificate"
            assert (client.change(), client.change()) == (why, f"{why}, and again")


def _hang_up(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with suppress(OSError), context.wrap_socket(connection, server_side=True) if context else connection as end:
                end.recv(1)  # the beginning of CONNECT


@pytest.mark.parametrize("url", ["", "127.0.0.1:1883", "http://x", "mqtt://", "mqtt://x:port", "mqtt://[x"])
def test_an_address_that_cannot_be_read_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="expected mqtt://HOST:PORT"):
        Client(url)


@pytest.mark.parametrize(
    ("url", "why"), [("mqtt://u:secret@x", "no user and no password"), ("mqtt://x/y", "only a host")]
)
def test_what_would_not_be_used_of_an_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        Client(url)
    assert "secret" not in refused.value.brief


@pytest.mark.process
def test_a_server_with_an_unknown_certificate_is_not_trusted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    _make_certificate(key, certificate)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
        url = f"mqtts://127.0.0.1:{listener.getsockname()[1]}"
        stranger = Client(url)
        with closing(stranger.channel):
            assert ": its certificate is not trusted (self-signed certificate); cafile in the " in stranger.change()
    with pytest.raises(UsageError, match="cannot be read as CA certificates"):
        Client(url, cafile=str(tmp_path / "missing.pem"))


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    kept = []  # open but silent
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with suppress(OSError):
                kept.append(context.wrap_socket(connection, server_side=True))


def _make_certificate(key: Path, certificate: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=127.0.0.1"]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: apt-get install openssl")


def test_waits_grow_and_are_never_the_same_for_all() -> None:
    assert [mqtt.backoff(n, most=60, chance=lambda: 1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [mqtt.backoff(n, most=60, chance=lambda: 0.0) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert mqtt.backoff(10_000) <= mqtt.RETRY_MOST_S


def test_both_ends_send_small_messages_at_once(broker: Broker) -> None:
    """With Nagle's algorithm an update was answered after 44 ms on loopback instead of 1 ms."""
    client = Client(broker.url, "prompt")
    channel = client.channel
    assert client.change() == "connected"
    cloud = Bridge(broker.url, DevicePlane(Store(), presign=lambda url, *_: url), lambda _: None)
    try:
        for end in (channel._client, cloud._client):  # type: ignore[attr-defined]
            assert end.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    finally:
        cloud.stop()
        channel.close()
