"""A cloud with TLS, things with certificates, and a raw MQTT client that shows every byte of an answer."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.packets import MAX_CONNECTIONS
from edge_sim.cloud.iot.gate import DEVICE_POLICY, device_policy
from edge_sim.cloud.server import REGION, Cloud, Tls

LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Files of a certificate and its key; ``arn`` and ``id`` of the certificate."""

    certificate: Path
    key: Path
    arn: str
    id: str


class World:
    """A cloud that runs, and what its owner does with boto3."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        self.cafile = str(cloud.cafile)
        self.mqtt_port = int(cloud.mqtt_url.rpartition(":")[2])
        self.iot = self.client("iot")
        document = json.dumps(device_policy())
        self.iot.create_policy(policyName=DEVICE_POLICY, policyDocument=document)

    def client(self, service: str, secret: str | None = None) -> Any:
        exports = self.cloud.exports()
        return boto3.client(
            service,
            endpoint_url=self.cloud.http_url,
            region_name=REGION,
            aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret or exports["AWS_SECRET_ACCESS_KEY"],
            verify=exports["AWS_CA_BUNDLE"],
        )

    def certificate(self, name: str, *policies: str, thing: str | None = None) -> Credentials:
        """Return an active certificate with policies; attached to a thing, which is made when it is new."""
        made = self.iot.create_keys_and_certificate(setAsActive=True)
        for policy in policies:
            self.iot.attach_policy(policyName=policy, target=made["certificateArn"])
        if thing is not None:
            self.iot.create_thing(thingName=thing)
            self.iot.attach_thing_principal(thingName=thing, principal=made["certificateArn"])
        found = Credentials(
            certificate=self.folder / f"{name}.pem",
            key=self.folder / f"{name}.key",
            arn=made["certificateArn"],
            id=made["certificateId"],
        )
        found.certificate.write_text(made["certificatePem"])
        found.key.write_text(made["keyPair"]["PrivateKey"])
        found.key.chmod(0o400)
        return found

    def thing(self, name: str) -> Credentials:
        return self.certificate(name, DEVICE_POLICY, thing=name)

    def policy(self, name: str, *statements: dict[str, Any]) -> str:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]}
        self.iot.create_policy(policyName=name, policyDocument=json.dumps(document))
        return name

    def context(self, shown: Credentials | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cafile)
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        return context

    @contextmanager
    def connection(self, shown: Credentials) -> Iterator[ssl.SSLSocket]:
        """Yield a connection to the broker over which nothing was sent."""
        plain = socket.create_connection(("127.0.0.1", self.mqtt_port), timeout=LIMIT_S)
        with self.context(shown).wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
            yield wrapped

    @contextmanager
    def raw(self, shown: Credentials, client_id: str, **options: Any) -> Iterator[Raw]:
        """Yield a raw client that has sent CONNECT."""
        with self.connection(shown) as wrapped:
            raw = Raw(wrapped)
            raw.send(packets.CONNECT << 4, connect_body(client_id, **options))
            yield raw


class Raw:
    """One MQTT 3.1.1 connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb")

    def send(self, first: int, body: bytes) -> None:
        self.connection.sendall(packets.packet(first, body))

    def read(self) -> tuple[int, bytes] | None:
        """Return the next packet's type and body; None when the connection has ended."""
        try:
            head = self._file.read(2)
            if len(head) < 2:
                return None
            assert head[1] < 0x80, "a longer packet than these tests expect"
            return head[0] >> 4, self._file.read(head[1])
        except OSError:
            return None

    def connected(self) -> bool:
        """Say whether the server has taken the CONNECT."""
        return self.read() == (packets.CONNACK, b"\0\0")

    def publish(self, topic: str, payload: bytes = b"intruder", *, retain: bool = False) -> None:
        self.send(packets.PUBLISH << 4 | 2 | retain, text(topic) + b"\0\1" + payload)

    def subscribe(self, *filters: str) -> None:
        self.send(packets.SUBSCRIBE << 4 | 2, b"\0\1" + b"".join(text(each) + b"\1" for each in filters))


def connect_body(client_id: str, *, will: str | None = None, keep_alive: int = 60) -> bytes:
    flags = 2 | (0x0C if will is not None else 0)
    extra = text(will) + text("intruder") if will is not None else b""
    return text("MQTT") + bytes([4, flags]) + struct.pack("!H", keep_alive) + text(client_id) + extra


def text(value: str) -> bytes:
    return struct.pack("!H", len(value.encode())) + value.encode()


@contextmanager
def tls_cloud(folder: Path, names: Sequence[str] = (), connections: int = MAX_CONNECTIONS) -> Iterator[World]:
    with Cloud(folder / "cloud.sqlite", tls=Tls(names=tuple(names)), connections=connections) as cloud:
        yield World(cloud, folder)
