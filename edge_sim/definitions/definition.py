"""``Definition``: a group as its files say it, with the place of everything in it.

JSON paths (``Finding.path``, ``locate``) are those of the API's …DefinitionVersion objects, whatever the file's form:
``$.Resources[2].ResourceDataContainer…``, ``$.Functions[?Id=reader].FunctionConfiguration``, ``$.DefaultConfig`` and
``$``, which is the group as a whole.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_sim.definitions.tree import Array, Note, Object, member_path
from edge_sim.errors import InvalidDefinitionError, Position, UnknownFactError
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.group import Group
from edge_sim.printing import printable
from edge_sim.report import Finding

_INDEX = re.compile(r"\[(\d{1,9})\]|\[\?([A-Za-z]+)=(.*?)\](?=[.\[]|$)", re.DOTALL)
_ITEM = re.compile(r"(\$\.\w+\[\d+\]).*", re.DOTALL)


Item = tuple[str, str]
"""``resource`` or ``function``, and the Id."""


def in_order(place: Position | None) -> tuple[str, int, int]:
    """Return what findings are sorted by: file, line and column; what stands in no file comes first."""
    return (str(place.file), place.line, place.column) if place else ("", 0, 0)


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """One place at which a rule is silenced: a comment ``# edge-sim: ignore RULE reason``, or an entry of the list.

    ``path`` is a JSON path; ``$`` silences what is said of the group as a whole.
    """

    rule: str
    path: str
    reason: str
    position: Position


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A group read from files.

    ``findings``: what could not be read, or the API would not take. ``notes``: what the files do not say (a
    placeholder, a value only the cloud knew). ``sections`` holds the …DefinitionVersion objects by the bundle's words
    (``core``, ``resources``, …), as they are written. ``digest`` is the SHA-256 of what was read. ``mentions``:
    what the functions' code mentions, as the rules take it (``Case``), where a scenario has the code.
    """

    group: Group
    form: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[Note, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    files: tuple[Path, ...] = ()
    digest: str = ""
    readings: tuple[Group, ...] = field(default=(), repr=False)
    """The group with other values for the members that a template leaves open; ``group`` has none for them."""
    variants: Mapping[str, Definition] = field(default_factory=dict, repr=False)
    """The group as it is where a template's undecided condition is false, by words that say so."""
    name: str = ""
    mentions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sections: Mapping[str, Object] = field(default_factory=dict, repr=False)
    marks: Mapping[str, Position] = field(default_factory=dict, repr=False)
    """Places of findings about what is no longer in ``sections``, such as a doubled key."""
    _located: dict[str, Position | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What ``locate`` has answered: a matrix asks for the same places board by board."""

    @property
    def ambiguities(self) -> tuple[Finding, ...]:
        """The errors for which one reading of the text had to be chosen: a doubled key, NaN, a stray member."""
        return tuple(f for f in self.errors if f.path in self.marks)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What could not be read, so that a rule would draw conclusions from its absence."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def alternatives(self) -> Iterator[Definition]:
        """Yield the definition with each of its other readings as its group."""
        own = self.group
        for reading in self.readings:
            group = replace(reading, core=own.core, arn=own.arn, code=own.code, artifacts=own.artifacts)
            yield replace(self, group=group, readings=())

    def require_values(self) -> None:
        """Raise UnknownFactError where a template leaves a member open on which everything else may depend."""
        unknown = [finding for finding in self.findings if finding.severity == "unknown"]
        if unknown:
            first, *others = unknown
            problem = first.message + (f" (and {len(others)} more)" if others else "")
            raise UnknownFactError(f"{self.locate(first.path) or '-'}: {problem}", hint=first.hint)

    def refuse(self, findings: Iterable[Finding]) -> None:
        """Raise InvalidDefinitionError with all of ``findings``, each with its place; those of the text come first."""
        located = [(self.locate(f.path), f) for f in findings]
        located.sort(key=lambda pair: (pair[1].path not in self.marks, in_order(pair[0])))
        if not located:
            return
        (place, first), *others = located
        details = [f"AWS: {first.aws_text}"] if first.aws_text else []
        details += [printable(f"{where or '-'}: {f.id}: {f.aws_text or f.message}") for where, f in others]
        raise InvalidDefinitionError(
            first.message + (f" (and {len(others)} more)" if others else ""),
            place=place,
            details="\n".join(details) or None,
            hint=first.hint,
        )

    def locate(self, path: str) -> Position | None:
        """Return where a JSON path stands, or its nearest ancestor that is in a file; None when there is no file."""
        if path in self.marks:
            return self.marks[path]
        if path not in self._located:
            *_, (_, _, position) = self._steps(path)
            self._located[path] = position()
        return self._located[path]

    @property
    def places(self) -> dict[Item, Position]:
        """Return where each resource and function is defined, as far as it stands in a file."""
        items = {
            **{("resource", resource.id): resource.path for resource in self.group.resources},
            **{("function", function.id): function.path for function in self.group.functions},
        }
        located = ((item, self.locate(path)) for item, path in items.items())
        return {item: place for item, place in located if place is not None}

    def indexed(self, path: str) -> str:
        """Return a JSON path with ``[?Id=x]`` replaced by the index, as far as it leads anywhere."""
        return self._resolve(path)[0]

    def _resolve(self, path: str) -> tuple[str, str]:
        """Return how far a JSON path leads, and the rest of it that leads nowhere."""
        *_, (known, rest, _) = self._steps(path)
        return known, rest

    def ignore_for(self, finding: Finding) -> Ignored | None:
        """Return the entry that silences a finding: one for its rule at its place, around it, or inside its item.

        What is said of a whole resource or function is silenced anywhere inside that; of the group, only at ``$``.
        """
        entries = [entry for entry in self.ignored if entry.rule == finding.id]
        path, missing = self._resolve(finding.path) if entries else ("", "")
        for entry in entries:
            place, rest = self._resolve(entry.path)
            around = not rest and (within(path, place) or _same_item(path, place))
            if around or (place, rest) == (path, missing):  # what leads nowhere is around nothing
                return entry
        return None

    def _steps(self, path: str) -> Iterator[tuple[str, str, Callable[[], Position | None]]]:
        """Yield the known part of a path, longer and longer, each with the rest and with what tells its position."""
        yield (
            "$",
            path.removeprefix("$"),
            lambda: Position(file=self.files[0]) if self.files else None,
        )
        known, rest, holder = "$", path.removeprefix("$"), self._section(path)
        value: Any = holder
        if holder is not None:
            yield known, rest, holder.position
        while rest:
            step = _step(value, rest)
            if step is None:
                return
            key, rest = step
            known = member_path(known, key)
            yield known, rest, functools.partial(value.position, key)
            value = value[key]

    def _section(self, path: str) -> Object | None:
        match = re.match(r"\$\.(\w+)", path)
        for name, section in self.sections.items():
            if match and (match[1] in FAMILIES[name].shape or match[1] in section):
                return section
        return None


def _step(value: object, rest: str) -> tuple[str | int, str] | None:
    """Return the member that the rest of a path begins with, and the remainder; a key may hold dots and brackets."""
    if isinstance(value, Object):
        keys = [key for key in value if rest.startswith(f".{key}") and rest[len(key) + 1 :][:1] in ("", ".", "[")]
        key = max(keys, key=len, default=None)
        return None if key is None else (key, rest[len(key) + 1 :])
    match = _INDEX.match(rest)
    if not match or not isinstance(value, Array):
        return None
    index = int(match[1]) if match[1] else _find(value, match[2], match[3])
    return (index, rest[match.end() :]) if index is not None and index < len(value) else None


def _find(items: Array, key: str, text: str) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, Object) and str(item.get(key)) == text:
            return index
    return None


def within(path: str, top: str) -> bool:
    """Return whether a JSON path is another, or leads on from it; all lead on from ``$``, which says nothing."""
    return path == top or (path.startswith(top) and top != "$" and path[len(top)] in ".[")


def _same_item(path: str, entry: str) -> bool:
    """Return whether a path is an item of a list at the top (a resource, a function) and the entry is inside it."""
    match = _ITEM.fullmatch(entry)
    return match is not None and match[1] == path
