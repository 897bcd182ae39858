"""A file's values with their places: objects and lists that know where each of their members stands.

    TextFile     a file's path and text; turns an offset into line and column
    Object       a JSON object or YAML mapping      a ``dict`` with ``file``, ``at`` and ``marks``
    Array        a JSON list or YAML sequence       a ``list`` with the same
    ParseFault   something wrong that does not stop the reading (a doubled key, NaN)

Readers (``jsontext``, ``yamltext``) make them; what is put together from them (``like``) keeps their places. Depth and
number of values are limited by the readers, so that walking a tree may use recursion.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from edge_sim.errors import InvalidDefinitionError, Position

MAX_DEPTH = 64
MAX_VALUES = 300_000
MAX_FAULTS = 1000


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a file does not say, or what was left out of it; ``place`` is where, if that is one place."""

    message: str
    place: Position | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass(frozen=True, kw_only=True)
class ParseFault:
    """``holder[key]`` is wrong at offset ``at``; reading went on with one value or none."""

    rule: str
    message: str
    at: int
    holder: Object | Array
    key: str | int


@dataclass(kw_only=True, eq=False)
class TextFile:
    """A file that is being read, and the faults found in it so far."""

    path: Path
    text: str
    faults: list[ParseFault] = field(default_factory=list)

    @functools.cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def position(self, at: int) -> Position:
        """Return line and column of an offset."""
        line = bisect.bisect_right(self._lines, at)
        return Position(file=self.path, line=line, column=at - self._lines[line - 1] + 1)

    def note(self, rule: str, message: str, at: int, holder: Object | Array, key: str | int) -> None:
        """Record a fault; raises when there are too many to be one slip of the pen."""
        if len(self.faults) >= MAX_FAULTS:
            self.fail(at, f"more than {MAX_FAULTS} faults like this one: {message}")
        self.faults.append(ParseFault(rule=rule, message=message, at=at, holder=holder, key=key))

    def fail(self, at: int, problem: str, *, hint: str | None = None) -> NoReturn:
        """Raise the error for an offset at which reading cannot go on."""
        raise InvalidDefinitionError(problem, place=self.position(at), hint=hint)


class Object(dict[str, Any]):
    """An object; ``marks`` has the offset of each member's key."""

    __slots__ = ("at", "file", "marks")

    def __init__(self, file: TextFile, at: int) -> None:
        self.file = file
        self.at = at
        self.marks: dict[str, int] = {}

    def add(self, key: str, value: object, at: int) -> None:
        """Set a member and its place."""
        self[key] = value
        self.marks[key] = at

    def position(self, key: str | None = None) -> Position:
        """Return where a member's key stands, or the object itself."""
        return self.file.position(self.at if key is None else self.marks.get(key, self.at))


class Array(list[Any]):
    """A list; ``marks`` has the offset of each item."""

    __slots__ = ("at", "file", "marks")

    def __init__(self, file: TextFile, at: int) -> None:
        self.file = file
        self.at = at
        self.marks: list[int] = []

    def add(self, value: object, at: int) -> None:
        """Append an item and its place."""
        self.append(value)
        self.marks.append(at)

    def position(self, index: int | None = None) -> Position:
        """Return where an item stands, or the list itself."""
        return self.file.position(self.at if index is None else self.marks[index])


def like(origin: Object, members: Mapping[str, object]) -> Object:
    """Return a new object at the place of ``origin``; members of a name that ``origin`` has keep that place."""
    copy = Object(origin.file, origin.at)
    for key, value in members.items():
        copy.add(key, value, origin.marks.get(key, origin.at))
    return copy


def array_like(origin: Array, items: Mapping[int, object]) -> Array:
    """Return a new list at the place of ``origin``, of the items made from those of the given indices."""
    array = Array(origin.file, origin.at)
    for index, item in items.items():
        array.add(item, origin.marks[index])
    return array


def object_at(holder: Object, key: str) -> Object:
    """Return the object in a member, or an empty one where there is none."""
    value = holder.get(key)
    return value if isinstance(value, Object) else Object(holder.file, holder.at)


def plain(value: object) -> Any:
    """Return a value as ordinary dicts and lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def member_path(path: str, key: str | int) -> str:
    """Return the JSON path of a member, as findings have it: ``$.Resources[2].Id``."""
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"


def walk(value: object, path: str = "$") -> Iterator[tuple[str, Object | Array]]:
    """Yield every object and list below a value, with its JSON path, outer ones first."""
    if isinstance(value, Object | Array):
        yield path, value
        members: Iterable[tuple[str | int, object]] = value.items() if isinstance(value, Object) else enumerate(value)
        for key, item in members:
            if isinstance(item, dict | list):
                yield from walk(item, member_path(path, key))
