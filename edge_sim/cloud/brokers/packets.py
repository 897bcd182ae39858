"""The few MQTT packets that the TLS front looks into: CONNECT, PUBLISH and SUBSCRIBE, of 3.1, 3.1.1 and 5.

Pure. Everything raises MalformedError for bytes that are not what MQTT says; of other packets type, flags and the sizes
that are always the same are looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE = 1, 2, 3, 4, 8, 9, 10
PINGREQ, DISCONNECT, AUTH = 12, 14, 15
_FLAGS = {CONNECT: 0, PUBACK: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0, AUTH: 0}
"""What a client may send beside PUBLISH, and the lower four bits of its first byte (MQTT 3.1.1, table 2.2). Nothing of
QoS 2, which AWS IoT does not have."""
_PLAIN_SIZES = {PUBACK: 2, DISCONNECT: 0}
"""Of versions without properties."""
V5 = 5
MAX_KEEP_ALIVE_S = 1200
"""AWS IoT's longest keep-alive (General Reference, "AWS IoT Core quotas")."""
MAX_CONNECTIONS = 200
_PROTOCOLS = {(b"MQIsdp", 3), (b"MQTT", 4), (b"MQTT", V5)}
_WILL, _WILL_RETAIN, _PASSWORD, _USER = 0x04, 0x20, 0x40, 0x80
NOT_AUTHORIZED = 0x87
_SERVER_KEEP_ALIVE = b"\x13"


class MalformedError(ValueError):
    """The bytes are no such packet."""


@dataclass(frozen=True, kw_only=True)
class Connect:
    """A CONNECT packet. ``will_topic`` is None without a will."""

    version: int
    client_id: str
    will_topic: str | None
    will_retain: bool
    will_size: int
    keep_alive: int
    """Seconds."""
    _protocol: bytes
    _flags: int
    _properties: bytes
    _identity: bytes
    """Client id and will as they came."""

    @property
    def granted_keep_alive(self) -> int:
        """The keep-alive that counts: as at AWS, 0 and more than the maximum become the maximum."""
        return self.keep_alive if 0 < self.keep_alive <= MAX_KEEP_ALIVE_S else MAX_KEEP_ALIVE_S

    def as_user(self, name: str, password: str) -> bytes:
        """Return the packet with another user name and password, and the keep-alive that counts."""
        flags = self._flags | _USER | _PASSWORD
        keep_alive = struct.pack("!H", self.granted_keep_alive)
        head = _text(self._protocol) + bytes([self.version, flags]) + keep_alive + self._properties
        return packet(CONNECT << 4, head + self._identity + _text(name.encode()) + _text(password.encode()))


@dataclass(frozen=True, kw_only=True)
class Publish:
    """A PUBLISH packet. ``id`` is None at QoS 0; ``size`` are the bytes of the payload."""

    topic: str
    retain: bool
    id: bytes | None
    size: int


class Length:
    """A length as MQTT writes it, in one to four bytes of seven bits each. ``open``: more bytes follow."""

    def __init__(self) -> None:
        self.value, self.open, self._shift = 0, True, 0

    def add(self, byte: int) -> None:
        if self._shift > 21:
            raise MalformedError("a length is longer than four bytes")
        self.value |= (byte & 0x7F) << self._shift
        self._shift += 7
        self.open = bool(byte & 0x80)


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def take(self, count: int) -> bytes:
        data = self.body[self.at : self.at + count]
        if len(data) < count:
            raise MalformedError("the packet ends too early")
        self.at += count
        return data

    def data(self) -> bytes:
        (length,) = struct.unpack("!H", self.take(2))
        return self.take(length)

    def text(self) -> str:
        return _decoded(self.data())

    def properties(self) -> bytes:
        """Return the properties of version 5, without their length."""
        length = Length()
        while length.open:
            length.add(*self.take(1))
        return self.take(length.value)

    def skip_properties(self) -> bytes:
        """Pass over the properties of version 5; return them with their length."""
        start = self.at
        self.properties()
        return self.body[start : self.at]

    @property
    def left(self) -> int:
        return len(self.body) - self.at


