"""A cloud with TLS: who gets in, and that another thing's topics are never reached. Real mosquitto, real sockets."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho_client
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt import properties as paho_properties

from edge_sim.cloud import http_connection
from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.front import MAX_PAYLOAD
from edge_sim.cloud.brokers.mosquitto import MAX_QUEUED_BYTES
from edge_sim.cloud.ca import CertificateAuthority
from edge_sim.cloud.server import Cloud, Tls
from edge_sim.errors import UnsupportedEnvironmentError
from tests import needs
from tests.integration.tls_cloud import LIMIT_S, Credentials, Raw, World, text, tls_cloud
from tests.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.process, needs.program("mosquitto"), needs.program("openssl")]

OTHERS = (
    *(f"$aws/things/b/jobs/{rest}" for rest in ("get", "start-next", "j1/get", "j1/update", "$next/get")),
    *(f"$aws/things/b/jobs/{rest}" for rest in ("notify", "notify-next", "get/accepted")),
    *(f"$aws/things/b{rest}" for rest in ("/shadow/get", "/shadow/update")),
    *(f"$aws/things/b-gda{rest}" for rest in ("/shadow/get", "/shadow/update/delta")),
)
"""Twelve topics of the thing b."""
WIDE = ("#", "+/things/b/jobs/get", "$aws/#", "$SYS/#", "$share/group/$aws/things/b/jobs/get", "$aws/things/+/jobs/#")


paho: Any = paho_client


class Watcher:
    """paho as a client that may do everything."""

    def __init__(self, world: World, shown: Credentials, client_id: str, *filters: str) -> None:
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._ready = queue.Queue[Any]()
        self.client: Any = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id)
        self.client.tls_set(world.cafile, str(shown.certificate), str(shown.key))
        self.client.on_connect = lambda client, *_: client.subscribe([(each, 1) for each in filters])
        self.client.on_subscribe = lambda *args: self._ready.put(args[3])
        self.client.on_message = lambda *args: self.messages.put((args[2].topic, args[2].payload))
        self.client.connect("127.0.0.1", world.mqtt_port)
        self.client.loop_start()
        self.granted = [int(code.value) for code in self._ready.get(timeout=LIMIT_S)]

    def until(self, topic: str) -> list[tuple[str, bytes]]:
        """Publish on a topic of its own, and return what has come before that."""
        self.client.publish(topic, b"sentinel", 1)
        found = []
        while (message := self.messages.get(timeout=LIMIT_S))[0] != topic:
            found.append(message)
        return found

    def until_answer(self, token: str) -> list[tuple[str, bytes]]:
        """Return what has come before the service accepts the request with this token; it answers in their order."""
        found = []
        while (
            not (message := self.messages.get(timeout=LIMIT_S))[0].endswith("/accepted")
            or token.encode() not in message[1]
        ):
            found.append(message)
        return found

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with tls_cloud(tmp_path_factory.mktemp("tls")) as found:
        found.policy("everything", {"Action": "*", "Resource": "*"})
        yield found


@pytest.fixture(scope="module")
def a(world: World) -> Credentials:
    return world.thing("a")


@pytest.fixture(scope="module")
def b(world: World) -> Credentials:
    return world.thing("b")


@pytest.fixture(scope="module")
def watcher(world: World) -> Iterator[Watcher]:
    shown = world.certificate("ops", "everything")
    found = Watcher(world, shown, "ops", "$aws/things/b/#", "$aws/things/b-gda/#", "$aws/things/a/#")
    yield found
    found.stop()


def refused(world: World, shown: Credentials | None, port: int, **options: Any) -> str:
    """Return why TLS fails; "" when the server lets a client in so far that it answers a CONNECT."""
    context = world.context(shown)
    for name, value in options.items():
        setattr(context, name, value)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            wrapped.sendall(packets.packet(packets.CONNECT << 4, text("MQTT") + b"\4\2\0\74" + text("a")))
            return "" if wrapped.recv(1) else "closed"
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)


def issued(world: World, name: str, authority: CertificateAuthority, begin_days: int, end_days: int) -> Credentials:
    """Return a certificate with the id of nobody, good between two days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(timezone.utc)
    made = authority.issue(key.public_key(), begin=now + timedelta(begin_days), end=now + timedelta(end_days))
    found = Credentials(certificate=world.folder / f"{name}.pem", key=world.folder / f"{name}.key", arn="", id=made.id)
    found.certificate.write_text(made.pem)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.key.write_bytes(key.private_bytes(*form))
    return found


