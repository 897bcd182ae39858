"""The API's own forms of a definition: which one a file is, and the …DefinitionVersion objects in it.

    {"Resources": [...]}                       ResourceDefinitionVersion, or several kinds in one object
    {"InitialVersion": {...}}                  CreateResourceDefinition
    {"ResourceDefinitionId": ..., ...}         CreateResourceDefinitionVersion
    {"Definition": {...}, "Version": ...}      GetResourceDefinitionVersion
    {"ResourceDefinitionVersion": {...}, ...}  versions by the name of their shape
    {"edgeSimGroup": 1, "resources": {...}}    bundle, which ``edge-sim import`` writes

A bare list of resources, functions or cores is taken as well.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from edge_sim.definitions.tree import Array, Note, Object, like
from edge_sim.errors import Position
from edge_sim.greengrass import model
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.report import Finding

BUNDLE, IGNORE_LIST = "edgeSimGroup", "x-edge-sim-ignore"
_WRAPPERS = {"InitialVersion": "Create{}Definition", "Definition": "Get{}DefinitionVersion"}
MEMBERS = tuple(key for section in FAMILIES.values() for key in section.shape)
"""The members of all …DefinitionVersion objects: ``Cores``, ``Resources``, ``DefaultConfig``, …"""
_ITEM_KEYS = {"ResourceDataContainer": "resources", "FunctionConfiguration": "functions", "CertificateArn": "core"}

Reader = Literal["client", "boto3", "CloudFormation"]
"""Who reads a definition on its way to the API: ``client`` is mostly boto3 or the AWS CLI, which is made with its
core. CloudFormation converts types, all others send a value as it is."""


@dataclass(kw_only=True)
class Part:
    """What one file gives: its form, the sections in it, and what it does not say."""

    form: str
    sections: dict[str, Object] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    name: str = ""
    arn: str = ""
    unknown: list[tuple[Object, str]] = field(default_factory=list)
    """Members that belong nowhere: holder and key."""
    code: dict[str, FunctionCode] = field(default_factory=dict)
    """What the file knows of the functions' code, by their Id."""
    findings: list[Finding] = field(default_factory=list)
    """What only this form can tell: of a template's references."""
    context: list[Object] = field(default_factory=list)
    """What else of the file decides what the group is: a template's parameters and conditions."""
    undecided: dict[str, Position] = field(default_factory=dict)
    """A template's conditions that its parameters do not decide, and where each is used first."""
    parameters: tuple[str, ...] = ()
    """The names of a template's parameters."""
    reader: Reader | None = None
    """Who reads it on its way to the API; None where nobody is known to."""
    fills_in: bool = False
    """Whether the reader puts placeholders in for what such a file never says."""
    places: dict[str, Position] = field(default_factory=dict)
    """Where in the file it says so, by the JSON path of what a finding is about."""


def bundle(top: Object) -> Part:
    """Read the canonical bundle."""
    if str(top[BUNDLE]) != "1":
        top.file.fail(top.marks[BUNDLE], f"{BUNDLE} must be 1, the version of this form, not {str(top[BUNDLE])[:40]!r}")
    part = Part(form="bundle", name=_text(top, "name"), arn=_text(top, "arn"))
    for key, value in top.items():
        if key in FAMILIES and isinstance(value, Object):
            part.sections[key] = value
        elif key in FAMILIES and value is not None:
            top.file.fail(top.marks[key], f"{key} must be a {FAMILIES[key].kind}DefinitionVersion object")
        elif key not in (*FAMILIES, BUNDLE, IGNORE_LIST, "name", "arn"):
            part.unknown.append((top, key))
    return part


def _text(top: Object, key: str) -> str:
    value = top.get(key)
    content = "" if value is None else model.text(value)
    if content is None:
        top.file.fail(top.marks[key], f"{key} must be a string")
    return content


def api(top: Object) -> Part | None:
    """Read one of the API's forms, or return None when it is none of them."""
    for wrapper, form in _WRAPPERS.items():
        content = top.get(wrapper)
        if isinstance(content, Object):
            part = _version(content, form, ())
            if part:
                part.unknown += [(top, key) for key in top if key in MEMBERS or (key in _WRAPPERS and key != wrapper)]
            if part and top.get("NextToken"):
                note = Note(
                    message="the response is incomplete (NextToken): items are missing", place=top.position("NextToken")
                )
                part.notes.append(note)
            return part
    part = _by_shape(top)
    if part:
        return part
    ids = [f"{section.kind}DefinitionId" for section in FAMILIES.values()]
    form = "Create{}DefinitionVersion" if any(key in top for key in ids) else "{}DefinitionVersion"
    return _version(top, form, (*ids, "AmznClientToken", IGNORE_LIST))


def _by_shape(top: Object) -> Part | None:
    shapes = {f"{section.kind}DefinitionVersion": name for name, section in FAMILIES.items()}
    sections = {shapes[key]: value for key, value in top.items() if key in shapes and isinstance(value, Object)}
    unknown = [(top, key) for key in top if key not in shapes and key != IGNORE_LIST]
    return Part(form="DefinitionVersions", sections=sections, unknown=unknown, reader="client") if sections else None


def items(top: Array) -> Part | None:
    """Read a bare list of resources, functions or cores, such as ``--query Definition.Resources`` prints."""
    keys = {key for item in top if isinstance(item, Object) for key in item}
    for key, name in _ITEM_KEYS.items():
        if key in keys:
            version = Object(top.file, top.at)
            version.add(FAMILIES[name].member, top, top.at)
            return Part(form=f"list of {FAMILIES[name].member}", sections={name: version}, reader="client")
    return None


def _version(content: Object, form: str, request_keys: Collection[str]) -> Part | None:
    arns = [key for key in content if key.endswith("DefinitionVersionArn")]
    if arns:
        message = "names definition versions by ARN; their content is not in this file"
        note = Note(message=message, place=content.position(arns[0]))
        return Part(form=form.format("Group").replace("DefinitionVersion", "Version"), notes=[note])
    members = {
        name: [key for key in content if key in section.shape]
        for name, section in FAMILIES.items()
        if any(key in content for key in section.shape)
    }
    if not members:
        return None
    if len(members) == 1:
        (name,) = members
        rest = {key: value for key, value in content.items() if key not in request_keys}
        return Part(form=form.format(FAMILIES[name].kind), sections={name: like(content, rest)}, reader="client")
    known = {key for keys in members.values() for key in keys}.union(request_keys)
    sections = {name: like(content, {key: content[key] for key in keys}) for name, keys in members.items()}
    unknown = [(content, key) for key in content if key not in known]
    return Part(form="DefinitionVersions", sections=sections, unknown=unknown, reader="client")
