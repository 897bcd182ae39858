"""The board's one HTTP client: documents, artifacts, secrets, statuses and builds all go through it.

Nothing that a server does is without a limit: silence, pace, the time of a header and of the whole, redirects (on the
same host only) and tries; and ``stop`` ends every wait at once. A TLS server is checked with the configured CAs.
Query strings never appear in messages: a presigned URL is a key.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from edge_sim.agent.http_error import HttpError, UnreachableError, in_words, shown
from edge_sim.report import printable

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.agent.proxy import Proxy

CHUNK = 64 * 1024
TICK_S = 0.5
"""How often a wait for the server looks at the limits and at ``stop``."""
_ERROR_BODY = 16 * 1024
_RETRYABLE = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_XML_FIELD = re.compile(r"<(Code|Message)>([^<]{1,200})</")
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits of one exchange with all its tries."""

    timeout_s: float = 30.0
    """For connecting, and for each silence; an answer's header may take twice as long."""
    least_bytes_per_s: int = 1024
    """Slower than this over ``pace_window_s`` seconds counts as a stall; 0 turns the check off."""
    pace_window_s: float = 30.0
    total_s: float = 6 * 3600.0
    """For everything together, tries and pauses included."""
    tries: int = 5
    first_pause_s: float = 1.0
    """Doubled after each failed try, up to ``longest_pause_s``."""
    longest_pause_s: float = 30.0
    redirects: int = 3


MESSAGE = Patience(pace_window_s=10.0, total_s=300.0)
"""Of a document, a secret or a status: small, and a board's only work thread waits for it."""


class Answer:
    """An answer whose body is still to be read."""

    def __init__(self, where: str, response: http.client.HTTPResponse) -> None:
        self._where = where
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str | None:
        return self._response.getheader(name)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        while data := self._response.read1(CHUNK):
            yield data

    def read(self, most: int) -> bytes:
        """Return the whole body. Raises HttpError when it is larger than ``most`` bytes, or ends too early."""
        body = self._response.read(most + 1)
        if len(body) > most:
            raise HttpError(f"{self._where}: the answer is larger than {most:,} bytes", status=self.status)
        if self._response.length:
            raise HttpError(f"{self._where}: the answer ended too early", status=self.status, retryable=True)
        return body

    def refusal(self) -> HttpError:
        """Return the error that status and body (S3's XML) amount to."""
        text = self._response.read(_ERROR_BODY).decode("utf-8", "replace")
        fields = ": ".join(value for _, value in _XML_FIELD.findall(text))
        reason = printable(fields or self._response.reason[:80])
        hint = None
        if self.status == 403:
            hint = "the presigned URL has expired or was altered; deploy again to get a new one"
        elif self.status == 404:
            hint = "it is gone from the store; deploy again"
        return HttpError(
            f"{self._where}: HTTP {self.status} ({reason})",
            status=self.status,
            retryable=self.status in _RETRYABLE,
            hint=hint,
        )


