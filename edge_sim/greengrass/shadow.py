"""The device shadow service's rules: what a get, update or delete makes of a thing's shadow document.

Pure; from the AWS IoT developer guide (device-shadow-document, -error-messages), which V1's local shadow followed.
A document is ``{"state": {"desired", "reported"}, "metadata", "version", "timestamp"}``; versions go on after a delete.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_sim import strictjson

MAX_DOCUMENT_BYTES = 8 * 1024
MAX_DEPTH = 8
_SECTIONS = ("desired", "reported")
_KEYS = frozenset({"state", "version", "clientToken"})

Document = dict[str, Any]


class ShadowError(Exception):
    """A request is rejected: ``body`` is what the requester gets."""

    def __init__(self, code: int, message: str, token: str | None = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message, **({"clientToken": token} if token else {})}


@dataclass(frozen=True, kw_only=True)
class ShadowResult:
    """``answer`` goes to the requester, ``messages`` are published below the shadow's topic, by the topic's end."""

    document: Document
    answer: Document
    messages: Mapping[str, Document] = field(default_factory=dict)


def get(thing: str, document: Document | None) -> Document:
    """Return a shadow as GetThingShadow answers it, with the delta. Raises ShadowError 404."""
    if document is None or "state" not in document:
        raise ShadowError(404, f"No shadow exists with name: '{thing}'")
    answer = copy.deepcopy(document)
    difference = delta(document["state"])
    if difference:
        answer["state"]["delta"] = difference
    return answer


def update(document: Document | None, payload: bytes, now: int) -> ShadowResult:
    """Carry out an update at ``now`` (epoch seconds). Raises ShadowError: 400, 409, 413."""
    request = _request(payload)
    token = request.get("clientToken")
    before = document or {"version": 0}
    version = int(before["version"])
    if request.get("version") not in (None, version):
        raise ShadowError(409, "Version conflict", token)
    state, stamps = (copy.deepcopy(before.get(key, {})) for key in ("state", "metadata"))
    sent_stamps: Document = {}
    for section, value in request["state"].items():
        if value is None:
            state.pop(section, None)
            stamps.pop(section, None)
            continue
        state[section] = _merged(state.get(section, {}), value)
        sent_stamps[section] = _stamps(value, now)
        stamps[section] = _merged(stamps.get(section, {}), sent_stamps[section], emptied=value)
    after: Document = {"state": state, "metadata": stamps, "version": version + 1, "timestamp": now}
    if len(json.dumps(state)) > MAX_DOCUMENT_BYTES:
        raise ShadowError(413, "The payload exceeds the maximum size allowed", token)
    echo = {"clientToken": token} if token else {}
    answer = {"state": request["state"], "metadata": sent_stamps, "version": version + 1, "timestamp": now, **echo}
    return ShadowResult(document=after, answer=answer, messages=_messages(before, after, answer, echo))


def delete(thing: str, document: Document | None, now: int) -> ShadowResult:
    """Delete a shadow; only its version is remembered. Raises ShadowError 404."""
    get(thing, document)
    assert document is not None  # noqa: S101 - get refuses None
    answer = {"version": document["version"], "timestamp": now}
    return ShadowResult(document={"version": document["version"]}, answer=answer, messages={"delete/accepted": answer})


def delta(state: Mapping[str, object]) -> Document:
    """Return what is desired and not reported."""
    return _difference(state.get("desired", {}), state.get("reported", {}))


def _messages(before: Document, after: Document, answer: Document, echo: Document) -> dict[str, Document]:
    messages = {"update/accepted": answer}
    difference = delta(after["state"])
    if difference:
        head = {key: after[key] for key in ("version", "timestamp")}
        stamps = _picked(after["metadata"].get("desired", {}), difference)
        messages["update/delta"] = {**head, "state": difference, "metadata": stamps, **echo}
    current = {key: after[key] for key in ("state", "metadata", "version")}
    previous = {key: before[key] for key in ("state", "metadata", "version") if key in before}
    messages["update/documents"] = {"previous": previous, "current": current, "timestamp": after["timestamp"], **echo}
    return messages


def _request(payload: bytes) -> Document:
    if len(payload) > MAX_DOCUMENT_BYTES * 2:
        raise ShadowError(413, "The payload exceeds the maximum size allowed")
    try:
        request = strictjson.loads(payload, exact=False)
    except strictjson.NotJsonError:
        raise ShadowError(400, "Invalid JSON") from None
    except ValueError as error:
        raise ShadowError(400, f"Invalid JSON: {error}") from None
    if not isinstance(request, dict):
        raise ShadowError(400, "Invalid JSON")
    token = request.get("clientToken")
    if token is not None and (not isinstance(token, str) or len(token) > 64):
        raise ShadowError(400, "Invalid clientToken")
    version = request.get("version")
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise ShadowError(400, "Invalid version", token)
    _check_state(request, token)
    return request


def _check_state(request: Document, token: str | None) -> None:
    if "state" not in request:
        raise ShadowError(400, "Missing required node: state", token)
    state = request["state"]
    if not isinstance(state, dict):
        raise ShadowError(400, "State node must be an object", token)
    for section, value in state.items():
        if section not in _SECTIONS:
            raise ShadowError(400, f"State contains an invalid node: '{section}'", token)
        if value is not None and not isinstance(value, dict):
            raise ShadowError(400, f"{section.capitalize()} node must be an object", token)
        if _depth(value) > MAX_DEPTH:
            raise ShadowError(400, f"JSON contains too many levels of nesting; maximum is {MAX_DEPTH}", token)
    unknown = sorted(request.keys() - _KEYS)
    if unknown:
        raise ShadowError(400, f"Payload contains an invalid node: '{unknown[0]}'", token)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _merged(old: object, new: Document, *, emptied: Document | None = None) -> Document:
    """Return ``old`` with ``new`` laid over it; null removes a key. ``emptied`` names the keys when ``new`` has not."""
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in (emptied or {}).items():
        if value is None:
            merged.pop(key, None)
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = (emptied or {}).get(key)
            merged[key] = _merged(merged.get(key), value, emptied=below if isinstance(below, dict) else None)
        else:
            merged[key] = value
    return merged


def _stamps(value: object, now: int) -> object:
    """Return metadata of the same shape: a timestamp for each value that is set."""
    if isinstance(value, dict):
        return {key: _stamps(item, now) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_stamps(item, now) for item in value]
    return {"timestamp": now}


def _difference(desired: Any, reported: Any) -> Document:
    difference: Document = {}
    for key, value in desired.items():
        other = reported.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            below = _difference(value, other)
            if below:
                difference[key] = below
        elif value != other or key not in reported:
            difference[key] = value
    return difference


def _picked(stamps: Any, keys: Document) -> Document:
    return {
        key: _picked(stamps[key], value) if isinstance(value, dict) and isinstance(stamps[key], dict) else stamps[key]
        for key, value in keys.items()
        if key in stamps
    }
