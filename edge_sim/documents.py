"""Text files written by people: read with a limit, walked with a place for each fault.

    read_text   a file's text
    read_bytes  a file's content, for a reader of its own
    Place       one spot of a YAML file: ask it for the keys and values you know, it refuses all others

A group's definitions are read by ``definitions``, which takes more forms and tells all faults at once.

Every fault in a file is an InvalidDefinitionError with its place; the problem starts with ``keys.that[0].lead.there``.
YAML is imported when it is used: the program on the board reads none.
"""

from __future__ import annotations

import codecs
import errno
import functools
import json
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from edge_sim.errors import InvalidDefinitionError, Position, UsageError, file_error

if TYPE_CHECKING:
    import yaml

_DEEPEST = 64
_SPECIAL = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISDIR: "a folder",
}
STDIN = Path("-")
"""Stands for the standard input."""
MAX_BYTES = 4 * 1024 * 1024
_LONGEST = 600
_NULL, _TIMESTAMP = "tag:yaml.org,2002:null", "tag:yaml.org,2002:timestamp"
_UNITS = {"KiB": 1, "MiB": 1024, "GiB": 1024 * 1024}
PATH = r"/|(/(?!\.\.?(/|$))[^/]+)+"
OCTAL_MODE = "0?[0-7]{3,4}"
SIZE = "[0-9]{1,12} ?(KiB|MiB|GiB)"
"""What a path of a board, permission bits and a size look like, as regular expressions."""
_W = TypeVar("_W", bound=str)


def unusable(path: Path, what: str = "file or folder") -> str:
    """Return in words why ``path`` is no file or folder that can be read, for a sentence that begins with its name."""
    try:
        kind = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a symbolic link that leads back to itself"
        if error.errno == errno.ENOENT and path.is_symlink():
            return f"a symbolic link to {path.readlink()}, which does not exist"
        return f"no such {what}" if error.errno in (errno.ENOENT, errno.ENOTDIR) else str(error.strerror)
    for is_kind, name in _SPECIAL.items():
        if is_kind(kind):
            return f"{name}, not a {what}"
    return f"not a {what}"


