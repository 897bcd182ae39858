"""Text files written by people: read with a limit, parsed with line and column, walked with a place for each fault.

``read_text`` and ``parse`` serve any JSON or YAML document; ``Place`` is one spot of a YAML file whose readers refuse
what they do not know and say where. Every fault is an InvalidDefinitionError that starts with ``file:line``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from edge_sim.errors import InvalidDefinitionError

MAX_BYTES = 4 * 1024 * 1024
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """YAML as JSON's cousin: dates stay text, and there are no aliases (which can loop, or grow without end)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            events: Any = self  # the stubs leave peek_event untyped
            mark = events.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not taken here", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=True)


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != _TIMESTAMP]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_text(path: Path) -> str:
    """Return a file's text. Raises InvalidDefinitionError when it is missing, empty, binary or over 4 MiB."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InvalidDefinitionError(f"{path}: no such file") from error
    except OSError as error:
        raise InvalidDefinitionError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise InvalidDefinitionError(f"{path}: larger than {MAX_BYTES // 1024 // 1024} MiB; is it a definition?")
    if not raw.strip():
        raise InvalidDefinitionError(f"{path}: the file is empty")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDefinitionError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from error
    if "\0" in text:
        raise InvalidDefinitionError(f"{path}: not a text file (it holds zero bytes)")
    return text


def parse(path: Path) -> dict[str, Any]:
    """Return the object that a JSON or YAML file holds; a file that starts with ``{`` or ``[`` is JSON."""
    text = read_text(path)
    if path.suffix == ".json" or text.lstrip()[:1] in ("{", "["):
        value = _json(path, text)
    else:
        value = _guarded(path, lambda: _plain(_compose(path, text)))
    if not isinstance(value, dict):
        raise InvalidDefinitionError(f"{path}: must hold an object, not {_kind(value)}")
    return value


def _json(path: Path, text: str) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, value in pairs:
            if key in seen:
                raise InvalidDefinitionError(f"{path}: the key {key!r} is there twice in one object")
            seen[key] = value
        return seen

    try:
        value: object = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InvalidDefinitionError(f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # ValueError: a number of more digits than Python takes
        raise InvalidDefinitionError(f"{path}: nested too deeply, or a number is too long") from error
    return value


def _compose(path: Path, text: str) -> yaml.Node:
    def compose() -> yaml.Node | None:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()

    node: yaml.Node | None = _guarded(path, compose)
    if node is None:
        raise InvalidDefinitionError(f"{path}: the file is empty")
    return node


def _guarded(path: Path, step: Callable[[], Any]) -> Any:
    try:
        return step()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InvalidDefinitionError(f"{path}{at}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise InvalidDefinitionError(f"{path}: not valid YAML: {message}") from error
    except (RecursionError, TypeError, ValueError) as error:
        raise InvalidDefinitionError(f"{path}: nested too deeply, or a value that JSON cannot hold") from error


def _plain(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        value = loader.construct_document(node)
        json.dumps(value)  # what JSON cannot hold (a set, bytes) must not come further
        return value
    finally:
        loader.dispose()


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One value of a YAML file, with its file and line; each reader raises InvalidDefinitionError with both."""

    file: Path
    node: yaml.Node

    @classmethod
    def load(cls, path: Path) -> Place:
        """Return the top of a YAML file."""
        return cls(file=path, node=_compose(path, read_text(path)))

    def fail(self, message: str, *, hint: str | None = None) -> NoReturn:
        """Raise the error for this place."""
        raise InvalidDefinitionError(f"{self.file}:{self.node.start_mark.line + 1}: {message}", hint=hint)

    def mapping(self, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Place]:
        """Return the places by key; an unknown, doubled or missing key is an error."""
        required, allowed = tuple(required), (*required, *optional)
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"must be a mapping with the keys {', '.join(allowed)}")
        found: dict[str, Place] = {}
        for key_node, value in self.node.value:
            key, place = str(key_node.value), Place(file=self.file, node=key_node)
            if key not in allowed:
                close = difflib.get_close_matches(key, allowed, 1)
                meant = f"Did you mean {close[0]}? " if close else ""
                place.fail(f"unknown key {key!r}", hint=f"{meant}Allowed here: {', '.join(allowed)}.")
            if key in found:
                place.fail(f"the key {key!r} is there twice")
            found[key] = Place(file=self.file, node=value)
        missing = [key for key in required if key not in found]
        if missing:
            self.fail(f"missing: {', '.join(missing)}", hint=f"Allowed here: {', '.join(allowed)}.")
        return found

    def items(self) -> list[Place]:
        """Return the places of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("must be a list")
        return [Place(file=self.file, node=node) for node in self.node.value]

    def text(self, pattern: str = r"(?s).+", what: str = "text") -> str:
        """Return a scalar as it is written (``1.10`` stays ``1.10``) when it matches ``pattern`` as a whole."""
        node = self.node
        if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
            self.fail(f"must be {what}")
        if not re.fullmatch(pattern, node.value):
            self.fail(f"must be {what}, not {node.value!r}")
        return str(node.value)

    def choice(self, *allowed: str) -> str:
        """Return a scalar that is one of ``allowed``."""
        return self.text("|".join(map(re.escape, allowed)), f"one of {', '.join(allowed)}")

    def flag(self) -> bool:
        """Return true or false."""
        value = self.value()
        if not isinstance(value, bool):
            self.fail("must be true or false")
        return value

    def value(self) -> Any:
        """Return whatever is there, as JSON would hold it."""
        return _guarded(self.file, lambda: _plain(self.node))
