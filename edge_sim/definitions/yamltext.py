"""YAML → ``Object`` and ``Array``, from the parser's events: without recursion and with every value's place.

Anchors, aliases and merge keys are taken, within the limits on depth and number of values. A short tag of
CloudFormation becomes its long form: ``!Ref x`` → ``{"Ref": "x"}``. What an unquoted word means: ``yamlwords``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from edge_sim.definitions.tree import MAX_DEPTH, MAX_VALUES, Array, Object, TextFile
from edge_sim.definitions.yamlwords import unquoted
from edge_sim.errors import InvalidDefinitionError
from edge_sim.yamlparsers import OwnLoader, fault, libyaml_reads

_CORE = "tag:yaml.org,2002:"
_ODD_COLLECTIONS = (f"{_CORE}set", f"{_CORE}omap", f"{_CORE}pairs")


def read_yaml(file: TextFile) -> Any:
    """Return the value of a YAML text; faults are left in ``file``. Raises InvalidDefinitionError with the place."""
    odd = yaml.reader.Reader.NON_PRINTABLE.search(file.text)
    if odd:
        file.fail(odd.start(), f"not valid YAML: the character {odd[0]!r} is not allowed")
    if libyaml_reads(file.text):
        try:
            return _built(file, yaml.CSafeLoader)
        except InvalidDefinitionError:
            file.faults.clear()
    return _built(file, OwnLoader)


def _built(file: TextFile, parser: Any) -> Any:
    builder = _Builder(file)
    try:
        for event in yaml.parse(file.text, Loader=parser):
            builder.take(event)
    except yaml.YAMLError as error:
        problem, mark, hint = fault(error)
        file.fail(min(mark.index, len(file.text)) if mark else 0, problem, hint=hint)
    if not builder.top:
        file.fail(0, "the file is empty")
    return builder.top[0]


def scalar_spans(file: TextFile) -> Iterator[tuple[int, int]]:
    """Yield start and end of every scalar, so that a comment can be told from a ``#`` inside a text."""
    for event in yaml.parse(file.text, Loader=OwnLoader):
        if isinstance(event, yaml.ScalarEvent) and event.start_mark and event.end_mark:
            yield event.start_mark.index, event.end_mark.index


@dataclass(kw_only=True)
class _Open:
    """A collection whose end has not come. ``key`` is the member that the next value belongs to.

    ``size`` and ``height`` count the values and the levels in it, aliases included. ``merging``: the key is YAML's
    ``<<``, which a quoted one is not.
    """

    value: Object | Array
    anchor: str | None
    wrap: str | None
    at: int
    size: int = 1
    height: int = 1
    key: str | None = None
    key_at: int = 0
    merging: bool = False
    merges: list[Any] = field(default_factory=list)


class _Builder:
    """Takes events one by one; ``top`` has the document's value in the end."""

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.top = Array(file, 0)
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        self.count = 0

    def take(self, event: Any) -> None:
        at = event.start_mark.index
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, at)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.file.fail(at, f"not valid YAML: the alias *{event.anchor} has no anchor before it")
            value, size, height = self.anchors[event.anchor]
            self.count += size
            self._put(value, at, size, height)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, at)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, yaml.DocumentStartEvent) and self.top:
            self.file.fail(at, "a second document starts here; one file holds one document")

    def _start(self, event: Any, at: int) -> None:
        if self._expects_key():
            self.file.fail(at, "a key must be a single word")
        if event.tag in _ODD_COLLECTIONS:
            self.file.fail(at, f"a value of type !!{event.tag.removeprefix(_CORE)} is not supported here")
        holder = Object(self.file, at) if isinstance(event, yaml.MappingStartEvent) else Array(self.file, at)
        if len(self.open) >= MAX_DEPTH:
            self.file.fail(at, f"nested deeper than {MAX_DEPTH} levels")
        self.open.append(_Open(value=holder, anchor=event.anchor, wrap=self._intrinsic(event.tag, at), at=at))

    def _end(self) -> None:
        inner = self.open.pop()
        if isinstance(inner.value, Object):
            for merged in inner.merges:
                self._merge(inner.value, merged)
        value: Any = self._wrapped(inner.value, inner.wrap, inner.at)
        if inner.anchor:
            self.anchors[inner.anchor] = (value, inner.size, inner.height)
        self._put(value, inner.at, inner.size, inner.height)

    def _scalar(self, event: Any, at: int) -> None:
        if self._expects_key() and not event.anchor:
            self._key(event.value, at, plain=event.implicit[0])
            return
        wrap = self._intrinsic(event.tag, at)
        value = self._wrapped(event.value, wrap, at) if wrap else self._resolve(event, at)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, 0)
        self._put(value, at)

    def _expects_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, Object) and self.open[-1].key is None

    def _key(self, key: str, at: int, *, plain: bool = False) -> None:
        current = self.open[-1]
        current.key, current.key_at, current.merging = key, at, plain and key == "<<"
        holder = current.value
        if key in holder and not current.merging:
            first = self.file.position(holder.marks[key]).line if isinstance(holder, Object) else 0
            problem = f"the key {key!r} is already set in line {first}"
            self.file.note("duplicate-key", problem, at, holder, key)

    def _put(self, value: object, at: int, size: int = 1, height: int = 0) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            self.file.fail(at, f"more than {MAX_VALUES} values")
        if not self.open:
            self.top.add(value, at)
            return
        current = self.open[-1]
        current.size += size
        current.height = max(current.height, height + 1)
        if len(self.open) + height > MAX_DEPTH:
            self.file.fail(at, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(current.value, Array):
            current.value.add(value, at)
        elif current.key is None:
            if not isinstance(value, str):
                self.file.fail(at, "a key must be a single word")
            self._key(value, at)
        elif current.merging:
            current.merges += value if isinstance(value, Array) else [value]
            current.key = None
        else:
            current.value.add(current.key, value, current.key_at)
            current.key = None

    def _merge(self, into: Object, merged: object) -> None:
        if not isinstance(merged, Object):
            self.file.fail(into.at, "the merge key << takes a mapping or a list of mappings")
        for key, value in merged.items():
            if key not in into:
                into.add(key, value, merged.marks[key])

    def _intrinsic(self, tag: str | None, at: int) -> str | None:
        """Return the long name of CloudFormation's short form, or None for YAML's own tags."""
        if tag is None or tag == "!" or tag.startswith(_CORE):
            return None
        if not re.fullmatch(r"![A-Za-z0-9]+", tag):
            self.file.fail(at, f"the tag {tag} is not known here")
        name = tag[1:]
        return name if name in ("Ref", "Condition") else f"Fn::{name}"

    def _wrapped(self, value: object, wrap: str | None, at: int) -> object:
        if wrap is None:
            return value
        if wrap == "Fn::GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        holder = Object(self.file, at)
        holder.add(wrap, value, at)
        return holder

    def _resolve(self, event: Any, at: int) -> object:
        text: str = event.value
        if event.tag not in (None, "!") and not event.implicit[0]:
            kind = event.tag.removeprefix(_CORE)
            if kind == "str":
                return text
            if kind not in ("int", "bool", "null", "float"):
                self.file.fail(at, f"a value of type !!{kind} is not supported here")
        elif event.style or not event.implicit[0]:
            return text
        value, fault = unquoted(text)
        if fault:
            self._fault(*fault, at)
        return value

    def _fault(self, rule: str, message: str, at: int) -> None:
        if not self.open:
            self.file.note(rule, message, at, self.top, 0)
            return
        current = self.open[-1]
        key = len(current.value) if isinstance(current.value, Array) else (current.key or "")
        self.file.note(rule, message, at, current.value, key)
