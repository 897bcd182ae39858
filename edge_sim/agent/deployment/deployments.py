"""One deployment on the core: fetch its document, have it carried out, tell the cloud how it went.

The document comes from a presigned URL and the status goes to another one (both simulator-defined, as the payload
that brings them). What a deployment does to the board is not known here: a callable does it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from edge_sim.agent.download import shown
from edge_sim.agent.events import Emit, Log
from edge_sim.agent.mqtt import backoff
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, InvalidPackageError, UnsupportedEnvironmentError

Deploy = Callable[[Mapping[str, Any]], Sequence[str]]
"""Carries out a deployment document and returns what could not be proven; raises EdgeSimError when it fails."""

TIMEOUT_S = 30.0
ATTEMPTS = 5
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_TEXT = 2000
"""Characters of an error text that goes to the cloud (ours)."""
MAX_NOT_PROVEN = 100
_LATER = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a deployment ended: with an ``error`` (and a ``hint`` what to do), or well, with what is ``not_proven``.

    ``cause`` is ``package`` where the content of a package is at fault, of which a definition says nothing.
    """

    error: str | None = None
    hint: str | None = None
    cause: Literal["package"] | None = None
    not_proven: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """``DeploymentStatus``, as the cloud takes it."""
        return "Success" if self.error is None else "Failure"

    def as_event(self) -> dict[str, object]:
        """Return what the agent's event says beside the status."""
        members = {
            "error": self.error,
            "hint": self.hint,
            "cause": self.cause,
            "not_proven": list(self.not_proven),
        }
        return {name: value for name, value in members.items() if value}

    def as_status(self) -> dict[str, object]:
        """Return the body for ``StatusUrl``; ``Hint``, ``Cause`` and ``NotProven`` are not AWS's."""
        members = {
            "ErrorMessage": self.error and self.error[:MAX_TEXT],
            "Hint": self.hint and self.hint[:MAX_TEXT],
            "Cause": self.cause,
            "NotProven": [text[:MAX_TEXT] for text in self.not_proven[:MAX_NOT_PROVEN]],
        }
        return {"DeploymentStatus": self.status, **{name: value for name, value in members.items() if value}}


class Deployments:
    """Carries out deployments one after the other; the same one is carried out once."""

    def __init__(
        self, deploy: Deploy, *, emit: Emit, log: Log, stop: threading.Event, tls: ssl.SSLContext | None = None
    ) -> None:
        self._deploy = deploy
        self._emit = emit
        self._log = log
        self._stop = stop
        self._tls = tls
        self._last: tuple[str, Outcome] | None = None

    def carry_out(self, deployment: Mapping[str, Any]) -> None:
        """Carry out what a shadow message brought. Raises UnsupportedEnvironmentError when the status is not taken."""
        try:
            id_, document_url, status_url = (
                str(deployment[key]) for key in ("DeploymentId", "DocumentUrl", "StatusUrl")
            )
        except KeyError as error:
            self._log.write("ERROR", "A deployment without a member was ignored.", member=str(error))
            return
        if self._last is None or self._last[0] != id_:
            self._emit("deployment", id=id_, status="InProgress")
            self._log.write("INFO", "Deployment started.", deploymentId=id_)
            self._last = id_, self._outcome(document_url)
            self._tell(id_, self._last[1])
        self._report(status_url, self._last[1])

    def _outcome(self, document_url: str) -> Outcome:
        try:
            document = _decoded(self._call("GET", document_url, None))
            return Outcome(not_proven=tuple(self._deploy(document)))
        except EdgeSimError as problem:
            cause: Literal["package"] | None = "package" if isinstance(problem, InvalidPackageError) else None
            return Outcome(error=problem.brief, hint=problem.hint, cause=cause)
        except OSError as problem:
            return Outcome(error=f"the deployment cannot be laid out: {problem}")

    def _tell(self, id_: str, outcome: Outcome) -> None:
        self._emit("deployment", id=id_, status=outcome.status, **outcome.as_event())
        more = {"error": outcome.error} if outcome.error else {}
        self._log.write("ERROR" if more else "INFO", f"Deployment: {outcome.status}.", deploymentId=id_, **more)

    def _report(self, url: str, outcome: Outcome) -> None:
        self._call("PUT", url, json.dumps(outcome.as_status()).encode())

    def _call(self, method: str, url: str, body: bytes | None) -> bytes:
        """Make one request, again a few times when that may help, and return the answer's body."""
        for attempt in range(ATTEMPTS):
            try:
                status, answer = self._once(method, url, body)
            except (OSError, http.client.HTTPException) as error:
                status, answer = 0, (str(error) or type(error).__name__).encode()
            if 200 <= status < 300:
                return answer
            if status and status not in _LATER:
                break
            if attempt + 1 < ATTEMPTS and self._stop.wait(backoff(attempt, most=8)):
                break
        said = f"HTTP {status}" if status else answer.decode(errors="replace")
        hint = "the presigned URL has expired or was altered" if status == 403 else None
        raise UnsupportedEnvironmentError(f"{method} {shown(url)}: {said}", hint=hint)

    def _once(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UnsupportedEnvironmentError(f"{shown(url)}: not an http or https URL")
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(parts.hostname, port, timeout=TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, port, timeout=TIMEOUT_S)
        with closing(connection):
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, f"{parts.path or '/'}?{parts.query}", body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read(MAX_DOCUMENT_BYTES + 1)
        if len(answer) > MAX_DOCUMENT_BYTES:
            raise UnsupportedEnvironmentError(f"{shown(url)}: larger than {MAX_DOCUMENT_BYTES:,} bytes")
        return response.status, answer


def _decoded(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise InvalidDefinitionError("the deployment document is not JSON") from error
    if not isinstance(document, dict):
        raise InvalidDefinitionError("the deployment document is not a JSON object")
    return document