def test_the_handshake_refuses_every_certificate_that_is_not_good(world: World, a: Credentials) -> None:
    ours = CertificateAuthority(world.folder / "cloud.sqlite.d" / "ca")
    other = CertificateAuthority(world.folder / "other-ca")
    assert refused(world, a, world.mqtt_port) == ""
    cases = {
        "none": None,
        "other CA": issued(world, "foreign", other, -1, 1),
        "expired": issued(world, "expired", ours, -2, -1),
        "not yet valid": issued(world, "early", ours, 1, 2),
    }
    ports = (world.mqtt_port, int(world.cloud.http_url.rpartition(":")[2]))
    assert [name for name, shown in cases.items() if not refused(world, shown, ports[0])] == []
    assert [name for name, shown in cases.items() if shown and not refused(world, shown, ports[1])] == []


def test_a_certificate_that_nobody_registered_or_somebody_revoked_connects_to_nothing(world: World) -> None:
    ours = CertificateAuthority(world.folder / "cloud.sqlite.d" / "ca")
    with world.raw(issued(world, "unknown", ours, -1, 1), "a") as raw:
        assert raw.read() == (packets.CONNACK, b"\0\5")
        assert raw.read() is None
    shown = world.thing("revoked")
    with world.raw(shown, "revoked") as present:
        assert present.connected()
        world.iot.update_certificate(certificateId=shown.id, newStatus="REVOKED")
        assert present.read() is None
        with world.raw(shown, "revoked") as raw:
            assert raw.read() == (packets.CONNACK, b"\0\5")


def test_an_old_tls_and_a_wrong_name_are_refused(world: World, a: Credentials) -> None:
    context = world.context(a)
    with (
        socket.create_connection(("127.0.0.1", world.mqtt_port), timeout=LIMIT_S) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"),
    ):
        context.wrap_socket(plain, server_hostname="cloud.example")
    for port in (world.mqtt_port, int(world.cloud.http_url.rpartition(":")[2])):
        for version, taken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True)):
            argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-cipher", "ALL@SECLEVEL=0"]
            argv += ["-cert", str(a.certificate), "-key", str(a.key)]
            done = subprocess.run(argv, input="", capture_output=True, text=True, timeout=LIMIT_S, check=False)
            assert ("Verify return code" in done.stdout and "Cipher is (NONE)" not in done.stdout) is taken, version


