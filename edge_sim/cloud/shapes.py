"""Requests into parameters and results into answers, as a botocore shape says. Nothing here knows a service.

Wording of complaints: the validation texts of AWS's own services ("Value null at 'status' failed to satisfy constraint:
Member must not be null", aws-iot-device-sdk-cpp-v2#95); which text Greengrass used is not known. Unknown keys are
refused: what AWS did with them is not known, and dropping them would make a misspelt key look accepted.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from botocore.utils import parse_timestamp

Shape = Any
"""A ``botocore.model.Shape``; botocore has no type annotations."""
_PROPERTY = re.compile(r"\\p\{([A-Za-z]+)\}")


class Reader:
    """Turns JSON values and strings into what a handler gets, and collects every complaint on the way.

    ``lenient`` names shapes whose enum or required members are not looked at here: AWS let them pass at this call
    and refused them later, or with a text of its own.
    """

    def __init__(self, lenient: frozenset[str] = frozenset()) -> None:
        self.problems: list[str] = []
        self._lenient = lenient

    def complain(self, path: str, value: Any, constraint: str) -> None:
        text = "null" if value is None else f"'{str(value)[:80]}'"
        self.problems.append(f"Value {text} at '{path}' failed to satisfy constraint: {constraint}")

    def value(self, shape: Shape, value: Any, path: str) -> Any:
        """Return ``value`` as the shape wants it; a complaint is noted when it does not fit."""
        return _READERS[shape.type_name](self, shape, value, path)

    def text(self, shape: Shape, value: str, path: str) -> Any:
        """Return the value of a string from a path, query or header."""
        if shape.type_name in ("integer", "long") and re.fullmatch(r"-?[0-9]{1,16}", value):
            return self.value(shape, int(value), path)
        if shape.type_name == "boolean" and value in ("true", "false"):
            return value == "true"
        return self.value(shape, value, path)

    def structure(self, shape: Shape, value: Any, path: str) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            self.complain(path or "body", value, "Member must be an object")
            return None
        names = {body_name(name, member): name for name, member in shape.members.items()}
        members: dict[str, Any] = {}
        for key, item in value.items():
            below = f"{path}.{key}" if path else key
            if key not in names:
                self.complain(below, item, f"Member must be one of: {', '.join(sorted(names))}")
            elif item is not None:
                members[names[key]] = self.value(shape.members[names[key]], item, below)
        self.required(shape, members, path)
        return members

    def required(self, shape: Shape, members: Mapping[str, Any], path: str) -> None:
        for name in shape.required_members:
            if name not in members and shape.name not in self._lenient:
                key = body_name(name, shape.members[name])
                self.complain(f"{path}.{key}" if path else key, None, "Member must not be null")

    def list(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            return self.complain(path, value, "Member must be a list")
        self.length(shape, value, path)
        return [self.value(shape.member, item, f"{path}[{at}]") for at, item in enumerate(value)]

    def map(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return self.complain(path, value, "Member must be an object")
        self.length(shape, value, path)
        return {
            self.value(shape.key, key, f"{path} (key)"): self.value(shape.value, item, f"{path}.{key}")
            for key, item in value.items()
        }

    def string(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, str):
            return self.complain(path, value, "Member must be a string")
        if shape.enum and shape.name not in self._lenient and value not in shape.enum:
            self.complain(path, value, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        pattern = _pattern(shape.metadata.get("pattern"))
        if pattern and not pattern.fullmatch(value):
            constraint = f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}"
            self.complain(path, value, constraint)
        self.length(shape, value, path)
        return value

    def integer(self, shape: Shape, value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return self.complain(path, value, "Member must be an integer")
        return self.range(shape, value, path)

    def double(self, shape: Shape, value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.complain(path, value, "Member must be a number")
        return self.range(shape, value, path)

    def boolean(self, shape: Shape, value: Any, path: str) -> Any:
        return value if isinstance(value, bool) else self.complain(path, value, "Member must be true or false")

    def timestamp(self, shape: Shape, value: Any, path: str) -> Any:
        try:
            if isinstance(value, bool):
                raise ValueError
            return parse_timestamp(value)
        except (ValueError, OverflowError, TypeError, RuntimeError):
            return self.complain(path, value, "Member must be a timestamp")

    def blob(self, shape: Shape, value: Any, path: str) -> Any:
        try:
            return base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            return self.complain(path, value, "Member must be base64")

    def range(self, shape: Shape, value: float, path: str) -> float:
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if low is not None and value < low:
            self.complain(path, value, f"Member must have value greater than or equal to {low}")
        if high is not None and value > high:
            self.complain(path, value, f"Member must have value less than or equal to {high}")
        return value

    def length(self, shape: Shape, value: Sequence[Any] | Mapping[str, Any], path: str) -> None:
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if low is not None and len(value) < low:
            self.complain(path, value, f"Member must have length greater than or equal to {low}")
        if high is not None and len(value) > high:
            self.complain(path, value, f"Member must have length less than or equal to {high}")


_READERS: dict[str, Callable[[Reader, Shape, Any, str], Any]] = {
    "structure": Reader.structure,
    "list": Reader.list,
    "map": Reader.map,
    "string": Reader.string,
    "integer": Reader.integer,
    "long": Reader.integer,
    "double": Reader.double,
    "float": Reader.double,
    "boolean": Reader.boolean,
    "timestamp": Reader.timestamp,
    "blob": Reader.blob,
}


@cache
def _pattern(text: str | None) -> re.Pattern[str] | None:
    """Return a model's pattern, written for Java, as one of Python's."""
    if text is None:
        return None
    return re.compile(_PROPERTY.sub(lambda match: _property(match[1]), text))


def _property(name: str) -> str:
    """Return the inside of a character class for Java's ``\\p{name}``; the names of POSIX mean ASCII there."""
    posix = {"Cntrl": r"\x00-\x1f\x7f", "Digit": "0-9", "Graph": r"\x21-\x7e", "Upper": "A-Z"}
    return posix.get(name) or _categories()[name]


@cache
def _categories() -> dict[str, str]:
    """Return, for the first letter of each of Unicode's general categories, the inside of a class with all of it."""
    ranges: dict[str, list[str]] = {}
    first = 0
    for letter, run in groupby(map(unicodedata.category, map(chr, range(sys.maxunicode + 1))), itemgetter(0)):
        beyond = first + sum(1 for _ in run)
        ranges.setdefault(letter, []).append(f"\\U{first:08x}-\\U{beyond - 1:08x}")
        first = beyond
    return {letter: "".join(characters) for letter, characters in ranges.items()}


def body_name(name: str, shape: Shape) -> str:
    """Return the name a member has outside: its ``locationName``, or its own."""
    member: str = shape.serialization.get("name", name)
    return member


def to_json(shape: Shape, value: Any) -> Any:
    """Return a result as JSON: members by their ``locationName``, times in epoch seconds, absent ones left out.

    A key that the shape does not have is a bug in the handler and raises KeyError.
    """
    if shape.type_name == "structure":
        members = {name: shape.members[name] for name in value}
        return {
            body_name(name, member): to_json(member, value[name])
            for name, member in members.items()
            if value[name] is not None and member.serialization.get("location") is None
        }
    if shape.type_name == "list":
        return [to_json(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: to_json(shape.value, item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.timestamp()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def dump(value: Any) -> bytes:
    """Return JSON as UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