class Client:
    """Makes HTTP(S) requests. ``tls`` checks servers, None for the system's CAs; ``now`` is a monotonic clock.

    ``proxy``: what https servers are reached through; http ones are reached without, as V1's proxy was for TLS alone.
    ``pause`` waits between two tries and tells whether the agent stops; by default it is ``stop``'s.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        stop: threading.Event | None = None,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._tls = tls
        self._proxy = proxy
        self._stop = stop or threading.Event()
        self._now = now
        self._pause = pause or self._stop.wait

    def message(
        self, method: str, url: str, body: bytes | None = None, *, most: int, patience: Patience = MESSAGE
    ) -> bytes:
        """Make a request whose answer has at most ``most`` bytes, and return them. Raises HttpError."""

        def exchange(deadline: float) -> bytes:
            with self.open(method, url, patience, deadline, body=body) as answer:
                if not 200 <= answer.status < 300:
                    raise answer.refusal()
                return answer.read(most)

        return self.patiently(exchange, patience)

    def patiently(self, exchange: Callable[[float], _T], patience: Patience) -> _T:
        """Return what ``exchange`` returns, which is told when all must be over (``now``'s seconds).

        While its HttpError may go away by itself it is tried again, after longer and longer.
        """
        deadline = self._now() + patience.total_s
        pause = patience.first_pause_s
        for _ in range(1, patience.tries):
            try:
                return exchange(deadline)
            except HttpError as error:
                if not error.retryable or self._now() + pause >= deadline:
                    raise
                if self._stop.is_set() or self._pause(min(pause, patience.longest_pause_s)):
                    raise
            pause *= 2
        return exchange(deadline)

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        patience: Patience,
        deadline: float,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        on_wait: Callable[[], object] = lambda: None,
    ) -> Iterator[Answer]:
        """Send one request, a GET also behind redirects on the same host, and yield the answer; then hang up.

        ``on_wait`` is called again and again while nothing comes; what it raises ends the exchange. Raises HttpError.
        """
        target = url
        for _ in range(patience.redirects + 1):
            with in_words(target, patience.timeout_s), closing(self._connection(target, patience)) as connection:
                _connect(connection, target, patience)
                wire = _Wire(connection.sock, shown(target), patience, deadline, self._now, self._stop, on_wait)
                with closing(wire.socket):
                    connection.sock = wire
                    answer = _ask(connection, method, target, headers or {}, body)
                    if method != "GET" or answer.status not in _REDIRECTS:
                        wire.begin_body()
                        yield answer
                        return
                    target = _redirection(target, answer)
        raise HttpError(f"{shown(url)}: more than {patience.redirects} redirects")

    def _connection(self, url: str, patience: Patience) -> http.client.HTTPConnection:
        parts, port = _address(url)
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname or "", port, timeout=patience.timeout_s)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        host, proxy = parts.hostname or "", self._proxy
        if proxy is None or not proxy.serves(host):
            return http.client.HTTPSConnection(host, port, timeout=patience.timeout_s, context=self._tls)
        tunnel = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=patience.timeout_s, context=self._tls)
        tunnel.set_tunnel(host, port or 443, proxy.headers)
        return tunnel


class _Wire(io.RawIOBase):
    """A connected socket, as http.client uses one, that keeps the limits while it waits for bytes."""

    def __init__(
        self,
        connected: socket.socket,
        where: str,
        patience: Patience,
        deadline: float,
        now: Callable[[], float],
        stop: threading.Event,
        on_wait: Callable[[], object],
    ) -> None:
        self.socket = connected
        self._where = where
        self._patience = patience
        self._deadline = deadline
        self._now = now
        self._stop = stop
        self._on_wait = on_wait
        self._header_end: float | None = now() + 2 * patience.timeout_s
        self._window_start = 0.0
        self._window_bytes = 0

    def begin_body(self) -> None:
        """Look at the pace from now on, and no longer at the time of the header."""
        self._header_end = None
        self._window_start, self._window_bytes = self._now(), 0

    def sendall(self, data: bytes) -> None:
        self.socket.settimeout(self._patience.timeout_s)
        self.socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open: http.client lets go of the socket before the body is read, and ``Client.open`` closes it."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Wait for bytes in short steps, with a look at the limits before each."""
        quiet_since = self._now()
        self.socket.settimeout(TICK_S)
        while True:
            self._check(quiet_since)
            try:
                count = self.socket.recv_into(buffer)
            except TimeoutError:
                self._on_wait()
                continue
            self._window_bytes += count
            return count

    def _check(self, quiet_since: float) -> None:
        now, patience = self._now(), self._patience
        if self._stop.is_set():
            raise HttpError(f"{self._where}: not finished, because the agent is stopping", retryable=True)
        if now >= self._deadline:
            raise HttpError(f"{self._where}: not finished after {patience.total_s:g} s", retryable=True)
        if self._header_end is not None and now >= self._header_end:
            brief = f"{self._where}: no complete answer header after {2 * patience.timeout_s:g} s"
            raise HttpError(brief, retryable=True)
        if now - quiet_since >= patience.timeout_s:
            raise TimeoutError
        elapsed = now - self._window_start
        if self._header_end is None and elapsed >= patience.pace_window_s:
            if self._window_bytes < patience.least_bytes_per_s * elapsed:
                raise HttpError(f"{self._where}: slower than {patience.least_bytes_per_s} bytes/s", retryable=True)
            self._window_start, self._window_bytes = now, 0


def _address(url: str) -> tuple[SplitResult, int | None]:
    """Return the parts of a URL that can be fetched, and its port. Raises HttpError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise HttpError("a URL cannot be read") from error
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise HttpError(f"{shown(url)}: not a URL that can be fetched")
    if parts.scheme not in ("http", "https") or not host:
        raise HttpError(f"{shown(url)}: only http and https URLs are fetched")
    return parts, port


def _ask(
    connection: http.client.HTTPConnection, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Answer:
    """Send the request and wait for the answer's header."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {"Accept-Encoding": "identity", "Connection": "close"}
    if body is not None:
        own["Content-Type"] = "application/json"
    connection.request(method, target, body=body, headers={**own, **headers})
    return Answer(shown(url), connection.getresponse())


def _connect(connection: http.client.HTTPConnection, url: str, patience: Patience) -> None:
    try:
        with in_words(url, patience.timeout_s):
            connection.connect()
    except HttpError as error:
        if error.retryable:
            raise UnreachableError(error.brief, retryable=True) from error
        raise


def _redirection(url: str, answer: Answer) -> str:
    target = urljoin(url, answer.header("Location") or "")
    before, after = urlsplit(url), urlsplit(target)
    same = (before.hostname, before.port) == (after.hostname, after.port)
    if not same or after.scheme not in (before.scheme, "https"):
        raise HttpError(f"{shown(url)}: redirected to another place, {shown(target)}", status=answer.status)
    return target
