"""Downloads of every ill kind: a real HTTP server answers an update's requests wrongly, then as it should.

``python -m tests.faults.downloads [COUNT [SEED [WORD …]]]``; see ``trials.draw``. Each kind says how the job must end,
and of one that fails a word of the reason.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.board import Board, Update, board, check
from tests.faults.trials import carry_out, draw, end, failed
from tests.integration.agent_world import NEW, THING, Cloud
from tests.scripted_server import Answer, Server, ok

Script = Callable[[bytes], Sequence[Answer]]
ETAG = 'ETag: "one"\r\n'
ZEROS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``script`` makes the ill answers of a build's bytes; after them each request is answered as it should be.

    ``reason`` is part of the one that a job that fails has; ``build`` makes what is downloaded, where that is ill.
    """

    name: str
    script: Script = field(default=lambda _: ())
    reason: str = ""
    build: Callable[[bytes], bytes] = field(default=lambda whole: whole)


def rest(body: bytes, request: bytes, headers: str = "") -> bytes:
    """The right answer: the whole, or what is asked for of it."""
    asked = re.search(rb"(?i)\r\nrange: *bytes=(\d+)-", request)
    start = int(asked[1]) if asked else 0
    if not asked:
        return ok(body, headers=headers)
    headers += f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}\r\n"
    return ok(body[start:], headers=headers, status="206 Partial Content")


def flipped(body: bytes) -> bytes:
    """The same with one bit altered."""
    return body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]


def error(status: str, headers: str = "") -> bytes:
    return ok(b"", status=status, headers=headers)


