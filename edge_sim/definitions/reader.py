"""``read``: whatever people have of a Greengrass V1 group → ``Definition``.

    a scenario's folder, or its edge-sim.yaml       the files its ``group:`` names
    a file                                          JSON or YAML in any of the forms below
    a folder, or several paths                      all definitions in them, put together

    forms     the API's own: versions, Create… requests, Get… answers, the bundle
    template  CloudFormation, SAM          greengo  greengo.yaml          corefile  a core's group.json

A file that cannot be read at all is an InvalidDefinitionError with ``file:line:column``; other faults are findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sim.definitions import corefile, forms, greengo, shapes, template
from edge_sim.definitions.definition import Definition, Ignored
from edge_sim.definitions.forms import Part
from edge_sim.definitions.ignores import comments, listed_ignores
from edge_sim.definitions.jsontext import read_json
from edge_sim.definitions.tree import Array, Fault, Object, Position, TextFile, member_path, walk
from edge_sim.definitions.yamltext import read_yaml
from edge_sim.documents import Place, read_text
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.greengrass import parse
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.model import SECTIONS
from edge_sim.report import Finding

SCENARIO = "edge-sim.yaml"
MAX_FILES = 200
_SUFFIXES = (".json", ".yaml", ".yml")
_KINDS = "…DefinitionVersion, Create… request, Get…DefinitionVersion answer, template, greengo.yaml, group.json"


@dataclass(frozen=True, kw_only=True)
class _Read:
    """One file that was read: its text, its top value, and what it gives."""

    file: TextFile
    top: Object | Array
    part: Part


def read(*paths: Path) -> Definition:
    """Read a group from a file, a folder, a scenario, or several of them together.

    Raises UsageError for a path that is not there, InvalidDefinitionError for what cannot be read as a definition.
    """
    scenario = _scenario(paths[0]) if len(paths) == 1 else None
    if scenario:
        return replace(_together(_each(_group_files(scenario))), form="scenario", scenario=scenario)
    return _together(_each(paths))


def _scenario(path: Path) -> Path | None:
    if path.is_dir():
        return path / SCENARIO if (path / SCENARIO).is_file() else None
    return path if path.name == SCENARIO else None


def _group_files(scenario: Path) -> list[Path]:
    top = Place.load(scenario).entries()
    if "group" not in top:
        hint = "They are named below group: core, resources, functions."
        raise InvalidDefinitionError(f"{scenario}: names no definitions", hint=hint)
    files = top["group"].entries().values()
    return [scenario.parent / place.text(what="a path relative to this file") for place in files]


def _each(paths: Sequence[Path]) -> list[_Read]:
    found: list[_Read] = []
    skipped: list[str] = []
    for path in paths:
        for file in _files(path):
            one = _read(file)
            if one:
                found.append(one)
            elif path.is_dir():
                skipped.append(str(file))
            else:
                raise InvalidDefinitionError(f"{file}: not a Greengrass V1 definition", hint=f"Known are {_KINDS}.")
    if not found:
        where = ", ".join(str(path) for path in paths)
        raise InvalidDefinitionError(f"{where}: no Greengrass V1 definition in it", hint=f"Known are {_KINDS}.")
    found[0].part.notes.extend(f"{name}: not a definition, left out" for name in skipped)
    return found


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    if len(files) > MAX_FILES:
        raise UsageError(f"{path}: holds more than {MAX_FILES} JSON and YAML files; name the definitions")
    return files


def _read(path: Path) -> _Read | None:
    file = TextFile(path=path, text=read_text(path))
    is_json = path.suffix == ".json" or file.text.lstrip()[:1] in ("{", "[")
    top = read_json(file) if is_json else read_yaml(file)
    part = _part(top)
    return _Read(file=file, top=top, part=part) if part else None


def _part(top: object) -> Part | None:
    if isinstance(top, Array):
        return forms.items(top)
    if not isinstance(top, Object):
        return None
    if forms.BUNDLE in top:
        return forms.bundle(top)
    if corefile.FRAME in top:
        return corefile.core_file(top)
    if template.is_template(top):
        return template.template(top)
    if greengo.is_greengo(top):
        return greengo.greengo(top)
    return forms.api(top)


def _together(found: Sequence[_Read]) -> Definition:
    sections: dict[str, Object] = {}
    for one in found:
        for name, section in one.part.sections.items():
            if name in sections:
                first = sections[name].file.path
                raise InvalidDefinitionError(f"{one.file.path}: {name} are given here and in {first}")
            sections[name] = section
    paths = {id(holder): path for section in sections.values() for path, holder in walk(section)}
    marks: dict[str, Position] = {}
    findings = [_finding(fault, one, paths, marks) for one in found for fault in one.file.faults]
    findings += [f for one in found for f in _unknown(one, marks)]
    group, unread = _group(sections)
    return Definition(
        group=replace(group, arn=next((one.part.arn for one in found if one.part.arn), "")),
        form=" + ".join(dict.fromkeys(one.part.form for one in found)),
        findings=(*findings, *unread, *shapes.check(sections)),
        notes=tuple(note for one in found for note in one.part.notes),
        ignored=tuple(entry for one in found for entry in _ignored(one, sections)),
        files=tuple(one.file.path for one in found),
        name=next((one.part.name for one in found if one.part.name), ""),
        sections=sections,
        marks=marks,
    )


def _group(sections: dict[str, Object]) -> tuple[Group, list[Finding]]:
    cores, core_faults = parse.core_definition(sections.get("core", {}))
    resources, resource_faults = parse.resource_definition(sections.get("resources", {}))
    default, functions, function_faults = parse.function_definition(sections.get("functions", {}))
    group = Group(core=cores[0] if cores else None, resources=resources, functions=functions, default_config=default)
    return group, [*core_faults, *resource_faults, *function_faults]


def _finding(fault: Fault, one: _Read, paths: dict[int, str], marks: dict[str, Position]) -> Finding:
    """Return a fault of a file's text as a finding; its path is the definition's, or else the file's own."""
    inside = paths.get(id(fault.holder)) or next((p for p, holder in walk(one.top) if holder is fault.holder), "$")
    path = member_path(inside, fault.key)
    marks[path] = one.file.position(fault.at)
    return Finding(
        id=fault.rule,
        severity="warning" if fault.rule == "ambiguous-number" else "error",
        phase="create",
        path=path,
        message=fault.message,
        source="RFC 8259, YAML 1.2; refused by this project, where readers differ",
    )


def _unknown(one: _Read, marks: dict[str, Position]) -> Iterator[Finding]:
    for holder, key in one.part.unknown:
        found = shapes.unknown_member("$", key, [name for name in (*SECTIONS, "name", "arn") if name not in holder])
        marks[found.path] = holder.position(key)
        yield found


def _ignored(one: _Read, sections: dict[str, Object]) -> Iterator[Ignored]:
    if isinstance(one.top, Object):
        yield from listed_ignores(one.top)
    if one.file.path.suffix != ".json" and one.file.text.lstrip()[:1] not in ("{", "["):
        yield from comments(one.file, sections)
