"""What never leaves in a report, a log or an event: secrets, keys, presigned queries, environment variables' values.

One function for every format: a report's values are redacted before any format reads them. What looks like a secret is
recognised by its form; what a scenario holds as one is known by its value, also where it is written in base64, in
JSON, or in a URL.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache, lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

HIDDEN = "[redacted]"
SHORTEST = 4
"""Characters: a value that is shorter ("1", "on") is found everywhere, and tells nothing."""
_REMEMBERED = 4096
"""Texts whose redaction is kept: a table of 40,000 rows says most of its words again and again."""
_PLAIN = (bool, int, float, type(None))
_FREE = 12
"""Characters from which on a value is found inside of longer words, too."""
_T = TypeVar("_T")
_NAMES = "secret_?access_?key|session_?token|api_?key|password|passwd"
_ASSIGNED = rf"(\b(?:aws_?)?(?:{_NAMES})[\"']?\s*[=:]\s*[\"']?)[^\s\"',;}}\\]+"
_KEY = "[A-Z ]*PRIVATE KEY-----"
_BODY = r"A-Za-z0-9+/=\s\\:,-"


@cache
def _forms() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the forms of secrets; compiled when they are first used, which an idle agent never does."""
    return tuple(
        (re.compile(pattern, flags), into)
        for pattern, flags, into in (
            # A presigned URL is a key for as long as it lives. Ends at a backslash too: JSON's escapes must stay whole.
            (r"(https?://[^\s\"'?<>\\]+)\?[^\s\"'<>\\]*", re.IGNORECASE, rf"\1?{HIDDEN}"),
            (r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:\"']+:[^\s/@\"']+@", re.IGNORECASE, rf"\1{HIDDEN}@"),
            (r"\b(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"'<>\\]+", re.IGNORECASE, rf"\1{HIDDEN}"),
            (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", 0, HIDDEN),
            (_ASSIGNED, re.IGNORECASE, rf"\1{HIDDEN}"),
            # A key that is cut off at either end, as by the last lines of a log, is one all the same.
            (rf"-----BEGIN {_KEY}(?:[{_BODY}]*?-----END {_KEY}|[{_BODY}]*)", 0, HIDDEN),
            (rf"\A(?:[A-Za-z0-9+/=]{{16,}}\s+)+-----END {_KEY}", 0, HIDDEN),
        )
    )


def redact(text: str) -> str:
    """Return text without what looks like a secret: queries and passwords of URLs, access keys, private keys."""
    for pattern, into in _forms():
        text = pattern.sub(into, text)
    return text


class Redaction:
    """Redacts what looks like a secret, and the ``secrets`` that are known, but not what ``shown`` texts hold.

    No report can omit those (Ids, paths), so what stands in them is no secret.
    """

    def __init__(self, secrets: Iterable[str], shown: Iterable[str] = ()) -> None:
        open_ = "\n".join(shown)
        known = {secret for secret in secrets if len(secret) >= SHORTEST and secret not in open_}
        patterns = (_pattern(form) for secret in known for form in _written(secret))
        longest_first = sorted(set(patterns), key=lambda pattern: (-len(pattern), pattern))
        self._known = re.compile("|".join(longest_first)) if longest_first else None
        self._of_value = lru_cache(maxsize=_REMEMBERED)(self.text)

    def text(self, text: str) -> str:
        """Return text with every secret replaced."""
        return redact(self._known.sub(HIDDEN, text) if self._known else text)

    def value(self, value: _T) -> _T:
        """Return a value whose texts are redacted: dataclasses, mappings, lists and tuples to any depth."""
        return cast(_T, self._value(value))

    def _value(self, value: Any) -> object:
        if isinstance(value, str):
            return self._of_value(value)
        if type(value) in _PLAIN:
            return value
        if isinstance(value, list | tuple):
            kind: Callable[[Iterable[object]], object] = list if isinstance(value, list) else tuple
            return kind(self._items(value))
        names = _members(cast(Any, type(value)))
        if names is not None:
            before = [getattr(value, name) for name in names]
            after = [self._value(item) for item in before]
            return value if after == before else replace(value, **dict(zip(names, after, strict=True)))
        if isinstance(value, Mapping):
            return {self._value(key): self._value(item) for key, item in value.items()}
        return value

    def _items(self, items: list[Any] | tuple[Any, ...]) -> Iterator[object]:
        """Yield redacted items; lines of text are read together, for a key has many."""
        if len(items) > 1 and all(isinstance(item, str) and "\n" not in item for item in items):
            yield from self._of_value("\n".join(items)).split("\n")
        else:
            yield from map(self._value, items)


@cache
def _members(kind: type) -> tuple[str, ...] | None:
    """Return what a dataclass is made with; None for another type. Asked of every cell of a large table."""
    return tuple(field.name for field in fields(kind) if field.init) if is_dataclass(kind) else None


def texts(value: object) -> Iterator[str]:
    """Yield a secret and, where it is JSON, every text in it: programs print members as well."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
            waiting += _inside(item)
        elif isinstance(item, Mapping):
            waiting += reversed([*item.values()])
        elif isinstance(item, list):
            waiting += reversed(item)


def _inside(text: str) -> list[object]:
    """Return the value of a text that is JSON, unless that is a text itself; nothing for any other."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [] if isinstance(value, str) else [value]


def _written(secret: str) -> Iterator[str]:
    """Yield how a secret may be written down."""
    octets = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield from (quote(octets, safe=""), quote_plus(octets))
    if len(octets) >= _FREE:
        yield from (
            base64.b64encode(octets).decode().rstrip("="),
            base64.urlsafe_b64encode(octets).decode().rstrip("="),
        )


def _pattern(form: str) -> str:
    """Return what finds a secret: a short one only as a word of its own, for else "hall" would hide "hallway"."""
    return re.escape(form) if len(form) >= _FREE else rf"(?<!\w){re.escape(form)}(?!\w)"
