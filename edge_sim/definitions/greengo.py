"""``greengo.yaml``, the file of dzimine/greengo: what that tool made of it with boto3; and its state file.

Thing names, function names and aliases are in the file; region, account and certificate are not, and stay placeholders.
``.gg/gg_state.json`` has them: it keeps the service's own answers (and private keys, which are not touched here).
Rules: greengo's own source (create_resources, create_lambdas, create_subscriptions).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_sim.arns import arn
from edge_sim.definitions.forms import IGNORE_LIST, Part
from edge_sim.definitions.tree import Array, Note, Object, array_like, like
from edge_sim.greengrass.families import FAMILIES

_WHERE = "${AWS::Region}:${AWS::AccountId}"


def is_greengo(top: Object) -> bool:
    """Return whether an object is greengo's: a group with a small ``name``, or functions under ``Lambdas``."""
    group = top.get("Group")
    members = any(isinstance(top.get(key), Array) for key in ("Cores", "Resources", "Subscriptions"))
    return (isinstance(group, Object) and "name" in group and members) or isinstance(top.get("Lambdas"), Array)


def is_state(top: Object) -> bool:
    """Return whether an object is greengo's state file."""
    return any(True for _ in _details(top))


def state(top: Object) -> Part:
    """Read greengo's state file: the definitions from the service's answers, the core from what greengo created."""
    part = Part(form="greengo state")
    for definition in _details(top):
        for name, section in FAMILIES.items():
            if section.member in definition:
                part.sections[name] = definition
    cores = top.get("Cores")
    if "core" not in part.sections and isinstance(cores, Array):
        items = {i: _created(core) if isinstance(core, Object) else core for i, core in enumerate(cores)}
        part.sections["core"] = _version(top, "Cores", "Cores", array_like(cores, items))
        part.notes.append(Note(message="the core's SyncShadow is not in the file"))
    group = top.get("Group")
    if isinstance(group, Object):
        version = group.get("Version")
        part.name = str(group.get("Name") or "")
        part.arn = str(version.get("Arn") or "") if isinstance(version, Object) else ""
    return part


def _details(top: Object) -> Iterator[Object]:
    for value in top.values():
        details = value.get("LatestVersionDetails") if isinstance(value, Object) else None
        definition = details.get("Definition") if isinstance(details, Object) else None
        if isinstance(definition, Object):
            yield definition


def _created(core: Object) -> Object:
    thing, keys = core.get("thing"), core.get("keys")
    members: dict[str, object] = {"Id": core.get("name")}
    members["ThingArn"] = thing.get("thingArn") if isinstance(thing, Object) else None
    members["CertificateArn"] = keys.get("certificateArn") if isinstance(keys, Object) else None
    return like(core, members)


def greengo(top: Object) -> Part:
    """Read a greengo file."""
    group = top.get("Group")
    name = str(group.get("name") or "") if isinstance(group, Object) else ""
    part = Part(form="greengo", name=name, reader="boto3", fills_in=True)
    arns = _arns(top)
    makers: dict[str, tuple[str, str, Any]] = {
        "Cores": ("core", "Cores", _thing),
        "Resources": ("resources", "Resources", _resource),
        "Lambdas": ("functions", "Functions", _function),
        "Loggers": ("loggers", "Loggers", lambda item, _: item),
        "Devices": ("devices", "Devices", _thing),
        "Connectors": ("connectors", "Connectors", lambda item, _: item),
    }
    for key, (section, member, make) in makers.items():
        entries = top.get(key)
        if isinstance(entries, Array):
            items = {i: make(item, i) if isinstance(item, Object) else item for i, item in enumerate(entries)}
            part.sections[section] = _version(top, key, member, array_like(entries, items))
    subscriptions = top.get("Subscriptions")
    if isinstance(subscriptions, Array):
        items = {i: _subscription(s, i, arns) if isinstance(s, Object) else s for i, s in enumerate(subscriptions)}
        part.sections["subscriptions"] = _version(
            top, "Subscriptions", "Subscriptions", array_like(subscriptions, items)
        )
    known = ("Group", "Subscriptions", IGNORE_LIST, *makers)
    part.notes += [
        Note(message=f"{key} is not a section of greengo's and was left out", place=top.position(key))
        for key in top
        if key not in known
    ]
    part.notes.append(Note(message="region, account and certificates are not in a greengo file"))
    if "functions" in part.sections:
        part.notes.append(
            Note(message="handlers and code packages belong to Lambda, not to the group, and were left out")
        )
    return part


def _version(top: Object, key: str, member: str, items: Array) -> Object:
    version = Object(top.file, top.marks[key])
    version.add(member, items, top.marks[key])
    return version


def _thing(item: Object, _index: int) -> Object:
    name = str(item.get("name") or "")
    members: dict[str, object] = {
        "Id": name,
        "ThingArn": arn("iot", f"thing/{name}", _WHERE),
        "CertificateArn": f"${{CertificateArn:{name}}}",
    }
    if item.get("SyncShadow") is not None:
        members["SyncShadow"] = item["SyncShadow"]
    return _placed(item, members)


def _resource(item: Object, _index: int) -> Object:
    """Everything but Id and Name is the ResourceDataContainer."""
    container = like(item, {key: value for key, value in item.items() if key not in ("Id", "Name")})
    members = {key: item[key] for key in ("Id", "Name") if key in item}
    return like(item, {**members, "ResourceDataContainer": container})


def _function(item: Object, _index: int) -> Object:
    name, alias = str(item.get("name") or ""), str(item.get("alias") or "")
    members: dict[str, object] = {"Id": name, "FunctionArn": _function_arn(name, alias)}
    if item.get("greengrassConfig") is not None:
        members["FunctionConfiguration"] = item["greengrassConfig"]
    function = _placed(item, members)
    if "greengrassConfig" in item:
        function.marks["FunctionConfiguration"] = item.marks["greengrassConfig"]
    return function


def _placed(item: Object, members: dict[str, object]) -> Object:
    copy = like(item, members)
    for key in ("Id", "ThingArn", "FunctionArn"):
        if key in copy and "name" in item:
            copy.marks[key] = item.marks["name"]
    return copy


def _function_arn(name: str, alias: str) -> str:
    return arn("lambda", f"function:{name}:{alias or '${Alias}'}", _WHERE)


def _subscription(item: Object, index: int, arns: dict[str, str]) -> Object:
    members: dict[str, object] = {"Id": str(index), **item}
    for key in ("Source", "Target"):
        if isinstance(item.get(key), str):
            parts = "::".join(part.strip() for part in item[key].split("::"))
            members[key] = arns.get(parts, item[key])
    return like(item, members)


def _arns(top: Object) -> dict[str, str]:
    """Return what ``Lambda::name``, ``Device::name`` and ``Connector::name`` stand for."""
    arns: dict[str, str] = {}
    for key, word in (("Lambdas", "Lambda"), ("Devices", "Device"), ("Connectors", "Connector")):
        items = top.get(key)
        for item in items if isinstance(items, Array) else ():
            if isinstance(item, Object) and word == "Connector":
                arns[f"Connector::{item.get('Id')}"] = str(item.get("ConnectorArn"))
            elif isinstance(item, Object):
                name, alias = str(item.get("name") or ""), str(item.get("alias") or "")
                thing = arn("iot", f"thing/{name}", _WHERE)
                arns[f"{word}::{name}"] = thing if word == "Device" else _function_arn(name, alias)
    return arns
