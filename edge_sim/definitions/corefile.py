"""``group.json`` as found on a core: back to the definitions it was built from, as far as it tells.

The cloud left out ids and names (GGC 1.3-1.5), and put in what it knew of the code; ``greengrass/groupfile.py`` knows
the file's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_sim.definitions.forms import Part
from edge_sim.definitions.tree import Array, Note, Object, array_like, like
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.model import Shape

FRAME = "GroupDefinitions"
_Make = Callable[[Object, int], Mapping[str, object]]


def core_file(top: Object) -> Part:
    """Read a ``group.json``."""
    part = Part(form="group.json", arn=str(top.get("Arn") or ""))
    frame = top.get(FRAME)
    definitions = frame if isinstance(frame, Object) else like(top, {})
    _section(part, "core", top, "Cores", lambda entry, index: groupfile.api_core(entry, index + 1))
    _section(part, "devices", top, "Devices", _device)
    _content(part, "resources", definitions, "Resources", lambda entry, _: groupfile.api_resource(entry))
    _content(part, "functions", definitions, "Lambdas", lambda entry, _: groupfile.api_function(entry))
    _content(part, "loggers", definitions, "Logging", lambda entry, index: {"Id": f"logger-{index + 1}", **entry})
    _content(part, "subscriptions", definitions, "Subscriptions", _subscription)
    _default_config(part, definitions.get("Lambdas"))
    part.notes += _not_recovered(top, definitions)
    return part


def _default_config(part: Part, frame: object) -> None:
    if "functions" in part.sections and isinstance(frame, Object) and isinstance(frame.get("DefaultConfig"), Object):
        default = _pruned(frame["DefaultConfig"], FAMILIES["functions"].shape["DefaultConfig"])
        part.sections["functions"].add("DefaultConfig", default, frame.marks["DefaultConfig"])


def _content(part: Part, name: str, definitions: Object, key: str, make: _Make) -> None:
    frame = definitions.get(key)
    if isinstance(frame, Object):
        _section(part, name, frame, "Content", make)
    elif frame is not None:
        definitions.file.fail(definitions.marks[key], f"{key} must be an object with Content")


def _section(part: Part, name: str, holder: Object, key: str, make: _Make) -> None:
    value = holder.get(key)
    if value is None or (not value and name not in ("resources", "functions")):
        return
    if not isinstance(value, Array):
        holder.file.fail(holder.marks[key], f"{key} must be a list")
    section = FAMILIES[name]
    (shape,) = section.shape[section.member]
    items = {
        index: _pruned(_placed(make(entry, index), entry), shape) if isinstance(entry, Object) else entry
        for index, entry in enumerate(value)
    }
    version = Object(holder.file, holder.at)
    version.add(section.member, array_like(value, items), holder.marks[key])
    part.sections[name] = version


def _subscription(entry: Mapping[str, object], index: int) -> dict[str, object]:
    return {"Id": f"subscription-{index + 1}", **entry}


def _device(entry: Mapping[str, object], index: int) -> dict[str, object]:
    return {**groupfile.api_core(entry), "Id": f"device-{index + 1}"}


def _placed(value: Mapping[str, object], origin: Object) -> Object:
    """Give the objects that were made here the place of the entry they were made from."""
    return like(origin, {k: _placed(v, origin) if type(v) is dict else v for k, v in value.items()})


def _pruned(value: object, shape: Shape) -> object:
    """Return only what the API has a member for; group.json also holds what the build added, and nulls."""
    if isinstance(shape, Mapping) and isinstance(value, Object):
        return like(value, {k: _pruned(v, shape[k]) for k, v in value.items() if k in shape and v is not None})
    if isinstance(shape, list) and isinstance(value, Array):
        return array_like(value, {index: _pruned(item, shape[0]) for index, item in enumerate(value)})
    return value


def _not_recovered(top: Object, definitions: Object) -> list[Note]:
    lost = ["names of definitions and their versions' ARNs are not in group.json"]
    resources, lambdas = (_entries(definitions, key) for key in ("Resources", "Lambdas"))
    if any(not entry.get("Name") for entry in resources):
        lost.append("resources have no Name in this file, so their Id stands for it")
    if any(not entry.get("Id") for entry in lambdas):
        lost.append("functions have no Id in this file, so their ARN stands for it")
    unknown = [e for e in resources if not groupfile.api_resource(e)["ResourceDataContainer"]]
    if top.get("Cores"):
        lost.append("the core's Id and SyncShadow are not in this file; 'core' stands for the Id")
    if any(entry.get("ArtifactArn") for entry in (*resources, *lambdas)):
        lost.append("handlers, runtimes and artifact ARNs, which the cloud added, were left out")
    notes = [Note(message=message) for message in lost]
    for entry in unknown:
        message = f"resource {entry.get('Id')}: Type {entry.get('Type')!r} is not known"
        notes.append(Note(message=message, place=entry.position("Type")))
    if _entries(definitions, "ShadowSync"):
        notes.append(Note(message="ShadowSync is not recovered", place=definitions.position("ShadowSync")))
    return notes


def _entries(definitions: Object, key: str) -> list[Object]:
    frame = definitions.get(key)
    content = frame.get("Content") if isinstance(frame, Object) else None
    return [entry for entry in content if isinstance(entry, Object)] if isinstance(content, Array) else []
