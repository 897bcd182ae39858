"""``edge-sim try``: what its options give, as a scenario that lives as long as the question."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge_sim import strictjson
from edge_sim.arns import arn
from edge_sim.definitions import reader, standins, writer
from edge_sim.definitions.assembly import SourceFile
from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import NO_CHOICE
from edge_sim.definitions.standins import WHERE
from edge_sim.documents import unusable
from edge_sim.errors import UsageError, file_error
from edge_sim.greengrass import parse
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import Function, lambda_name
from edge_sim.greengrass.group import Core, Group
from edge_sim.offline import starter
from edge_sim.offline.inputs import Inputs, PackageSource, address
from edge_sim.offline.starter import CodeLocation, Parts
from edge_sim.scenario import SCENARIO, ExpectedInvocation, Scenario, load

GROUP_FILE = "group.yaml"
"""A group that was made of others' files, beside its scenario."""
CORE = {
    "Id": "core",
    "ThingArn": arn("iot", "thing/core", WHERE),
    "CertificateArn": arn("iot", f"cert/{'0' * 64}", WHERE),
}
"""Stands in for a group's core, as the API has it: a run needs its certificate, on which no access depends."""


def parts(
    group: Group, model_texts: Sequence[str], code_texts: Sequence[str], event_texts: Sequence[str] = ()
) -> Parts:
    """Read ``RESOURCE=PATH``, ``FUNCTION=FOLDER`` and ``FUNCTION=JSON``; each is named by its id or its name.

    Raises UsageError for one that the group does not have, for a path that does not exist, for code whose handler is
    not clear, and for an event that is not JSON.
    """
    resources = {key: resource.id for resource in starter.models(group) for key in (resource.name, resource.id)}
    functions = {
        key: function
        for function in starter.functions(group)
        for key in (lambda_name(function), function.id, function.arn)
    }
    models = {resources[name]: path for name, path in (_path("--model", text, resources) for text in model_texts)}
    code = {}
    for text in code_texts:
        name, folder = _path("--code", text, functions)
        code[functions[name].id] = CodeLocation(folder=folder, handler=_handler(functions[name], folder, text))
    events = {functions[name].id: event for name, event in (_event(text, functions) for text in event_texts)}
    return Parts(models=models, code=code, events=events)


def missing(group: Group, parts: Parts) -> list[str]:
    """Return the options that a deployment still needs."""
    models = [f"--model {owner.id}=FILE" for owner in starter.models(group) if owner.id not in parts.models]
    return models + [f"--code {owner.id}=FOLDER" for owner in starter.functions(group) if owner.id not in parts.code]


def invocations(group: Group, parts: Parts) -> tuple[ExpectedInvocation, ...]:
    """Return one call of each function, with its event or {}; of a long-lived one only with its event.

    A long-lived function is started with the deployment, which fails where it does not start, and may never be called.
    """
    called = [function for function in starter.functions(group) if not function.pinned or function.id in parts.events]
    return tuple(
        ExpectedInvocation(function_id=function.id, event=parts.events.get(function.id, {}), expect={})
        for function in called
    )


def assumptions(definition: Definition, parts: Parts) -> list[str]:
    """Say what a trial assumes because the definition does not tell it, and which functions it only starts."""
    notes = stand_ins(definition)
    for function in starter.functions(definition.group):
        if function.id not in parts.events:
            other = f"--event {function.id}=JSON"
            with_this = f"function {function.id} is called with {{}}; {other} gives another event"
            notes.append(
                f"function {function.id} is long-lived, so it was started but not called; {other} calls it"
                if function.pinned
                else with_this
            )
    return notes


def stand_ins(definition: Definition) -> list[str]:
    """Say what a first scenario assumes because the definition does not tell it."""
    group, (_, values) = definition.group, standins.filled(writer.canonical(definition))
    notes = [f"{placeholder} is not in the file, so {value} is used" for placeholder, value in values.items()]
    notes += [] if group.core else ["the group has no core, so one with a made-up certificate is used"]
    notes += [f"secret {resource.id} has a made-up value" for resource in group.resources if resource.secret]
    silent = [function.id for function in starter.functions(group) if not starter.runtime(group, function)]
    if silent:
        which = "functions" if len(silent) == len(starter.functions(group)) else ", ".join(silent)
        notes.append(f"{which} run as {starter.RUNTIME}: the definition does not name their runtime")
    return notes


