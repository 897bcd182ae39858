"""The board's HTTP client over real sockets: what it waits for, and what it does not."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.agent import tls
from edge_sim.agent.deployment.deployments import Deployments
from edge_sim.agent.download import download
from edge_sim.agent.events import LogFile
from edge_sim.agent.http import HttpClient
from edge_sim.agent.http_error import HttpError
from edge_sim.agent.patience import MESSAGE, Patience
from tests.certificates import certificate_authority, server_certificate
from tests.scripted_server import SECRET, Server, ok
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.network

DRIP = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<drip>"
CHUNKED_DRIP = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000<drip>"
ONCE = Patience(tries=1)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


class Clock:
    """A clock that moves by a second at each look."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def test_a_message_is_brought_and_a_status_is_taken(server: Server) -> None:
    server.script = [ok(b"{}"), ok(b"", status="204 No Content")]
    assert HttpClient().message("GET", server.url, most=10) == b"{}"
    assert HttpClient().message("PUT", server.url, b'{"a": 1}', most=10) == b""
    assert server.requests[0].startswith(f"GET /artifacts/model?{SECRET} HTTP/1.1".encode())
    assert b"Content-Type: application/json" in server.requests[1]


@pytest.mark.parametrize("answer", [DRIP, CHUNKED_DRIP], ids=["plain", "in chunks"])
def test_a_trickle_is_given_up_for_its_pace(server: Server, answer: bytes) -> None:
    """A byte now and then keeps every single read busy, the read of a chunk's length as well."""
    server.script = [answer]
    with pytest.raises(HttpError, match="slower than 1024 bytes/s") as failed:
        HttpClient(now=Clock()).message("GET", server.url, most=10**7, patience=ONCE)
    assert failed.value.retryable


def test_the_whole_has_a_limit_with_all_its_tries(server: Server) -> None:
    server.script = [DRIP]
    patience = Patience(least_bytes_per_s=0, total_s=40, tries=10**6)
    with pytest.raises(HttpError, match="not finished after 40 s"):
        HttpClient(now=Clock()).message("GET", server.url, most=10**7, patience=patience)
    server.script = [ok(b"", status="503 Slow Down")]
    with pytest.raises(HttpError, match="HTTP 503"):
        HttpClient(now=Clock(), pause=lambda _: None).message("GET", server.url, most=1, patience=patience)


def test_a_server_that_trickles_a_document_does_not_hold_the_only_work_thread(server: Server, tmp_path: Path) -> None:
    server.script = [*[DRIP] * MESSAGE.tries, ok(b"{}")]
    clock, events = Clock(), []
    http = HttpClient(now=clock, pause=lambda _: None)
    board = Deployments(
        lambda *_: (), http, emit=lambda _, /, **more: events.append(more), log=LogFile(tmp_path / "log"),
        stop=threading.Event(),
    )  # fmt: skip
    board.carry_out({"DeploymentId": "d", "DocumentUrl": server.url, "StatusUrl": server.url})
    assert clock.seconds < MESSAGE.total_s
    assert "slower than" in str(events[-1]["error"])
    status = json.loads(server.requests[-1].split(b"\r\n\r\n")[1])
    assert status["DeploymentStatus"] == "Failure"
    assert SECRET not in str(events)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n<hang>", ok(b"x<hang>", length=1000)])
def test_an_agent_that_stops_waits_for_no_server(server: Server, answer: bytes) -> None:
    server.script = [answer]
    stop = threading.Event()
    failures: list[str] = []

    def wait() -> None:
        with pytest.raises(HttpError) as failed:
            HttpClient(stop=stop).message("GET", server.url, most=2000, patience=Patience(timeout_s=3600))
        failures.append(failed.value.brief)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    stop.set()
    waiting.join(LIMIT_S)
    assert "the agent is stopping" in failures[0]


def test_who_waits_is_called_while_nothing_comes(server: Server) -> None:
    server.script = [ok(b"x<hang>", length=1000)]

    def on_wait() -> None:
        raise LookupError("the job was cancelled")

    http = HttpClient()
    with (
        pytest.raises(LookupError, match="cancelled"),
        http.open("GET", server.url, Patience(timeout_s=3600), 10**9, on_wait=on_wait) as answer,
    ):
        answer.read(2000)


def test_who_waits_is_called_in_a_handshake_that_never_ends() -> None:
    """A server may stall before it is one; a force-cancelled job was heard of after 30 s."""

    def on_wait() -> None:
        raise LookupError("the job was cancelled")

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with (
            pytest.raises(LookupError, match="cancelled"),
            HttpClient().open("GET", url, Patience(timeout_s=3600), time.monotonic() + 3600, on_wait=on_wait),
        ):
            pass


def test_who_waits_is_called_in_a_pause(server: Server, tmp_path: Path) -> None:
    server.script = [ok(b"", status="503 Slow Down", headers="Retry-After: 3600\r\n")]

    def progress(_: int) -> None:
        raise LookupError("the job was cancelled")

    with pytest.raises(LookupError, match="cancelled"):
        download(HttpClient(), server.url, tmp_path / "a", sha256="0" * 64, size=1, progress=progress)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ok(b"x" * 11), "larger than 10 bytes"),
        (ok(b"x", length=5), "ended early"),
        (ok(b"", status="307 Temporary Redirect", headers="Location: /other\r\n"), "HTTP 307"),
    ],
)
def test_what_is_not_a_whole_small_answer_is_refused(server: Server, answer: bytes, message: str) -> None:
    server.script = [answer]
    with pytest.raises(HttpError, match=message) as failed:
        HttpClient().message("PUT", server.url, b"{}", most=10, patience=ONCE)
    assert "c0ffee" not in str(failed.value.__dict__)
    assert len(server.requests) == 1


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("openssl"), reason="apt-get install openssl")
def test_a_tls_server_is_checked_with_the_configured_ca(tmp_path: Path) -> None:
    ca, other = (certificate_authority(tmp_path, name) for name in ("ca", "other"))
    server_certificate(tmp_path, ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    server = Server(context)
    try:
        server.script = [ok(b"{}")]
        assert HttpClient(tls=tls.context(str(ca))).message("GET", server.url, most=10) == b"{}"
        for http in (HttpClient(), HttpClient(tls=tls.context(str(other)))):
            with pytest.raises(HttpError, match="certificate is not trusted") as failed:
                http.message("GET", server.url, most=10)
            assert not failed.value.retryable
    finally:
        server.close()
