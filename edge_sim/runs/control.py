"""``/edge-sim/`` of a cloud that runs already: what AWS's API has no call for."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus

from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError


def put(url: str, content: bytes, *, name: str, cafile: str | None, secret: str | None) -> None:
    """Send a file to ``url``; ``name`` is the cloud's, for people.

    ``cafile`` and ``secret`` are those of a cloud with TLS: what it is checked with, and what it asks for. Raises
    InvalidDefinitionError when it is refused, UnsupportedEnvironmentError when nobody answers.
    """
    headers = {"Content-Type": "application/gzip"}
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cafile)))
        headers["Authorization"] = f"Bearer {secret}"
    request = urllib.request.Request(url, data=content, method="PUT", headers=headers)
    try:
        urllib.request.build_opener(*handlers).open(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        full = error.code == HTTPStatus.INSUFFICIENT_STORAGE
        raise (UnsupportedEnvironmentError if full else InvalidDefinitionError)(_message(error)) from error
    except OSError as error:
        raise UnsupportedEnvironmentError(f"{name} does not answer: {error}") from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"{error.url}: HTTP {error.code}"
