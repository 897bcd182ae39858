"""The board's one HTTP client: documents, artifacts, secrets, statuses and builds all go through it.

Nothing that a server does is without a limit (``patience``): silence, pace, the time of a header and of the whole,
redirects (on the same host only) and tries without progress; and ``stop`` ends every wait at once. Which addresses it
goes to is in ``destinations``. A TLS server is checked with the configured CAs. Query strings never appear in messages:
a presigned URL is a key.
"""

from __future__ import annotations

import http.client
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from edge_sim.agent.http_error import HttpError, UnreachableError, in_words, shown
from edge_sim.agent.http_wire import Wire, connected
from edge_sim.agent.patience import MESSAGE, TICK_S, Patience, RequestWatch
from edge_sim.printing import printable

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.agent.proxy import Proxy

CHUNK = 64 * 1024
PROGRESS_BYTES = 1024
"""What a try must bring so that it does not count as one in vain."""
_ERROR_BODY = 16 * 1024
_RETRYABLE = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_XML_FIELD = re.compile(r"<(Code|Message)>([^<]{1,200})</")
_T = TypeVar("_T")


class HttpResponse:
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
            raise HttpError(f"{self._where}: the response is larger than {most:,} bytes", status=self.status)
        if self._response.length:
            raise HttpError(f"{self._where}: the response ended early", status=self.status, retryable=True)
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
            retry_after_s=_seconds(self.header("Retry-After")),
        )


class HttpClient:
    """Makes HTTP(S) requests. ``tls`` checks servers, None for the system's CAs; ``now`` is a monotonic clock.

    ``proxy``: what https servers are reached through; http ones are reached without, as V1's proxy was for TLS alone.
    ``loopback``: whether the board's own addresses may be fetched from. ``pause`` waits between two tries and tells
    whether the agent stops; by default it is ``stop``'s. ``chance`` gives 0 to 1.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        loopback: bool = True,
        stop: threading.Event | None = None,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._tls = tls
        self._proxy = proxy
        self._loopback = loopback
        self._stop = stop or threading.Event()
        self._now = now
        self._pause = pause or self._stop.wait
        self._chance = chance

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

    def patiently(
        self,
        exchange: Callable[[float], _T],
        patience: Patience,
        *,
        progress: Callable[[], int] = lambda: 0,
        on_wait: Callable[[], object] = lambda: None,
    ) -> _T:
        """Return what ``exchange`` returns; its argument is the time at which all must be over (``now``'s seconds).

        While its HttpError may go away by itself it is tried again, after longer and longer, or when the server said.
        A try that brought ``progress`` on (bytes) does not count. ``on_wait`` is called again and again in a pause.
        """
        deadline = self._now() + patience.total_s
        failures, best = 0, progress()
        while True:
            try:
                return exchange(deadline)
            except HttpError as error:
                if progress() - best >= PROGRESS_BYTES:
                    failures, best = 0, progress()
                failures += 1
                pause = max(error.retry_after_s, self._backoff(failures, patience))
                if not error.retryable or failures >= patience.tries or self._now() + pause >= deadline:
                    raise
                if self._rest(pause, on_wait):
                    raise

    def _backoff(self, failures: int, patience: Patience) -> float:
        longest = min(patience.first_pause_s * 2.0 ** (failures - 1), patience.longest_pause_s)
        return longest * (0.5 + self._chance() / 2)

    def _rest(self, pause_s: float, on_wait: Callable[[], object]) -> bool:
        """Wait, and return whether the agent stops."""
        while pause_s > 0:
            if self._stop.is_set() or self._pause(min(pause_s, TICK_S)):
                return True
            pause_s -= TICK_S
            on_wait()
        return False

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
    ) -> Iterator[HttpResponse]:
        """Send one request, a GET also behind redirects on the same host, and yield the answer; then hang up.

        ``on_wait`` is called again and again while nothing comes; what it raises ends the exchange. Raises HttpError.
        """
        target = url
        for _ in range(patience.redirects + 1):
            watch = RequestWatch(shown(target), patience, deadline, now=self._now, stop=self._stop, on_wait=on_wait)
            with closing(self._connected(target, patience, watch)) as connection, in_words(target, patience.timeout_s):
                wire = connection.sock = Wire(connection.sock, watch, patience.timeout_s)
                with closing(wire.socket):
                    answer = _ask(connection, method, target, headers or {}, body)
                    if method != "GET" or answer.status not in _REDIRECTS:
                        watch.begin_body()
                        yield answer
                        return
                    target = _redirection(target, answer)
        raise HttpError(f"{shown(url)}: more than {patience.redirects} redirects")

    def _connected(self, url: str, patience: Patience, watch: RequestWatch) -> http.client.HTTPConnection:
        parts, port = _address(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        if secure and self._tls is None:
            self._tls = ssl.create_default_context()
        connection = http.client.HTTPConnection(host, port)
        connection.default_port = 443 if secure else 80  # then the Host header does without it
        try:
            with in_words(url, patience.timeout_s):
                tls = self._tls if secure else None
                proxy = self._proxy if secure and self._proxy and self._proxy.serves(host) else None
                connection.sock = connected(host, port, tls, watch, loopback=self._loopback, proxy=proxy)
        except HttpError as error:
            if error.retryable:
                raise UnreachableError(error.brief, retryable=True) from error
            raise
        return connection


def _address(url: str) -> tuple[SplitResult, int]:
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
    if parts.username is not None:
        raise HttpError(f"{shown(url)}: a URL with a user name is not fetched")
    return parts, port or (443 if parts.scheme == "https" else 80)


def _ask(
    connection: http.client.HTTPConnection, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> HttpResponse:
    """Send the request and wait for the answer's header."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {"Accept-Encoding": "identity", "Connection": "close"}
    if body is not None:
        own["Content-Type"] = "application/json"
    connection.request(method, target, body=body, headers={**own, **headers})
    return HttpResponse(shown(url), connection.getresponse())


def _redirection(url: str, answer: HttpResponse) -> str:
    target = urljoin(url, answer.header("Location") or "")
    before, after = urlsplit(url), urlsplit(target)
    same = (before.hostname, before.port) == (after.hostname, after.port)
    if not same or after.scheme not in (before.scheme, "https"):
        raise HttpError(f"{shown(url)}: redirected to another origin, {shown(target)}", status=answer.status)
    return target


def _seconds(retry_after: str | None) -> float:
    """Return how long a server wants to be left alone (RFC 9110, 10.2.3): seconds, or a date."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
