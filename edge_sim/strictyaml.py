"""Read YAML strictly: every complaint names the file, the line, the key and what is allowed there.

A ``Section`` is one mapping of the document. Ask it for the keys you know; unknown keys, wrong values and keys
written twice raise InvalidDefinitionError with line numbers, which plain ``yaml.safe_load`` has thrown away.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sim.errors import InvalidDefinitionError, UsageError

if TYPE_CHECKING:
    import yaml

_SIZE = re.compile(r"(\d+) ?(KiB|MiB|GiB)")
_UNITS = {"KiB": 1, "MiB": 1024, "GiB": 1024 * 1024}


def read(path: Path) -> Section:
    """Return the mapping that the YAML file at ``path`` holds.

    Raises UsageError when the file cannot be read, InvalidDefinitionError when it is not YAML or not a mapping.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InvalidDefinitionError(f"{where}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InvalidDefinitionError(f"{path}: not YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise InvalidDefinitionError(f"{path}: a mapping of keys to values is expected, and this is not one")
    return Section(path, "", node)


@dataclass(frozen=True)
class Section:
    """One mapping: ``where`` is the file, ``name`` the keys that lead here (empty at the top)."""

    where: Path
    name: str
    node: yaml.MappingNode

    def __post_init__(self) -> None:
        seen: dict[str, int] = {}
        for key, _ in self.node.value:
            if not isinstance(key.value, str):
                raise self.wrong(key, self.name or "a key", "must be a single word")
            line = key.start_mark.line + 1
            if key.value in seen:
                raise self.wrong(key, self._full(key.value), f"is here twice, first in line {seen[key.value]}")
            seen[key.value] = line

    @property
    def keys(self) -> list[str]:
        """Return the keys in the order of the file."""
        return [key.value for key, _ in self.node.value]

    def only(self, allowed: Collection[str], *, required: Collection[str] = ()) -> Section:
        """Return this section after checking that it holds no other keys than these, and the required ones."""
        for key, _ in self.node.value:
            if key.value not in allowed:
                raise self.wrong(key, self._full(key.value), "is not a key here", options=allowed, given=key.value)
        for name in required:
            if name not in self.keys:
                raise self.wrong(self.node, self._full(name), "is missing")
        return self

    def text(self, key: str, default: str | None = None) -> str:
        """Return a scalar as it is written, such as ``1.10.0``, ``"0660"`` or ``on``."""
        node = self._find(key)
        if node is None and default is not None:
            return default
        return self._scalar(node, key)

    def choice(self, key: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return one of the allowed words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self._bad(key, f"{value!r} is not allowed", options=allowed, given=value)
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a whole number, 0 or more."""
        value = self.text(key, None if default is None else str(default))
        if not (value.isascii() and value.isdigit()):
            raise self._bad(key, f"{value!r} is not a whole number, 0 or more")
        return int(value)

    def mode(self, key: str, default: str | None = None) -> int:
        """Return permission bits written in octal, such as ``"0660"`` or ``1777``."""
        value = self.text(key, default)
        if not re.fullmatch(r"0?[0-7]{3,4}", value):
            raise self._bad(key, f"{value!r} is not an octal mode such as 0660")
        return int(value, 8)

    def kib(self, key: str) -> int:
        """Return a size written as ``512 MiB`` in KiB."""
        value = self.text(key)
        found = _SIZE.fullmatch(value)
        if not found:
            raise self._bad(key, f"{value!r} is not a size such as 512 MiB", options=_UNITS)
        return int(found[1]) * _UNITS[found[2]]

    def path(self, key: str, default: str | None = None) -> str:
        """Return an absolute path without ``.``, ``..`` or empty parts."""
        value = self.text(key, default)
        parts = value.split("/")[1:]
        if not value.startswith("/") or (any(part in ("", ".", "..") for part in parts) and value != "/"):
            raise self._bad(key, f"{value!r} is not an absolute path without . or ..")
        return value

    def words(self, key: str, allowed: Collection[str] | None = None) -> tuple[str, ...]:
        """Return a list of words, empty when the key is missing."""
        values = tuple(self._scalar(node, key) for node in self._sequence(key))
        for value in values:
            if allowed is not None and value not in allowed:
                raise self._bad(key, f"{value!r} is not allowed", options=allowed, given=value)
        return values

    def section(self, key: str) -> Section:
        """Return the mapping below a key."""
        import yaml

        node = self._find(key)
        if not isinstance(node, yaml.MappingNode):
            raise self._bad(key, "must be a mapping of keys to values")
        return Section(self.where, self._full(key), node)

    def sections(self, key: str) -> Iterator[Section]:
        """Yield the mappings of the list below a key; none when the key is missing."""
        import yaml

        for index, node in enumerate(self._sequence(key)):
            if not isinstance(node, yaml.MappingNode):
                raise self.wrong(node, f"{self._full(key)}[{index}]", "must be a mapping of keys to values")
            yield Section(self.where, f"{self._full(key)}[{index}]", node)

    def bad(self, key: str, problem: str, options: Collection[str] = ()) -> InvalidDefinitionError:
        """Return the error for a value that is wrong for a reason the reader cannot know."""
        return self._bad(key, problem, options=options)

    def wrong(
        self,
        node: yaml.Node,
        name: str,
        problem: str,
        *,
        options: Collection[str] = (),
        given: str | None = None,
    ) -> InvalidDefinitionError:
        near = difflib.get_close_matches(given, options, n=1) if given else []
        hints = [f"Did you mean {near[0]}?"] if near else []
        hints += [f"Allowed: {', '.join(sorted(options))}."] if options else []
        line = node.start_mark.line + 1
        return InvalidDefinitionError(f"{self.where}:{line}: {name} {problem}", hint=" ".join(hints) or None)

    def _bad(
        self, key: str, problem: str, *, options: Collection[str] = (), given: str | None = None
    ) -> InvalidDefinitionError:
        node = self._find(key)
        return self.wrong(node or self.node, f"{self._full(key)}:", problem, options=options, given=given)

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _find(self, key: str) -> yaml.Node | None:
        return next((value for name, value in self.node.value if name.value == key), None)

    def _scalar(self, node: yaml.Node | None, key: str) -> str:
        import yaml

        if node is None:
            raise self.wrong(self.node, self._full(key), "is missing")
        # ``backing: null`` is the word null, since a value is what is written; only nothing at all is no value.
        if not isinstance(node, yaml.ScalarNode) or (node.value in ("", "~") and node.style is None):
            raise self.wrong(node, f"{self._full(key)}:", "must be a single value")
        return str(node.value)

    def _sequence(self, key: str) -> list[yaml.Node]:
        import yaml

        node = self._find(key)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self._bad(key, "must be a list")
        return list(node.value)
