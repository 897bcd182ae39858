"""Hostile and unusual HTTP: whatever comes, the answer is a clear refusal and the server lives on."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge_sim import folders
from edge_sim.cloud import http_connection
from edge_sim.cloud.artifacts import artifact_path
from edge_sim.cloud.server import Cloud
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from tests.integration.cloud_client import client, message, register_code, send

pytestmark = pytest.mark.network
RESOURCES = "/greengrass/definition/resources"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as running:
        yield running


@pytest.fixture(autouse=True)
def alive(cloud: Cloud) -> Iterator[None]:
    yield
    assert send(f"{cloud.http_url}/edge-sim/health")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b'{"Name": NaN}',
        b'{"Name": "a", "Name": "b"}',
        b'{"Name": 1}',
        b'{"name": "a"}',
        b"\xff\xfe{}",
        b"[" * 50_000,
    ],
)
def test_a_bad_body_is_a_bad_request(cloud: Cloud, body: bytes) -> None:
    status, headers, answer = send(cloud.http_url + RESOURCES, "POST", body)
    assert (status, headers["x-amzn-errortype"]) == (400, "BadRequestException")
    assert headers["content-type"] == "application/json"
    assert message(answer)


def test_code_that_this_user_may_not_read_is_named(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(folder: Path) -> list[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder / "secret"))

    monkeypatch.setattr(folders, "below", unreadable)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f:1"
    body = json.dumps({arn: {"path": str(tmp_path), "handler": "a.h", "runtime": "python3.7"}}).encode()
    status, _, answer = send(f"{cloud.http_url}/edge-sim/functions", "PUT", body)
    assert (status, message(answer)) == (400, f"{tmp_path}/secret: Permission denied")


def test_a_body_beyond_a_mebibyte_is_refused_unread(cloud: Cloud) -> None:
    with _connection(cloud) as line:
        head = f"POST {RESOURCES} HTTP/1.1\r\nHost: x\r\nContent-Length: {50 * 1024 * 1024}\r\n\r\n"
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_is_measured_too(cloud: Cloud) -> None:
    with _connection(cloud) as line:
        line.sendall(f"POST {RESOURCES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        line.sendall(chunk * 17)
        assert line.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: -1\r\n",
    ],
)
def test_a_request_that_two_parsers_read_differently_creates_nothing(cloud: Cloud, head: str) -> None:
    with _connection(cloud) as line:
        line.sendall(f"POST {RESOURCES} HTTP/1.1\r\nHost: x\r\n{head}\r\n0\r\n\r\n".encode())
        assert line.recv(4096).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/greengrass/nowhere", 404),
        ("DELETE", RESOURCES, 404),
        ("GET", "/greengrass/bulk/deployments", 501),
        ("GET", "/greengrass/definition/resources/..%2f..%2fetc/versions/%00", 404),
        ("GET", "/things/core1/jobs/x/y", 404),
        ("POST", "/edge-sim/health", 404),
        ("PUT", "/edge-sim/builds/core/raspbian", 404),
        ("BREW", "/greengrass/groups", 404),
    ],
)
def test_unknown_routes_answer_in_json(cloud: Cloud, method: str, path: str, status: int) -> None:
    found, headers, body = send(cloud.http_url + path, method)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert message(body)


def test_a_web_page_cannot_drive_the_cloud(cloud: Cloud) -> None:
    body = b'{"Name": "g"}'
    assert send(cloud.http_url + "/greengrass/groups", "POST", body, {"Origin": "http://evil"})[0] == 403
    assert send(cloud.http_url + "/greengrass/groups", "POST", body, {"Content-Type": "text/plain"})[0] == 415
    build = f"{cloud.http_url}/edge-sim/builds/core/raspbian/armv6l/1.0.0"
    assert send(build, "PUT", b"x", {"Origin": "http://evil"})[0] == 403


def test_a_name_that_leads_here_by_dns_rebinding_is_not_answered(cloud: Cloud) -> None:
    port = urlsplit(cloud.http_url).port
    foreign = ["evil.example", f"evil.example:{port}", "127.0.0.1.nip.io", "localhost.evil.example", "[evil]", ""]
    for path in ("/edge-sim/health", "/things/core1/jobs", "/artifacts/x"):
        for host in foreign:
            status, headers, answer = send(cloud.http_url + path, headers={"Host": host})
            assert (status, headers["content-type"]) == (403, "application/json"), (path, host)
            assert message(answer).startswith(f"edge-sim does not answer for the host {host}: ")
    for host in (f"127.0.0.1:{port}", "LOCALHOST:1", "[::1]:80", "cloud", "host.docker.internal", "10.0.0.7"):
        assert send(f"{cloud.http_url}/edge-sim/health", headers={"Host": host})[0] == 200, host


def test_moto_in_this_process_is_not_read_through_a_foreign_name_either(cloud: Cloud) -> None:
    url = cloud.exports()["AWS_ENDPOINT_URL_S3"]
    assert send(url, headers={"Host": "evil.example"})[0] == 403
    assert send(url)[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"GET /edge-sim/health HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET /edge-sim/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /edge-sim/health HTTP/1.1\r\nHost: x\r\n\r\nGET /",
        b"GET /edge-sim/health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123",
    ],
    ids=["silent", "begun", "half a head", "nothing more", "half a second head", "half a body that nobody reads"],
)
def test_a_client_that_falls_silent_is_not_kept_for_ever(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_LIMIT_S", 0.2)
    with _connection(cloud) as line:
        line.sendall(sent)
        answers = _until_closed(line)
    assert answers.count(b"HTTP/1.1 200 ") == sent.count(b"\r\n\r\n")
    assert answers.count(b"HTTP/1.1 408 ") == (not sent.endswith((b"\r\n\r\n", b"123")) and sent != b"")


def test_a_client_that_only_trickles_is_not_kept_for_ever(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEAD_LIMIT_S", 0.2)
    with _connection(cloud) as line, contextlib.suppress(OSError):
        line.sendall(b"GET /edge-sim/health HTTP/1.1\r\nX: ")
        line.settimeout(0.02)
        while True:
            line.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                if line.recv(1) == b"":
                    break


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_is_refused_in_json(cloud: Cloud, sent: bytes) -> None:
    with _connection(cloud) as line:
        line.sendall(sent)
        head, _, body = _until_closed(line).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert message(body)


def test_one_connection_too_many_is_told_so_in_json(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_CONNECTIONS", 0)
    with _connection(cloud) as line:
        head, _, body = _until_closed(line).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert message(body) == "More than 0 connections are open."
    monkeypatch.undo()


def test_an_unknown_deployment_is_not_found(cloud: Cloud) -> None:
    status, _, answer = send(f"{cloud.http_url}/edge-sim/deployments/d1")
    assert (status, message(answer)) == (404, "Deployment 'd1' does not exist.")


def test_requests_go_where_their_credential_scope_says(cloud: Cloud) -> None:
    client(cloud, "iot").create_thing(thingName="both")
    control = client(cloud, "iot").list_job_executions_for_thing(thingName="both")
    data = client(cloud, "iot-jobs-data").get_pending_job_executions(thingName="both")
    assert "executionSummaries" in control
    assert "queuedJobs" in data
    assert "queuedJobs" in json.loads(send(f"{cloud.http_url}/things/both/jobs")[2])
    scope = "AWS4-HMAC-SHA256 Credential=k/20261123/{}/aws4_request, SignedHeaders=host, Signature=0"
    groups = f"{cloud.http_url}/greengrass/groups"
    assert send(groups, "POST", b'{"Name": "g"}', {"Authorization": scope.format("us-east-1/s3")})[0] == 404
    status, _, body = send(groups, "POST", b'{"Name":"g"}', {"Authorization": scope.format("eu-west-1/greengrass")})
    assert status == 403
    assert "us-east-1" in message(body)


def _artifact(cloud: Cloud) -> str:
    """Return a presigned URL of the ten bytes 0123456789."""
    parts = cloud.parts
    build = parts.updates.register("core", "openwrt", "armv7l", "1.11.6", [b"0123456789"])
    return parts.sign_url("GET", artifact_path(build.sha256, "core"), 60)


@pytest.mark.parametrize(
    ("wanted", "status", "content", "range_"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_range(cloud: Cloud, wanted: str, status: int, content: bytes, range_: str | None) -> None:
    found, headers, body = send(_artifact(cloud), headers={"Range": wanted})
    assert (found, headers.get("content-range")) == (status, range_)
    if status != 416:
        assert (body, headers["content-length"]) == (content, str(len(content)))


def test_a_range_of_another_file_gives_the_whole_one(cloud: Cloud) -> None:
    url = _artifact(cloud)
    etag = send(url)[1]["etag"]
    assert send(url, headers={"Range": "bytes=5-", "If-Range": etag})[0] == 206
    assert send(url, headers={"Range": "bytes=5-", "If-Range": '"another"'})[0] == 200


def test_altered_and_expired_urls_get_s3s_answer(cloud: Cloud) -> None:
    url = _artifact(cloud)
    for altered in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("Expires=60", "Expires=600"),
        url + "&a=b",
    ):
        status, headers, body = send(altered)
        assert (status, headers["content-type"]) == (403, "application/xml")
        assert b"<Code>SignatureDoesNotMatch</Code>" in body
    assert b"<Code>AccessDenied</Code>" in send(url.partition("?")[0])[2]
    assert send(url, "DELETE")[0] == 403
    assert send(url, "PUT", b"x")[0] == 403
    assert send(url, headers={"Host": "elsewhere"})[0] == 403


def test_control_refusals_name_the_place(cloud: Cloud) -> None:
    base = f"{cloud.http_url}/edge-sim"
    for path, body, text in (
        ("/sources", b"{}", "must be a list"),
        ("/sources", b'[{"uri": "s3://b-1/k.zip", "path": "/no/where"}]', "s3://b-1/k.zip: /no/where does not exist"),
        ("/sources", b'[{"uri": "ftp://x"}]', "ftp://x"),
        ("/functions", b'{"arn:x": {}}', "arn:x"),
        ("/functions", b"nonsense", "cannot be read"),
        ("/builds/core/raspbian/armv7l/new", b"x", "'new' is not a version"),
        ("/builds/core/raspbian/armv7l/1.2.3", b"", "is empty"),
        ("/builds/kernel/raspbian/armv7l/1.2.3", b"x", "kernel"),
    ):
        status, _, answer = send(base + path, "PUT", body)
        assert status == 400, answer
        assert text in message(answer)


def test_a_port_in_use_is_named(cloud: Cloud) -> None:
    port = urlsplit(cloud.http_url).port
    assert port is not None
    with pytest.raises(UnsupportedEnvironmentError, match=f"port {port} of 127.0.0.1 is in use"), Cloud(port=port):
        pass
    with pytest.raises(UnsupportedEnvironmentError, match="port 70000"), Cloud(port=70000):
        pass


def test_two_clouds_do_not_share_a_state(tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    with Cloud(state), pytest.raises(UsageError, match="another cloud"), Cloud(state):
        pass


def test_a_slow_client_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with Cloud() as short:
        register_code(short, tmp_path)
        line = _connection(short)
        line.sendall(f"POST {RESOURCES} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    with line:
        line.settimeout(10)
        line.recv(4096)  # it ends: with an answer or without


def _until_closed(line: socket.socket) -> bytes:
    """Return everything that comes until the server closes the connection."""
    found = b""
    while received := line.recv(4096):
        found += received
    return found


def _connection(cloud: Cloud) -> socket.socket:
    parts = urlsplit(cloud.http_url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
