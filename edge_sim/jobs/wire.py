"""Strict JSON for everything that travels on the jobs topics, and readers for its fields.

A body is one JSON object in UTF-8; no bytes at all mean ``{}`` (AWS's own mosquitto demo does that). What readers of
JSON disagree about is refused (``strictjson``). Numbers may come as strings: AWSIoTPythonSDK and the embedded Jobs
library send them so. Codes are those of AWS IoT Jobs, ``jobs-mqtt-api``, "Error responses".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal

from edge_sim import strictjson
from edge_sim.errors import EdgeSimError

MAX_PAYLOAD = 131072
"""Bytes of one MQTT message on AWS (128 KB)."""

Code = Literal[
    "InvalidTopic",
    "InvalidJson",
    "InvalidRequest",
    "InvalidStateTransition",
    "ResourceNotFound",
    "VersionMismatch",
    "InternalError",
    "RequestThrottled",
    "TerminalStateReached",
]

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_WHOLE = re.compile(r"-?[0-9]{1,16}")


class JobsError(EdgeSimError):
    """A message that cannot be accepted. ``code`` is AWS's word, ``str()`` the message.

    ``state`` (an ``executionState`` object as on the wire) goes with InvalidStateTransition and VersionMismatch only;
    ``client_token`` is the request's, when it could be read.
    """

    exit_status = 5

    def __init__(self, code: Code, message: str, *, state: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.state = state
        self.client_token: str | None = None


def encode(value: Mapping[str, object]) -> bytes:
    """Return ``value`` as compact JSON in ASCII; members that are None are left out (top level only)."""
    present = {key: item for key, item in value.items() if item is not None}
    return _ENCODER.encode(present).encode()


def decode(payload: bytes) -> dict[str, object]:
    """Return the object that ``payload`` holds.

    Raises JobsError: InvalidJson when it is no JSON object in UTF-8, InvalidRequest when it is too large, or JSON that
    readers disagree about (``strictjson``).
    """
    if not payload:
        return {}
    try:
        value = strictjson.loads(payload, max_bytes=MAX_PAYLOAD)
    except strictjson.NotJsonError as error:
        raise JobsError("InvalidJson", "The message is not valid UTF-8-encoded JSON.") from error
    except ValueError as error:
        raise JobsError("InvalidRequest", f"The message cannot be accepted: {error}.") from error
    if not isinstance(value, dict):
        raise JobsError("InvalidJson", "The message is not a JSON object.")
    return value


def text(fields: Mapping[str, object], name: str) -> str | None:
    """Return a string member, or None when it is missing or null."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise JobsError("InvalidRequest", f"Value at '{name}' must be a string.")


def flag(fields: Mapping[str, object], name: str, *, default: bool) -> bool:
    """Return a boolean member, or ``default`` when it is missing or null."""
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise JobsError("InvalidRequest", f"Value at '{name}' must be true or false.")


def whole(fields: Mapping[str, object], name: str) -> int | None:
    """Return a whole number, given as a number or as a string of digits, or None when it is missing or null."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > strictjson.MAX_INTEGER:
        raise JobsError("InvalidRequest", f"Value at '{name}' must be a whole number.")
    return value


def needed_whole(fields: Mapping[str, object], name: str) -> int:
    """Like ``whole``; a missing member is an InvalidRequest."""
    value = whole(fields, name)
    if value is None:
        raise _missing(name)
    return value


def needed_text(fields: Mapping[str, object], name: str) -> str:
    """Like ``text``; a missing member is an InvalidRequest."""
    value = text(fields, name)
    if value is None:
        raise _missing(name)
    return value


def mapping(fields: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    """Return an object member, or None when it is missing or null."""
    value = fields.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise JobsError("InvalidRequest", f"Value at '{name}' must be an object.")


def objects(fields: Mapping[str, object], name: str) -> tuple[Mapping[str, object], ...]:
    """Return a member that is a list of objects; missing means none."""
    value = fields.get(name)
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return tuple(value)
    raise JobsError("InvalidRequest", f"Value at '{name}' must be a list of objects.")


def _missing(name: str) -> JobsError:
    # The wording of a real answer (aws-iot-device-sdk-cpp-v2#95).
    return JobsError("InvalidRequest", f"Value null at '{name}' failed to satisfy constraint: Member must not be null")
