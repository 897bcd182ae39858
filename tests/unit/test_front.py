"""The TLS front beside a broker that only counts: a right that is lost while a client connects is lost."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.front import Front, Permit
from edge_sim.cloud.ca import CertificateAuthority

pytestmark = pytest.mark.network
LIMIT_S = 60.0


class Everything:
    """A permit for everything."""

    def publish(self, topic: str, retain: bool, /) -> bool:
        return True

    def subscribe(self, topic_filter: str, /) -> bool:
        return True

    def receive(self, topic: str, /) -> bool:
        return True


class Gate:
    """Admits whoever is asked about; ``answers`` are what it says first."""

    def __init__(self, *answers: Permit | str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def admit(self, certificate_id: str, client_id: str, /) -> Permit | str:
        self.asked.append((certificate_id, client_id))
        return self.answers.pop(0) if self.answers else Everything()


@contextmanager
def front(folder: Path, gate: Gate) -> Iterator[ssl.SSLSocket]:
    """Yield a client that has sent CONNECT to a front, behind which a broker's connections open and stay silent."""
    authority = CertificateAuthority(folder / "ca")
    made, keys = authority.issue_pair()
    (folder / "one.pem").write_text(made.pem + keys.private)
    context = ssl.create_default_context(cafile=str(authority.cafile))
    context.load_cert_chain(folder / "one.pem")
    with socket.create_server(("127.0.0.1", 0)) as broker, socket.create_server(("127.0.0.1", 0)) as listener:
        server = authority.server_context(["127.0.0.1"], required=True)
        opened = Front(listener, server, gate, inner=broker.getsockname()[1], login=("u", "p"))
        try:
            plain = socket.create_connection(listener.getsockname(), timeout=LIMIT_S)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                client.sendall(packets.packet(packets.CONNECT << 4, b"\0\4MQTT\4\2\0\74\0\1a"))
                yield client
        finally:
            opened.stop()
    assert {certificate for certificate, _ in gate.asked} == {made.id}


def test_a_right_that_is_lost_while_a_client_connects_is_lost(tmp_path: Path) -> None:
    with front(tmp_path, Gate(Everything(), "its certificate is REVOKED")) as client:
        assert client.recv(1) == b""


def test_a_client_that_may_not_connect_is_told_so(tmp_path: Path) -> None:
    with front(tmp_path, Gate("its certificate is INACTIVE")) as client:
        assert client.recv(4) == packets.refusal(4)
        assert client.recv(1) == b""