def check_first(first: int) -> None:
    """Raise MalformedError unless ``first`` begins a packet that a client may send."""
    kind, flags = first >> 4, first & 0x0F
    if kind == PUBLISH:
        if flags & 0x0E == 0x08:
            raise MalformedError("a PUBLISH of QoS 0 cannot be a duplicate")
    elif _FLAGS.get(kind) != flags:
        raise MalformedError(f"no client packet begins with {first:#04x}")


def check_size(kind: int, size: int, version: int) -> None:
    """Raise MalformedError for a packet whose body cannot have ``size`` bytes."""
    expected = 0 if kind == PINGREQ else _PLAIN_SIZES.get(kind) if version != V5 else None
    if expected is not None and size != expected:
        raise MalformedError(f"a packet of type {kind} with {size} bytes for {expected}")


def connect(body: bytes) -> Connect:
    """Return what a CONNECT packet's body says."""
    reader = _Reader(body)
    protocol = reader.data()
    version, flags = reader.take(2)
    if (protocol, version) not in _PROTOCOLS:
        raise MalformedError(f"protocol {protocol[:16]!r} version {version} is not MQTT 3.1, 3.1.1 or 5")
    (keep_alive,) = struct.unpack("!H", reader.take(2))
    properties = reader.skip_properties() if version == V5 else b""
    start = reader.at
    client_id = reader.text()
    will_topic, will_size = None, 0
    if flags & _WILL:
        if version == V5:
            reader.skip_properties()
        will_topic = reader.text()
        will_size = len(reader.data())
    identity = body[start : reader.at]
    if flags & _USER:
        reader.text()
    elif flags & _PASSWORD and version != V5:
        raise MalformedError("a password without a user name")
    if flags & _PASSWORD:
        reader.data()
    if reader.left:
        raise MalformedError("a CONNECT with trailing bytes")
    return Connect(
        version=version,
        client_id=client_id,
        will_topic=will_topic,
        will_retain=bool(flags & _WILL_RETAIN),
        will_size=will_size,
        keep_alive=keep_alive,
        _protocol=protocol,
        _flags=flags,
        _properties=properties,
        _identity=identity,
    )


def publish(flags: int, body: bytes, version: int) -> Publish:
    """Return what a PUBLISH packet's body says; ``flags`` are the lower four bits of its first byte."""
    reader = _Reader(body)
    topic = reader.text()
    number = reader.take(2) if flags & 0x06 else None
    if version == V5:
        reader.skip_properties()
    return Publish(topic=topic, retain=bool(flags & 0x01), id=number, size=reader.left)


def subscribe(body: bytes, version: int) -> list[str]:
    """Return the topic filters of a SUBSCRIBE packet's body."""
    reader = _Reader(body)
    reader.take(2)
    if version == V5:
        reader.skip_properties()
    filters = []
    while reader.left:
        filters.append(reader.text())
        reader.take(1)
    return filters


def packet(first: int, body: bytes) -> bytes:
    """Return a packet: first byte, length, body."""
    return bytes([first]) + _with_length(body)


def with_keep_alive(connack: bytes, seconds: int) -> bytes:
    """Return the body of a version 5 CONNACK with a Server Keep Alive, which the client then has to keep to."""
    reader = _Reader(connack)
    return reader.take(2) + _with_length(reader.properties() + _SERVER_KEEP_ALIVE + struct.pack("!H", seconds))


def refusal(version: int) -> bytes:
    """Return the CONNACK that says "not authorized"."""
    body = bytes([0, NOT_AUTHORIZED, 0]) if version == V5 else bytes([0, 5])
    return packet(CONNACK << 4, body)


def farewell(version: int) -> bytes:
    """Return what a server sends before it closes for want of rights: version 5's DISCONNECT, earlier nothing."""
    return packet(DISCONNECT << 4, bytes([NOT_AUTHORIZED, 0])) if version == V5 else b""


def _with_length(data: bytes) -> bytes:
    length, encoded = len(data), bytearray()
    while True:
        length, byte = length >> 7, length & 0x7F
        encoded.append(byte | (0x80 if length else 0))
        if not length:
            return bytes(encoded) + data


def _text(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _decoded(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a string is not UTF-8") from error
    if "\0" in text:
        raise MalformedError("a string contains a NUL")
    return text
