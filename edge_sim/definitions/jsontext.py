"""JSON → ``Object`` and ``Array``, with every value's place.

The standard library's reader gives no places; its string scanner is used here. Stricter than the library: a repeated
key, NaN and Infinity, a number beyond 2^53 and half of a surrogate pair are faults; the reading goes on, so that all
of them are reported at once.
"""

from __future__ import annotations

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

from edge_sim.definitions.slips import json_hint
from edge_sim.definitions.tree import MAX_DEPTH, MAX_VALUES, Array, Object, TextFile
from edge_sim.strictjson import MAX_INTEGER

_SPACE = re.compile(r"[ \t\r\n]*")
_NEXT = re.compile(r"[ \t\r\n]*([,\]}])[ \t\r\n]*")
_KEY = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*')
"""The usual case in one step: a key without escapes, and the colon."""
_TEXT_MEMBER = re.compile(rf'{_KEY.pattern}"([^"\\\x00-\x1f]*)"[ \t\r\n]*([,}}])[ \t\r\n]*')
"""… and a whole member whose value is a text without escapes, with what comes after it."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"true|false|null|-?Infinity|NaN")
_End = tuple[Any, int]
"""A value, and the offset after it."""


def read_json(file: TextFile) -> Any:
    """Return the value of a JSON text; faults are left in ``file``. Raises InvalidDefinitionError with the place."""
    return _Scanner(file).scan()


class _Scanner:
    """One pass over a text. What is nested deeper than ``MAX_DEPTH`` is refused before it is entered."""

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.text = file.text
        self.depth = 0
        self.count = 0

    def scan(self) -> Any:
        value, at = self._value(self._skip(0), Array(self.file, 0), 0)
        at = self._skip(at)
        if at != len(self.text):
            self.file.fail(at, "not valid JSON: there is text after the end", hint=json_hint(self.text, at))
        return value

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def _fail(self, at: int, expected: str) -> NoReturn:
        actual = repr(self.text[at]) if at < len(self.text) else "the end of the file"
        self.file.fail(at, f"not valid JSON: expected {expected}, found {actual}", hint=json_hint(self.text, at))

    def _value(self, at: int, holder: Object | Array, key: str | int) -> _End:
        """Read the value at ``at``, which will be ``holder[key]``."""
        char = self.text[at : at + 1]
        if char == "{":
            return self._object(at)
        if char == "[":
            return self._array(at)
        if char == '"':
            return self._string(at, holder, key)
        return self._word_or_number(at, holder, key)

    def _object(self, start: int) -> _End:
        holder = Object(self.file, start)
        at, closed = self._enter(start, "}")
        while not closed:
            if member := _TEXT_MEMBER.match(self.text, at):
                key, value, end = member[1], member[2], member.end(2) + 1
            else:
                key, value_at = self._key(at, holder)
                value, end = self._value(value_at, holder, key)
            if key in holder:
                first = holder.position(key).line
                problem = f"the key {key!r} is already set in line {first}"
                self.file.note("duplicate-key", problem, at, holder, key)
            holder.add(key, value, at)
            at, closed = self._leave(end, member, member[3] == "}") if member else self._next(end, "}")
        return holder, at

    def _array(self, start: int) -> _End:
        items = Array(self.file, start)
        at, closed = self._enter(start, "]")
        while not closed:
            value, end = self._value(at, items, len(items))
            items.add(value, at)
            at, closed = self._next(end, "]")
        return items, at

    def _enter(self, at: int, closing: str) -> tuple[int, bool]:
        """Go into an object or list; return where its first member is, or its end and True when it has none."""
        if self.depth >= MAX_DEPTH:
            self.file.fail(at, f"nested deeper than {MAX_DEPTH} levels")
        at = self._skip(at + 1)
        if self.text[at : at + 1] == closing:
            return at + 1, True
        self.depth += 1
        return at, False

    def _next(self, at: int, closing: str) -> tuple[int, bool]:
        """Go on after a member; return where the next one is, or the end of the object or list and True."""
        match = _NEXT.match(self.text, at)
        if match is None or match[1] not in (",", closing):
            self._fail(self._skip(at), f"',' or '{closing}'")
        return self._leave(at, match, match[1] == closing)

    def _leave(self, at: int, match: re.Match[str], closed: bool) -> tuple[int, bool]:
        """Count the member that ends at ``at``; the end of ``match`` is where it goes on."""
        self.count += 1
        if self.count > MAX_VALUES:
            self.file.fail(at, f"more than {MAX_VALUES} values")
        if closed:
            self.depth -= 1
        return match.end(), closed

    def _key(self, at: int, holder: Object) -> tuple[str, int]:
        """Read a key and its colon."""
        plain = _KEY.match(self.text, at)
        if plain:
            return plain[1], plain.end()
        if self.text[at : at + 1] != '"':
            self._fail(at, "a key in double quotes")
        key, end = self._string(at, holder, "")
        end = self._skip(end)
        if self.text[end : end + 1] != ":":
            self._fail(end, "':'")
        return key, self._skip(end + 1)

    def _string(self, at: int, holder: Object | Array, key: str | int) -> tuple[str, int]:
        try:
            value, end = scanstring(self.text, at + 1, True)
        except json.JSONDecodeError as error:
            self.file.fail(error.pos, f"not valid JSON: {error.msg}")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            self.file.note("surrogate", "a string holds half of a surrogate pair", at, holder, key)
            value = value.encode("utf-8", "replace").decode("utf-8")
        return value, end

    def _word_or_number(self, at: int, holder: Object | Array, key: str | int) -> _End:
        word = _WORD.match(self.text, at)
        if word:
            if word[0] not in _WORDS:
                self.file.note("not-json", f"{word[0]} is not JSON", at, holder, key)
            return _WORDS.get(word[0]), word.end()
        number = _NUMBER.match(self.text, at)
        if number is None:
            self._fail(at, "a value")
        value = _number(number)
        if value is None:
            self.file.note("number-range", f"the number {number[0][:20]} is out of range", at, holder, key)
        return value, number.end()


def _number(number: re.Match[str]) -> float | int | None:
    """Return a number; None for one that is not the same in every reader."""
    if number[1] or number[2]:
        value = float(number[0])
        return value if math.isfinite(value) else None
    return int(number[0]) if len(number[0]) <= 17 and abs(int(number[0])) <= MAX_INTEGER else None
