"""``edge-sim init``: a first scenario for a group, with the models and the code that lie beside its files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from edge_sim.definitions import reader, standins, writer
from edge_sim.definitions.assembly import SourceFile
from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import NO_CHOICE
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.errors import UsageError
from edge_sim.greengrass import parse
from edge_sim.greengrass.functions import Function, lambda_name
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource
from edge_sim.offline import starter, trial
from edge_sim.offline.guess import guess
from edge_sim.offline.inputs import address
from edge_sim.offline.starter import CodeLocation, Parts
from edge_sim.offline.trial import GROUP_FILE
from edge_sim.profiles import load_profiles
from edge_sim.scenario import SCENARIO
from edge_sim.schemas import catalogue

CORE_FILE, SCHEMA_FILE = "core.json", "edge-sim.schema.json"
_MODEL_FOLDERS = ("", "models", "model")
_CODE_FOLDERS = ("", "functions", "lambdas", "lambda", "code", "src")
_ARCHIVES = (".tar.gz", ".tgz", ".zip")


@dataclass(frozen=True, kw_only=True)
class Initial:
    """What was written: files and their text. ``missing`` is what a run still needs, ``assumed`` what was guessed."""

    files: dict[Path, str]
    missing: list[str]
    assumed: list[str]


def initial(
    sources: Sequence[SourceFile],
    folder: Path,
    names: Sequence[str],
    choice: Choice = NO_CHOICE,
    *,
    ask: Callable[[str], str | None] = lambda _guess: None,
) -> Initial:
    """Return a scenario for a group as it would lie in ``folder``; nothing is written.

    ``names`` are the boards' profiles. Without any the board is guessed, and ``ask`` may have somebody name another. A
    template with a choice made becomes a group of its own: a scenario's file has no word for the choice. Raises
    UsageError where a file of it exists already.
    """
    definition = reader.definition(sources, choice)
    definition.refuse(definition.errors)
    definition.require_values()
    bundle, values = standins.filled(writer.canonical(definition))
    group = replace(parse.group(bundle)[0], code=definition.group.code) if values else definition.group
    places = list(dict.fromkeys(source.file.path.resolve().parent for source in sources))
    parts, missing = _beside(group, places, folder)
    profiles, notes = _boards(definition, names, parts, ask)
    grouped = trial.group_files(sources)
    files: dict[Path, str] = {}
    assumed = [*notes, *map(str, definition.notes), *trial.stand_ins(definition)]
    if values or choice != NO_CHOICE:
        files[folder / GROUP_FILE] = writer.bundle_text(bundle)
        grouped = [str(folder / GROUP_FILE)]
    if group.core is None:
        files[folder / CORE_FILE] = json.dumps({"Cores": [trial.CORE]}, indent=2) + "\n"
        section_files = grouped if isinstance(grouped, dict) else dict.fromkeys(definition.sections, grouped[0])
        grouped = {"core": str(folder / CORE_FILE), **section_files}
    relative = (
        {word: _relative(file, folder) for word, file in grouped.items()}
        if isinstance(grouped, dict)
        else [_relative(file, folder) for file in grouped]
    )
    directories = dict(_directories(group, profiles))
    assumed += [f"volume {name}: {path} is an empty directory on the board" for path, name in directories.items()]
    if starter.functions(group):
        assumed.append(f"run calls functions only once {SCENARIO} has invocations; try calls each function once")
    text = starter.text(group, relative, [profile.name for profile in profiles], parts, directories)
    files[folder / SCENARIO] = f"# yaml-language-server: $schema={SCHEMA_FILE}\n{text}"
    for file in files:
        if os.path.lexists(file):
            raise UsageError(f"{file}: already exists; init overwrites nothing", hint="Choose a folder with -o.")
    if not os.path.lexists(folder / SCHEMA_FILE):
        files[folder / SCHEMA_FILE] = catalogue.text("scenario")
    return Initial(files=files, missing=missing, assumed=assumed)


def _boards(
    definition: Definition, names: Sequence[str], parts: Parts, ask: Callable[[str], str | None]
) -> tuple[Sequence[DeviceProfile], list[str]]:
    """Return the boards' profiles, and a note where nobody has named one."""
    if names:
        return load_profiles(names), []
    places = [*parts.models.values(), *(code.folder for code in parts.code.values())]
    guessed = guess(definition, [parts.base / place for place in places])
    chosen = ask(guessed.profile.name)
    return (load_profiles([chosen]), []) if chosen else ([guessed.profile], [guessed.note])


def _relative(path: Path | str, folder: Path) -> str:
    return os.path.relpath(path, folder)


def _beside(group: Group, places: Sequence[Path], folder: Path) -> tuple[Parts, list[str]]:
    """Return what of a group lies in ``places``, relative to ``folder``, and a word about what does not."""
    models, code, missing = {}, {}, []
    for resource in starter.models(group):
        path = next(_existing(places, _MODEL_FOLDERS, _model_names(resource)), None)
        if path:
            models[resource.id] = Path(_relative(path, folder))
        else:
            missing.append(f"the model of resource {resource.id} ({address(resource)})")
    for function in starter.functions(group):
        material = next(filter(None, (_code(path, function) for path in _code_places(places, function))), None)
        if material:
            code[function.id] = CodeLocation(folder=Path(_relative(material.folder, folder)), handler=material.handler)
        else:
            missing.append(f"the code of function {function.id}, or its handler")
    return Parts(models=models, code=code, base=folder), missing


def _model_names(resource: Resource) -> Iterator[str]:
    names = [resource.id, resource.name, PurePosixPath(resource.destination_path or "").name]
    names += [str(address(resource)).rpartition("/")[2].partition(".")[0]]
    for name in dict.fromkeys(filter(None, names)):
        yield name
        yield from (f"{name}{suffix}" for suffix in _ARCHIVES)


def _code_places(places: Sequence[Path], function: Function) -> Iterator[Path]:
    names = [function.id, lambda_name(function)]
    return _existing(places, _CODE_FOLDERS, [*names, *(name.replace("-", "_") for name in names)])


def _code(path: Path, function: Function) -> CodeLocation | None:
    try:
        handlers = starter.handlers(path, function) if path.is_dir() else []
    except OSError:
        return None
    return CodeLocation(folder=path, handler=handlers[0]) if len(handlers) == 1 else None


def _existing(places: Iterable[Path], folders: Sequence[str], names: Iterable[str]) -> Iterator[Path]:
    """Yield what lies in ``places`` under one of the names, which never lead out of there."""
    usable = [name for name in names if "/" not in name and name not in (".", "..")]
    for place in places:
        for name in usable:
            for folder in folders:
                path = place / folder / name
                if path.is_dir() or (path.is_file() and name.endswith(_ARCHIVES)):
                    yield path


def _directories(group: Group, profiles: Sequence[DeviceProfile]) -> Iterator[tuple[str, str]]:
    """Yield the sources of volumes that no board of these profiles has, with the resource's id."""
    known = {path for profile in profiles for path in profile.facts().paths}
    for resource in group.resources:
        path = resource.volume.source_path if resource.volume else None
        if path and path not in known and not path.startswith(("/dev/", "/proc", "/sys")):
            yield path, resource.id
