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
from edge_sim.definitions.tree import Array, Note, Object, ParseFault, TextFile, member_path, walk
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.greengrass import groupfile, parse
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.objectreader import OTHERS
from edge_sim.report import Finding

_PLACEHOLDER = re.compile(r"\$\{[A-Za-z0-9]+:[^{}]*\}")
_ANY_PLACEHOLDER = re.compile(r"\$\{[^{}]+\}")
_WITHOUT_VALUE = ("not-json", "number-range")
"""Faults of a text that leave no value: that it is missing follows from them."""
FREE_TEXT = ("Variables", "Parameters", "ExecArgs")
"""Members in which ``${NAME}`` may be meant for the program that gets it."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file that was read: its text, its top value, and what it gives."""

    file: TextFile
    top: Object | Array
    part: Part
    is_json: bool


def together(sources: Sequence[SourceFile]) -> Definition:
    """Put together what several files give. Raises InvalidDefinitionError when two of them give the same."""
    sections = _sections(sources)
    faulty = any(source.file.faults for source in sources)
    paths = {id(holder): path for section in sections.values() if faulty for path, holder in walk(section)}
    marks = {path: place for source in sources for path, place in source.part.places.items()}
    findings = [f for source in sources for f in _findings(source, paths, marks, sections)]
    findings += [f for source in sources for f in _unknown(source, marks)]
    findings += [f for source in sources for f in source.part.findings]
    group, readings, shape_faults = _parse(sources, sections)
    without_value = {f.path for f in findings if f.severity == "error" and f.id in _WITHOUT_VALUE}
    code, artifacts = _code_and_artifacts(sources)
    arn = next((source.part.arn for source in sources if source.part.arn), "")
    return Definition(
        group=replace(group, arn=arn, code=code, artifacts=artifacts),
        readings=readings,
        form=" + ".join(dict.fromkeys(source.part.form for source in sources)),
        findings=(*findings, *(f for f in shape_faults if f.path not in without_value)),
        notes=(
            *(note for source in sources for note in source.part.notes),
            *_placeholders(sources),
            *_strangers(sections),
        ),
        ignored=tuple(entry for source in sources for entry in _ignores(source, sections, marks)),
        files=tuple(source.file.path for source in sources),
        digest=_digest(source.file.text for source in sources),
        name=next((source.part.name for source in sources if source.part.name), ""),
        sections=sections,
        marks=marks,
    )


def _parse(
    sources: Sequence[SourceFile], sections: Mapping[str, Object]
) -> tuple[Group, tuple[Group, ...], list[Finding]]:
    """Return the group as it is meant, as it may be as well, and what the API would not take of what is written."""
    readers = {name: source.part.reader for source in sources if source.part.reader for name in source.part.sections}
    clean = all(shapes.is_clean(s, FAMILIES[name].shape, readers.get(name)) for name, s in sections.items())
    unknown = [] if clean else [*shapes.unknown_members(sections)]
    if unknown:
        sections = {name: misplaced.correction(section, FAMILIES[name].shape) for name, section in sections.items()}
    group, faults = parse.group(sections)
    sent = [] if clean else [(sections[name], FAMILIES[name].shape, reader) for name, reader in readers.items()]
    types = [f for section in sent for f in shapes.exact_types(*section)]
    refused = {fault.path for fault in types}
    read = (f for f in (*chain(*faults.values()), *unknown, *shapes.check(sections, faults)) if f.path not in refused)
    findings = [*read, *types]
    paths = {finding.path for finding in findings}
    findings += [f for section in sent for f in shapes.null_members(*section) if f.path not in paths]
    is_open = any(f.severity == "unknown" for f in findings)
    return group, tuple(parse.group(sections, substitute)[0] for substitute in OTHERS if is_open), findings


def _placeholders(sources: Sequence[SourceFile]) -> Iterator[Note]:
    """Report the placeholders in one note, at the place of the first."""
    places: dict[str, Position] = {}
    sections = [section for source in sources for section in source.part.sections.values()]
    filled_in = [source.file for source in sources if source.part.fills_in]
    waiting: list[tuple[Object | Array, bool]] = [(section, False) for section in reversed(sections)]
    while waiting:
        holder, free = waiting.pop()
        inner: list[tuple[Object | Array, bool]] = []
        for key, value in holder.items() if isinstance(holder, Object) else enumerate(holder):
            if isinstance(value, str):
                if "${" not in value:
                    continue
                form = _PLACEHOLDER if free or key in FREE_TEXT else _ANY_PLACEHOLDER
                for name in form.findall(value):
                    if holder.file not in filled_in or name in holder.file.text:
                        places.setdefault(name, holder.position(key))  # type: ignore[arg-type]  # its own key
            elif isinstance(value, Object | Array):
                inner.append((value, key in FREE_TEXT))
        waiting += reversed(inner)
    if places:
        names = ", ".join(f"{name} (line {place.line})" for name, place in places.items())
        yield Note(
            message=f"placeholders, whose values are not in the file: {names}", place=next(iter(places.values()))
        )


