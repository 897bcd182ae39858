"""Rules about the other definitions of a group: cores, devices, subscriptions, loggers and connectors.

A ``Group`` holds no devices; the rules read the API's own objects (``Case.sections``), or else the group's. Limits:
AWS General Reference, Greengrass V1 quotas. The texts about sources and targets are moto's, copied from the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.arns import SOMEWHERE, parts, pattern
from edge_sim.greengrass.connectors import connector_arn
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.model import is_open, text, whole_number
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.resources import IDENTIFIER
from edge_sim.greengrass.rules.rule import Fault, Rule, rule
from edge_sim.greengrass.subscriptions import MAX_SLASHES, MAX_TOPIC_BYTES, is_filter

_QUOTAS = "AWS General Reference, Greengrass V1 quotas"
_MODEL = "botocore greengrass 2017-06-07"
_FAMILIES = {family.member: family for word, family in FAMILIES.items() if word not in ("resources", "functions")}
"""The families whose items have no rules about their Id of their own."""
_WHERE = "[^:]+:[^:]+"
_THING = re.compile(pattern("iot", r"thing/[a-zA-Z0-9:_-]{1,128}", SOMEWHERE))
_CERTIFICATE = re.compile(pattern("iot", r"cert/[a-fA-F0-9]{64}", SOMEWHERE))
_MAX_INTEGER = 2**31 - 1
_PARTY = re.compile(
    "|".join(
        (
            "cloud",
            "GGShadowService",
            pattern("iot", "thing/.+", _WHERE),
            pattern("lambda", r"function:[^:]+:(?!\$LATEST\Z)[^:]+"),
            pattern("greengrass", "/connectors/.+"),
        )
    )
)
_SOURCE_TEXT = (
    "The subscriptions definition is invalid or corrupted. (ErrorDetails: [Subscription source is invalid. ID is "
    "'<id>' and Source is '<value>'])"
)
_TARGET_TEXT = _SOURCE_TEXT.replace("source", "target").replace("Source", "Target")
_MOTO = f"moto greengrass models (copied from the service); connectors: {_MODEL}"


@rule("entry-identifier", condition="sourced", timing="ours", source=_MODEL)
def identifiers(case: Case) -> Iterator[Fault]:
    """The Id of a core, device, subscription, logger or connector has 1 to 128 of [a-zA-Z0-9:_-]."""
    for member, family in _FAMILIES.items():
        for path, entry in entries(case, member):
            id_ = text(entry.get("Id"))
            if id_ is not None and not IDENTIFIER.fullmatch(id_) and not is_open(id_):
                yield Fault(
                    path=f"{path}.Id", message=f"{family.noun} {id_!r}: its Id must be 1 to 128 of [a-zA-Z0-9:_-]"
                )


@rule("entry-id-unique", condition="sourced", timing="ours", source=_MODEL)
def unique_ids(case: Case) -> Iterator[Fault]:
    """The Id of a core, device, subscription, logger or connector is unique in its version."""
    for member, family in _FAMILIES.items():
        first: dict[str, str] = {}
        for path, entry in entries(case, member):
            id_ = text(entry.get("Id"))
            if id_ is not None and (before := first.setdefault(id_, path)) != path:
                yield Fault(path=f"{path}.Id", message=f"{family.noun} Id {id_!r} is already used at {before}")


@rule(
    "thing-arn",
    condition="sourced",
    timing="inferred",
    source=f"{_MODEL}, iot 2015-05-28 (ThingName, CertificateId); the code THING_CERT_NOT_FOUND_ERROR in aws-cli issue "
    "6141",
    hint="…:thing/NAME with letters, digits, colons, underscores and hyphens, …:cert/ID with 64 hexadecimal digits.",
)
def things(case: Case) -> Iterator[Fault]:
    """A core or device names its thing and its certificate by their ARNs."""
    forms = {"ThingArn": (_THING, "a thing"), "CertificateArn": (_CERTIFICATE, "a certificate of AWS IoT")}
    for member, family in _FAMILIES.items():
        for path, entry in entries(case, member) if "ThingArn" in family.required else ():
            for key, (form, what) in forms.items():
                arn = text(entry.get(key))
                if arn is not None and not form.fullmatch(arn) and not is_open(arn):
                    message = f"{family.noun} {entry.get('Id')}: {arn!r} is not the ARN of {what}"
                    yield Fault(path=f"{path}.{key}", message=message)


@rule(
    "thing-certificate",
    condition="inferred",
    timing="inferred",
    source="inferred: AWS IoT attaches certificates to things of the same account and region (botocore iot 2015-05-28)",
)
def certificates(case: Case) -> Iterator[Fault]:
    """A core or device and its certificate are in one region of one account."""
    for member, family in _FAMILIES.items():
        for path, entry in entries(case, member) if "ThingArn" in family.required else ():
            thing, certificate = (text(entry.get(key)) or "" for key in ("ThingArn", "CertificateArn"))
            if _THING.fullmatch(thing) and _CERTIFICATE.fullmatch(certificate):
                places = [":".join(parts(arn)[:2]) for arn in (thing, certificate)]
                if places[0] != places[1]:
                    message = (
                        f"{family.noun} {entry.get('Id')}: its certificate is in {places[1]}, its thing in {places[0]}"
                    )
                    yield Fault(path=f"{path}.CertificateArn", message=message)


@rule(
    "logger-space",
    condition="inferred",
    timing="ours",
    source=f"{_MODEL} (integers, of 32 bits); greengrass-logs-overview.md: the storage for logs, in KB; what is too "
    "small is ours, how V1 refused is not known",
)
def spaces(case: Case) -> Iterator[Fault]:
    """A logger's Space is more than 0 KB, and an integer of 32 bits."""
    for path, entry in entries(case, "Loggers"):
        space = whole_number(entry.get("Space"))
        if space is not None and not 0 < space <= _MAX_INTEGER:
            message = f"logger {entry.get('Id')}: Space is {space}, which is not from 1 to {_MAX_INTEGER} KB"
            yield Fault(path=f"{path}.Space", message=message)


