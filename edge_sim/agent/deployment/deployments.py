"""One deployment on the core: fetch its document, have it carried out, tell the cloud how it went.

The document comes from a presigned URL and the status goes to another one (both simulator-defined, as the payload
that brings them). What a deployment does to the board is not known here: a callable does it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edge_sim import strictjson
from edge_sim.agent.events import Emit, LogFile, Progress
from edge_sim.agent.http import HttpClient
from edge_sim.agent.http_error import UnreachableError
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, InvalidPackageError, UnsupportedEnvironmentError
from edge_sim.greengrass.deployment import Status

Deploy = Callable[[Mapping[str, Any], HttpClient, Progress], Sequence[str]]
"""Carries out a deployment document, whose URLs it fetches with the client, and returns what could not be proven.

Raises EdgeSimError when it fails.
"""

PROGRESS_S = 10.0
"""The least time between two events that say what a deployment is doing."""

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024
"""Of the answer to a status."""
MAX_TEXT = 2000
"""Characters of an error text that goes to the cloud (ours)."""
MAX_NOT_PROVEN = 100

Cause = Literal["package", "environment"]


@dataclass(frozen=True, kw_only=True)
class DeploymentOutcome:
    """How a deployment ended: with an ``error`` (and a ``hint`` what to do), or well, with what is ``not_proven``.

    ``cause`` is ``package`` where the content of a package is at fault, of which a definition says nothing, and
    ``environment`` where it is this board: a full disk, no right to set owners.
    """

    error: str | None = None
    hint: str | None = None
    cause: Cause | None = None
    not_proven: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
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
        self,
        deploy: Deploy,
        http: HttpClient,
        *,
        emit: Emit,
        log: LogFile,
        stop: threading.Event,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deploy = deploy
        self._http = http
        self._emit = emit
        self._log = log
        self._stop = stop
        self._now = now
        self._begun = ""
        self._last: tuple[str, DeploymentOutcome] | None = None

    def carry_out(self, deployment: Mapping[str, Any]) -> None:
        """Carry out what a shadow message brought.

        Raises HttpError when the cloud's server is not there or does not take the status: it is to be asked again.
        """
        try:
            id_, document_url, status_url = (
                str(deployment[key]) for key in ("DeploymentId", "DocumentUrl", "StatusUrl")
            )
        except KeyError as error:
            self._log.write("ERROR", "An incomplete deployment was ignored.", member=str(error))
            return
        if self._last is None or self._last[0] != id_:
            if self._begun != id_:
                self._begun = id_
                self._emit("deployment", id=id_, status="InProgress")
                self._log.write("INFO", "Deployment started.", deploymentId=id_)
            outcome = self._outcome(document_url, self._progress(id_))
            if outcome.error is not None and self._stop.is_set():
                return  # cut off, not failed: the next start carries it out
            self._last = id_, outcome
            self._tell(id_, outcome)
        self._report(status_url, self._last[1])

    def _outcome(self, document_url: str, progress: Progress) -> DeploymentOutcome:
        try:
            document = _decoded(self._http.message("GET", document_url, most=MAX_DOCUMENT_BYTES))
        except UnreachableError:
            raise
        except EdgeSimError as problem:
            return DeploymentOutcome(error=problem.brief, hint=problem.hint, cause=_cause(problem))
        try:
            return DeploymentOutcome(not_proven=tuple(self._deploy(document, self._http, progress)))
        except EdgeSimError as problem:
            return DeploymentOutcome(error=problem.brief, hint=problem.hint, cause=_cause(problem))
        except OSError as problem:
            return DeploymentOutcome(error=f"the deployment cannot be put in place: {problem}", cause="environment")

    def _progress(self, id_: str) -> Progress:
        """Return what passes on a deployment's steps as events: some of them, no step twice, none on a quick board."""
        last, reported = self._now(), ""

        def progress(step: str) -> None:
            nonlocal last, reported
            if step != reported and (now := self._now()) - last >= PROGRESS_S:
                last, reported = now, step
                self._emit("deployment", id=id_, status="InProgress", step=step)

        return progress

    def _tell(self, id_: str, outcome: DeploymentOutcome) -> None:
        self._emit("deployment", id=id_, status=outcome.status, **outcome.as_event())
        more = {"error": outcome.error} if outcome.error else {}
        self._log.write("ERROR" if more else "INFO", f"Deployment: {outcome.status}.", deploymentId=id_, **more)

    def _report(self, url: str, outcome: DeploymentOutcome) -> None:
        self._http.message("PUT", url, json.dumps(outcome.as_status()).encode(), most=MAX_ANSWER_BYTES)


def _cause(problem: EdgeSimError) -> Cause | None:
    if isinstance(problem, InvalidPackageError):
        return "package"
    return "environment" if problem.exit_status == UnsupportedEnvironmentError.exit_status else None


def _decoded(answer: bytes) -> dict[str, Any]:
    try:
        return strictjson.members(answer)
    except ValueError as error:
        raise InvalidDefinitionError(f"the deployment document cannot be read: {error}") from error
