"""What several files give → one ``Definition``: sections side by side, every fault and note with its place."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from edge_sim.definitions import corefile, misplaced, shapes
from edge_sim.definitions.definition import Definition, Ignored
from edge_sim.definitions.forms import BUNDLE, MEMBERS, Part
from edge_sim.definitions.ignores import comments, listed_ignores
from edge_sim.definitions.tree import Array, Fault, Note, Object, TextFile, member_path, walk
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.greengrass import groupfile, parse
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.report import Finding

_PLACEHOLDER = re.compile(r"\$\{[A-Za-z0-9]+:[^{}]*\}")
_ANY_PLACEHOLDER = re.compile(r"\$\{[^{}]+\}")
_WITHOUT_VALUE = ("not-json", "number-range")
"""Faults of a text that leave no value: that it is missing follows from them."""
_FREE_TEXT = ("Variables", "Parameters", "ExecArgs")
"""Members in which ``${NAME}`` may be meant for the program that gets it."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file that was read: its text, its top value, and what it gives."""

    file: TextFile
    top: Object | Array
    part: Part
    is_json: bool


def together(found: Sequence[Source]) -> Definition:
    """Put together what several files give. Raises InvalidDefinitionError when two of them give the same."""
    sections = _sections(found)
    faulty = any(one.file.faults for one in found)
    paths = {id(holder): path for section in sections.values() if faulty for path, holder in walk(section)}
    marks = {path: place for one in found for path, place in one.part.places.items()}
    findings = [f for one in found for f in _findings(one, paths, marks, sections)]
    findings += [f for one in found for f in _unknown(one, marks)]
    findings += [f for one in found for f in one.part.findings]
    group, shape_faults = _parsed(found, sections)
    without_value = {f.path for f in findings if f.severity == "error" and f.id in _WITHOUT_VALUE}
    code, artifacts = _built(found)
    arn = next((one.part.arn for one in found if one.part.arn), "")
    return Definition(
        group=replace(group, arn=arn, code=code, artifacts=artifacts),
        form=" + ".join(dict.fromkeys(one.part.form for one in found)),
        findings=(*findings, *(f for f in shape_faults if f.path not in without_value)),
        notes=(*(note for one in found for note in one.part.notes), *_placeholders(found), *_strangers(sections)),
        ignored=tuple(entry for one in found for entry in _ignored(one, sections, marks)),
        files=tuple(one.file.path for one in found),
        digest=_digest(one.file.text for one in found),
        name=next((one.part.name for one in found if one.part.name), ""),
        sections=sections,
        marks=marks,
    )


def _parsed(found: Sequence[Source], sections: Mapping[str, Object]) -> tuple[Group, list[Finding]]:
    """Return the group as it is meant, and what the API would not take of the sections as they are written."""
    exact = {name for one in found if one.part.exact for name in one.part.sections}
    clean = all(shapes.is_clean(s, FAMILIES[name].shape, exact=name in exact) for name, s in sections.items())
    unknown = [] if clean else [*shapes.unknown_members(sections)]
    if unknown:
        sections = {name: misplaced.meant(section, FAMILIES[name].shape) for name, section in sections.items()}
    group, faults = parse.group(sections)
    inexact = (f for name in (() if clean else exact) for f in shapes.exact_types(sections[name], FAMILIES[name].shape))
    return group, [*chain(*faults.values()), *unknown, *shapes.check(sections, faults), *inexact]


def _placeholders(found: Sequence[Source]) -> Iterator[Note]:
    """Tell of the placeholders in one note, where the first of them stands."""
    places: dict[str, Position] = {}
    sections = [section for one in found for section in one.part.sections.values()]
    filled_in = [one.file for one in found if one.part.fills_in]
    waiting: list[tuple[Object | Array, bool]] = [(section, False) for section in reversed(sections)]
    while waiting:
        holder, free = waiting.pop()
        inner: list[tuple[Object | Array, bool]] = []
        for key, value in holder.items() if isinstance(holder, Object) else enumerate(holder):
            if isinstance(value, str):
                if "${" not in value:
                    continue
                form = _PLACEHOLDER if free or key in _FREE_TEXT else _ANY_PLACEHOLDER
                for name in form.findall(value):
                    if holder.file not in filled_in or name in holder.file.text:
                        places.setdefault(name, holder.position(key))  # type: ignore[arg-type]  # its own key
            elif isinstance(value, Object | Array):
                inner.append((value, key in _FREE_TEXT))
        waiting += reversed(inner)
    if places:
        names = ", ".join(f"{name} (line {place.line})" for name, place in places.items())
        yield Note(
            message=f"placeholders, whose values are not in the file: {names}", place=next(iter(places.values()))
        )


