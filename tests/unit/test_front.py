"""The TLS front beside a broker that only counts: a right that is lost while a client connects is lost."""

from __future__ import annotations

import gc
import socket
import ssl
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.front import Front, Permit
from edge_sim.cloud.ca import CertificateAuthority
from tests.waiting import until

pytestmark = pytest.mark.network
LIMIT_S = 60.0
CONNECT = packets.packet(packets.CONNECT << 4, b"\0\4MQTT\4\2\0\74\0\1a")


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
def serving(folder: Path, gate: Gate) -> Iterator[tuple[tuple[str, int], ssl.SSLContext, str]]:
    """Yield address, a client's TLS and its certificate's id of a front before a broker that stays silent."""
    authority = CertificateAuthority(folder / "ca")
    made, keys = authority.issue_pair()
    (folder / "one.pem").write_text(made.pem + keys.private)
    context = ssl.create_default_context(cafile=str(authority.cafile))
    context.load_cert_chain(folder / "one.pem")
    with socket.create_server(("127.0.0.1", 0)) as broker, socket.create_server(("127.0.0.1", 0)) as listener:
        server = authority.server_context(["127.0.0.1"], required=True)
        address = listener.getsockname()
        opened = Front(listener, server, gate, inner=broker.getsockname()[1], login=("u", "p"))
        try:
            yield address, context, made.id
        finally:
            opened.stop()


@contextmanager
def front(folder: Path, gate: Gate) -> Iterator[ssl.SSLSocket]:
    """Yield a client that has sent CONNECT to a front."""
    with serving(folder, gate) as (address, context, certificate):
        plain = socket.create_connection(address, timeout=LIMIT_S)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(CONNECT)
            yield client
    assert {shown for shown, _ in gate.asked} == {certificate}


def test_a_right_that_is_lost_while_a_client_connects_is_lost(tmp_path: Path) -> None:
    with front(tmp_path, Gate(Everything(), "its certificate is REVOKED")) as client:
        assert client.recv(1) == b""


def test_a_client_that_may_not_connect_is_told_so(tmp_path: Path) -> None:
    with front(tmp_path, Gate("its certificate is INACTIVE")) as client:
        assert client.recv(4) == packets.refusal(4)
        assert client.recv(1) == b""


def test_no_connection_outlives_a_front_whatever_it_has_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio closed those later, when Python collected them, and complained (3.13: Exception ignored)."""
    gc.collect()  # what other tests left has its complaints behind it
    complaints: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", complaints.append)
    gate = Gate()
    with ExitStack() as clients, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        with serving(tmp_path, gate) as (address, context, _):
            stages = ("connected", "encrypted", "asked") if sys.version_info >= (3, 13) else ("encrypted", "asked")
            for stage in stages * 3:
                client = clients.enter_context(socket.create_connection(address, timeout=LIMIT_S))
                if stage != "connected":
                    client = clients.enter_context(context.wrap_socket(client, server_hostname="127.0.0.1"))
                if stage == "asked":
                    client.sendall(CONNECT)
            until(lambda: len(gate.asked) >= 6)  # when it is admitted, and when its session is looked at
        gc.collect()
    assert [*complaints, *(str(warning.message) for warning in warned)] == []
