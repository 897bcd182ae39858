"""A scenario's text for a group that has none yet: each line says what it is for, and what is missing is a comment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml

from edge_sim.definitions.yamlwords import is_text
from edge_sim.greengrass.functions import Function, is_system_function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource
from edge_sim.offline.inputs import address

STAND_IN = "stand-in"
"""The value of each secret: its own is in nobody's definition."""
RUNTIME = "python3.7"
"""A group does not say its functions' runtimes (Lambda does); core 1.11 still ran this one."""
_ENTRY = re.compile(r"^def (function_handler|lambda_handler|handler)\s*\(", re.MULTILINE)
_RUNTIME = re.compile(r"[a-z]+[0-9]+(\.[0-9x]+)?", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_./]([\w./:@+-]*[\w./])?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CodeLocation:
    """Where a function's code lies, and its ``module.function`` in there."""

    folder: Path
    handler: str


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the user has for a group: models by resource id, code by function id; paths are relative to ``base``.

    ``events`` are what functions are called with, by their id.
    """

    models: Mapping[str, Path] = field(default_factory=dict)
    code: Mapping[str, CodeLocation] = field(default_factory=dict)
    events: Mapping[str, object] = field(default_factory=dict)
    base: Path = Path()


def models(group: Group) -> list[Resource]:
    """Return the resources that need a package."""
    return [resource for resource in group.resources if address(resource)]


def functions(group: Group) -> list[Function]:
    """Return the functions that need code: the core's own come with it."""
    return [function for function in group.functions if not is_system_function(function.arn)]


def runtime(group: Group, function: Function) -> str | None:
    """Return the runtime that a definition says, as a template with its functions does; None where it does not."""
    code = group.code.get(function.id)
    return code.runtime if code and _RUNTIME.fullmatch(code.runtime) else None


def handlers(folder: Path, function: Function) -> list[str]:
    """Return what may be a function's handler in a folder of Python code; one item where there is no doubt.

    The definition's ``Executable`` is it where the folder has its file. Raises OSError where the code cannot be read.
    """
    module, _, name = (function.executable or "").rpartition(".")
    if name and (folder / f"{module}.py").is_file():
        return [f"{module}.{name}"]
    files = sorted(path for path in folder.glob("*.py") if path.is_file())
    return [
        f"{path.stem}.{name}" for path in files for name in _ENTRY.findall(path.read_text("utf-8", errors="replace"))
    ]


def text(
    group: Group,
    files: Sequence[str] | Mapping[str, str],
    boards: Sequence[str],
    parts: Parts,
    directories: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the scenario. ``files``: the group's one file, or its file for each section.

    ``directories`` are made on the boards, each for the volume with the id beside it.
    """
    return "\n".join((*_lines(group, files, boards, parts), *_files(directories))) + "\n"


def _files(directories: Mapping[str, str]) -> Iterator[str]:
    if directories:
        yield "files:  # placed on every board before the core starts"
    for path, name in directories.items():
        yield f"  - path: {_scalar(path)}  # volume {_comment(name)}"
        yield "    directory: true  # empty; copy: FOLDER copies your files there"


def _lines(
    group: Group, files: Sequence[str] | Mapping[str, str], boards: Sequence[str], parts: Parts
) -> Iterator[str]:
    yield (
        "# What is deployed, to which boards and from where, and which results are expected. Run it: edge-sim run "
        "FOLDER"
    )
    yield "edgeSim: 1  # the version of this format"
    yield "name: first"
    yield f"boards: [{', '.join(map(_scalar, boards))}]  # edge-sim profiles list"
    if isinstance(files, Mapping):
        yield "group:  # one file for each section of the definition"
        yield from (f"  {section}: {_scalar(file)}" for section, file in files.items())
    else:
        yield f"group: {_scalar(files[0])}  # the definition"
    yield from _section("sources:  # what S3, SageMaker and Secrets Manager hold", list(_sources(group, parts)))
    yield from _section("code:  # what Lambda holds", list(_code(group, parts)))
    yield "# invocations:  # functions to invoke, each with an event and what its result must contain"
    for function in functions(group):
        yield f"#   - {{function: {_scalar(function.id)}, event: {{}}, expect: {{}}}}"


def _section(head: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield head if any(not line.lstrip().startswith("#") for line in lines) else f"# {head}"
        yield from lines


def _sources(group: Group, parts: Parts) -> Iterator[str]:
    for resource in models(group):
        uri = str(address(resource))
        path = parts.models.get(resource.id)
        mark = "  " if path else "  # "
        is_file = path is not None and _is_file(parts.base, path)
        if uri.startswith("s3://"):
            yield f"{mark}- s3: {_scalar(uri)}  # resource {_comment(resource.id)}"
        else:
            name = path.name if path and is_file else "model.tar.gz"
            output = f"s3://training-output/{re.sub(r'[^A-Za-z0-9._-]', '-', name)}"
            yield f"{mark}- trainingJob: {_scalar(uri)}  # resource {_comment(resource.id)}"
            yield f"{mark}  output: {_scalar(output)}  # where the job wrote its model in S3; any address will do here"
        what = _scalar(str(path)) if path else f"FOLDER  # {MISSING}: the model's folder, or file: its archive"
        yield f"{mark}  {'file' if is_file else 'folder'}: {what}"
    for secret in filter(None, (resource.secret for resource in group.resources)):
        yield f"  - secret: {_scalar(secret.arn)}"
        yield f"    value: {STAND_IN}  # not the secret's real value"


def _is_file(base: Path, path: Path) -> bool:
    return os.path.isfile(os.path.normpath(base / path))  # noqa: PTH113 - base need not be there yet


MISSING = "missing"
"""The word in the text at what the user has to add."""


def _code(group: Group, parts: Parts) -> Iterator[str]:
    for function in functions(group):
        code = parts.code.get(function.id)
        mark = "  " if code else "  # "
        yield f"{mark}- function: {_scalar(function.arn)}"
        yield f"{mark}  folder: {_scalar(str(code.folder)) if code else f'FOLDER  # {MISSING}: where its code is'}"
        yield f"{mark}  handler: {_scalar(code.handler) if code else 'module.function'}"
        known = runtime(group, function)
        yield f"{mark}  runtime: {known or f'{RUNTIME}  # assumed; the definition does not name it'}"


def _scalar(value: str) -> str:
    """Return a text as YAML, without quotes where it is one without them for every reader."""
    if _PLAIN.fullmatch(value) and is_text(value):
        return value
    return yaml.safe_dump(value, default_style='"', width=10**6, allow_unicode=True).strip()


def _comment(value: str) -> str:
    return yaml.safe_dump(value, default_style='"', width=10**6).strip()[1:-1]