def _sections(found: Sequence[Source]) -> dict[str, Object]:
    sections: dict[str, Object] = {}
    for one in found:
        for name, section in one.part.sections.items():
            if name in sections:
                first = sections[name].file.path
                raise InvalidDefinitionError(f"{name} are given here and in {first}", place=section.position())
            sections[name] = section
    return sections


def _strangers(sections: Mapping[str, Object]) -> Iterator[Note]:
    """Tell of the functions, devices and connectors that subscriptions name and no file holds."""
    members = {"core": "ThingArn", "functions": "FunctionArn", "devices": "ThingArn", "connectors": "ConnectorArn"}
    known = {str(item.get(key)) for name, key in members.items() for item in _items(sections, name)}
    strangers: dict[str, Position] = {}
    for item in _items(sections, "subscriptions"):
        for key in ("Source", "Target"):
            end = item.get(key)
            if isinstance(end, str) and end.startswith(("arn:", "${")) and end not in known:
                strangers.setdefault(end, item.position(key))
    if strangers:
        names = ", ".join(f"{name} (line {place.line})" for name, place in strangers.items())
        message = f"subscriptions name what the files do not hold, and nobody judged: {names}"
        yield Note(message=message, place=next(iter(strangers.values())))


def _items(sections: Mapping[str, Object], name: str) -> list[Object]:
    items = sections[name].get(FAMILIES[name].member) if name in sections else None
    return [item for item in items if isinstance(item, Object)] if isinstance(items, Array) else []


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def _built(found: Sequence[Source]) -> tuple[dict[str, FunctionCode], dict[str, Artifact]]:
    """Return what a core's group.json knows of the code and models that the cloud built, or a template of its code."""
    for one in found:
        if isinstance(one.top, Object) and corefile.FRAME in one.top:
            with contextlib.suppress(InvalidDefinitionError):  # said as findings already
                return groupfile.built(one.top)
    return {id_: code for one in found for id_, code in one.part.code.items()}, {}


def _findings(
    one: Source, paths: dict[int, str], marks: dict[str, Position], sections: Mapping[str, Object]
) -> Iterator[Finding]:
    """Yield the faults of a file's text as findings; a path is the definition's, or else the file's own."""
    if not one.file.faults:
        return
    own = {id(holder): path for path, holder in walk(one.top)}
    parts = [*sections.values(), *one.part.context]
    within = {holder.at for part in parts if part.file is one.file for _, holder in walk(part)}
    copied = {
        holder.at: path
        for section in sections.values()
        if section.file is one.file
        for path, holder in walk(section)
        if path != "$"
    }
    for fault in one.file.faults:
        holder = fault.holder
        known = paths.get(id(holder)) or copied.get(holder.at) or own.get(id(holder)) or "$"
        path = member_path(known, fault.key)
        marks[path] = one.file.position(fault.at)
        yield _finding(fault, path, outside=_outside(fault, one.top, within))


def _outside(fault: Fault, top: Object | Array, within: Collection[int]) -> bool:
    """Return whether a fault says nothing of the group: neither its object, nor what it holds, is part of it."""
    if fault.holder.at in within:
        return False
    if fault.holder is not top and any(holder.at in within for _, holder in walk(fault.holder)):
        return False  # one of a template's resources, say: a lost one may have been the group's
    value = fault.holder.get(str(fault.key)) if isinstance(fault.holder, Object) else None
    return not any(holder.at in within for _, holder in walk(value))


def _finding(fault: Fault, path: str, *, outside: bool) -> Finding:
    mild = fault.rule == "ambiguous-number" or outside
    return Finding(
        id=fault.rule,
        severity="warning" if mild else "error",
        phase="create",
        path=path,
        message=fault.message + ("; it is not part of the group" if outside else ""),
        source="RFC 8259, YAML 1.2; refused by this project, where readers differ",
    )


def _unknown(one: Source, marks: dict[str, Position]) -> Iterator[Finding]:
    for holder, key in one.part.unknown:
        words = (*FAMILIES, "name", "arn") if BUNDLE in holder else MEMBERS
        hint = "It stands beside the definition that is read; give it a file of its own."
        if key not in MEMBERS:
            others = [name for name in words if name not in holder]
            hint = misplaced.home({}, (), key, others).hint((), others)
        found = shapes.unknown_member("$", key, hint)
        marks[found.path] = holder.position(key)
        yield found


def _ignored(one: Source, sections: Mapping[str, Object], marks: Mapping[str, Position]) -> Iterator[Ignored]:
    if isinstance(one.top, Object):
        yield from listed_ignores(one.top)
    if not one.is_json:
        yield from comments(one.file, sections, marks)
