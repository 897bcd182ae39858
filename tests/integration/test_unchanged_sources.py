"""A model is fetched when it is new or changed, and only then: from S3 while Building, and by the board afterwards."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.deployment.deployer import DeploymentResult, deploy, group_of
from edge_sim.agent.download import download
from edge_sim.agent.http import HttpClient
from edge_sim.cloud.server import Cloud
from tests.archive_build import directory, entry, tgz
from tests.deployments import board
from tests.fakes_host import RecordingHost
from tests.integration import cloud_client
from tests.integration.cloud_client import group, register_code, s3_model, send

pytestmark = pytest.mark.network
URI = "s3://bucket/model.tar.gz"
OLD = tgz(directory("net/"), entry("net/weights", b"old" * 1000))
NEW = tgz(directory("net/"), entry("net/weights", b"new" * 1000))


class S3:
    """As much of S3 as GetObject needs, over HTTP; ``answers`` are the statuses it gave."""

    def __init__(self) -> None:
        self.data = OLD
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                etag = f'"{hashlib.md5(outer.data).hexdigest()}"'
                same = self.headers.get("If-None-Match") == etag
                outer.answers.append(304 if same else 200)
                self.send_response(304 if same else 200)
                self.send_header("ETag", etag)
                self.send_header("Content-Length", "0" if same else str(len(outer.data)))
                self.end_headers()
                self.wfile.write(b"" if same else outer.data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def s3() -> Iterator[S3]:
    made = S3()
    yield made
    made.close()


def document(cloud: Cloud, group_id: str, version: str) -> dict[str, Any]:
    """Build a deployment; return its document, and let the deployment end."""
    status = cloud_client.deploy(cloud, group_id, version)
    assert status["DeploymentStatus"] == "InProgress", status
    desired = cloud.parts.deployments.desired("core1")
    assert desired is not None
    found: dict[str, Any] = json.loads(send(desired["DocumentUrl"])[2])
    assert send(desired["StatusUrl"], "PUT", b'{"DeploymentStatus": "Success"}')[0] == 200
    return found


def model_digest(found: dict[str, Any]) -> str:
    (digest,) = [a["Sha256"] for arn, a in found["Artifacts"].items() if "/mlmodel/" in arn]
    return str(digest)


def test_building_fetches_what_changed(s3: S3, tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    with Cloud(state, sources=s3.url) as cloud:
        register_code(cloud, tmp_path)
        made = group(cloud, [s3_model(URI)])
        assert model_digest(document(cloud, *made)) == hashlib.sha256(OLD).hexdigest()
        assert model_digest(document(cloud, *made)) == hashlib.sha256(OLD).hexdigest()
        assert s3.answers == [200, 304]
        s3.data = NEW
        assert model_digest(document(cloud, *made)) == hashlib.sha256(NEW).hexdigest()
        assert s3.answers == [200, 304, 200]
    with Cloud(state, sources=s3.url) as cloud:  # the state remembers
        assert model_digest(document(cloud, *made)) == hashlib.sha256(NEW).hexdigest()
    assert s3.answers == [200, 304, 200, 304]


def test_a_copy_that_is_gone_is_fetched_again(s3: S3, tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    with Cloud(state, sources=s3.url) as cloud:
        register_code(cloud, tmp_path)
        made = group(cloud, [s3_model(URI)])
        document(cloud, *made)
        (copy,) = tmp_path.rglob(hashlib.sha256(OLD).hexdigest())
        copy.unlink()
        document(cloud, *made)
        assert s3.answers == [200, 200]
        assert copy.read_bytes() == OLD


def test_another_server_is_asked_afresh(s3: S3, tmp_path: Path) -> None:
    """The same address at another endpoint is another object, whatever its ETag."""
    state, other = tmp_path / "cloud.db", S3()
    try:
        with Cloud(state, sources=s3.url) as cloud:
            register_code(cloud, tmp_path)
            made = group(cloud, [s3_model(URI)])
            document(cloud, *made)
        with Cloud(state, sources=other.url) as cloud:
            document(cloud, *made)
    finally:
        other.close()
    assert (s3.answers, other.answers) == ([200], [200])


def test_the_board_fetches_what_changed(s3: S3, tmp_path: Path) -> None:
    """Over HTTP from the cloud's artifact URLs: each deployment has new ones, only new content is asked for."""
    root = tmp_path / "board"
    root.mkdir()
    facts = board(root)
    fetched: list[str] = []

    def counting(url: str, destination: Path, *, sha256: str, size: int) -> None:
        fetched.append(sha256)
        download(HttpClient(), url, destination, sha256=sha256, size=size)

    with Cloud(sources=s3.url) as cloud:
        register_code(cloud, tmp_path)
        made = group(cloud, [s3_model(URI)])

        def lay_out() -> DeploymentResult:
            body = document(cloud, *made)
            return deploy(group_of(body), body, root, facts, RecordingHost(root), counting)

        first, second = lay_out(), lay_out()
        assert (first.unpacked, first.reused) == (2, 0)
        assert (second.unpacked, second.reused) == (0, 2)
        assert len(fetched) == 2
        s3.data = NEW
        third = lay_out()
        assert (third.unpacked, third.reused) == (1, 1)
        assert fetched[2:] == [hashlib.sha256(NEW).hexdigest()]
    (weights,) = root.rglob("weights")
    assert weights.read_bytes() == b"new" * 1000