def _sections(sources: Sequence[SourceFile]) -> dict[str, Object]:
    sections: dict[str, Object] = {}
    for source in sources:
        for name, section in source.part.sections.items():
            if name in sections:
                first = sections[name].file.path
                raise InvalidDefinitionError(f"{name} are defined both here and in {first}", place=section.position())
            sections[name] = section
    return sections


def _strangers(sections: Mapping[str, Object]) -> Iterator[Note]:
    """Report the functions, devices and connectors that subscriptions name and no file holds."""
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
        message = f"subscriptions name items that the files do not hold, so these were not checked: {names}"
        yield Note(message=message, place=next(iter(strangers.values())))


def _items(sections: Mapping[str, Object], name: str) -> list[Object]:
    items = sections[name].get(FAMILIES[name].member) if name in sections else None
    return [item for item in items if isinstance(item, Object)] if isinstance(items, Array) else []


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def _code_and_artifacts(sources: Sequence[SourceFile]) -> tuple[dict[str, FunctionCode], dict[str, Artifact]]:
    """Return what a core's group.json knows of the code and models that the cloud built, or a template of its code."""
    for source in sources:
        if isinstance(source.top, Object) and corefile.FRAME in source.top:
            with contextlib.suppress(InvalidDefinitionError):  # said as findings already
                return groupfile.code_and_artifacts(source.top)
    return {id_: code for source in sources for id_, code in source.part.code.items()}, {}


def _findings(
    source: SourceFile, paths: dict[int, str], marks: dict[str, Position], sections: Mapping[str, Object]
) -> Iterator[Finding]:
    """Yield the faults of a file's text as findings; a path is the definition's, or else the file's own."""
    if not source.file.faults:
        return
    own = {id(holder): path for path, holder in walk(source.top)}
    parts = [*sections.values(), *source.part.context]
    within = {holder.at for part in parts if part.file is source.file for _, holder in walk(part)}
    paths_by_place = {
        holder.at: path
        for section in sections.values()
        if section.file is source.file
        for path, holder in walk(section)
        if path != "$"
    }
    for fault in source.file.faults:
        holder = fault.holder
        known = paths.get(id(holder)) or paths_by_place.get(holder.at) or own.get(id(holder)) or "$"
        path = member_path(known, fault.key)
        marks[path] = source.file.position(fault.at)
        yield _finding(fault, path, outside=_outside(fault, source.top, within))


def _outside(fault: ParseFault, top: Object | Array, within: Collection[int]) -> bool:
    """Return whether a fault says nothing of the group: neither its object, nor what it holds, is part of it."""
    if fault.holder.at in within:
        return False
    if fault.holder is not top and any(holder.at in within for _, holder in walk(fault.holder)):
        return False  # one of a template's resources, say: a lost one may have been the group's
    value = fault.holder.get(str(fault.key)) if isinstance(fault.holder, Object) else None
    return not any(holder.at in within for _, holder in walk(value))


def _finding(fault: ParseFault, path: str, *, outside: bool) -> Finding:
    mild = fault.rule == "ambiguous-number" or outside
    return Finding(
        id=fault.rule,
        severity="warning" if mild else "error",
        phase="create",
        path=path,
        message=fault.message + ("; it is not part of the group" if outside else ""),
        source="RFC 8259, YAML 1.2; refused by this project, where readers differ",
    )


def _unknown(source: SourceFile, marks: dict[str, Position]) -> Iterator[Finding]:
    for holder, key in source.part.unknown:
        words = (*FAMILIES, "name", "arn") if BUNDLE in holder else MEMBERS
        hint = "It is beside the definition, not in it; move it to its own file."
        if key not in MEMBERS:
            others = [name for name in words if name not in holder]
            hint = misplaced.home({}, (), key, others).hint((), others)
        finding = shapes.unknown_member("$", key, hint)
        marks[finding.path] = holder.position(key)
        yield finding


def _ignores(source: SourceFile, sections: Mapping[str, Object], marks: Mapping[str, Position]) -> Iterator[Ignored]:
    if isinstance(source.top, Object):
        yield from listed_ignores(source.top)
    if not source.is_json:
        yield from comments(source.file, sections, marks)
