"""JSON that another program wrote, read strictly: what devices, clients, functions, the cloud and users send.

What Python's reader lets pass and other readers do not (NaN, duplicate keys, huge numbers, lone surrogates) is refused,
so that two readers of one body can never disagree about it. The limits are ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import NoReturn

MAX_DEPTH, MAX_FREE_DEPTH = 32, 200
MAX_INTEGER = 2**53
"""Integers beyond this are not the same in every JSON reader."""
MAX_DIGITS = 300
"""Of an integer that need not be the same in every reader: about as many as the largest float has."""


class NotJsonError(ValueError):
    """What cannot be read as JSON at all."""


def members(data: bytes, *, max_bytes: int | None = None) -> dict[str, object]:
    """Return the members of the object in a text. Raises ValueError: what ``loads`` raises, and for another value."""
    value = loads(data, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def loads(data: bytes, *, max_bytes: int | None = None, exact: bool = True) -> object:
    """Return the value of a UTF-8 JSON text of at most ``max_bytes``.

    ``exact=False`` takes larger integers and up to MAX_FREE_DEPTH levels: functions exchange them, reports hold them.

    Raises ValueError, which says in a few words what is wrong with it; NotJsonError where no reader would take it.
    """
    most = MAX_DEPTH if exact else MAX_FREE_DEPTH
    if max_bytes is not None and len(data) > max_bytes:
        raise ValueError(f"longer than {max_bytes} bytes")
    try:
        text = data.decode("utf-8", errors="strict")
        if text.startswith("\ufeff"):
            raise NotJsonError("not JSON: it begins with a byte order mark")
        value = (_EXACT if exact else _LONG).decode(text)
    except UnicodeDecodeError as error:
        raise NotJsonError("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise NotJsonError(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise NotJsonError(_too_deep(most)) from error
    _check(value, most)
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    known: dict[str, object] = {}
    for key, value in pairs:
        if key in known:
            raise ValueError(f"the key {json.dumps(key)} is repeated")
        known[key] = value
    return known


def _refuse_constant(text: str) -> NoReturn:
    raise NotJsonError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _exact(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise ValueError("an integer is beyond 2^53")
    return int(text)


def _long(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return int(text)


def _decoder(whole: Callable[[str], int]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=whole
    )


_EXACT, _LONG = _decoder(_exact), _decoder(_long)


def _check(value: object, most: int) -> None:
    """Depth and surrogates, without recursion."""
    level = [value]
    for _ in range(most + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                below.extend(item.keys())
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise ValueError(_too_deep(most))


def _too_deep(most: int) -> str:
    return f"nested deeper than {most} levels"


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a string holds half of a surrogate pair") from error
