"""Members that stand where the API has none of that name: where they belong, and the definition as it was meant.

A member in the wrong place, or misspelt, is one error. The rules judge the definition as it was meant, so that no
second error follows from the first.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_sim.definitions.tree import Array, Object, array_like
from edge_sim.greengrass import model

Chain = tuple[str, ...]
"""The names of the members that lead somewhere, from the top of a …DefinitionVersion; lists are left out."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where a member of an unknown name may belong. ``places`` are the nearest members of the very name."""

    places: tuple[Chain, ...]
    near: str | None

    def hint(self, chain: Chain, known: Sequence[str]) -> str:
        """Return the sentence that says so to somebody who wrote the member below ``chain``."""
        if len(self.places) == 1:
            (place,) = self.places
            return f"It belongs in {place[-2]}: {'.'.join(place[_common_length(chain, place) - 1 :] or place)}."
        hints = [f"It belongs in {' or '.join(place[-2] for place in self.places)}."] if self.places else []
        hints += [f"Did you mean {self.near}?"] if self.near else []
        return " ".join(hints) or f"Known: {', '.join(known)}."


def home(shape: model.Shape, chain: Chain, key: str, known: Sequence[str]) -> Home:
    """Return where a member ``key``, found below ``chain`` of a section with this shape, may belong."""
    places = [place for place in _members(shape, ()) if place[-1] == key and _common_length(chain, place)]
    nearest = max((_common_length(chain, place) for place in places), default=0)
    near = next(iter(difflib.get_close_matches(key, list(known), n=1)), None)
    return Home(places=tuple(p for p in places if _common_length(chain, p) == nearest), near=near)


def correction(section: Object, shape: model.Shape) -> Object:
    """Return a copy of a section with every misplaced or misspelt member where, as far as it is known, it belongs."""
    copy = _Correction(shape).copy(section, shape, ())
    assert isinstance(copy, Object)  # noqa: S101 - a copy is of the kind of what it is a copy of
    return copy


def _members(shape: model.Shape, chain: Chain) -> Iterator[Chain]:
    if isinstance(shape, list):
        yield from _members(shape[0], chain)
    elif isinstance(shape, Mapping):
        for key, inner in shape.items():
            yield (*chain, key)
            yield from _members(inner, (*chain, key))


def _common_length(first: Chain, second: Chain) -> int:
    """Return how many members two chains have in common."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


class _Correction:
    """Copies a section. ``above`` are the objects around the one that is copied, each beside its original."""

    def __init__(self, shape: model.Shape) -> None:
        self._shape = shape
        self._above: list[tuple[Object, Object]] = []

    def copy(self, value: object, shape: model.Shape, chain: Chain) -> object:
        if isinstance(value, Array) and isinstance(shape, list):
            return array_like(value, {index: self.copy(item, shape[0], chain) for index, item in enumerate(value)})
        if not isinstance(value, Object) or not isinstance(shape, Mapping):
            return value
        copy = Object(value.file, value.at)
        self._above.append((copy, value))
        for key, item in value.items():
            if key in shape:
                copy.add(key, self.copy(item, shape[key], (*chain, key)), value.marks[key])
        for key, item in value.items():
            if key not in shape:
                self._put(key, item, value.marks[key], home(self._shape, chain, key, list(shape)), chain)
        self._above.pop()
        return copy

    def _put(self, key: str, item: object, mark: int, where: Home, chain: Chain) -> None:
        """Put a member of an unknown name where it belongs, unless there is one already; else leave it out."""
        if len(where.places) == 1:
            (place,) = where.places
        elif where.near and not where.places:
            place = (*chain, where.near)
        else:
            return
        depth = _common_length(chain, place[:-1])
        holder, original = self._above[depth]
        shape = _at(self._shape, place[:depth])
        for name in place[depth:-1]:
            shape = shape[name]
            if not isinstance(shape, Mapping):
                return
            inner = holder.get(name)
            if inner is None:
                inner = Object(holder.file, mark)
                holder.add(name, inner, mark)
            if not isinstance(inner, Object):
                return
            holder = original = inner
        if place[-1] not in holder and place[-1] not in original:
            holder.add(place[-1], self.copy(item, _at(self._shape, place), place), mark)


def _at(shape: model.Shape, chain: Chain) -> model.Shape:
    """Return the shape to which a chain leads, inside the lists on the way."""
    for name in chain:
        shape = shape[name]
        while isinstance(shape, list) and isinstance(shape[0], Mapping):
            shape = shape[0]
    return shape