def bomb(_: bytes) -> bytes:
    """A build whose one file has two gigabytes of zeros."""
    header = tarfile.TarInfo(f"packages/{NEW}/greengrassd")
    header.size, header.mode = 2 << 30, 0o755
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as file:
        file.write(header.tobuf())
        for _number in range(header.size // ZEROS):
            file.write(bytes(ZEROS))
    return packed.getvalue()


def cut(body: bytes) -> bytes:
    return ok(body[: len(body) // 2], length=len(body), headers=ETAG)


def stalled(body: bytes) -> bytes:
    return ok(body[: len(body) // 2] + b"<hang>", length=len(body), headers=ETAG)


KINDS = (
    Kind(name="truncated", script=lambda body: [cut(body)]),
    Kind(name="truncated to nothing, three times", script=lambda body: [ok(b"", length=len(body))] * 3),
    Kind(name="stalled", script=lambda body: [stalled(body)]),
    Kind(name="closed without an answer", script=lambda _: [b""]),
    Kind(name="half a header", script=lambda _: [b"HTTP/1.1 200 OK\r\nContent-Le"]),
    Kind(name="no HTTP", script=lambda _: [b"220 ftp ready\r\n\r\n"] * 9, reason="the connection was lost"),
    Kind(name="announced too long", script=lambda body: [ok(body + b"!")] * 9, reason="STAGE"),
    Kind(name="announced too short", script=lambda body: [ok(body[:-1])] * 9, reason="STAGE"),
    Kind(name="too long without an announcement", script=lambda body: [b"HTTP/1.1 200 OK\r\n\r\n" + body + b"!"] * 9,
         reason="STAGE"),
    Kind(name="endless", script=lambda body: [b"HTTP/1.1 200 OK\r\n\r\n" + body * 3] * 9, reason="STAGE"),
    Kind(name="one bit, once", script=lambda body: [ok(flipped(body))]),
    Kind(name="one bit, twice", script=lambda body: [ok(flipped(body))] * 9, reason="SHA-256"),
    Kind(name="another file after a cut", script=lambda body: [cut(body), lambda request: rest(
        flipped(body), request, 'ETag: "two"\r\n')]),
    Kind(name="another range than asked for", script=lambda body: [cut(body), ok(
        body[:9], status="206 Partial Content", headers=f"Content-Range: bytes 0-8/{len(body)}\r\n")]),
    Kind(name="the whole in place of a range", script=lambda body: [cut(body), ok(body, headers=ETAG)]),
    Kind(name="416 to a range", script=lambda body: [cut(body), error("416 Range Not Satisfiable")]),
    Kind(name="412 to a range", script=lambda body: [cut(body), error("412 Precondition Failed")]),
    Kind(name="redirected in a circle", script=lambda _: [error("302 Found", "Location: /faulted.tar.gz\r\n")] * 20,
         reason="redirect"),
    Kind(name="redirected to another host", script=lambda _: [error(
        "302 Found", "Location: http://192.0.2.1/faulted.tar.gz\r\n")] * 9, reason="redirect"),
    Kind(name="redirected to a file", script=lambda _: [error("302 Found", "Location: file:///etc/passwd\r\n")] * 9,
         reason="redirect"),
    Kind(name="redirected to instance metadata", script=lambda _: [error(
        "307 Temporary Redirect", "Location: http://169.254.169.254/latest/\r\n")] * 9, reason="redirect"),
    Kind(name="500, twice", script=lambda _: [error("500 Internal Server Error")] * 2),
    Kind(name="503 with Retry-After", script=lambda _: [error("503 Slow Down", "Retry-After: 2\r\n")]),
    Kind(name="429 with Retry-After", script=lambda _: [error("429 Too Many Requests", "Retry-After: 1\r\n")]),
    Kind(name="403, twice", script=lambda _: [error("403 Forbidden")] * 2),
    Kind(name="403 without end", script=lambda _: [error("403 Forbidden")] * 6, reason="fresh URLs"),
    Kind(name="404", script=lambda _: [error("404 Not Found")] * 9, reason="404"),
    Kind(name="410", script=lambda _: [error("410 Gone")] * 9, reason="410"),
    Kind(name="gzip bomb", build=bomb, reason="VERIFY"),
    Kind(name="no gzip", build=lambda _: b"<html>captive portal</html>", reason="VERIFY"),
    Kind(name="half an archive", build=lambda whole: whole[: len(whole) // 2], reason="VERIFY"),
)  # fmt: skip


class IllServer(Server):
    """Answers ``ill`` first, then each request by its path."""

    def __init__(self, ill: Sequence[Answer], cloud: Cloud) -> None:
        super().__init__()
        self.cloud = cloud
        self.script = [*ill, self._right]

    def _right(self, request: bytes) -> bytes:
        path = request.split(b" ")[1].decode().split("?")[0]
        return rest(self.cloud.files.content[path], request, ETAG)


def download(name: str, folder: Path) -> str:
    """Carry out an update whose download is ill, of the kind ``name``, and return the job's status."""
    (kind,), update = (kind for kind in KINDS if kind.name == name), Update()
    ill = kind.build(update.build)
    with board(folder, update) as found:
        cloud = found.here.cloud
        server = IllServer([], cloud)
        try:
            cloud.files.url = server.url.partition("/artifacts")[0]
            _offer(found, ill)
            server.script = [*kind.script(ill), server._right]
            agent = found.run_to_the_end(found.start())
            server.script = [server._right]
            status = check(found, agent, ["FAILED" if kind.reason else "SUCCEEDED"])
        finally:
            server.close()
        details = cloud.jobs.execution(THING, found.job).status_details or {}
        assert kind.reason in details.get("reason", ""), details
        assert server.requests, "nobody asked"
    return status


def _offer(found: Board, build: bytes) -> None:
    """Offer ``build`` in place of the update's own, where it is another one."""
    cloud = found.here.cloud
    if hashlib.sha256(build).digest() != hashlib.sha256(found.update.build).digest():
        cloud.jobs.cancel_job(found.job, force=True)
        found.job = cloud.update_job("ill", build)


def main() -> None:
    """Carry out all kinds and print the counts."""
    started = time.monotonic()
    results = carry_out(download, draw([kind.name for kind in KINDS], sys.argv[1:]))
    ends = Counter(result.value or "bad" for result in results)
    end("downloads", f"{len(results)} of {len(KINDS)} ill kinds, {dict(ends)}", failed(results), started)


if __name__ == "__main__":
    main()
