"""One JSON object from another program, read member by member: each value has the type that was asked for.

What is not as it must be is a ValueError that names the member. ``greengrass.objectreader`` is for definitions that
people write: it collects all faults instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

_T = TypeVar("_T")
_KINDS: Mapping[type, str] = {str: "a string", int: "a whole number", bool: "true or false", list: "a list"}


class JsonObject:
    """A JSON object; ``name`` is what it is called in an error, such as ``access[0]``."""

    def __init__(self, value: object, name: str = "the answer") -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{name} must be an object")
        self._name = name
        self._members: Mapping[str, object] = value

    @classmethod
    def parse(cls, text: str, name: str = "the answer") -> JsonObject:
        """Return the object in a JSON text."""
        return cls(json.loads(text), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def get(self, key: str) -> object:
        """Return a member as it is, None where it is absent."""
        return self._members.get(key)

    def text(self, key: str) -> str:
        return self._typed(key, str)

    def number(self, key: str) -> int:
        return self._typed(key, int)

    def flag(self, key: str) -> bool:
        return self._typed(key, bool)

    def text_or_none(self, key: str) -> str | None:
        return None if self.get(key) is None else self.text(key)

    def flag_or_none(self, key: str) -> bool | None:
        return None if self.get(key) is None else self.flag(key)

    def word(self, key: str, allowed: tuple[_T, ...]) -> _T:
        """Return a member that is one of the words ``allowed``."""
        match = next((word for word in allowed if word == self.get(key)), None)
        if match is None:
            raise ValueError(f"{self._name}.{key} must be one of {', '.join(map(str, allowed))}")
        return match

    def texts(self, key: str) -> tuple[str, ...]:
        return self._list(key, str)

    def numbers(self, key: str) -> tuple[int, ...]:
        return self._list(key, int)

    def mapping(self, key: str) -> Mapping[str, object]:
        """Return an object whose members are anybody's guess; an absent one is empty."""
        value = self.get(key)
        return {} if value is None else self.child(key)._members

    def child(self, key: str) -> JsonObject:
        return JsonObject(self.get(key), f"{self._name}.{key}")

    def children(self, key: str, read: Callable[[JsonObject], _T]) -> tuple[_T, ...]:
        """Return what ``read`` makes of each object of a list."""
        items = self._typed(key, list)
        return tuple(read(JsonObject(item, f"{self._name}.{key}[{at}]")) for at, item in enumerate(items))

    def _list(self, key: str, kind: type[_T]) -> tuple[_T, ...]:
        items = self._typed(key, list)
        if not all(_is(item, kind) for item in items):
            raise ValueError(f"{self._name}.{key}: each item must be {_KINDS[kind]}")
        return tuple(items)

    def _typed(self, key: str, kind: type[_T]) -> _T:
        value = self.get(key)
        if not _is(value, kind):
            raise ValueError(f"{self._name}.{key} must be {_KINDS[kind]}")
        return value  # type: ignore[return-value]


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