def read_text(path: Path) -> str:
    """Return the text of a file, or of the standard input.

    Raises UsageError when it cannot be read, InvalidDefinitionError when it is empty, binary or over 4 MiB.
    """
    raw = _start(path, MAX_BYTES + 1)
    place = Position(file=path)
    if len(raw) > MAX_BYTES:
        raise InvalidDefinitionError(f"larger than {MAX_BYTES // 1024 // 1024} MiB; is it a definition?", place=place)
    if not raw.strip():
        raise InvalidDefinitionError("the file is empty", place=place)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = "It is UTF-16, as PowerShell's > writes it: save it as UTF-8." if wide else None
        problem = f"not a text file (byte {error.start} is not UTF-8)"
        raise InvalidDefinitionError(problem, place=place, hint=hint) from error
    if "\0" in text:
        raise InvalidDefinitionError("not a text file (it holds zero bytes)", place=place)
    return text


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file. Raises UsageError when it cannot be read or is larger than ``max_bytes``."""
    raw = _start(path, max_bytes + 1)
    if len(raw) > max_bytes:
        raise UsageError(f"{path}: larger than {max_bytes // 1024 // 1024} MiB")
    return raw


def _start(path: Path, size: int) -> bytes:
    try:
        with nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise file_error(f"{path}: cannot be read: {error.strerror}", error) from error


@dataclass(frozen=True, kw_only=True)
class Place:
    """One value of a YAML file. ``name`` holds the keys that lead to it, and is empty at the top."""

    file: Path
    node: yaml.Node
    name: str = ""

    @property
    def is_mapping(self) -> bool:
        """Whether there are keys and values here."""
        return self._shape == "mapping"

    @property
    def _shape(self) -> str:
        node: Any = self.node  # the stubs leave out what every node has: scalar, sequence or mapping
        return str(node.id)

    @classmethod
    def load(cls, path: Path) -> Place:
        """Return the top of a YAML file."""
        return cls.of(path, read_text(path))

    @classmethod
    def of(cls, path: Path, text: str) -> Place:
        """Return the top of a YAML file that has been read."""
        return cls(file=path, node=_compose(path, text))

    @property
    def position(self) -> Position:
        """Where the value begins."""
        return _position(self.file, self.node.start_mark)

    def fail(
        self, problem: str, *, hint: str | None = None, allowed: Iterable[str] = (), word: str | None = None
    ) -> NoReturn:
        """Raise the error for this place; ``allowed`` is shown, with what is nearest to the word ``word``."""
        import difflib

        words = list(allowed)
        near = difflib.get_close_matches(word, words, n=1) if word else []
        hints = [f"Did you mean {near[0]}?"] if near else []
        hints += [f"Allowed: {', '.join(words)}."] if words else []
        if len(problem) > _LONGEST:  # some value of a megabyte
            problem = f"{problem[: _LONGEST // 2]} … {problem[-_LONGEST // 2 :]}"
        message = f"{self.name}: {problem}" if self.name else problem
        raise InvalidDefinitionError(message, place=self.position, hint=hint or " ".join(hints) or None)

    def mapping(self, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Place]:
        """Return the places by key; an unknown, doubled or missing key is an error."""
        required, allowed = tuple(required), (*required, *optional)
        entries = self.entries(allowed)
        missing = [key for key in required if key not in entries]
        if missing:
            self.fail(f"missing: {', '.join(missing)}", allowed=allowed)
        return entries

    def entries(self, allowed: Collection[str] = ()) -> dict[str, Place]:
        """Return the places by key, where the keys are the writer's own names or some of ``allowed``."""
        if self._shape != "mapping":
            self.fail("must be a mapping of keys to values", allowed=allowed)
        places: dict[str, Place] = {}
        lines: dict[str, int] = {}
        for key_node, value in self.node.value:
            if key_node.id != "scalar":
                replace(self, node=key_node).fail("a key must be a single word")
            key = str(key_node.value)
            name = f"{self.name}.{key}" if self.name else key
            if allowed and key not in allowed:
                replace(self, node=key_node, name=name).fail("unknown key", allowed=allowed, word=key)
            if key in places:
                replace(self, node=key_node, name=name).fail(f"is already set in line {lines[key]}")
            places[key], lines[key] = Place(file=self.file, node=value, name=name), key_node.start_mark.line + 1
        return places

    def items(self) -> list[Place]:
        """Return the places of a list."""
        if self._shape != "sequence":
            self.fail("must be a list")
        return [
            Place(file=self.file, node=node, name=f"{self.name}[{index}]") for index, node in enumerate(self.node.value)
        ]

    def text(self, pattern: str = r"(?s).+", what: str = "text") -> str:
        """Return a scalar as it is written (``1.10`` stays ``1.10``) when it matches ``pattern`` as a whole."""
        if self._shape != "scalar" or self.node.tag == _NULL:
            self.fail(f"must be {what}")
        if not re.fullmatch(pattern, self.node.value):
            self.fail(f"must be {what}, not {self.node.value!r}")
        return str(self.node.value)

    def choice(self, allowed: Iterable[_W]) -> _W:
        """Return one of the allowed words, which may be YAML's own ``null`` or ``on``."""
        if self._shape != "scalar":
            self.fail("must be a single value", allowed=allowed)
        words = list(allowed)
        if self.node.value not in words:
            self.fail(f"{self.node.value!r} is not allowed", allowed=words, word=self.node.value)
        return words[words.index(self.node.value)]

    def whole(self) -> int:
        """Return a whole number, 0 or more."""
        return int(self.text(r"[0-9]{1,18}", "a whole number, 0 or more"))

    def mode(self) -> int:
        """Return permission bits written in octal, such as ``"0660"`` or ``1777``."""
        return int(self.text(OCTAL_MODE, "an octal mode such as 0660"), 8)

    def kib(self) -> int:
        """Return a size written as ``512 MiB`` in KiB."""
        text = self.text(SIZE, "a size such as 512 MiB")
        return int(text[:-3]) * _UNITS[text[-3:]]

    def path(self) -> str:
        """Return an absolute path on a board without ``.``, ``..`` or empty parts."""
        return self.text(PATH, "an absolute path without . and ..")

    def flag(self) -> bool:
        """Return true or false."""
        value = self.value()
        if not isinstance(value, bool):
            self.fail("must be true or false")
        return value

    def value(self) -> object:
        """Return whatever is there, as JSON would hold it."""
        return _guarded(self.file, lambda: _plain(self.node))


