"""Fetches one artifact over HTTP(S) into a file: whole, of the declared size and digest, or not at all.

An interrupted download is continued with a Range request. Nothing that a server sends is without a limit: size,
pace, number of redirects and of tries. Query strings never appear in messages: a presigned URL is a key.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.agent.http_get import DownloadError, Patience, get, in_words, patiently, refusal, shown

__all__ = ["DownloadError", "Patience", "download", "shown"]

CHUNK = 64 * 1024


class _Part:
    """What has arrived: a file beside the destination, and the digest of its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(path, flags, 0o600), "r+b")  # noqa: SIM115 - closed by keep, stop or remove
        self.received = 0
        self.etag: str | None = None
        self.digest = hashlib.sha256()
        while data := self._file.read(CHUNK):
            self.received += len(data)
            self.digest.update(data)
        self.resumed = self.received > 0

    def restart(self) -> None:
        """Forget everything."""
        self._file.seek(0)
        self._file.truncate()
        self.received = 0
        self.resumed = False
        self.etag = None
        self.digest = hashlib.sha256()

    def headers(self) -> dict[str, str]:
        """Return what asks for the rest only, provided that the file did not change meanwhile."""
        if not self.received:
            return {}
        condition = {"If-Range": self.etag} if self.etag else {}
        return {"Range": f"bytes={self.received}-", **condition}

    def add(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.received += len(data)
        self.digest.update(data)

    def keep(self, destination: Path) -> None:
        """Bring the bytes to the disk, and to their name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(destination)
        durable.sync_directory(destination.parent)

    def stop(self) -> None:
        """Leave what is there for a later run."""
        self._file.close()

    def remove(self) -> None:
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)


def download(
    url: str,
    destination: Path,
    *,
    sha256: str,
    size: int,
    patience: Patience = Patience(),  # noqa: B008 - a frozen value
    tls: ssl.SSLContext | None = None,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Fetch ``url`` to ``destination`` (mode 0600); afterwards it is on the disk and its digest is right.

    ``sha256`` is lower-case hex, ``size`` in bytes. ``progress`` is told the bytes received so far; what it raises
    ends the download. Raises DownloadError; nothing is at ``destination`` then. Where trying later may help, what
    has arrived stays beside it as ``.<name>.part``, and the next call continues it.
    """
    job = _Job(url=url, size=size, sha256=sha256, patience=patience, tls=tls, now=now, progress=progress)
    try:
        part = _Part(destination.with_name(f".{destination.name}.part"))
    except OSError as error:
        raise _unwritable(destination, error) from error
    try:
        patiently(lambda: job.bring(part), patience, sleep)
        part.keep(destination)
    except DownloadError as error:
        if error.retryable:
            part.stop()
        else:
            part.remove()
        raise
    except OSError as error:
        part.remove()
        raise _unwritable(destination, error) from error
    except BaseException:
        part.stop()
        raise


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One artifact to fetch."""

    url: str
    size: int
    sha256: str
    patience: Patience
    tls: ssl.SSLContext | None
    now: Callable[[], float]
    progress: Callable[[int], None] | None

    def bring(self, part: _Part) -> None:
        """Run one try: fetch what is still missing, and check the whole."""
        self._fetch(part)
        self._verify(part)

    def _fetch(self, part: _Part) -> None:
        where = shown(self.url)
        if part.received > self.size:
            part.restart()
        if part.received == self.size and self.size:
            return
        with in_words(self.url, self.patience):
            connection, response = get(self.url, part.headers(), self.patience, self.tls)
            with closing(connection), closing(response):
                _check_answer(where, response, part, self.size)
                self._receive(where, response, part)

    def _verify(self, part: _Part) -> None:
        """Check the digest. A file put together from two answers gets another chance, from its beginning."""
        if part.digest.hexdigest() == self.sha256.lower():
            return
        resumed = part.resumed
        part.restart()
        raise DownloadError(
            f"{shown(self.url)}: its SHA-256 is not the one that was announced",
            retryable=resumed,
            hint="the file changed or was damaged after the deployment was built; deploy again",
        )

    def _receive(self, where: str, response: http.client.HTTPResponse, part: _Part) -> None:
        pace = _Pace(self.patience, self.now)
        while data := response.read1(CHUNK):
            if part.received + len(data) > self.size:
                raise DownloadError(f"{where}: it is larger than the {self.size} bytes announced")
            part.add(data)
            if self.progress is not None:
                self.progress(part.received)
            if pace.is_too_slow(len(data)):
                raise DownloadError(f"{where}: slower than {self.patience.least_bytes_per_s} bytes/s", retryable=True)
        if part.received < self.size:
            raise DownloadError(f"{where}: it ended after {part.received} of {self.size} bytes", retryable=True)


def _check_answer(where: str, response: http.client.HTTPResponse, part: _Part, size: int) -> None:
    """Raise unless the answer's body is what is missing; a whole file instead of a range starts afresh."""
    if response.status not in (200, 206):
        if response.status == 416:
            part.restart()
        raise refusal(where, response)
    encoding = response.getheader("Content-Encoding", "identity")
    if encoding != "identity":
        raise DownloadError(f"{where}: it comes encoded as {encoding[:40]!r}, which nobody asked for")
    if response.status == 200:
        part.restart()
        length = response.getheader("Content-Length")
        if length is not None and length != str(size):
            raise DownloadError(f"{where}: it has {length[:20]} bytes, {size} were announced", status=200)
    elif response.getheader("Content-Range") != f"bytes {part.received}-{size - 1}/{size}":
        part.restart()
        raise DownloadError(f"{where}: the server sent another range than asked for", status=206, retryable=True)
    else:
        part.resumed = True
    etag = response.getheader("ETag", "")
    part.etag = etag if etag.startswith('"') else None


class _Pace:
    """Tells whether too little came during the last window."""

    def __init__(self, patience: Patience, now: Callable[[], float]) -> None:
        self._patience = patience
        self._now = now
        self._since = now()
        self._count = 0

    def is_too_slow(self, count: int) -> bool:
        self._count += count
        elapsed = self._now() - self._since
        if elapsed < self._patience.pace_window_s:
            return False
        slow = self._count < self._patience.least_bytes_per_s * elapsed
        self._since, self._count = self._now(), 0
        return slow


def _unwritable(path: Path, error: OSError) -> DownloadError:
    return DownloadError(f"{path}: cannot be written: {error.strerror}", hint="free some space and try again")
