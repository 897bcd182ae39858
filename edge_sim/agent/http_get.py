"""One GET over HTTP(S), up to the answer's header: connecting, redirects on the same host, faults in words, more tries.

Query strings never appear in messages: a presigned URL is a key.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from edge_sim.errors import EdgeSimError

_ERROR_BODY = 16 * 1024
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_XML_FIELD = re.compile(r"<(Code|Message)>([^<]{1,200})</")
_T = TypeVar("_T")


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


def get(
    url: str, headers: Mapping[str, str], patience: Patience, tls: ssl.SSLContext | None
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Send the request, follow redirects on the same host, and return the open answer. Both must be closed.

    Raises DownloadError, and what the sockets raise.
    """
    asked = url
    for _ in range(patience.redirects + 1):
        connection = _connect(url, patience, tls)
        try:
            response = _ask(connection, url, headers, patience)
        except BaseException:
            connection.close()
            raise
        if response.status not in _REDIRECTS:
            return connection, response
        connection.close()
        url = _redirected(url, response)
    raise DownloadError(f"{shown(asked)}: more than {patience.redirects} redirects")


@contextmanager
def in_words(url: str, patience: Patience) -> Iterator[None]:
    """Turn what sockets, TLS and HTTP raise while ``url`` is fetched into DownloadError."""
    try:
        yield
    except TimeoutError as error:
        raise DownloadError(f"{shown(url)}: nothing came for {patience.timeout_s:g} s", retryable=True) from error
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        raise DownloadError(f"{shown(url)}: the server's certificate is not trusted: {why}") from error
    except socket.gaierror as error:
        raise DownloadError(f"{shown(url)}: the host name is not known", retryable=True) from error
    except (http.client.InvalidURL, UnicodeError) as error:
        raise DownloadError(f"{shown(url)}: not a URL that can be fetched") from error
    except (http.client.HTTPException, OSError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise DownloadError(f"{shown(url)}: the connection broke ({why})", retryable=True) from error


def patiently(step: Callable[[], _T], patience: Patience, sleep: Callable[[float], None] = time.sleep) -> _T:
    """Return what ``step`` returns; while its DownloadError may go away it is tried again, after longer and longer."""
    pause = patience.first_pause_s
    for _ in range(1, patience.tries):
        try:
            return step()
        except DownloadError as error:
            if not error.retryable:
                raise
        sleep(min(pause, patience.longest_pause_s))
        pause *= 2
    return step()


def refusal(where: str, response: http.client.HTTPResponse) -> DownloadError:
    """Return the error that an answer's status and body (S3's XML) amount to."""
    status = response.status
    text = response.read(_ERROR_BODY).decode("utf-8", "replace")
    said = ": ".join(value for _, value in _XML_FIELD.findall(text))
    said = "".join(c for c in said or response.reason[:80] if c.isprintable())
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


def shown(url: str) -> str:
    """Return ``url`` as it may appear in a message: without query, fragment, user and password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an unreadable URL"
    text = f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    return "".join(c if c.isprintable() else "?" for c in text[:300])


def _connect(url: str, patience: Patience, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    where = shown(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DownloadError("an artifact's URL cannot be read") from error
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise DownloadError(f"{where}: not a URL that can be fetched")
    if parts.scheme not in ("http", "https") or not host:
        raise DownloadError(f"{where}: only http and https URLs are fetched")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=patience.timeout_s)
    context = tls or ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=patience.timeout_s, context=context)


def _ask(
    connection: http.client.HTTPConnection, url: str, headers: Mapping[str, str], patience: Patience
) -> http.client.HTTPResponse:
    """Send the request and wait for the answer's header, at most twice the time limit of a read."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.connect()
    wire = connection.sock
    watchdog = threading.Timer(2 * patience.timeout_s, _hang_up, (wire,))
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("GET", target, headers={"Accept-Encoding": "identity", "Connection": "close", **headers})
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
