"""How the API's members are typed, as botocore's ``greengrass`` model has it, and how their values are read.

A shape is ``Members``, a list with the shape of its items, a tuple of allowed words, or one of ``TEXT``,
``WHOLE``, ``FLAG``, ``TEXT_MAP``.
"""

from __future__ import annotations

import re
from typing import Any

TEXT, WHOLE, FLAG, TEXT_MAP = "a string", "a whole number", "true or false", "an object of strings"
Shape = Any
"""``Members | list[Shape] | tuple[str, ...] | str``, which Python 3.10 cannot say."""


class Members(dict[str, Shape]):
    """The members of an object, each with its shape. ``meanings`` says in a sentence what each is.

    ``required`` are those without which the object cannot be read.
    """

    def __init__(self, *required: str, **rows: tuple[Shape, str]) -> None:
        super().__init__((name, shape) for name, (shape, _) in rows.items())
        self.required = required
        self.meanings = {name: meaning for name, (_, meaning) in rows.items()}


def whole_number(value: object) -> int | None:
    """Return a number as AWS's samples write it: as a number, or as a string of digits; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,17}\s*", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def truth(value: object) -> bool | None:
    """Return true or false as AWS's samples write it: as a boolean or as its word; None for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a string; a whole number is taken as its digits (``GroupOwner: 999``); None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def is_open(value: object) -> bool:
    """Return whether a template left a value open: the reader keeps intrinsic functions as ``${…}``."""
    return isinstance(value, str) and "}" in value.partition("${")[2]
