"""A group's one ``Definition``, and what its ``edge-sim.yaml`` says beside it: what every command takes as GROUP.

A scenario says what is deployed (definitions of any form that ``definitions`` reads), to which boards, what is behind
the addresses in them, and what must come out (``scenariofile``). It is read strictly, every file once; a fault has its
file, line and column. The keys are explained in docs/scenario.md.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_sim import folders, scenariofile
from edge_sim.definitions import reader
from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import NO_CHOICE
from edge_sim.definitions.tree import Note
from edge_sim.documents import Place, read_text, unusable
from edge_sim.errors import InvalidDefinitionError, Position, UsageError
from edge_sim.fleetkeys import Fleet
from edge_sim.greengrass import prefix
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import FunctionCode, is_system_function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.system import SETTINGS
from edge_sim.keys import Entries
from edge_sim.limits import Limits
from edge_sim.redaction import Redaction, texts
from edge_sim.report import Finding
from edge_sim.scenarioparts import BoardFile, Code, DeviceBacking, ExpectedInvocation, ExpectedUpdate, Source

__all__ = [
    "SCENARIO",
    "BoardFile",
    "Code",
    "DeviceBacking",
    "ExpectedInvocation",
    "ExpectedUpdate",
    "Scenario",
    "Source",
    "load",
    "read",
]
SCENARIO = "edge-sim.yaml"
_UNREADABLE = "unreadable"
_SCENARIO_PATH = "$.scenario"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A group's definition, and what its edge-sim.yaml says beside it; nothing where it was read without one.

    ``packages`` are the limits of model and code packages on every board. ``digest`` names what was read by its
    content. ``stable_window_s``: how long an update's core must run before the update has succeeded; None for the
    agent's default.
    """

    name: str
    definition: Definition
    digest: str = ""
    file: Path | None = None
    boards: tuple[str, ...] = ()
    """Names of profiles."""
    real_boards: tuple[str, ...] = ()
    """Addresses, ``ssh://…``. A scenario may come from anybody: that it names a board is no leave to touch it."""
    sources: tuple[Source, ...] = ()
    code: tuple[Code, ...] = ()
    packages: Limits = field(default_factory=Limits)
    files: tuple[BoardFile, ...] = ()
    devices: tuple[DeviceBacking, ...] = ()
    invocations: tuple[ExpectedInvocation, ...] = ()
    updates: tuple[ExpectedUpdate, ...] = ()
    stable_window_s: int | None = None
    fleet: Fleet | None = None
    fault: InvalidDefinitionError | None = None
    """Why nothing could be read of the file but the definition; a finding of that as well."""


def read(*paths: Path, choice: Choice = NO_CHOICE) -> Scenario:
    """Read GROUP as the commands take it: a scenario's folder or file, or a definition in one file or several.

    Raises UsageError for a path that does not exist, InvalidDefinitionError for what cannot be read as a definition.
    """
    if len(paths) == 1 and is_scenario(paths[0]):
        return load(paths[0], choice)
    definition = reader.read(*paths, choice=choice)
    return Scenario(name=definition.name or paths[0].stem, definition=definition, digest=definition.digest)


def load(path: Path, choice: Choice = NO_CHOICE) -> Scenario:
    """Read a scenario from its folder or its YAML file, and the definition that it names: every file once.

    A fault beside the definition is one of its findings. Raises UsageError when ``path`` does not exist,
    InvalidDefinitionError where the definition cannot be read.
    """
    file = path / SCENARIO if path.is_dir() else path
    if not file.is_file():
        hint = f"Pass a scenario's folder (with {SCENARIO}) or its file."
        raise UsageError(f"{file}: {unusable(file, 'file')}", hint=hint)
    text = read_text(file)
    top = Place.of(file, text)
    entries = top.entries()
    if "group" not in entries:
        scenariofile.SCENARIO.read(top)
    definition = _definition(scenariofile.group_files(entries["group"]), choice)
    try:
        keys = scenariofile.SCENARIO.read(top)
        scenario = _scenario(keys, definition, file)
    except InvalidDefinitionError as error:
        faulty = _with_fault(definition, error)
        scenario = Scenario(name=file.parent.name, definition=faulty, file=file, fault=error)
    else:
        scenario = _checked(scenario, keys)
    mentions = {function: sorted(names) for function, names in scenario.definition.mentions.items()}
    content = f"{text}\0{definition.digest}\0{mentions}"
    return replace(scenario, digest=hashlib.sha256(content.encode()).hexdigest())


def fault(error: InvalidDefinitionError) -> Finding:
    """Return the finding about a scenario that cannot be used as it is."""
    return Finding(
        id=_UNREADABLE,
        severity="error",
        phase="create",
        path=_SCENARIO_PATH,
        message=error.problem,
        source="ours: the scenario",
        hint=error.hint,
    )


def without_needs_of_runs(scenario: Scenario) -> Scenario:
    """Return a scenario without its findings about what only a run misses: a function's code, a function to invoke."""

    def definition_alone(variant: Definition) -> Definition:
        findings = tuple(finding for finding in variant.findings if finding.path != _SCENARIO_PATH)
        return replace(variant, findings=findings)

    return replace(scenario, definition=_in_all(scenario.definition, definition_alone))


def redaction(scenario: Scenario) -> Redaction:
    """Return what keeps a scenario's secrets, and the values of its functions' variables, out of reports."""
    group = scenario.definition.group
    values = [value for source in scenario.sources for value in (source.value, *source.stages.values()) if value]
    variables = (item for function in group.functions for item in function.variables.items())
    values += [value for name, value in variables if name not in SETTINGS]
    shown = [part for resource in group.resources for part in (resource.id, resource.name, *_paths(resource))]
    shown += [part for function in group.functions for part in (function.id, function.arn)]
    return Redaction((text for value in values for text in texts(value)), [*shown, *scenario.boards])