@functools.cache
def _loaders() -> tuple[Callable[[str], Any], Callable[[str], Any]]:
    """Return YAML as JSON's cousin: dates stay text, and there are no aliases (which can loop, or grow without end).

    PyYAML's own parser, and libyaml's for what ``yamlparsers`` leaves to it.
    """
    import yaml

    from edge_sim import yamlparsers

    class Strict(yaml.composer.Composer, yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            parser = cast(Any, self)  # the stubs leave its methods untyped
            if parser.check_event(yaml.AliasEvent):
                mark = parser.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, "aliases are not supported here", mark)
            self.depth = getattr(self, "depth", 0) + 1
            if self.depth > _DEEPEST:
                mark = parser.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, f"nested deeper than {_DEEPEST} levels", mark)
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
            seen: set[str] = set()
            for key, _ in node.value:
                if str(key.value) in seen:
                    problem = f"the key {key.value!r} is repeated"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=True)

    Strict.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != _TIMESTAMP]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    class OfPyYaml(Strict, yamlparsers.OwnLoader): ...

    if not yaml.__with_libyaml__:
        return OfPyYaml, OfPyYaml

    class OfLibyaml(Strict, yaml.CSafeLoader):
        def __init__(self, stream: str) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            yaml.composer.Composer.__init__(self)

        def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
            node = super().compose_scalar_node(anchor)
            begin, end = cast(Any, node.start_mark), cast(Any, node.end_mark)
            if begin.index == end.index:  # a value that is not there: PyYAML's own has another place for it
                raise yaml.composer.ComposerError(None, None, "an empty value", node.start_mark)
            return node

    return OfPyYaml, OfLibyaml


def _compose(path: Path, text: str) -> yaml.Node:
    import yaml

    from edge_sim import yamlparsers

    def compose() -> yaml.Node | None:
        own, fast = _loaders()
        if yamlparsers.libyaml_reads(text):
            with suppress(yaml.YAMLError):
                return _top(fast(text))
        return _top(own(text))

    node: yaml.Node | None = _guarded(path, compose)
    if node is None:
        raise InvalidDefinitionError("the file is empty", place=Position(file=path))
    return node


def _top(loader: Any) -> yaml.Node | None:
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _plain(node: yaml.Node) -> object:
    loader = _loaders()[0]("")
    try:
        value = loader.construct_document(node)
        json.dumps(value, allow_nan=False)  # what JSON cannot hold (a set, bytes, .nan) must not come further
        return value
    finally:
        loader.dispose()


def _guarded(path: Path, step: Callable[[], object]) -> Any:
    import yaml

    from edge_sim import yamlparsers

    try:
        return step()
    except yaml.YAMLError as error:
        fault = yamlparsers.fault(error)
        raise InvalidDefinitionError(fault.problem, place=_position(path, fault.mark), hint=fault.hint) from error
    except (RecursionError, TypeError, ValueError) as error:
        problem = "nested too deeply, or a value that JSON cannot hold"
        raise InvalidDefinitionError(problem, place=Position(file=path)) from error


def _position(path: Path, mark: yaml.Mark | None) -> Position:
    return Position(file=path, line=mark.line + 1, column=mark.column + 1) if mark else Position(file=path)
