"""The channel on a real broker: it waits, comes back, subscribes again, and gives up with a clear sentence."""

from __future__ import annotations

import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edge_sim.agent import mqtt
from edge_sim.cloud.bridge import Bridge
from edge_sim.cloud.brokers.broker import Broker, start_broker
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.store import Store
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from tests.ports import port_of_nobody

pytestmark = [pytest.mark.network, pytest.mark.process]
LIMIT_S = 60.0


class Relay:
    """A TCP relay before a broker, so that a test can cut and restore the connection at one address."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


class Client:
    """A channel whose callbacks go to queues."""

    def __init__(self, url: str, name: str = "client", **options: object) -> None:
        self.changes: queue.Queue[str] = queue.Queue()
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.channel = mqtt.connect(
            url,
            name,
            30,
            on_connect=lambda: self.changes.put("connected"),
            on_disconnect=lambda reason: self.changes.put(f"disconnected: {reason}"),
            retry_most_s=0.5,
            **options,  # type: ignore[arg-type]
        )

    def subscribe(self, topic: str) -> None:
        self.channel.subscribe(topic, lambda name, data: self.messages.put((name, data)))


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
        assert client.changes.get(timeout=LIMIT_S).startswith("disconnected: ")
        with pytest.raises(mqtt.OfflineError, match="not connected"):
            client.channel.publish("a/0", b"")
        relay.start()
        assert client.changes.get(timeout=LIMIT_S) == "connected"
        for number in range(10):
            other.channel.publish(f"a/{number}", b"again")
            assert client.messages.get(timeout=LIMIT_S) == (f"a/{number}", b"again")
    relay.cut()


def test_no_broker_is_a_clear_sentence_with_host_and_port() -> None:
    with (
        port_of_nobody() as port,
        pytest.raises(UnsupportedEnvironmentError, match=f"no MQTT broker at 127.0.0.1:{port}: .*refused"),
    ):
        Client(f"mqtt://127.0.0.1:{port}", limit_s=0.1)


def test_something_that_does_not_speak_mqtt_is_given_up_on() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnsupportedEnvironmentError, match="it does not answer"),
    ):
        Client(f"mqtt://127.0.0.1:{silent.getsockname()[1]}", limit_s=0.1)


def test_a_stop_ends_the_wait_for_a_broker() -> None:
    stop = threading.Event()
    stop.set()
    with port_of_nobody() as port, pytest.raises(UnsupportedEnvironmentError):
        Client(f"mqtt://127.0.0.1:{port}", limit_s=600, stop=stop)


@pytest.mark.parametrize("url", ["", "127.0.0.1:1883", "http://x", "mqtt://", "mqtt://x:port", "mqtt://[x"])
def test_an_address_that_cannot_be_read_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="not like mqtt://host:port"):
        Client(url)


@pytest.mark.process
def test_a_server_with_an_unknown_certificate_is_not_trusted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    _make_certificate(key, certificate)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
        url = f"mqtts://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UnsupportedEnvironmentError, match=r"TLS failed: .*CERTIFICATE_VERIFY_FAILED"):
            Client(url, limit_s=5)
        with pytest.raises(UnsupportedEnvironmentError, match=r"it does not answer|TLS failed"):
            Client(url, limit_s=1, cafile=str(certificate))
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
    channel = mqtt.connect(broker.url, "prompt", 30, on_connect=lambda: None, on_disconnect=lambda _: None)
    cloud = Bridge(broker.url, DevicePlane(Store(), presign=lambda url, _: url), lambda _: None)
    try:
        for client in (channel._client, cloud._client):  # type: ignore[attr-defined]
            assert client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    finally:
        cloud.stop()
        channel.close()