def _paths(resource: Resource) -> Iterator[str]:
    return filter(None, (resource.source_path, resource.destination_path))


def is_scenario(path: Path) -> bool:
    """Say whether a path is a scenario's folder or its file."""
    return (path / SCENARIO).is_file() if path.is_dir() else path.name == SCENARIO and path.is_file()


def _scenario(entries: Entries, definition: Definition, file: Path) -> Scenario:
    code, boards = entries[scenariofile.CODE], entries[scenariofile.BOARDS]
    return Scenario(
        name=entries[scenariofile.NAME],
        definition=_with_code(definition, code),
        file=file,
        boards=tuple(board for board in boards if not board.startswith("ssh://")),
        real_boards=tuple(board for board in boards if board.startswith("ssh://")),
        sources=entries[scenariofile.SOURCES],
        code=code,
        packages=entries[scenariofile.PACKAGES],
        files=entries[scenariofile.FILES],
        devices=entries[scenariofile.DEVICES],
        invocations=entries[scenariofile.INVOCATIONS],
        updates=entries[scenariofile.UPDATES],
        stable_window_s=entries[scenariofile.STABLE_WINDOW],
        fleet=entries[scenariofile.FLEET],
    )


def _checked(scenario: Scenario, entries: Entries) -> Scenario:
    """Return the scenario, with a finding where one part of it does not go with another; its parts stay as they are."""
    if scenario.definition.errors:  # what could not be read must not be missed here a second time
        return scenario
    try:
        _check(scenario, entries)
    except InvalidDefinitionError as error:
        return replace(scenario, definition=_with_fault(scenario.definition, error))
    return scenario


def _definition(files: Mapping[str, Path], choice: Choice) -> Definition:
    """Read the files of a group: one for each section that it names, or one for all."""
    sources = reader.sources(dict.fromkeys(files.values()), choice)
    sections = {source.file.path: source.part.sections for source in sources}
    for word, file in files.items():
        if word and word not in sections[file]:
            section = FAMILIES[word]
            raise InvalidDefinitionError(
                f"not a {section.kind.lower()} definition version: it has no list {section.member!r}",
                place=Position(file=file),
                hint='The file holds what the API calls InitialVersion, that is {"' + section.member + '": [...]}.',
            )
    return replace(reader.definition(sources, choice), form="scenario")


def _with_fault(definition: Definition, error: InvalidDefinitionError) -> Definition:
    """Return a definition with a fault of the scenario that names it among its findings."""
    finding = fault(error)
    marks = {finding.path: error.place} if error.place else {}

    def faulty(variant: Definition) -> Definition:
        return replace(variant, findings=(*variant.findings, finding), marks={**variant.marks, **marks})

    return _in_all(definition, faulty)


def _with_code(definition: Definition, code: Iterable[Code]) -> Definition:
    by_arn = {entry.function_arn: entry for entry in code}

    def coded(entry: Definition) -> Definition:
        known = {
            function.id: FunctionCode(artifact_arn="", handler=code.handler, runtime=code.runtime, sha256="", size=0)
            for function in entry.group.functions
            if (code := by_arn.get(function.arn))
        }
        group = replace(entry.group, code={**entry.group.code, **known})
        notes = (*entry.notes, *_overridden(group))
        return replace(entry, group=group, notes=notes, mentions=_mentions(group, by_arn))

    return _in_all(definition, coded)


def _overridden(group: Group) -> Iterator[Note]:
    """Yield a note for each function whose definition names another Executable than the scenario's handler."""
    for function in group.functions:
        code = group.code.get(function.id)
        if code and function.executable and function.executable != code.handler:
            clause = f"its Executable {function.executable!r} is what runs, not the scenario's handler {code.handler!r}"
            yield Note(message=f"function {function.id}: {clause}")


def _in_all(definition: Definition, change: Callable[[Definition], Definition]) -> Definition:
    """Return a definition that is changed, and so in each of its variants."""
    variants = {words: change(variant) for words, variant in definition.variants.items()}
    return replace(change(definition), variants=variants)


def _mentions(group: Group, code: Mapping[str, Code]) -> dict[str, frozenset[str]]:
    """Return what the code of No-container functions mentions: paths of their models, and where these really are."""
    mentions = {}
    for function in group.functions:
        patterns = prefix.patterns(group, function)
        if patterns and function.arn in code:
            with contextlib.suppress(OSError):  # what cannot be read is told by whoever packs it
                mentions[function.id] = folders.mentioned(code[function.arn].folder, patterns)
    return mentions


def _check(scenario: Scenario, entries: Entries) -> None:
    """Check what one part of a scenario says about another."""
    functions = scenario.definition.group.functions
    codes = {code.function_arn for code in scenario.code}
    for function in functions:
        if not (function.arn in codes or is_system_function(function.arn)):
            where = scenariofile.CODE if scenariofile.CODE in entries else scenariofile.GROUP
            entries.fail(where, f"there is no code for function {function.id} ({function.arn})")
    known = [function.id for function in functions]
    for place in entries.place(scenariofile.INVOCATIONS).items() if scenario.invocations else []:
        name = place.entries()[scenariofile.INVOKED.name]
        if name.text() not in known:
            name.fail(f"no function has the id {name.text()!r}", hint=f"Known: {', '.join(known)}.")
