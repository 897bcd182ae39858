"""Both brokers, with real sockets and a real client: they serve, they stop, their death is noticed."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from edge_sim.cloud.brokers import broker as brokers
from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.broker import Broker, start_broker, start_embedded
from edge_sim.cloud.server import Cloud
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.mqttclient import address
from tests import needs
from tests.integration.jobs_device import LIMIT_S, Device
from tests.integration.tls_cloud import text
from tests.ports import port_of_nobody
from tests.processes import is_alive

pytestmark = pytest.mark.network

needs_mosquitto = needs.program("mosquitto")


def start(kind: str) -> Broker:
    return start_broker() if kind == "mosquitto" else start_embedded()


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with start(request.param) as found:
        assert found.kind == request.param
        yield found


def test_a_message_on_an_aws_topic_reaches_its_subscriber(broker: Broker) -> None:
    with Device(broker.url, "board") as device, Device(broker.url, "other") as other:
        other.send("$aws/things/board/jobs/notify", {"n": 1})
        assert device.next() == ("jobs/notify", {"n": 1})


def test_the_broker_listens_on_loopback_only(broker: Broker) -> None:
    host, port, tls = address(broker.url)
    assert (host, tls) == ("127.0.0.1", False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=LIMIT_S)


def test_a_second_client_with_the_same_id_evicts_the_first(broker: Broker) -> None:
    with Device(broker.url, "board", client_id="same") as first:
        first._client.reconnect_delay_set(60, 60)
        with Device(broker.url, "board", client_id="same") as second:
            assert first.lost.wait(LIMIT_S)
            second.send("notify", {"n": 2})
            assert second.next() == ("jobs/notify", {"n": 2})


def test_a_message_beyond_the_limit_is_not_delivered(broker: Broker) -> None:
    with Device(broker.url, "board") as device, Device(broker.url, "other") as other:
        other.send("$aws/things/board/jobs/notify", raw=b'"' + b"x" * (brokers.MAX_PAYLOAD - 1) + b'"')
        with Device(broker.url, "third") as third:
            third.send("$aws/things/board/jobs/notify", {"n": 3})
        assert device.next() == ("jobs/notify", {"n": 3})


CONNECT_V5 = bytes.fromhex("10100004") + b"MQTT" + bytes.fromhex("0502001e00") + bytes.fromhex("000378") + b"yz"
HOSTILE = [
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x10",
    b"\x10\xff\xff\xff\xff\x7f",
    b"\x00" * 5000,
    CONNECT_V5,
    b"\x30\x03\x00\x01a",
]


def test_what_is_no_mqtt_does_no_harm(broker: Broker) -> None:
    host, port, _ = address(broker.url)
    more_than_there_are_places = 220
    for garbage in [*HOSTILE * 10, *[CONNECT_V5] * more_than_there_are_places]:
        with socket.create_connection((host, port), timeout=LIMIT_S) as client:
            client.sendall(garbage)
            # Close with a reset: the broker then fails while it refuses us.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Device(broker.url, "board") as device:
        device.send("notify", {"n": 1})
        assert device.next() == ("jobs/notify", {"n": 1})


@needs_mosquitto
@pytest.mark.parametrize("first", [b"\x30\xff\xff\xff\x7f", b"\x82\xff\xff\x07", b"\xf0\xff\xff\x3f"])
def test_a_first_packet_other_than_connect_is_refused_before_its_body_comes(first: bytes) -> None:
    """CVE-2023-0809: mosquitto before 2.0.16 took memory for it, Debian's 2.0.11 before deb12u1 as well."""
    with start_broker() as broker:
        host, port, _ = address(broker.url)
        with socket.create_connection((host, port), timeout=LIMIT_S) as client:
            client.sendall(first)
            with suppress(ConnectionError):
                assert client.recv(1) == b""


@needs_mosquitto
def test_the_broker_behind_tls_takes_only_the_clouds_own_password() -> None:
    with brokers.start_private(("edge-sim", "secret")) as broker:
        _, port, _ = address(broker.url)
        for more, answer in (
            (b"", b"\x20\2\0\5"),
            (text("edge-sim") + text("guess"), b"\x20\2\0\5"),
            (text("edge-sim") + text("secret"), b"\x20\2\0\0"),
        ):
            body = text("MQTT") + bytes([4, 0xC2 if more else 2]) + b"\0\x3c" + text("c") + more
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as client:
                client.sendall(packets.packet(packets.CONNECT << 4, body))
                assert client.recv(4) == answer, more


def test_after_stop_nothing_listens_and_no_process_is_left(broker: Broker) -> None:
    assert broker.alive()
    children = psutil.Process().children()
    broker.stop()
    assert not broker.alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(broker.url).port or 0), timeout=LIMIT_S)
    assert not [c for c in children if c.is_running() and "mosquitto" in c.name()]


def test_a_stop_is_not_a_death() -> None:
    reasons: list[str] = []
    with start_embedded(reasons.append):
        pass
    assert reasons == []


@needs_mosquitto
def test_the_death_of_mosquitto_is_told() -> None:
    before = {child.pid for child in psutil.Process().children()}
    told, reasons = threading.Event(), []

    def died(reason: str) -> None:
        reasons.append(reason)
        told.set()

    with start_broker(died=died) as broker:
        (child,) = [c for c in psutil.Process().children() if c.pid not in before]
        os.kill(child.pid, signal.SIGKILL)
        assert told.wait(LIMIT_S)
        assert not broker.alive()
    assert reasons == [f"the MQTT broker (mosquitto, {broker.url}) has ended: killed by signal 9"]


