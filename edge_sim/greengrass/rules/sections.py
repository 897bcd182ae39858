"""Rules about the other definitions of a group: devices and subscriptions.

A ``Group`` holds no devices; the rules read the API's own objects (``Case.sections``), or else the group's. Limits:
AWS General Reference, Greengrass V1 quotas. The texts about sources and targets are moto's, copied from the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.greengrass.model import is_open, text
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule
from edge_sim.greengrass.subscriptions import MAX_SLASHES, MAX_TOPIC_BYTES

_QUOTAS = "AWS General Reference, Greengrass V1 quotas"
_PARTY = re.compile(
    r"cloud|GGShadowService|arn:aws[a-z-]*:iot:[^:]+:[^:]+:thing/.+|arn:aws[a-z-]*:lambda:[^:]*:[^:]*:function:[^:]+:[^:]+"
    r"|arn:aws[a-z-]*:greengrass:[^:]*:[^:]*:/connectors/.+"
)
_SOURCE_TEXT = (
    "The subscriptions definition is invalid or corrupted. (ErrorDetails: [Subscription source is invalid. ID is "
    "'<id>' and Source is '<value>'])"
)
_TARGET_TEXT = _SOURCE_TEXT.replace("source", "target").replace("Source", "Target")
_MOTO = "moto greengrass models (copied from the service); taking connectors as well is ours"


@rule("device-total", source=_QUOTAS)
def devices(case: Case) -> Iterator[Fault]:
    """A group has at most 2500 devices (setting: devices-per-group)."""
    yield from _too_many(case, "Devices", case.settings.limits.devices_per_group)


@rule("subscription-total", source=_QUOTAS)
def subscriptions(case: Case) -> Iterator[Fault]:
    """A group has at most 10000 subscriptions (setting: subscriptions-per-group)."""
    yield from _too_many(case, "Subscriptions", case.settings.limits.subscriptions_per_group)


@rule("subscription-cloud-total", source=_QUOTAS)
def cloud_subscriptions(case: Case) -> Iterator[Fault]:
    """At most 50 subscriptions of a group have the cloud as their source (setting: cloud-subscriptions-per-group)."""
    count = sum(entry.get("Source") == "cloud" for _, entry in _entries(case, "Subscriptions"))
    allowed = case.settings.limits.cloud_subscriptions_per_group
    if count > allowed:
        message = f"{count} subscriptions have the source cloud, {allowed} are allowed"
        yield Fault(path="$.Subscriptions", message=message)


@rule("subscription-source", phase="create", aws_text=_SOURCE_TEXT, source=_MOTO)
def sources(case: Case) -> Iterator[Fault]:
    """A subscription's source is cloud, GGShadowService, a thing, a connector, or a function with version or alias."""
    yield from _parties(case, "Source")


@rule("subscription-target", phase="create", aws_text=_TARGET_TEXT, source=_MOTO)
def targets(case: Case) -> Iterator[Fault]:
    """A subscription's target is cloud, GGShadowService, a thing, a connector, or a function with version or alias."""
    yield from _parties(case, "Target")


@rule("subscription-subject", source=_QUOTAS)
def subjects(case: Case) -> Iterator[Fault]:
    """A subscription's topic has at most 256 bytes of UTF-8 and 7 slashes."""
    for path, entry in _entries(case, "Subscriptions"):
        topic = str(entry.get("Subject") or "")
        length, slashes = len(topic.encode("utf-8", "replace")), topic.count("/")
        if (length > MAX_TOPIC_BYTES or slashes > MAX_SLASHES) and not is_open(topic):
            message = f"subscription {entry.get('Id')}: its topic has {length} bytes and {slashes} slashes"
            yield Fault(path=f"{path}.Subject", message=message)


def _entries(case: Case, name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    given = case.sections.get(name)
    if given is None and name == "Subscriptions":
        given = [
            {"Id": s.id, "Source": s.source, "Subject": s.subject, "Target": s.target} for s in case.group.subscriptions
        ]
    for index, entry in enumerate(given if isinstance(given, list) else []):
        if isinstance(entry, Mapping):
            yield f"$.{name}[{index}]", entry


def _too_many(case: Case, name: str, allowed: int) -> Iterator[Fault]:
    count = sum(1 for _ in _entries(case, name))
    if count > allowed:
        yield Fault(path=f"$.{name}", message=f"the group has {count} {name.lower()}, {allowed} are allowed")


def _parties(case: Case, key: str) -> Iterator[Fault]:
    for path, entry in _entries(case, "Subscriptions"):
        value = text(entry.get(key))
        if value is not None and not _PARTY.fullmatch(value) and not is_open(value):
            identifier = str(entry.get("Id"))
            yield Fault(
                path=f"{path}.{key}",
                message=f"subscription {identifier}: {key} {value!r} is none of cloud, GGShadowService, a thing, a "
                "connector, a function with version or alias",
                values={"id": identifier, "value": value},
            )


RULES: tuple[Rule, ...] = (devices, subscriptions, cloud_subscriptions, sources, targets, subjects)
