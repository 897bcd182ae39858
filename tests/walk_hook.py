"""Becomes ``sitecustomize`` of every process of a walk (``tests.walks``): notes which functions meet what walks.

Beside it lie ``marks`` (a name and a pattern, JSON) and ``walk``, to which each function that takes or returns a marked
value is written once, and each reading of one every time: when, mark, file, function, what kind of reading.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_HERE = Path(__file__).parent
_MARKS = {name: re.compile(pattern) for name, pattern in json.loads((_HERE / "marks").read_text()).items()}
_READERS = {
    "definitions/jsontext.py:read_json": "text",
    "edge_sim/documents.py:_compose": "text",
    "json/decoder.py:decode": "text",
    "greengrass/parse.py:group": "group",
}
_seen: set[tuple[str, CodeType]] = set()
_met: set[CodeType] = set()
"""Functions that have met every mark."""


def _text(value: object) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except Exception:  # an object that is not whole yet
        return ""


def _step(frame: FrameType, event: str, result: Any) -> None:
    code, path = frame.f_code, frame.f_code.co_filename
    if event not in ("call", "return") or code in _met:
        return
    kind = _READERS.get(f"{'/'.join(path.split('/')[-2:])}:{code.co_name}", "") if event == "call" else ""
    if not kind and "/edge_sim/" not in path:
        return
    sys.setprofile(None)
    values = [result] if event == "return" else [*frame.f_locals.values()]
    texts = [_text(value) for value in values]
    reader: FrameType | None = frame
    while kind and reader and "/json/" in reader.f_code.co_filename:  # who has it read
        reader = reader.f_back
    named = (reader or frame).f_code
    for name, mark in _MARKS.items():
        if (kind or (name, code) not in _seen) and any(map(mark.search, texts)):
            _seen.add((name, code))
            with (_HERE / "walk").open("a") as out:
                out.write(f"{time.monotonic():.6f} {name} {named.co_filename} {named.co_name} {kind}\n")
    if not kind and all((name, code) in _seen for name in _MARKS):
        _met.add(code)
    sys.setprofile(_step)


threading.setprofile(_step)
sys.setprofile(_step)
