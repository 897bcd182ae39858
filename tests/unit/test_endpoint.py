"""The local endpoint: what it takes, what it refuses, and that it says so."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.endpoint import MAX_BODY_BYTES, Endpoint
from edge_sim.errors import UnsupportedEnvironmentError
from tests.fakes_core import TOKEN, FakeCore, serving

LIMIT_S = 30


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with serving(FakeCore(), tmp_path) as made:
        yield made


def ask(endpoint: Endpoint, method: str, path: str, body: bytes = b"", token: str = TOKEN) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=LIMIT_S)
    connection.request(method, path, body, {"Authorization": token})
    response = connection.getresponse()
    try:
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/2016-11-01/credentialprovider/", 501, "credentials of the group's role are not simulated"),
        ("POST", "/2016-11-01/cloudwatch/logs/", 501, "not simulated"),
        ("GET", "/2016-11-01/functions/a/b", 404, "nothing is served at GET"),
        ("PUT", "/2016-11-01/functions/a", 404, "nothing is served at PUT"),
        ("GET", "/latest/meta-data", 404, "nothing is served at"),
        ("PUT", "/2016-11-01/functions/a/initialized", 400, "the body cannot be read: not JSON"),
        ("GET", "/2016-11-01/functions/a/work", 410, "must exit"),
    ],
)
def test_what_is_not_there_is_answered_with_a_sentence_never_with_success(
    endpoint: Endpoint, tmp_path: Path, method: str, path: str, status: int, said: str
) -> None:
    got, body = ask(endpoint, method, path)
    assert (got, said in body) == (status, True)
    assert said in (tmp_path / "runtime.log").read_text()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/2016-11-01/functions/a"),
        ("GET", "/2016-11-01/functions/a"),
        ("GET", "/2016-11-01/functions/a/work"),
        ("POST", "/2016-11-01/functions/a/work"),
        ("POST", "/edge-sim/functions/a"),
    ],
)
@pytest.mark.parametrize("token", ["", "guess"])
def test_nothing_without_a_token(endpoint: Endpoint, method: str, path: str, token: str) -> None:
    assert ask(endpoint, method, path, b"{}", token)[0] == 403


def test_the_health_check_answers_as_the_guide_says_without_a_token(endpoint: Endpoint) -> None:
    place = "/2016-11-01/health/workers"
    a, b = ({"FuncArn": arn, "WorkerId": arn, "ProcessId": "7", "WorkerState": "Waiting"} for arn in ("a", "b"))
    status, body = ask(endpoint, "GET", place, token="")
    assert (status, json.loads(body)) == (200, [a, b])
    status, body = ask(endpoint, "POST", place, b'{"FuncArns": ["b", "no worker"]}', "")
    assert (status, json.loads(body)) == (200, {"Workers": [b], "InvalidArns": ["no worker"]})
    for bad in (b"", b"[]", b"{}", b'{"FuncArns": 1}', b'{"FuncArns": [1]}', b'{"FuncArns": []}', b"{" * 100_000):
        assert ask(endpoint, "POST", place, bad, "") == (400, "Invalid request")
    many = b'{"FuncArns": ["a", "b", "c"]}'
    assert ask(endpoint, "POST", place, many, "") == (400, "Request exceeds max number of workers")


def test_a_body_that_is_too_large_or_of_unknown_length_is_refused(endpoint: Endpoint) -> None:
    assert ask(endpoint, "POST", "/2016-11-01/functions/a", b"x" * (MAX_BODY_BYTES + 1))[0] == 413
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=LIMIT_S)
    connection.putrequest("POST", "/2016-11-01/functions/a")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_it_listens_on_loopback_only_and_says_when_the_port_is_taken(endpoint: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedEnvironmentError, match="cannot listen on") as raised:
        Endpoint(FakeCore(), endpoint.port, LogFile(tmp_path / "log"))
    assert "ggDaemonPort" in str(raised.value.hint)
    with socket.socket() as other:
        other.settimeout(LIMIT_S)
        assert other.connect_ex(("127.0.0.2", endpoint.port)) != 0


def test_closing_ends_what_is_open(tmp_path: Path) -> None:
    with serving(FakeCore(), tmp_path) as endpoint:
        idle = socket.create_connection(("127.0.0.1", endpoint.port), timeout=LIMIT_S)
        assert ask(endpoint, "GET", "/")[0] == 404  # so that the idle one has been taken, too
    assert idle.recv(1) == b""
    idle.close()
