"""What an unquoted word of YAML means, as far as YAML's readers agree on it.

true and false (also yes, no, on, off), null and decimal numbers; dates stay text. What YAML 1.1 and 1.2 read
differently (``0100``: 64 or 100; ``7e10``: a text or a number) stays text, with a fault.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from edge_sim.strictjson import MAX_INTEGER

Fault = tuple[str, str]
"""A rule's id and what is wrong."""
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE|yes|Yes|YES|on|On|ON")
_FALSE = re.compile(r"false|False|FALSE|no|No|NO|off|Off|OFF")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"([-+]?(0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMBER_1_2 = re.compile(r"[-+]?(0o[0-7]+|0x[0-9a-fA-F]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)")
_NUMBERS_1_1 = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_READER_1_1: Any = yaml.resolver.Resolver()


def is_text(word: str) -> bool:
    """Return whether an unquoted word is a text to every reader."""
    kinds = (_NULL, _TRUE, _FALSE, _WHOLE, _FLOAT, _NOT_JSON)
    return not any(kind.fullmatch(word) for kind in kinds) and not _disputed(word)


def _disputed(word: str) -> bool:
    return (
        bool(_NUMBER_1_2.fullmatch(word)) or _READER_1_1.resolve(yaml.ScalarNode, word, (True, False)) in _NUMBERS_1_1
    )


def unquoted(word: str) -> tuple[object, Fault | None]:
    """Return the value of an unquoted word, and what is wrong with it; a number that cannot be held is None."""
    if _NULL.fullmatch(word):
        return None, None
    if _TRUE.fullmatch(word) or _FALSE.fullmatch(word):
        return bool(_TRUE.fullmatch(word)), None
    if _WHOLE.fullmatch(word) and len(word) <= 17 and abs(int(word)) <= MAX_INTEGER:
        return int(word), None
    if _NOT_JSON.fullmatch(word):
        return None, ("not-json", f"{word} is not JSON")
    if _FLOAT.fullmatch(word) and abs(float(word)) < float("inf"):
        return float(word), None
    if _WHOLE.fullmatch(word) or _FLOAT.fullmatch(word):
        return None, ("number-range", f"the number {word[:20]} is out of range")
    if _disputed(word):
        message = f"YAML readers disagree whether {word[:40]} is a number, and which; write it plainly, or in quotes"
        return word, ("ambiguous-number", message)
    return word, None
