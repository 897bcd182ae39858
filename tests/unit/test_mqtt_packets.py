"""The packets that the TLS front looks into: what real clients send is understood, and whatever else does no harm."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as paho_client
from paho.mqtt import properties as paho_properties

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.packets import MalformedError

paho: Any = paho_client
properties_module: Any = paho_properties


def sent(version: int, act: Any) -> list[tuple[int, bytes]]:
    """Return first byte and body of each packet that paho writes while ``act`` uses it."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="board", protocol=version)
    wire = bytearray()

    def keep(_command: int, packet: bytes, *_: object) -> int:
        wire.extend(packet)
        return 0

    client._packet_queue = keep
    with socket.socket() as never_connected:
        client._sock = never_connected
        act(client)
        client._sock = None
    found = []
    while wire:
        first, length, at = wire[0], packets.Length(), 1
        while length.open:
            length.add(wire[at])
            at += 1
        found.append((first, bytes(wire[at : at + length.value])))
        del wire[: at + length.value]
    return found


@pytest.mark.parametrize("version", [paho.MQTTv31, paho.MQTTv311, paho.MQTTv5])
@pytest.mark.parametrize("login", [None, "their-user"])
def test_a_connect_keeps_everything_but_user_and_password(version: int, login: str | None) -> None:
    def act(client: Any) -> None:
        if login is not None:
            client.username_pw_set(login, "their-password" * 20)
        client.will_set("last/words", b"gone", qos=1, retain=True)
        client._send_connect(77)

    ((first, body),) = sent(version, act)
    found = packets.connect(body)
    assert (found.version, found.client_id) == (version, "board")
    assert (found.will_topic, found.will_retain, found.will_size) == ("last/words", True, 4)
    rewritten = found.as_user("edge-sim", "secret")
    assert rewritten[0] == first
    again = packets.connect(rewritten[2:])
    assert (again.client_id, again.will_topic, again.keep_alive) == ("board", "last/words", 77)
    assert again._flags == found._flags | 0xC0
    assert rewritten.endswith(b"\0\x08edge-sim\0\x06secret")
    assert b"their" not in rewritten


@pytest.mark.parametrize(("asked", "made"), [(0, 1200), (1, 1), (1200, 1200), (1201, 1200), (65535, 1200)])
def test_a_keep_alive_is_at_most_awss(asked: int, made: int) -> None:
    for version in (paho.MQTTv311, paho.MQTTv5):
        ((_, body),) = sent(version, lambda client: client._send_connect(asked))
        assert packets.connect(packets.connect(body).as_user("u", "p")[2:]).keep_alive == made


@pytest.mark.parametrize("text", ["", "x" * 200])
def test_a_connack_gets_a_keep_alive_beside_its_other_properties(text: str) -> None:
    properties = properties_module.Properties(packets.CONNACK)
    if text:
        properties.ReasonString = text
    body = packets.with_keep_alive(b"\1\0" + properties.pack(), 1200)
    again = properties_module.Properties(packets.CONNACK)
    _, size = again.unpack(body[2:])
    assert (body[:2], size) == (b"\1\0", len(body) - 2)
    assert again.json() == {**properties.json(), "ServerKeepAlive": 1200}


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
def test_publish_and_subscribe_of_both_versions_are_read(version: int) -> None:
    def act(client: Any) -> None:
        properties: Any = None
        if version == paho.MQTTv5:
            properties = properties_module.Properties(8)
            properties.SubscriptionIdentifier = 300
        client._send_publish(5, b"a/b", b"payload", qos=1, retain=True)
        options = [(b"x/+", paho.SubscribeOptions(qos=1)), (b"y/#", paho.SubscribeOptions(qos=0))]
        client._send_subscribe(False, options if version == paho.MQTTv5 else [(b"x/+", 1), (b"y/#", 0)], properties)

    (first, published), (_, subscribed) = sent(version, act)
    found = packets.publish(first & 0x0F, published, version)
    assert (found.topic, found.retain, found.id, found.size) == ("a/b", True, b"\0\5", 7)
    assert packets.subscribe(subscribed, version) == ["x/+", "y/#"]


@given(st.binary(max_size=200), st.sampled_from([3, 4, 5]), st.integers(0, 15))
def test_bytes_that_are_no_packet_are_malformed_and_nothing_else(body: bytes, version: int, flags: int) -> None:
    prefix = b"\0\4MQTT" + bytes([version, 0xFF, 0, 60])
    for read in (
        lambda: packets.connect(body),
        lambda: packets.connect(prefix + body),
        lambda: packets.publish(flags, body, version),
        lambda: packets.subscribe(body, version),
    ):
        with contextlib.suppress(MalformedError):
            read()


@pytest.mark.parametrize("kind", range(16))
def test_a_client_sends_only_a_clients_packets_with_their_flags(kind: int) -> None:
    allowed = {1: {0}, 3: {0, 1, 2, 3, 4, 5, 6, 7, *range(10, 16)}, 4: {0}, 8: {2}, 10: {2}, 12: {0}, 14: {0}, 15: {0}}
    for flags in range(16):
        if flags in allowed.get(kind, ()):
            packets.check_first(kind << 4 | flags)
        else:
            with pytest.raises(MalformedError):
                packets.check_first(kind << 4 | flags)


@pytest.mark.parametrize(
    ("kind", "size", "version", "good"),
    [
        *((packets.PINGREQ, 0, 5, True), (packets.PINGREQ, 1, 5, False), (packets.PUBACK, 2, 4, True)),
        *((packets.PUBACK, 3, 4, False), (packets.PUBACK, 3, 5, True), (packets.DISCONNECT, 1, 3, False)),
    ],
)
def test_a_packet_of_one_size_has_that_size(kind: int, size: int, version: int, good: bool) -> None:
    with contextlib.nullcontext() if good else pytest.raises(MalformedError):
        packets.check_size(kind, size, version)


@pytest.mark.parametrize(
    ("flags", "rest"),
    [(0x02, b"\0\1u"), (0x42, b"\0\1p"), (0x82, b"\0\1\xff"), (0xC2, b"\0\1u")],
    ids=["a name that no flag announces", "a password alone", "a name that is not UTF-8", "no password"],
)
def test_a_connect_ends_where_its_flags_say(flags: int, rest: bytes) -> None:
    with pytest.raises(MalformedError):
        packets.connect(b"\0\4MQTT\4" + bytes([flags]) + b"\0\74\0\5board" + rest)


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_are_written_as_they_are_read(size: int) -> None:
    written = packets.packet(0x30, b"x" * size)
    length, at = packets.Length(), 1
    while length.open:
        length.add(written[at])
        at += 1
    assert (length.value, len(written)) == (size, at + size)


def test_a_length_of_five_bytes_is_malformed() -> None:
    length = packets.Length()
    for _ in range(4):
        length.add(0xFF)
    with pytest.raises(MalformedError):
        length.add(1)
