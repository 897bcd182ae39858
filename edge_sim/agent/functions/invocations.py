"""One call of a function on its way through the core, and the answer to its caller."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

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
class Outcome:
    """How one call ended: ``result`` when ``ok``, else ``error`` in one sentence, and perhaps a ``hint`` what to do.

    ``log`` is this call's part.
    """

    ok: bool
    result: Any = None
    error: str | None = None
    log: str = ""
    notes: tuple[str, ...] = ()
    hint: str | None = None


def outcome(group: Group, function: Function, invocation: Invocation) -> Outcome:
    """Return how a call that has ended went. Raises UnsupportedEnvironmentError when no process could be made."""
    if not invocation.error:
        result = _result(function, invocation.result)
        return Outcome(ok=True, result=result, log=invocation.log, notes=invocation.notes)
    cause = invocation.cause or json.loads(invocation.result)["errorMessage"]
    error = f"{function.id}: {cause}"
    if invocation.forbidden:
        hint = "Run as root, or where user namespaces with subordinate ids are allowed."
        raise UnsupportedEnvironmentError(error, hint=hint)
    advice = prefix.hint(cause, group, function)
    return Outcome(ok=False, error=error, log=invocation.log, notes=invocation.notes, hint=advice)


def _result(function: Function, payload: bytes) -> Any:
    """Return a result as JSON holds it: of a binary function its text, or base64 where it is none."""
    if function.encoding_type == "json":
        return json.loads(payload or b"null")
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return base64.b64encode(payload).decode("ascii")
