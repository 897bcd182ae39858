"""Downloads over real sockets: a small server that answers each connection as the test says."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from edge_sim.agent.deployment import secrets
from edge_sim.agent.download import download
from edge_sim.agent.http import HttpClient
from edge_sim.agent.http_error import HttpError, shown
from edge_sim.agent.patience import Patience
from tests.ports import port_of_nobody
from tests.scripted_server import SECRET, Server, ok

pytestmark = pytest.mark.network

BODY = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(BODY).hexdigest()
QUICK = Patience(timeout_s=60.0, tries=3)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def ranged(request: bytes, length: int | None = None, *, headers: str = "") -> bytes:
    line = next(li for li in request.split(b"\r\n") if li.lower().startswith(b"range:"))
    start = int(line.split(b"=")[1].rstrip(b"-"))
    rest = BODY[start:]
    headers += f"Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}\r\n"
    return ok(rest[:length], length=len(rest), headers=headers, status="206 Partial Content")


def fetch(
    server: Server, target: Path, *, patience: Patience = QUICK, size: int = len(BODY), sha256: str = DIGEST
) -> list[float]:
    """Download, and return how long each pause between two tries was."""
    pauses: list[float] = []
    tries = 0

    def pause(seconds: float) -> None:
        nonlocal tries
        if len(server.requests) > tries:
            tries = len(server.requests)
            pauses.append(0.0)
        pauses[-1] += seconds

    http = HttpClient(pause=pause, chance=lambda: 1.0)
    download(http, server.url, target, sha256=sha256, size=size, patience=patience)
    return pauses


def refused(server: Server, target: Path, **options: object) -> HttpError:
    """Run a download that fails; what must hold for every failure is checked here."""
    with pytest.raises(HttpError) as failed:
        fetch(server, target, **options)  # type: ignore[arg-type]
    text = f"{failed.value.brief} {failed.value.hint} {failed.value.details}"
    assert "c0ffee" not in text
    left = {path.name for path in target.parent.iterdir() if path.name.strip(".").split(".")[0] == target.name}
    kept = failed.value.retryable or failed.value.status == 403
    assert left - {f".{target.name}.etag"} == ({f".{target.name}.part"} if kept else set())
    return failed.value


def test_whole(server: Server, tmp_path: Path) -> None:
    server.script = [ok(BODY)]
    assert fetch(server, tmp_path / "a") == []
    assert (tmp_path / "a").read_bytes() == BODY
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert f"GET /artifacts/model?{SECRET} HTTP/1.1".encode() in server.requests[0]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_progress_and_abort(server: Server, tmp_path: Path) -> None:
    server.script = [ok(BODY)]
    seen: list[int] = []

    def stop(received: int) -> None:
        seen.append(received)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(HttpClient(), server.url, tmp_path / "a", sha256=DIGEST, size=len(BODY), progress=stop)
    assert len(seen) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".a.part"]


def test_resumes_after_a_cut(server: Server, tmp_path: Path) -> None:
    cut = ok(BODY[:100_000], length=len(BODY), headers='ETag: "one"\r\n')
    server.script = [cut, ranged]
    assert fetch(server, tmp_path / "a") == [1.0]
    assert (tmp_path / "a").read_bytes() == BODY
    assert b"Range: bytes=100000-" in server.requests[1]
    assert b'If-Match: "one"' in server.requests[1]


def test_tries_count_only_without_progress(server: Server, tmp_path: Path) -> None:
    """Five tries in all were not enough where the network breaks every few seconds, though each brought more."""
    server.script = [ok(BODY[:9000], length=len(BODY)), *[lambda request: ranged(request, 9000)] * 26, ranged]
    assert fetch(server, tmp_path / "a") == [1.0] * 27
    assert (tmp_path / "a").read_bytes() == BODY
    server.requests.clear()
    server.script = [ok(BODY[:9000], length=len(BODY)), lambda request: ranged(request, 9)]
    assert "it ended after" in refused(server, tmp_path / "b").brief
    assert len(server.requests) == QUICK.tries, "a few bytes are no progress, or it would never end"


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_says_when_to_come_back(server: Server, tmp_path: Path, form: str) -> None:
    asked = "7000" if form == "seconds" else formatdate(time.time() + 7000, usegmt=True)
    server.script = [ok(b"", status="503 Slow Down", headers=f"Retry-After: {asked}\r\n"), ok(BODY)]
    [pause] = fetch(server, tmp_path / "a")
    assert 6000 < pause <= 7000


@pytest.mark.parametrize("asked", ["999999999", "soon", "-1", ""])
def test_a_time_that_cannot_be_waited_for_is_not(server: Server, tmp_path: Path, asked: str) -> None:
    server.script = [ok(b"", status="429 Too Many Requests", headers=f"Retry-After: {asked}\r\n")]
    error = refused(server, tmp_path / "a")
    assert error.status == 429
    assert len(server.requests) == (1 if asked == "999999999" else QUICK.tries)


def test_pauses_are_left_to_chance(server: Server, tmp_path: Path) -> None:
    pauses: list[float] = []
    server.script = [ok(b"", status="503 Slow Down")]
    with pytest.raises(HttpError):
        download(
            HttpClient(pause=pauses.append, chance=lambda: 0.0), server.url, tmp_path / "a", sha256=DIGEST, size=1,
            patience=QUICK,
        )  # fmt: skip
    assert sum(pauses) == 0.5 + 1.0


def test_a_later_process_continues_the_same_file_only(server: Server, tmp_path: Path) -> None:
    cut = ok(BODY[:100_000], length=len(BODY), headers='ETag: "one"\r\n')
    server.script = [cut, ok(b"", status="403 Forbidden")]
    assert refused(server, tmp_path / "a", patience=replace(QUICK, tries=2)).status == 403
    server.requests.clear()
    changed = ok(b"", status="412 Precondition Failed")
    server.script = [changed, ok(BODY)]
    fetch(server, tmp_path / "a")
    assert b"Range: bytes=100000-" in server.requests[0]
    assert b'If-Match: "one"' in server.requests[0]
    assert b"Range" not in server.requests[1]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_server_that_forgets_what_it_was_asked_gives_no_mixture(server: Server, tmp_path: Path) -> None:
    cut = ok(BODY[:100_000], length=len(BODY), headers='ETag: "one"\r\n')
    server.script = [cut, lambda request: ranged(request, headers='ETag: "two"\r\n'), ok(BODY)]
    fetch(server, tmp_path / "a")
    assert [b"Range" in request for request in server.requests] == [False, True, False]
    assert (tmp_path / "a").read_bytes() == BODY


def test_continues_what_an_earlier_run_left(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".a.part").write_bytes(BODY[:1234])
    server.script = [ranged]
    assert fetch(server, tmp_path / "a") == []
    assert (tmp_path / "a").read_bytes() == BODY
    assert b"Range: bytes=1234-" in server.requests[0]


def test_what_an_earlier_run_left_may_be_wrong(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".a.part").write_bytes(b"other bytes")
    server.script = [ranged, ok(BODY)]
    assert fetch(server, tmp_path / "a") == [1.0]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_link_in_the_way_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / ".a.part").symlink_to("victim")
    server.script = [ok(BODY)]
    with pytest.raises(HttpError, match="cannot be written"):
        fetch(server, tmp_path / "a")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_whole_answer_to_a_range_starts_afresh(server: Server, tmp_path: Path) -> None:
    server.script = [ok(b"z" * 1000, length=len(BODY)), ok(BODY)]
    fetch(server, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_resumed_to_a_wrong_digest_starts_afresh(server: Server, tmp_path: Path) -> None:
    server.script = [ok(b"z" * 1000, length=len(BODY)), ranged, ok(BODY)]
    assert fetch(server, tmp_path / "a") == [1.0, 1.0]
    assert b"Range" not in server.requests[2]


def test_wrong_range_starts_afresh(server: Server, tmp_path: Path) -> None:
    wrong = ok(b"x", headers="Content-Range: bytes 0-0/1\r\n", status="206 Partial Content")
    server.script = [ok(BODY[:10], length=len(BODY)), wrong, ok(BODY)]
    fetch(server, tmp_path / "a")
    assert [b"Range:" in request for request in server.requests] == [False, True, False]
    assert (tmp_path / "a").read_bytes() == BODY


def test_wrong_digest(server: Server, tmp_path: Path) -> None:
    server.script = [ok(bytes(len(BODY)))]
    error = refused(server, tmp_path / "a")
    assert "SHA-256" in error.brief
    assert not error.retryable
    assert len(server.requests) == 2, "once more, as it may have been damaged on the way"


def test_one_wrong_digest_is_not_the_end(server: Server, tmp_path: Path) -> None:
    server.script = [ok(bytes(len(BODY))), ok(BODY)]
    fetch(server, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert b"Range" not in server.requests[1]


def test_announced_too_large(server: Server, tmp_path: Path) -> None:
    server.script = [ok(BODY + b"x")]
    assert "256001 bytes" in refused(server, tmp_path / "a").brief


def test_unannounced_too_large(server: Server, tmp_path: Path) -> None:
    chunk = f"{len(BODY) + 1:x}\r\n".encode() + BODY + b"x\r\n"
    server.script = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"<hang>"]
    assert "larger than" in refused(server, tmp_path / "a").brief


XML = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@pytest.mark.parametrize(
    ("answer", "status", "words", "tries"),
    [
        (ok(XML, status="403 Forbidden"), 403, "HTTP 403 (AccessDenied: Request has expired)", 1),
        (ok(b"", status="404 Not Found"), 404, "HTTP 404 (Not Found)", 1),
        (ok(b"", status="503 Slow Down"), 503, "HTTP 503 (Slow Down)", 3),
        (ok(b"", status="400 Bad Request"), 400, "HTTP 400", 1),
        (ok(BODY, headers="Content-Encoding: gzip\r\n"), None, "encoded", 1),
        (b"", None, "the connection was lost", 3),
        (b"what?\r\n\r\n", None, "the connection was lost (BadStatusLine", 3),
        (ok(BODY[:5], length=len(BODY)), None, "of 256000 bytes", 3),
        (
            ok(BODY, status="302 Found", headers="Location: http://169.254.169.254/latest/meta-data\r\n"),
            302,
            "another origin, http://169.254.169.254",
            1,
        ),
        (
            ok(BODY, status="302 Found", headers="Location: http://example.org/x?X-Amz=c0ffee\r\n"),
            302,
            "example.org/x",
            1,
        ),
        (ok(BODY, status="302 Found", headers="Location: file:///etc/passwd\r\n"), 302, "another origin", 1),
        (ok(BODY, status="302 Found", headers="Location: /again\r\n"), None, "more than 3 redirects", 1),
    ],
)
def test_refusals(server: Server, tmp_path: Path, answer: bytes, status: int | None, words: str, tries: int) -> None:
    server.script = [answer]
    error = refused(server, tmp_path / "a")
    assert words in error.brief
    assert error.status == status
    assert error.retryable == (tries > 1)
    if "redirects" not in words:
        assert len(server.requests) == tries


def test_redirect_on_the_same_host(server: Server, tmp_path: Path) -> None:
    server.script = [ok(b"", status="307 Temporary Redirect", headers="Location: /other?x=1\r\n"), ok(BODY)]
    fetch(server, tmp_path / "a")
    assert b"GET /other?x=1" in server.requests[1]


def test_silence(server: Server, tmp_path: Path) -> None:
    server.script = [ok(b"x<hang>", length=len(BODY))]
    error = refused(server, tmp_path / "a", patience=Patience(timeout_s=1, tries=1))
    assert "no data for 1 s" in error.brief
    assert error.retryable


def test_header_that_never_ends(server: Server, tmp_path: Path) -> None:
    """Each read brings something, the header never ends: hung up after twice the limit."""
    server.script = [b"HTTP/1.1 200 OK\r\nX: <drip>"]
    error = refused(server, tmp_path / "a", patience=Patience(timeout_s=1, tries=1))
    assert "no complete response header after 2 s" in error.brief
    assert error.retryable


def test_too_slow(server: Server, tmp_path: Path) -> None:
    server.script = [ok(BODY)]
    clock = iter(range(0, 10**9, 1000))
    with pytest.raises(HttpError, match="slower than 1024 bytes/s") as failed:
        download(
            HttpClient(now=lambda: float(next(clock))),
            server.url,
            tmp_path / "a",
            sha256=DIGEST,
            size=len(BODY),
            patience=Patience(timeout_s=10**5, total_s=10**9, tries=1),
        )
    assert failed.value.retryable


def test_nobody_listens(tmp_path: Path) -> None:
    with port_of_nobody() as port, pytest.raises(HttpError, match="Connection refused") as failed:
        download(
            HttpClient(),
            f"http://127.0.0.1:{port}/a",
            tmp_path / "a",
            sha256=DIGEST,
            size=1,
            patience=Patience(tries=1),
        )
    assert failed.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x",
        "file:///etc/passwd",
        "nonsense",
        "http://[bad/",
        "http:///x",
        "http://127.0.0.1:1/a b",
        "http://127.0.0.1:1/é",
        "http://a..b/x",
        "http://user:pw@127.0.0.1/x",
    ],
)
def test_other_urls(tmp_path: Path, url: str) -> None:
    with pytest.raises(HttpError) as refused:
        download(HttpClient(), url, tmp_path / "a", sha256=DIGEST, size=1)
    assert not refused.value.retryable


METADATA = "a link-local or metadata address"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("169.254.169.254", METADATA),
        ("169.254.170.2", METADATA),
        ("2852039166", METADATA),
        ("0xa9.0xfe.0xa9.0xfe", METADATA),
        ("[::ffff:169.254.169.254]", METADATA),
        ("[64:ff9b::a9fe:a9fe]", METADATA),
        ("[fd00:ec2::254]", METADATA),
        ("[fe80::1]", METADATA),
        ("100.100.100.200", METADATA),
        ("127.0.0.1", "the board itself"),
        ("127.1", "the board itself"),
        ("[::1]", "the board itself"),
        ("[::ffff:127.0.0.1]", "the board itself"),
        ("0.0.0.0", "not a server's address"),
        ("224.0.0.1", "not a server's address"),
        ("255.255.255.255", "not a server's address"),
    ],
)
def test_addresses_that_a_board_does_not_fetch_from(tmp_path: Path, host: str, why: str) -> None:
    with pytest.raises(HttpError, match=f"refused, because .* is {why}") as refused:
        download(HttpClient(loopback=False), f"http://{host}/latest", tmp_path / "a", sha256=DIGEST, size=1)
    assert not refused.value.retryable
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_judged_by_its_addresses(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is connected to is what was looked at, so a name cannot change its address in between."""
    found = ["169.254.169.254"]

    def look_up(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    url = server.url.replace("127.0.0.1", "updates.example")
    server.script = [ok(BODY)]
    with pytest.raises(HttpError, match=f"updates.example: refused, because 169.254.169.254 is {METADATA}"):
        download(HttpClient(), url, tmp_path / "a", sha256=DIGEST, size=len(BODY))
    found.append("127.0.0.1")
    download(HttpClient(), url, tmp_path / "a", sha256=DIGEST, size=len(BODY))
    assert f"Host: updates.example:{url.split(':')[2].split('/')[0]}".encode() in server.requests[0]


def test_no_room(server: Server, tmp_path: Path) -> None:
    server.script = [ok(BODY)]
    with pytest.raises(HttpError, match="cannot be written: No such file or directory"):
        fetch(server, tmp_path / "missing/a")


def test_empty_artifact(server: Server, tmp_path: Path) -> None:
    server.script = [ok(b"")]
    fetch(server, tmp_path / "a", size=0, sha256=hashlib.sha256(b"").hexdigest())
    assert (tmp_path / "a").read_bytes() == b""


def test_shown_hides_keys() -> None:
    assert shown("https://user:pw@h:8/p?X=1#f") == "https://h:8/p"


def test_a_secret_is_fetched_as_patiently_as_an_artifact(server: Server) -> None:
    quick = Patience(tries=5, first_pause_s=0.01)
    secret = b'{"ARN": "arn"}'
    server.script = [
        ok(secret[:-1], length=len(secret)),
        b"no HTTP\r\n\r\n",
        ok(b"", status="503 Slow Down"),
        ok(secret),
    ]
    assert secrets.fetch(HttpClient(), server.url, quick) == {"ARN": "arn"}
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"no HTTP\r\n\r\n", "the connection was lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", "the connection was lost"),
        (ok(b"key"), "not JSON"),
        (ok(b"[]"), "holds no secret"),
        (ok(b"", status="404 Not Found"), "404"),
        (ok(b" " * (secrets.MAX_BYTES + 1)), "larger than"),
    ],
)
def test_a_secret_that_does_not_come_is_told_as_an_artifact_would_be(server: Server, answer: bytes, text: str) -> None:
    server.script = [answer]
    with pytest.raises(HttpError, match=text) as raised:
        secrets.fetch(HttpClient(), server.url, Patience(tries=1))
    assert SECRET not in str(raised.value.__dict__)


def test_a_secret_whose_url_cannot_be_one_is_told(server: Server) -> None:
    with pytest.raises(HttpError, match="not a URL"):
        secrets.fetch(HttpClient(), "http://" + "a" * 70 + ".local/", Patience(tries=1))
