"""``read``: whatever people have of a Greengrass V1 group → ``Definition``.

    a file                          JSON or YAML in any of the forms below
    a folder, or several paths      all definitions in them, put together

    forms     the API's own: versions, Create… requests, Get… answers, the bundle
    template  CloudFormation, SAM          greengo  greengo.yaml          corefile  a core's group.json

A file that cannot be read at all is an InvalidDefinitionError with ``file:line:column``; other faults are findings.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edge_sim.definitions import corefile, forms, greengo, template
from edge_sim.definitions.assembly import SourceFile, together
from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.forms import Part
from edge_sim.definitions.jsontext import read_json
from edge_sim.definitions.tree import Array, Note, Object, TextFile
from edge_sim.definitions.yamltext import read_yaml
from edge_sim.documents import STDIN, read_text, unusable
from edge_sim.errors import InvalidDefinitionError, Position, UsageError, file_error

MAX_FILES = 200
MAX_SWITCHES = 50
"""Conditions of a template that are tried both ways."""
NO_CHOICE = Choice()
_HOW = "; set it with --parameter NAME=VALUE"
_SUFFIXES = (".json", ".yaml", ".yml")
_KINDS = "…DefinitionVersion, Create… request, Get…DefinitionVersion response, template, greengo.yaml, group.json"
_CONTENT_HINT = "Pass the definitions themselves: aws greengrass get-…-definition-version."
_PROVISIONER = re.compile(r"^\s*conf\s*[{:=]", re.MULTILINE)
_HOCON_HINT = (
    "That tool builds a group from several such files, its own defaults and an account. Convert it by deploying once: "
    "import the responses of aws greengrass get-…-definition-version, or the core's group.json."
)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector out: all that is read stays, and it would look at the whole of it again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read(*paths: Path, choice: Choice = NO_CHOICE) -> Definition:
    """Read a group from a file, a folder, or several of them together.

    Raises UsageError for a path that does not exist, InvalidDefinitionError for what cannot be read as a definition.
    """
    return definition(sources(paths, choice), choice)


@_uncollected()
def definition(sources: Sequence[SourceFile], choice: Choice = NO_CHOICE) -> Definition:
    """Put together what was read; with each condition that is not decided, once as true and once as false."""
    _check(sources, choice)
    whole = together(sources)
    switches: set[str] = set()
    waiting, variants = [choice], {}
    for branch in waiting:  # grows: a branch may have conditions of its own
        parts = sources if branch is choice else _again(sources, branch)
        if branch is not choice:
            variants[_words(branch)] = together(parts)
        for name in {name: None for source in parts for name in source.part.undecided}:
            if name not in switches and len(switches) < MAX_SWITCHES:
                switches.add(name)
                waiting.append(replace(choice, switches={**branch.switches, name: False}))
    undecided = {name: place for source in sources for name, place in source.part.undecided.items()}
    notes = [
        Note(message=f"condition {name} is undecided: assumed true, checked both ways{_HOW}", place=place)
        for name, place in undecided.items()
    ]
    digest = hashlib.sha256(f"{whole.digest} {choice}".encode()).hexdigest()
    return replace(whole, notes=(*whole.notes, *notes), variants=variants, digest=digest)


def _again(sources: Sequence[SourceFile], choice: Choice) -> list[SourceFile]:
    """Return templates read with other conditions. An error names them."""
    try:
        return [
            replace(source, part=_part(source.top, choice) or Part(form=source.part.form))
            if source.part.undecided
            else source
            for source in sources
        ]
    except InvalidDefinitionError as error:
        problem = f"{error.problem} (where {_words(choice)})"
        raise InvalidDefinitionError(problem, place=error.place, hint=error.hint) from error


def _words(choice: Choice) -> str:
    names = list(choice.switches)
    return f"condition {names[0]} is false" if len(names) == 1 else f"conditions {' and '.join(names)} are false"


def _check(sources: Sequence[SourceFile], choice: Choice) -> None:
    """Raise UsageError for a choice that no template offers."""
    known = [name for source in sources for name in source.part.parameters]
    for name in choice.parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Parameters: {', '.join(known) or 'none'}."
            raise UsageError(f"--parameter {name}: no template here has this parameter", hint=hint)
    if choice.group is not None and not any(source.part.reader == "CloudFormation" for source in sources):
        raise UsageError(f"--group {choice.group}: this is not a template, and holds only one group")


@_uncollected()
def sources(paths: Iterable[Path], choice: Choice = NO_CHOICE) -> list[SourceFile]:
    """Read every file once. Raises as ``read`` does."""
    result: list[SourceFile] = []
    skipped: list[Path] = []
    for path in paths:
        for file in _files(path):
            source = _read(file, choice)
            if source:
                result.append(source)
            elif path.is_dir():
                skipped.append(file)
            else:
                raise _no_definition(file, "not a Greengrass V1 definition")
    if not result:
        raise _no_definition(next(iter(paths)), "contains no Greengrass V1 definition")
    if not any(source.part.sections or source.part.unknown for source in result):
        notes = [note for source in result for note in source.part.notes]
        if notes:
            raise InvalidDefinitionError(notes[0].message, place=notes[0].place, hint=_CONTENT_HINT)
        raise _no_definition(result[0].file.path, "contains no definition")
    left_out = "not a definition, so it was left out"
    result[0].part.notes.extend(Note(message=left_out, place=Position(file=file)) for file in skipped)
    return result


def _no_definition(path: Path, problem: str) -> InvalidDefinitionError:
    return InvalidDefinitionError(problem, place=Position(file=path), hint=f"Supported: {_KINDS}.")


def _files(path: Path) -> list[Path]:
    if _is_stream(path):
        return [path]
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path}: {unusable(path)}")
    try:
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    except OSError as error:
        raise file_error(f"{path}: cannot be read: {error.strerror}", error) from error
    if len(files) > MAX_FILES:
        raise UsageError(f"{path}: holds more than {MAX_FILES} JSON and YAML files; name the definitions")
    return files


def _is_stream(path: Path) -> bool:
    """Return whether a path is the standard input or a pipe: all there is to read once, from its start to its end."""
    return path == STDIN or str(path) == "/dev/stdin" or path.is_fifo()


def _read(path: Path, choice: Choice) -> SourceFile | None:
    file = TextFile(path=path, text=read_text(path))
    if path.suffix == ".conf" and (hocon := _PROVISIONER.search(file.text)):
        file.fail(hocon.start(), "HOCON of aws-greengrass-provisioner is not supported", hint=_HOCON_HINT)
    is_json = path.suffix == ".json" or (path.suffix not in _SUFFIXES and file.text.lstrip()[:1] in ("{", "["))
    top = read_json(file) if is_json else read_yaml(file)
    part = _part(top, choice)
    return SourceFile(file=file, top=top, part=part, is_json=is_json) if part else None


def _part(top: object, choice: Choice) -> Part | None:
    if isinstance(top, Array):
        return forms.items(top)
    if not isinstance(top, Object):
        return None
    if forms.BUNDLE in top:
        return forms.bundle(top)
    if corefile.FRAME in top:
        return corefile.core_file(top)
    if template.is_template(top):
        return template.template(top, choice)
    if greengo.is_state(top):
        return greengo.state(top)
    if greengo.is_greengo(top):
        return greengo.greengo(top)
    return forms.api(top)