@needs_mosquitto
def test_mosquitto_does_not_outlive_us() -> None:
    """Our process is killed without a chance to clean up; the kernel ends the broker."""
    script = (
        "from edge_sim.cloud.brokers.broker import start_broker; import psutil, time\n"
        "b = start_broker(); print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        assert broker.name() == "mosquitto"
        parent.kill()
        psutil.wait_procs([broker], timeout=LIMIT_S)
        assert not is_alive(broker)


@needs_mosquitto
@pytest.mark.root
def test_mosquitto_does_not_run_as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    before = {child.pid for child in psutil.Process().children()}
    with start_broker():
        (child,) = [c for c in psutil.Process().children() if c.pid not in before]
        assert child.uids().real != 0


@needs_mosquitto
def test_mosquitto_starts_where_its_user_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with start_broker() as broker, Device(broker.url, "board") as device:
        assert broker.kind == "mosquitto"
        device.send("notify", {"n": 1})
        assert device.next() == ("jobs/notify", {"n": 1})


@contextmanager
def fake_mosquitto(monkeypatch: pytest.MonkeyPatch, script: str) -> Iterator[Path]:
    """Yield a mosquitto on the PATH that does something else, where mosquitto's user may start it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        fake = Path(folder) / "mosquitto"
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        yield fake


@pytest.mark.parametrize(
    ("script", "limit_s", "brief"),
    [
        (
            "echo 1: starting; echo '1: Error: Address not available' >&2; exit 3",
            LIMIT_S,
            "does not start: 1: Error: Address not",
        ),
        ("exit 3", LIMIT_S, "does not start: it printed nothing"),
        ("echo 1: waiting >&2; exec sleep 600", 3, "does not answer within 3 s: 1: waiting"),
    ],
)
def test_a_mosquitto_that_does_not_start_is_told_and_not_replaced(
    monkeypatch: pytest.MonkeyPatch, script: str, limit_s: float, brief: str
) -> None:
    monkeypatch.setattr(brokers, "START_LIMIT_S", limit_s)
    with fake_mosquitto(monkeypatch, script) as fake:
        with pytest.raises(UnsupportedEnvironmentError) as failed:
            start_broker()
        assert failed.value.brief.startswith(f"{fake} {brief}")
        assert "--broker mqtt://" in str(failed.value.hint)
    assert not [child for child in psutil.Process().children() if child.name() == "sleep"]


def test_a_broker_that_runs_is_used_and_left_alone(broker: Broker) -> None:
    with start_broker(broker.url) as named:
        assert (named.kind, named.url, named.alive()) == ("external", broker.url, True)
    assert broker.alive()


def test_nobody_at_the_named_address_is_a_clear_failure() -> None:
    with (
        port_of_nobody() as port,
        pytest.raises(UnsupportedEnvironmentError, match=f"nothing answers at 127.0.0.1 port {port}"),
    ):
        start_broker(f"mqtt://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "url", ["http://x:1", "mqtt://", "mqtt://h:99999", "localhost:1883", "mqtt://h/path", "mqtt://u:p@h"]
)
def test_what_is_no_broker_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="--broker"):
        start_broker(url)


def test_the_embedded_broker_takes_as_many_clients_as_it_is_told_to() -> None:
    """A fleet has more of them than any other cloud: those beyond the limit waited for an answer for ever."""
    many = packets.MAX_CONNECTIONS + 5
    with start_embedded(connections=many) as broker, ExitStack() as stack:
        for number in range(many):
            client = socket.create_connection(("127.0.0.1", int(broker.url.rpartition(":")[2])), timeout=LIMIT_S)
            stack.enter_context(client)
            client.sendall(b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4" + f"{number:04}".encode())
            assert client.recv(4) == b"\x20\2\0\0"


@pytest.mark.parametrize("kind", ["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def test_the_connection_of_the_cloud_itself_is_none_of_its_clients(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "embedded":
        monkeypatch.setattr(brokers, "daemon", lambda _: None)
    with Cloud(connections=2) as cloud, ExitStack() as stack:
        assert cloud.broker_kind == kind
        for number in range(2):
            port = int(cloud.mqtt_url.rpartition(":")[2])
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S))
            client.sendall(b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1" + f"{number}".encode())
            assert client.recv(4) == b"\x20\2\0\0"


def test_the_embedded_broker_refuses_other_reserved_topics_and_retained_messages() -> None:
    with start_embedded() as broker, Device(broker.url, "board") as device:
        device.send("$aws/things/board/jobs/notify", {}, retain=True)
        assert device.lost.wait(LIMIT_S)
    with start_embedded() as broker, Device(broker.url, "board") as device:
        device._client.publish("$SYS/broker/uptime", b"1", qos=1)
        assert device.lost.wait(LIMIT_S)


def test_the_embedded_broker_ends_at_once_beside_a_connection_that_has_asked_for_nothing() -> None:
    """From Python 3.12.1 on it waited for such a one until its limit."""
    broker = brokers.start_embedded()
    with socket.create_connection(address(broker.url)[:2], timeout=LIMIT_S) as silent, Device(broker.url, "board"):
        begun = time.monotonic()
        broker.stop()
        assert time.monotonic() - begun < brokers.STOP_LIMIT_S
        assert silent.recv(1) == b""
