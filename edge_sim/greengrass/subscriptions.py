"""Who may send what to whom on a core: the subscription table, and how a message finds its targets.

Shapes: botocore's ``greengrass`` model, ``Subscription``; gg-sec.md. A message goes where a subscription names its
source and a filter that its topic matches; what no subscription names goes nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

CLOUD = "cloud"
SHADOW_SERVICE = "GGShadowService"
MAX_TOPIC_BYTES, MAX_SLASHES, MAX_MESSAGE_BYTES = 256, 7, 128 * 1024
"""Quotas of the General Reference."""
_NOT_TAKEN = re.compile(
    r"message on (?P<topic>.+): no subscription of the group takes it from (?P<source>\S+)", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """``source`` and ``target``: a function's or thing's ARN, ``cloud`` or ``GGShadowService``."""

    id: str
    source: str
    subject: str
    target: str


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether an MQTT filter (``+`` one level, ``#`` the rest) takes a topic."""
    parts, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and parts[0] in ("+", "#"):
        return False
    for index, part in enumerate(parts):
        if part == "#":
            return True
        if index >= len(levels) or part not in ("+", levels[index]):
            return False
    return len(parts) == len(levels)


def is_filter(subject: str) -> bool:
    """Return whether a subscription's topic is a filter of MQTT (3.1.1, 4.7): ``+`` a level, ``#`` the last one."""
    *before, last = subject.split("/")
    levels = [*before, "" if last == "#" else last]
    return bool(subject) and "\0" not in subject and all(level == "+" or not {*level} & {*"+#"} for level in levels)


def lost_on(topic: str, why: str) -> str:
    """Return the sentence about a message that did not arrive."""
    return f"message on {topic}: {why}"


def not_taken(source: str) -> str:
    """Return why a message went nowhere that no subscription takes."""
    return f"no subscription of the group takes it from {source}"


def untaken(note: str) -> tuple[str, str] | None:
    """Return source and topic of a message that no subscription took, from the sentence that says so; else None."""
    match = _NOT_TAKEN.fullmatch(note)
    return (match["source"], match["topic"]) if match else None


def targets(table: Iterable[Subscription], source: str, topic: str) -> tuple[str, ...]:
    """Return where a message goes, each target once, in the table's order."""
    matching = (s.target for s in table if s.source == source and matches(s.subject, topic))
    return tuple(dict.fromkeys(matching))


def topic_problem(topic: str) -> str | None:
    """Return why a message cannot be published on a topic, or None."""
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        return f"{topic!r} is not a topic to publish on"
    if len(topic.encode()) > MAX_TOPIC_BYTES or topic.count("/") > MAX_SLASHES:
        return f"{topic!r} is longer than {MAX_TOPIC_BYTES} bytes or has more than {MAX_SLASHES} slashes"
    return None