def test_openssl_sees_the_names_and_the_protocol_of_port_443(world: World, a: Credentials) -> None:
    argv = ["openssl", "s_client", "-connect", f"localhost:{world.mqtt_port}", "-CAfile", world.cafile]
    argv += ["-verify_return_error", "-verify_hostname", "localhost", "-alpn", "x-amzn-mqtt-ca"]
    argv += ["-cert", str(a.certificate), "-key", str(a.key), "-servername", "localhost"]
    done = subprocess.run(argv, input="", capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert "ALPN protocol: x-amzn-mqtt-ca" in done.stdout
    assert "Verify return code: 0 (ok)" in done.stdout


def test_another_things_topics_are_never_reached(
    world: World, a: Credentials, b: Credentials, watcher: Watcher
) -> None:
    """Twelve topics, five ways each: the connection ends, and nothing of it is seen on the other side."""
    reached = []
    intruder = b'{"clientToken": "intruder"}'
    for topic in OTHERS:
        for way in ("publish", "retained", "subscribe", "wildcard", "will"):
            with world.raw(a, "a", will=topic if way == "will" else None) as raw:
                if way == "will":
                    came = raw.read()
                    assert came == (packets.CONNACK, b"\0\5"), (topic, way)
                else:
                    assert raw.connected()
                    if way in ("publish", "retained"):
                        raw.publish(topic, intruder, retain=way == "retained")
                    else:
                        raw.subscribe(topic if way == "subscribe" else topic.replace("things/b", "things/+", 1))
                    watcher.client.publish(topic, b"secret", 0)
                if raw.read() is not None:
                    reached.append((topic, way))
    assert reached == []
    watcher.client.publish("$aws/things/b/jobs/get", b'{"clientToken": "last"}', 1)
    seen = watcher.until_answer("last")
    assert [message for message in seen if b"intruder" in message[1]] == [], "an answer has its request's token"
    assert len([message for message in seen if message[1] == b"secret"]) == 4 * len(OTHERS)


def test_wide_filters_reserved_topics_and_limits_end_the_connection(world: World, a: Credentials) -> None:
    for topic_filter in WIDE:
        with world.raw(a, "a") as raw:
            assert raw.connected()
            raw.subscribe(topic_filter)
            assert raw.read() is None, topic_filter
    own = "$aws/things/a/jobs/"
    for topic in ("notify", "notify-next", "get/accepted", "j1/update/rejected", "x/" * 9 + "get", "j" * 250 + "/get"):
        with world.raw(a, "a") as raw:
            assert raw.connected()
            raw.publish(own + topic)
            assert raw.read() is None, topic
    for topic in ("get", "j1/update"):
        with world.raw(a, "a", will=own + topic) as raw:
            assert raw.read() == (packets.CONNACK, b"\0\5"), topic
    acts: tuple[Callable[[Raw], None], ...] = (
        lambda raw: raw.publish(own + "get", b"x" * 131073),
        lambda raw: raw.publish(own + "get", retain=True),
        lambda raw: raw.subscribe(*[f"{own}{number}/get/accepted" for number in range(9)]),
        lambda raw: raw.connection.sendall(b"\x30\xff\xff\xff\xff\x7f"),
        lambda raw: raw.send(packets.CONNECT << 4, b""),
        lambda raw: raw.send(packets.SUBSCRIBE << 4 | 2, b"\0\1\0\5a"),
    )
    for act in acts:
        with world.raw(a, "a") as raw:
            assert raw.connected()
            act(raw)
            assert raw.read() is None


def test_a_client_id_is_the_things_own(world: World, a: Credentials, b: Credentials) -> None:
    with world.raw(b, "b") as present:
        assert present.connected()
        for stolen in ("b", "", "a/b", "a+", "#", "a" * 129, "nobody"):
            with world.raw(a, stolen) as raw:
                assert raw.read() == (packets.CONNACK, b"\0\5"), stolen
        present.publish("$aws/things/b/jobs/get", b"{}")
        assert present.read() == (packets.PUBACK, b"\0\1")
        with world.raw(b, "b") as second:  # the same thing: the newcomer evicts the former, as AWS's does
            assert second.connected()
            assert present.read() is None


def test_a_client_id_has_at_most_128_bytes_whatever_its_policy_allows(world: World) -> None:
    shown = world.certificate("long", "everything")
    for client_id, taken in (("c" * 128, True), ("c" * 129, False), ("é" * 64, True), ("é" * 65, False)):
        with world.raw(shown, client_id) as raw:
            assert raw.read() == (packets.CONNACK, b"\0\0" if taken else b"\0\5"), client_id


def test_at_most_100_messages_are_on_the_way_to_a_client_until_it_confirms_one(world: World, watcher: Watcher) -> None:
    with world.raw(world.certificate("lazy", "everything"), "lazy") as raw:
        assert raw.connected()
        raw.subscribe("flood/#")
        assert raw.read() == (packets.SUBACK, b"\0\1\1")
        for number in range(150):
            watcher.client.publish("flood/x", str(number), 1)
        watcher.until("$aws/things/b/sentinel")
        came = [raw.read() for _ in range(100)]
        raw.send(packets.PINGREQ << 4, b"")
        assert raw.read() == (13, b""), "nothing more before the answer to the ping"
        topic = text("flood/x")
        assert [body.removeprefix(topic)[2:] for _, body in filter(None, came)] == [b"%d" % n for n in range(100)]
        raw.send(packets.PUBACK << 4, came[0][1].removeprefix(topic)[:2] if came[0] else b"")
        more = raw.read()
        assert more is not None
        assert more[1].endswith(b"100")


def test_as_many_clients_connect_at_once_as_the_cloud_takes_and_not_one_more(tmp_path: Path) -> None:
    with tls_cloud(tmp_path, connections=3) as world, contextlib.ExitStack() as stack:
        shown = world.certificate("ops", world.policy("everything", {"Action": "*", "Resource": "*"}))
        clients = [stack.enter_context(world.raw(shown, f"c{number}")) for number in range(3)]
        assert [raw.connected() for raw in clients] == [True] * 3, "the cloud's own connection is not one of them"
        with world.raw(shown, "c3") as raw:
            assert raw.read() is None
        clients[0].send(packets.DISCONNECT << 4, b"")

        def connects() -> bool:
            with world.raw(shown, "c3") as raw:
                return raw.connected()

        until(connects)
        clients[1].send(packets.PINGREQ << 4, b"")
        assert clients[1].read() == (13, b"")


def test_what_is_no_mqtt_does_no_harm(world: World, a: Credentials) -> None:
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10",
        b"\x30\x03\x00\x01a",
        b"\x10\xff\xff\xff\xff\x7f",
        b"\0" * 5000,
    ):
        with socket.create_connection(("127.0.0.1", world.mqtt_port), timeout=LIMIT_S) as plain:
            plain.sendall(garbage)
        with world.context(a).wrap_socket(
            socket.create_connection(("127.0.0.1", world.mqtt_port), timeout=LIMIT_S), server_hostname="127.0.0.1"
        ) as wrapped:
            wrapped.sendall(garbage)
    with world.raw(a, "a") as raw:
        assert raw.connected()


