"""One call of a function on its way through the core, and the answer to its caller."""

from __future__ import annotations

import base64
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edge_sim import strictjson
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.greengrass import prefix
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group

FunctionError = Literal["", "Handled", "Unhandled"]
"""V1's ``X-Amz-Function-Error``: the handler raised, or the core found that something is wrong."""


@dataclass(kw_only=True, eq=False)
class Invocation:
    """One call. ``client_context`` is base64 of JSON, handed on as it came."""

    function_id: str
    payload: bytes
    client_context: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    done: threading.Event = field(default_factory=threading.Event)
    result: bytes = b""
    error: FunctionError = ""
    cause: str = ""
    """Why an Unhandled call failed, in one sentence."""
    forbidden: bool = False
    """It failed because this machine or account cannot make such a process."""
    log: str = ""
    notes: tuple[str, ...] = ()

    def end(self, result: bytes, error: FunctionError = "") -> None:
        """Set the outcome of the call; the first one counts."""
        if not self.done.is_set():
            self.result, self.error = result, error
            self.done.set()


@dataclass(frozen=True, kw_only=True)
class InvocationOutcome:
    """How one call ended: ``result`` when ``ok``, else ``error`` in one sentence, and perhaps a ``hint`` what to do.

    ``log`` is this call's part.
    """

    ok: bool
    result: Any = None
    error: str | None = None
    log: str = ""
    notes: tuple[str, ...] = ()
    hint: str | None = None


def outcome(group: Group, function: Function, invocation: Invocation) -> InvocationOutcome:
    """Return how a call that has ended went. Raises UnsupportedEnvironmentError when no process could be made."""
    if not invocation.error:
        result, notes = _result(function, invocation.result)
        return InvocationOutcome(ok=True, result=result, log=invocation.log, notes=(*invocation.notes, *notes))
    cause = invocation.cause or _error_message(invocation.result)
    error = f"{function.id}: {cause}"
    if invocation.forbidden:
        hint = "Run as root, or where user namespaces with subordinate ids are allowed."
        raise UnsupportedEnvironmentError(error, hint=hint)
    advice = prefix.hint(cause, group, function)
    return InvocationOutcome(ok=False, error=error, log=invocation.log, notes=invocation.notes, hint=advice)


def _result(function: Function, payload: bytes) -> tuple[object, Sequence[str]]:
    """Return a result as JSON holds it: of a binary function its text, or base64 where it is none.

    A core hands on whatever a function posts; what is not JSON though it should be is shown as text, with a note.
    """
    notes = []
    if function.encoding_type == "json":
        try:
            return strictjson.loads(payload or b"null", exact=False), ()
        except ValueError as error:
            notes.append(f"function {function.id}: its result is shown as text: {error}")
    try:
        return payload.decode(), notes
    except UnicodeDecodeError:
        return base64.b64encode(payload).decode("ascii"), notes


def _error_message(payload: bytes) -> str:
    """Return what a handler's error says: the ``errorMessage`` that AWS's runtimes post, or what another one posted."""
    try:
        return str(strictjson.members(payload)["errorMessage"])
    except (ValueError, KeyError):
        return payload.decode(errors="replace")