@rule(
    "connector-arn",
    condition="sourced",
    timing="inferred",
    source=f"connectors.md; {_MODEL}",
    hint="…:greengrass:REGION::/connectors/NAME/versions/NUMBER",
)
def connector_arns(case: Case) -> Iterator[Fault]:
    """A connector is named by the ARN of one of its versions."""
    for path, entry in entries(case, "Connectors"):
        arn = text(entry.get("ConnectorArn"))
        if arn is not None and connector_arn(arn) is None and not is_open(arn):
            message = f"connector {entry.get('Id')}: {arn!r} is not the ARN of a connector's version"
            yield Fault(path=f"{path}.ConnectorArn", message=message)


@rule("device-total", condition="sourced", timing="inferred", source=_QUOTAS)
def devices(case: Case) -> Iterator[Fault]:
    """A group has at most 2500 devices (setting: devices-per-group)."""
    yield from _too_many(case, "Devices", case.settings.quotas.devices_per_group)


@rule("subscription-total", condition="sourced", timing="inferred", source=_QUOTAS)
def subscriptions(case: Case) -> Iterator[Fault]:
    """A group has at most 10000 subscriptions (setting: subscriptions-per-group)."""
    yield from _too_many(case, "Subscriptions", case.settings.quotas.subscriptions_per_group)


@rule(
    "section-total-disputed",
    condition="sourced",
    timing="inferred",
    severity="warning",
    until="1.10",
    source=f"what-is-gg.md: 1.11 increased the devices of a group from 200 to 2500, its subscriptions from 1000 to "
    f"10000; {_QUOTAS}: 2500 and 10000, for any core",
    hint="Use GGC 1.11, or split the group.",
)
def totals_before_1_11(case: Case) -> Iterator[Fault]:
    """Before GGC 1.11 a group had at most 200 devices and 1000 subscriptions; the quota page makes no distinction."""
    quotas = case.settings.quotas
    for name, allowed, today in (
        ("Devices", quotas.devices_before_1_11, quotas.devices_per_group),
        ("Subscriptions", quotas.subscriptions_before_1_11, quotas.subscriptions_per_group),
    ):
        yield from _too_many(case, name, allowed) if allowed < today else ()


@rule("subscription-cloud-total", condition="sourced", timing="inferred", source=_QUOTAS)
def cloud_subscriptions(case: Case) -> Iterator[Fault]:
    """At most 50 subscriptions of a group have the cloud as their source (setting: cloud-subscriptions-per-group)."""
    count = sum(entry.get("Source") == "cloud" for _, entry in entries(case, "Subscriptions"))
    allowed = case.settings.quotas.cloud_subscriptions_per_group
    if count > allowed:
        message = f"{count} subscriptions have the source cloud; at most {allowed} are allowed"
        yield Fault(path="$.Subscriptions", message=message)


@rule("subscription-source", condition="sourced", timing="sourced", phase="create", aws_text=_SOURCE_TEXT, source=_MOTO)
def sources(case: Case) -> Iterator[Fault]:
    """A subscription's source is cloud, GGShadowService, a thing, a connector, or a function with version or alias."""
    yield from _parties(case, "Source")