def test_a_packet_that_mqtt_does_not_have_ends_the_connection_and_no_other(world: World, a: Credentials) -> None:
    """A sample; ``make faults-packets`` plays mosquitto's own sequences."""
    wrong = (
        *(b"\x00\0", b"\xd0\0", b"\x20\2\0\0", b"\x90\3\0\1\0", b"\xb0\2\0\1"),  # reserved, and a server's own
        *(b"\xc1\0", b"\xc0\1x", b"\x80\6\0\1\0\1a\0", b"\x38\4\0\1ax"),  # flags and sizes
        *(b"\x40\3\0\1x", b"\x62\2\0\1", b"\x32\3\0\1a", b"\x30\4\0\2\xc0\xaf", b"\x82\5\0\1\0\1a"),
    )
    with world.raw(world.thing("beside"), "beside") as neighbour:
        assert neighbour.connected()
        for sequence in wrong:
            with world.raw(a, "a") as raw:
                assert raw.connected()
                raw.connection.sendall(sequence)
                assert raw.read() is None, sequence
            neighbour.send(packets.PINGREQ << 4, b"")
            assert neighbour.read() == (13, b""), sequence


def test_a_client_that_does_not_read_costs_a_bounded_amount_of_memory(world: World, watcher: Watcher) -> None:
    """Eight times as much is published for it as the broker may queue; whoever reads receives all of it.

    Beside the queue the broker holds what is in flight, up to 100 messages (12.5 MiB) on either side.
    """
    slow = world.certificate("slow", "everything")
    broker = next(child for child in psutil.Process().children() if child.name() == "mosquitto")
    with world.raw(slow, "slow") as raw:
        assert raw.connected()
        raw.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.subscribe("news/#")
        assert raw.read() == (packets.SUBACK, b"\0\1\1")
        before = broker.memory_info().rss
        for _ in range(8 * MAX_QUEUED_BYTES // MAX_PAYLOAD):
            watcher.client.publish("news/today", bytes(MAX_PAYLOAD), 1)
        watcher.until("$aws/things/b/sentinel")
        assert broker.memory_info().rss - before < 4 * MAX_QUEUED_BYTES


def test_a_client_that_falls_silent_is_gone_after_its_keep_alive(world: World, a: Credentials, b: Credentials) -> None:
    with world.raw(a, "a", keep_alive=1) as silent, world.raw(b, "b", keep_alive=1) as alive:
        assert silent.connected()
        assert alive.connected()
        silent.connection.settimeout(0.3)
        while True:
            alive.send(packets.PINGREQ << 4, b"")
            assert alive.read() == (13, b"")
            try:
                assert silent.connection.recv(1) == b""
                break
            except TimeoutError:
                continue


@pytest.mark.parametrize(("asked", "server"), [(0, 1200), (1201, 1200), (1200, None), (30, None)])
def test_a_client_of_mqtt_5_learns_the_keep_alive_that_counts(
    world: World, a: Credentials, asked: int, server: int | None
) -> None:
    with world.connection(a) as wrapped:
        raw = Raw(wrapped)
        raw.send(packets.CONNECT << 4, text("MQTT") + struct.pack("!BBHB", packets.V5, 2, asked, 0) + text("a"))
        answer = raw.read()
        assert answer is not None
        reader: Any = paho_properties
        properties = reader.Properties(packets.CONNACK)
        properties.unpack(answer[1][2:])
        assert getattr(properties, "ServerKeepAlive", None) == server


def test_the_keys_are_kept_for_their_owner_and_out_of_the_state(world: World, a: Credentials) -> None:
    folder = world.folder / "cloud.sqlite.d" / "ca"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    secret = {name: mode for name, mode in modes.items() if not name.endswith(".pem")}
    assert secret == {"ca": 0o700, "ca.key": 0o400, "server.key": 0o400, "secret-access-key": 0o400}
    parts = [path.read_bytes() for path in world.folder.glob("cloud.sqlite*") if path.is_file()]
    secrets = [*(folder / name for name in secret if name != "ca"), a.key]
    for path in secrets:
        lines = max(path.read_bytes().splitlines(), key=len)
        assert not any(lines in part for part in parts), path.name
    (folder / "ca.key").chmod(0o440)
    with pytest.raises(UnsupportedEnvironmentError, match=r"ca\.key: mode 0440 lets others read it"):
        CertificateAuthority(folder)
    (folder / "ca.key").chmod(0o400)


def test_a_restart_keeps_certificates_and_keys(tmp_path: Path) -> None:
    with tls_cloud(tmp_path) as world:
        shown, first = world.thing("kept"), world.cloud.exports()["AWS_SECRET_ACCESS_KEY"]
    with Cloud(tmp_path / "cloud.sqlite", tls=Tls(names=("bench.example",))) as cloud:
        assert cloud.exports()["AWS_SECRET_ACCESS_KEY"] == first
        context = ssl.create_default_context(cafile=str(cloud.cafile))
        context.load_cert_chain(shown.certificate, shown.key)
        port = int(cloud.mqtt_url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname="bench.example") as wrapped,
        ):
            wrapped.sendall(packets.packet(packets.CONNECT << 4, text("MQTT") + b"\4\2\0\74" + text("kept")))
            assert wrapped.recv(4) == b"\x20\2\0\0"
        port = int(cloud.http_url.rpartition(":")[2])
        for name, status in (("bench.example", b"200"), ("other.example", b"403")):  # a page's name is not the cloud's
            with (
                socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
                context.wrap_socket(plain, server_hostname="bench.example") as wrapped,
            ):
                wrapped.sendall(f"GET /things/kept/jobs HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode())
                assert wrapped.recv(12) == b"HTTP/1.1 " + status


def test_a_silent_client_is_hung_up_on_and_does_not_keep_the_cloud_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_LIMIT_S", 0.05)
    with tls_cloud(tmp_path) as world:
        port = int(world.cloud.http_url.rpartition(":")[2])
        plain = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        silent = world.context().wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=True)
        with contextlib.suppress(ConnectionError):
            assert silent.recv(1) == b""
    silent.close()
    assert "has ended" not in caplog.text


def test_the_brokers_death_is_told_and_ends_every_connection(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    reasons: queue.Queue[str] = queue.Queue()
    with Cloud(tmp_path / "cloud.sqlite", tls=Tls(), died=reasons.put) as cloud:
        world = World(cloud, tmp_path)
        with world.raw(world.thing("a"), "a") as raw:
            assert raw.connected()
            (broker,) = [child for child in psutil.Process().children() if child.pid not in before]
            broker.kill()
            assert raw.read() is None
        assert "has ended: killed by signal 9" in reasons.get(timeout=LIMIT_S)


def test_the_embedded_broker_stays_on_plain_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("edge_sim.process.SBIN", str(tmp_path))
    with pytest.raises(UnsupportedEnvironmentError, match="--tls needs mosquitto"), tls_cloud(tmp_path):
        pass