def inputs(definition: Definition, parts: Parts) -> Inputs:
    """Return what access is computed from, without a run; what is not given is unknown."""
    group = definition.group
    packages: dict[str, PackageSource] = {}
    for resource in starter.models(group):
        uri = str(address(resource))
        path = parts.models.get(resource.id)
        if path:
            name = uri.rpartition("/")[2] if uri.startswith("s3://") else path.name if path.is_file() else None
            packages[uri] = PackageSource(path=path, file_name=name)
    for function in starter.functions(group):
        code = parts.code.get(function.id)
        if code:
            packages[function.arn] = PackageSource(path=code.folder, handler=code.handler, runtime=starter.RUNTIME)
    return Inputs(scenario=Scenario(name="try", definition=definition), packages=packages)


@contextmanager
def scenario(sources: Sequence[SourceFile], boards: Sequence[str], parts: Parts, choice: Choice) -> Iterator[Scenario]:
    """Yield the scenario of a trial, read as one from a file is; its folder goes with the context."""
    definition = reader.definition(sources, choice)
    bundle, values = standins.filled(writer.canonical(definition))
    group = replace(parse.group(bundle)[0], code=definition.group.code) if values else definition.group
    absolute = Parts(
        models={name: path.resolve() for name, path in parts.models.items()},
        code={name: replace(code, folder=code.folder.resolve()) for name, code in parts.code.items()},
        events=parts.events,
    )
    with tempfile.TemporaryDirectory(prefix="edge-sim-try-") as folder:
        file = Path(folder) / SCENARIO
        files = group_files(sources)
        if values:
            (Path(folder) / GROUP_FILE).write_text(writer.bundle_text(bundle), encoding="utf-8")
            files, choice = [GROUP_FILE], NO_CHOICE  # the choice is made
        file.write_text(starter.text(group, files, boards, absolute), encoding="utf-8")
        loaded = load(file, choice)
        name = loaded.definition.name or sources[0].file.path.stem
        calls = invocations(group, parts)
        yield replace(loaded, name=name, definition=with_core(loaded.definition), invocations=calls)


def group_files(sources: Sequence[SourceFile]) -> list[str] | dict[str, str]:
    """Return the files of a group as a scenario names them: one for all, or one for each section."""
    if len(sources) == 1:
        return [str(sources[0].file.path.resolve())]
    return {
        word: str(source.file.path.resolve()) for word in FAMILIES for source in sources if word in source.part.sections
    }


def with_core(definition: Definition) -> Definition:
    """Return a definition that has a core: its own, or the stand-in."""
    if definition.group.core:
        return definition
    core = Core(id=CORE["Id"], thing_arn=CORE["ThingArn"], certificate_arn=CORE["CertificateArn"])
    return replace(definition, group=replace(definition.group, core=core))


def _pair(option: str, text: str, known: Mapping[str, object]) -> tuple[str, str]:
    """Read one ``NAME=VALUE``; both may hold ``=``, so the known names decide where it is split."""
    name = max((name for name in known if name and text.startswith(f"{name}=")), key=len, default=None)
    if name is None:
        noun = "model" if option == "--model" else "function"
        hint = f"The group has {', '.join(known)}." if known else f"The group has no {noun}."
        raise UsageError(f"{option} {text}: the group has no such {noun}", hint=hint)
    return name, text[len(name) + 1 :]


def _event(text: str, known: Mapping[str, object]) -> tuple[str, object]:
    name, value = _pair("--event", text, known)
    try:
        event = strictjson.loads(value.encode("utf-8", "surrogateescape"), exact=False)
    except ValueError as error:
        raise UsageError(
            f"--event {text}: not JSON: {error}", hint="Example: --event watch='{\"images\": 3}'"
        ) from error
    return name, event


def _path(option: str, text: str, known: Mapping[str, object]) -> tuple[str, Path]:
    name, value = _pair(option, text, known)
    if not value:
        raise UsageError(f"{option} {text}: the path is empty")
    path = Path(value)
    usable = path.is_dir() or (option == "--model" and path.is_file())
    if not usable:
        raise UsageError(
            f"{option} {text}: {path}: {unusable(path, 'folder' if option == '--code' else 'file or folder')}"
        )
    return name, path


def _handler(function: Function, folder: Path, text: str) -> str:
    try:
        known = starter.handlers(folder, function)
    except OSError as error:
        raise file_error(f"--code {text}: cannot be read: {error.strerror}", error) from error
    if len(known) != 1:
        why = (
            f"several functions may be its handler: {', '.join(known)}" if known else "no Python file defines a handler"
        )
        hint = 'Set the function\'s "Executable" to module.function, or name the handler in a scenario: edge-sim init.'
        raise UsageError(f"--code {text}: {why}", hint=hint)
    return known[0]
