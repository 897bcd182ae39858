"""Fetches one artifact over HTTP(S) into a file: whole, of the declared size and digest, or not at all.

An interrupted download is continued with a Range request. Nothing that a server sends is without a limit: size,
pace, number of redirects and of tries. Query strings never appear in messages: a presigned URL is a key.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from edge_sim.agent import durable
from edge_sim.errors import EdgeSimError

CHUNK = 64 * 1024
_ERROR_BODY = 16 * 1024
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_XML_FIELD = re.compile(r"<(Code|Message)>([^<]{1,200})</")


class DownloadError(EdgeSimError):
    """A download failed. ``status`` is the HTTP status, if there was one; ``retryable``: may go away by itself."""

    exit_status = 3

    def __init__(
        self, brief: str, *, status: int | None = None, retryable: bool = False, hint: str | None = None
    ) -> None:
        super().__init__(brief, hint=hint)
        self.status = status
        self.retryable = retryable


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits of one download."""

    timeout_s: float = 30.0
    """For connecting, and for each read."""
    least_bytes_per_s: int = 1024
    """Slower than this over ``pace_window_s`` seconds counts as a stall; 0 turns the check off."""
    pace_window_s: float = 30.0
    tries: int = 5
    first_pause_s: float = 1.0
    """Doubled after each failed try, up to ``longest_pause_s``."""
    longest_pause_s: float = 30.0
    redirects: int = 3


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
    patience: Patience = Patience(),
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
        for last in _tries(patience, sleep):
            try:
                job.fetch(part)
                job.verify(part)
                break
            except DownloadError as error:
                if last or not error.retryable:
                    raise
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


def shown(url: str) -> str:
    """Return ``url`` as it may appear in a message: without query, fragment, user and password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an unreadable URL"
    text = f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    return "".join(c if c.isprintable() else "?" for c in text[:300])


def _tries(patience: Patience, sleep: Callable[[float], None]) -> Iterator[bool]:
    """Yield once a try, True for the last one, with a pause that doubles between two of them."""
    for number in range(1, patience.tries + 1):
        yield number == patience.tries
        sleep(min(patience.first_pause_s * 2 ** (number - 1), patience.longest_pause_s))


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

    def fetch(self, part: _Part) -> None:
        """Run one try: fetch what is still missing."""
        where = shown(self.url)
        if part.received > self.size:
            part.restart()
        if part.received == self.size and self.size:
            return
        try:
            connection, response = self._open(part)
            with closing(connection), closing(response):
                _check_answer(where, response, part, self.size)
                self._receive(where, response, part)
        except TimeoutError as error:
            seconds = self.patience.timeout_s
            raise DownloadError(f"{where}: nothing came for {seconds:g} s", retryable=True) from error
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message
            raise DownloadError(f"{where}: the server's certificate is not trusted: {why}") from error
        except socket.gaierror as error:
            raise DownloadError(f"{where}: the host name is not known", retryable=True) from error
        except (http.client.HTTPException, OSError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise DownloadError(f"{where}: the connection broke ({why})", retryable=True) from error

    def verify(self, part: _Part) -> None:
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

    def _open(self, part: _Part) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request, follow redirects on the same host, and return the open answer."""
        url = self.url
        for _ in range(self.patience.redirects + 1):
            connection = _connect(url, self.patience, self.tls)
            try:
                response = _ask(connection, url, part, self.patience)
            except BaseException:
                connection.close()
                raise
            if response.status not in _REDIRECTS:
                return connection, response
            connection.close()
            url = _redirected(url, response)
        raise DownloadError(f"{shown(self.url)}: more than {self.patience.redirects} redirects")

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


def _connect(url: str, patience: Patience, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    where = shown(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DownloadError("an artifact's URL cannot be read") from error
    if parts.scheme not in ("http", "https") or not host:
        raise DownloadError(f"{where}: only http and https URLs are fetched")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=patience.timeout_s)
    context = tls or ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=patience.timeout_s, context=context)


def _ask(connection: http.client.HTTPConnection, url: str, part: _Part, patience: Patience) -> http.client.HTTPResponse:
    """Send the request and wait for the answer's header, at most twice the time limit of a read."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Accept-Encoding": "identity", "Connection": "close"}
    if part.received:
        headers["Range"] = f"bytes={part.received}-"
        if part.etag:
            headers["If-Range"] = part.etag
    connection.connect()
    wire = connection.sock
    watchdog = threading.Timer(2 * patience.timeout_s, _hang_up, (wire,))
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("GET", target, headers=headers)
        return connection.getresponse()
    finally:
        watchdog.cancel()


def _hang_up(wire: socket.socket) -> None:
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def _redirected(url: str, response: http.client.HTTPResponse) -> str:
    target = urljoin(url, response.getheader("Location") or "")
    before, after = urlsplit(url), urlsplit(target)
    same = (before.hostname, before.port) == (after.hostname, after.port)
    if not same or after.scheme not in (before.scheme, "https"):
        raise DownloadError(f"{shown(url)}: redirected to another place, {shown(target)}", status=response.status)
    return target


def _check_answer(where: str, response: http.client.HTTPResponse, part: _Part, size: int) -> None:
    """Raise unless the answer's body is what is missing; a whole file instead of a range starts afresh."""
    if response.status not in (200, 206):
        if response.status == 416:
            part.restart()
        raise _refusal(where, response)
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


def _refusal(where: str, response: http.client.HTTPResponse) -> DownloadError:
    status = response.status
    text = response.read(_ERROR_BODY).decode("utf-8", "replace")
    said = ": ".join(value for _, value in _XML_FIELD.findall(text))
    said = "".join(c for c in said if c.isprintable()) or response.reason[:80]
    hint = None
    if status == 403:
        hint = "the presigned URL has expired or was altered; deploy again to get a new one"
    elif status == 404:
        hint = "the artifact is gone from the store; deploy again"
    return DownloadError(
        f"{where}: HTTP {status} ({said})",
        status=status,
        retryable=status in _RETRYABLE or status == 416,
        hint=hint,
    )


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
