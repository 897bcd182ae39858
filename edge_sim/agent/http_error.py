"""What goes wrong with an HTTP exchange, in words: which server, without the query that is a key, and why."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from edge_sim.agent.tls import distrust
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.printing import printable


class HttpError(EdgeSimError):
    """An exchange failed. ``status`` is the HTTP status, if there was one; ``retryable``: may go away by itself.

    ``retry_after_s``: how long the server wants to be left alone. ``machine``: this machine is at fault, a full disk.
    """

    exit_status = 3

    def __init__(
        self,
        brief: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        hint: str | None = None,
        retry_after_s: float = 0.0,
        machine: bool = False,
    ) -> None:
        super().__init__(brief, hint=hint)
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.machine = machine
        if machine:
            self.exit_status = UnsupportedEnvironmentError.exit_status


class UnreachableError(HttpError):
    """There is no connection to the server: the network, its name or the server itself is not there now."""


def shown(url: str) -> str:
    """Return ``url`` as it may appear in a message: without query, fragment, user and password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an unreadable URL"
    text = f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    return printable(text[:300])


@contextmanager
def in_words(url: str, silence_s: float) -> Iterator[None]:
    """Turn what sockets, TLS and HTTP raise while ``url`` is fetched into HttpError."""
    try:
        yield
    except TimeoutError as error:
        raise HttpError(f"{shown(url)}: no data for {silence_s:g} s", retryable=True) from error
    except ssl.SSLCertVerificationError as error:
        why = distrust(error)
        raise HttpError(f"{shown(url)}: the server's certificate is not trusted: {why}") from error
    except socket.gaierror as error:
        raise HttpError(f"{shown(url)}: the host name is not known", retryable=True) from error
    except (http.client.InvalidURL, UnicodeError) as error:
        raise HttpError(f"{shown(url)}: not a URL that can be fetched") from error
    except (http.client.HTTPException, OSError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise HttpError(f"{shown(url)}: the connection was lost ({why})", retryable=True) from error
