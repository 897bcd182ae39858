"""ARNs, ``arn:<partition>:<service>:<region>:<account>:<resource>``: how they are written, matched and read."""

from __future__ import annotations

import re
from typing import NamedTuple

ANYWHERE = "[^:]*:[^:]*"
"""Region and account as a pattern: whatever they are."""
SOMEWHERE = r"([a-z0-9-]+):([0-9]{12})"
"""… and both as AWS has them, as two groups of a match."""
NOWHERE = ":"
"""… and none of either: the core's own functions, and what is the same everywhere."""
_FIELDS = 6


class Arn(NamedTuple):
    """The parts of an ARN after the service; those that a text lacks are empty."""

    region: str
    account: str
    resource: str


def arn(service: str, resource: str, where: str = NOWHERE) -> str:
    """Return an ARN of the partition ``aws``; ``where`` is region and account."""
    return f"arn:aws:{service}:{where}:{resource}"


def pattern(service: str, resource: str, where: str = ANYWHERE) -> str:
    """Return a regular expression for ARNs of any partition; all three are regular expressions."""
    return f"arn:aws[a-z-]*:{service}:{where}:{resource}"


def parts(text: str) -> Arn:
    """Return the parts of an ARN."""
    fields = [*text.split(":", _FIELDS - 1), *[""] * _FIELDS]
    return Arn(*fields[3:_FIELDS])


def relocated(text: str, place: str) -> str:
    """Return an ARN in the partition, region and account of the ARN ``place``; what is no ARN stays as it is."""
    fields, there = text.split(":", _FIELDS - 1), place.split(":", _FIELDS - 1)
    if len(fields) < _FIELDS:
        return text
    return ":".join((*there[:2], fields[2], *there[3 : _FIELDS - 1], fields[-1]))


TARGET = re.compile(pattern("iot", "(thing|thinggroup)/([a-zA-Z0-9:_-]{1,128})", SOMEWHERE))
"""A thing or thing group: region, account, which of the two, name."""