@rule("subscription-target", condition="sourced", timing="sourced", phase="create", aws_text=_TARGET_TEXT, source=_MOTO)
def targets(case: Case) -> Iterator[Fault]:
    """A subscription's target is cloud, GGShadowService, a thing, a connector, or a function with version or alias."""
    yield from _parties(case, "Target")


@rule("subscription-subject", condition="sourced", timing="inferred", source=_QUOTAS)
def subjects(case: Case) -> Iterator[Fault]:
    """A subscription's topic has at most 256 bytes of UTF-8 and 7 slashes."""
    for path, entry in entries(case, "Subscriptions"):
        topic = str(entry.get("Subject") or "")
        length, slashes = len(topic.encode("utf-8", "replace")), topic.count("/")
        if (length > MAX_TOPIC_BYTES or slashes > MAX_SLASHES) and not is_open(topic):
            message = (
                f"subscription {entry.get('Id')}: its topic has {length} bytes and {slashes} slashes; at most "
                f"{MAX_TOPIC_BYTES} and {MAX_SLASHES} are allowed"
            )
            yield Fault(path=f"{path}.Subject", message=message)


@rule("subscription-filter", condition="inferred", timing="ours", source="MQTT 3.1.1, 4.7; how V1 refused is not known")
def filters(case: Case) -> Iterator[Fault]:
    """A subscription's topic is a valid MQTT filter: not empty, + and # only as whole levels, # only as the last."""
    for path, entry in entries(case, "Subscriptions"):
        topic = text(entry.get("Subject"))
        if topic is not None and not is_filter(topic) and not is_open(topic):
            yield Fault(
                path=f"{path}.Subject",
                message=f"subscription {entry.get('Id')}: {topic!r} is not an MQTT topic filter, so it matches nothing",
            )


@rule(
    "subscription-unknown",
    condition="ours",
    timing="ours",
    severity="warning",
    source="ours: how V1 took it is not known; what is not in the group sends and receives nothing",
    hint="Name the version or alias that the group's function has, or add what is missing to the group.",
)
def unknown_parties(case: Case) -> Iterator[Fault]:
    """The functions, devices and connectors that a subscription names are in the group."""
    arns_by_kind = {
        ":lambda:": [function.arn for function in case.group.functions],
        ":thing/": [text(entry.get("ThingArn")) or "" for _, entry in entries(case, "Devices")],
        ":/connectors/": [text(entry.get("ConnectorArn")) or "" for _, entry in entries(case, "Connectors")],
    }
    known = {
        mark: set(arns)
        for mark, arns in arns_by_kind.items()
        if arns and not any(is_open(arn) or mark not in arn for arn in arns)
    }
    for path, entry in entries(case, "Subscriptions"):
        for key in ("Source", "Target"):
            arn = text(entry.get(key)) or ""
            if not is_open(arn) and any(mark in arn and arn not in arns for mark, arns in known.items()):
                message = f"subscription {entry.get('Id')}: its {key} {arn} is not in the group"
                yield Fault(path=f"{path}.{key}", message=message)


def entries(case: Case, name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield the objects of one of the API's lists (``Connectors``), each with its JSON path."""
    value = case.sections.get(name)
    if value is None and name == "Subscriptions":
        value = [
            {"Id": s.id, "Source": s.source, "Subject": s.subject, "Target": s.target} for s in case.group.subscriptions
        ]
    for index, entry in enumerate(value if isinstance(value, list) else []):
        if isinstance(entry, Mapping):
            yield f"$.{name}[{index}]", entry


def _too_many(case: Case, name: str, allowed: int) -> Iterator[Fault]:
    count = sum(1 for _ in entries(case, name))
    if count > allowed:
        yield Fault(path=f"$.{name}", message=f"the group has {count} {name.lower()}; at most {allowed} are allowed")


def _parties(case: Case, key: str) -> Iterator[Fault]:
    for path, entry in entries(case, "Subscriptions"):
        value = text(entry.get(key))
        if value is not None and not _PARTY.fullmatch(value) and not is_open(value):
            identifier = str(entry.get("Id"))
            yield Fault(
                path=f"{path}.{key}",
                message=f"subscription {identifier}: {key} {value!r} is none of cloud, GGShadowService, a thing, a "
                "connector, a function with version or alias",
                values={"id": identifier, "value": value},
            )


RULES: tuple[Rule, ...] = (
    identifiers,
    unique_ids,
    things,
    certificates,
    spaces,
    connector_arns,
    devices,
    subscriptions,
    totals_before_1_11,
    cloud_subscriptions,
    sources,
    targets,
    subjects,
    filters,
    unknown_parties,
)
