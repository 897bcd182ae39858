"""JSON → ``Object`` and ``Array``, without recursion and with every value's place.

The standard library's reader gives no places and recurses in C; its string scanner is used here, the rest is a loop
over a stack. Stricter than the library: a doubled key, NaN and Infinity, a number beyond 2^53 and half of a surrogate
pair are faults; the reading goes on, so that all of them come at once.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from edge_sim.definitions.tree import MAX_DEPTH, MAX_VALUES, Array, Object, TextFile

MAX_INTEGER = 2**53
"""Integers beyond this are not the same in every JSON reader."""
_SPACE = re.compile(r"[ \t\r\n]*")
_BLANK = frozenset(" \t\r\n")
_NEXT = re.compile(r"[ \t\r\n]*([,\]}])[ \t\r\n]*")
_PLAIN_KEY = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*')
"""The usual case in one step: a key without escapes, and the colon."""
_NEXT_MEMBER = re.compile(rf"[ \t\r\n]*,[ \t\r\n]*{_PLAIN_KEY.pattern}")
_NEXT_TEXT = re.compile(rf'{_NEXT_MEMBER.pattern}"([^"\\\x00-\x1f]*)"')
"""… and a whole member whose value is a text without escapes."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"true|false|null|-?Infinity|NaN")


def read_json(file: TextFile) -> Any:
    """Return the value of a JSON text; faults are left in ``file``. Raises InvalidDefinitionError with the place."""
    return _Scanner(file).scan()


class _Scanner:
    """One pass over a text. ``stack`` holds the open objects and lists, ``key`` the member that comes next."""

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.text = file.text
        self.stack: list[Object | Array] = []
        self.top = Array(file, 0)
        self.key = ""
        self.key_at = 0
        self.count = 0

    def scan(self) -> Any:
        at = self._skip(0)
        while True:
            at = self._value(at)
            at = self._after(at)
            if not self.stack:
                break
        if at != len(self.text):
            self.file.fail(at, "not valid JSON: there is more after the end")
        return self.top[0]

    def _skip(self, at: int) -> int:
        if self.text[at : at + 1] not in _BLANK:
            return at
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def _fail(self, at: int, expected: str) -> int:
        found = repr(self.text[at]) if at < len(self.text) else "the end of the file"
        self.file.fail(at, f"not valid JSON: expected {expected}, found {found}")

    def _value(self, at: int) -> int:
        """Read one value at ``at``: a scalar as a whole, of an object or list its start up to its first member."""
        char = self.text[at : at + 1]
        if char == "{":
            made = Object(self.file, at)
            self._put(made, at)
            return self._enter(made, at, "}")
        if char == "[":
            items = Array(self.file, at)
            self._put(items, at)
            return self._enter(items, at, "]")
        if char == '"':
            value, end = self._string(at)
            self._put(value, at)
            return end
        return self._word_or_number(at)

    def _enter(self, made: Object | Array, at: int, closing: str) -> int:
        if len(self.stack) >= MAX_DEPTH:
            self.file.fail(at, f"nested deeper than {MAX_DEPTH} levels")
        at = self._skip(at + 1)
        if self.text[at : at + 1] == closing:
            return at + 1
        self.stack.append(made)
        at = self._key(at) if closing == "}" else at
        return self._value(at)

    def _key(self, at: int) -> int:
        plain = _PLAIN_KEY.match(self.text, at)
        if plain:
            self.key, self.key_at = plain[1], at
            return plain.end()
        if self.text[at : at + 1] != '"':
            self._fail(at, "a key in double quotes")
        self.key, end = self._string(at)
        self.key_at = at
        end = self._skip(end)
        if self.text[end : end + 1] != ":":
            self._fail(end, "':'")
        return self._skip(end + 1)

    def _after(self, at: int) -> int:
        """After a value: close what ends here, and go on to the next member."""
        while self.stack:
            closing = "}" if isinstance(self.stack[-1], Object) else "]"
            if closing == "}":
                while member := _NEXT_TEXT.match(self.text, at):
                    self.key, self.key_at = member[1], member.start(1) - 1
                    self._put(member[2], member.start(2) - 1)
                    at = member.end()
                if member := _NEXT_MEMBER.match(self.text, at):
                    self.key, self.key_at = member[1], member.start(1) - 1
                    return member.end()
            match = _NEXT.match(self.text, at)
            if match is None or match[1] not in (",", closing):
                return self._fail(self._skip(at), f"',' or '{closing}'")
            at = match.end()
            if match[1] == ",":
                return self._key(at) if closing == "}" else at
            self.stack.pop()
        return self._skip(at)

    def _put(self, value: object, at: int) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            self.file.fail(at, f"more than {MAX_VALUES} values")
        holder = self.stack[-1] if self.stack else self.top
        if isinstance(holder, Array):
            holder.add(value, at)
            return
        if self.key in holder:
            first = self.file.position(holder.marks[self.key]).line
            problem = f"the key {self.key!r} is there twice in one object, first in line {first}"
            self.file.note("duplicate-key", problem, self.key_at, holder, self.key)
        holder.add(self.key, value, self.key_at)

    def _fault(self, rule: str, message: str, at: int) -> None:
        holder = self.stack[-1] if self.stack else self.top
        key = self.key if isinstance(holder, Object) else len(holder)
        self.file.note(rule, message, at, holder, key)

    def _string(self, at: int) -> tuple[str, int]:
        try:
            value, end = scanstring(self.text, at + 1, True)
        except json.JSONDecodeError as error:
            self.file.fail(error.pos, f"not valid JSON: {error.msg}")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            self._fault("surrogate", "a string holds half of a surrogate pair", at)
            value = value.encode("utf-8", "replace").decode("utf-8")
        return value, end

    def _word_or_number(self, at: int) -> int:
        word = _WORD.match(self.text, at)
        if word:
            if word[0] not in _WORDS:
                self._fault("not-json", f"{word[0]} is not JSON", at)
            self._put(_WORDS.get(word[0]), at)
            return word.end()
        number = _NUMBER.match(self.text, at)
        if number is None:
            return self._fail(at, "a value")
        self._put(self._number(number, at), at)
        return number.end()

    def _number(self, number: re.Match[str], at: int) -> float | int | None:
        if number[1] or number[2]:
            value = float(number[0])
            if abs(value) < float("inf"):
                return value
        elif len(number[0]) <= 17 and abs(int(number[0])) <= MAX_INTEGER:
            return int(number[0])
        self._fault("number-range", f"the number {number[0][:20]} is out of range", at)
        return None
