"""The plan of a group on a board: refused as the core would refuse it, else every path and what is to be done there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_sim.arns import parts
from edge_sim.definitions.definition import Definition
from edge_sim.facts import HostFacts, Node, below
from edge_sim.greengrass import groupfile, rules
from edge_sim.greengrass.changes import Line, compare
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.plan import Content, Entry, function_directory, is_hollow, model_directory, plan
from edge_sim.greengrass.tree import Tree
from edge_sim.offline.content import changed_files
from edge_sim.offline.inputs import address
from edge_sim.offline.packages import PackageOwner, PackedGroup
from edge_sim.offline.target import Target
from edge_sim.report import Finding

UNKNOWN = "contents unknown until the source is given"
_SHARED = ("deployment-directory", "group-json")
"""Rules of what a deployment takes over as it finds it."""
_LINKS = ("prefix-directory", "prefix-link")


@dataclass(frozen=True, kw_only=True)
class Use:
    """A local resource's source: a path that the group uses and no deployment makes.

    ``node`` is what lies there; ``doubt`` is why that is unknown.
    """

    path: str
    node: Node | None
    doubt: str | None
    resource: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OfflinePlan:
    """A group on a board. ``lines`` are in the order of the paths; ``notes`` say what could not be known.

    ``undecided`` is what the rules cannot tell of this board, ``unknown`` whose package was not given.
    """

    target: Target
    group: Group
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    uses: tuple[Use, ...]
    undecided: tuple[Finding, ...]
    unknown: tuple[PackageOwner, ...]
    notes: tuple[str, ...]

    @property
    def unknowns(self) -> int:
        """Return how much is unknown: what the rules leave undecided on this board, and packages nobody gave."""
        return len(self.undecided) + len(self.unknown)

    @property
    def changes(self) -> tuple[Line, ...]:
        """Return the lines with something to do."""
        return tuple(line for line in self.lines if line.kind)


def make_plan(packed: PackedGroup, target: Target) -> OfflinePlan:
    """Return the plan of a group on a board. Raises InvalidDefinitionError with all that the core refuses."""
    refuse(packed, target.facts)
    findings = rules.check(packed.group, target.facts, mentions=packed.definition.mentions)
    undecided = tuple(finding for finding in findings if finding.severity == "unknown")
    packed, notes = adopt(packed, target)
    entries = [
        _marked(packed.unknown, entry) for entry in plan(packed.group, target.facts, packed.contents, packed.code)
    ]
    lines = compare(entries, target.disk, target.ours, set(rewritten_files(packed, target)))
    blocked = () if target.closed or not target.owned else _in_the_way(lines, target)
    return OfflinePlan(
        target=target,
        group=packed.group,
        entries=tuple(entries),
        lines=tuple(line for line in lines if not target.hides(line.path)),
        uses=tuple(_uses(packed.group, target.facts)),
        undecided=undecided,
        unknown=packed.unknown,
        notes=(
            *(finding.message for finding in undecided),
            *warnings(packed.definition, findings),
            *notes,
            *_hollow("resource", packed.contents),
            *_hollow("function", packed.code),
            *(f"{owner}: {UNKNOWN}: --source {owner.address}=PATH" for owner in packed.unknown),
            *(f"{path}: is in the way, and no deployment created it, so apply will not touch it" for path in blocked),
            *(f"{path}: not read, because only root may read it" for path in sorted(target.closed)),
        ),
    )


def _hollow(kind: str, packages: Mapping[str, tuple[Content, ...]]) -> Iterator[str]:
    """Yield a note about each package without a file, in which a function finds nothing."""
    hollow = (id_ for id_, contents in packages.items() if is_hollow(contents))
    return (f"{kind} {id_}: its package holds only directories and no file" for id_ in hollow)


def _in_the_way(lines: Sequence[Line], target: Target) -> Iterator[str]:
    """Yield the paths that a deployment needs and somebody else has; of a tree only its top."""
    top = None
    for line in lines:
        if line.entry is None or line.actual is None or line.path in target.ours:
            continue
        shared = line.entry.rule in _SHARED and line.actual.type == line.node.type
        if not shared and not (top and below(line.path, top)):
            top = line.path
            yield top


def refuse(packed: PackedGroup, facts: HostFacts | None) -> None:
    """Raise InvalidDefinitionError with every reason for which this group is refused, with ``facts`` on that board."""
    packed.definition.refuse(rules.refusals(packed.group, facts))


def warnings(definition: Definition, findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the warnings among ``findings`` that the definition does not silence."""
    for finding in findings:
        if finding.severity == "warning" and definition.ignore_for(finding) is None:
            yield finding.note


def group_json(group: Group) -> dict[str, object]:
    """Return what group.json holds for this group; its region is that of the functions."""
    return groupfile.encode(group, region=parts(group.functions[0].arn).region if group.functions else "")


def rewritten_files(packed: PackedGroup, target: Target) -> Iterator[str]:
    """Yield the existing files that get other bytes: of a package that changed in its place, and group.json.

    Where a file's bytes cannot be known, it counts as changed when its package has.
    """
    facts, group = target.facts, packed.group
    directories = {function_directory(facts, f): group.code[f.id].sha256 for f in group.functions if f.id in group.code}
    for directory, digest in directories.items():
        before = target.record.installed.get(directory)
        if digest and before and before.sha256 != digest:
            paths = (f"{directory}/{entry.path}" for entry in before.contents if entry.type == "file")
            yield from (path for path in paths if target.digest is None or target.digest(path) is None)
    yield from changed_files(packed, target)
    path = Tree(facts.greengrass.root).group_file
    if target.deployed is not None and groupfile.decode(group_json(group)) != target.deployed:
        yield path


def adopt(packed: PackedGroup, target: Target) -> tuple[PackedGroup, list[str]]:
    """Return ``packed`` with what the last deployment recorded of packages that were not given, and notes on it."""
    artifacts, codes = dict(packed.group.artifacts), dict(packed.group.code)
    contents, code = dict(packed.contents), dict(packed.code)
    still, notes = [], []
    for owner in packed.unknown:
        if owner.kind == "function" and (known := _last_code(owner, packed, target)):
            codes[owner.id], code[owner.id] = known
        elif owner.kind == "resource" and (last := _last_model(owner, packed, target)):
            artifacts[owner.id], contents[owner.id] = last
        else:
            still.append(owner)
            continue
        notes.append(f"{owner}: its package is taken to be the one that was deployed last")
    group = replace(packed.group, artifacts=artifacts, code=codes)
    return replace(packed, group=group, contents=contents, code=code, unknown=tuple(still)), notes


def _last_code(
    owner: PackageOwner, packed: PackedGroup, target: Target
) -> tuple[FunctionCode, tuple[Content, ...]] | None:
    function = next(f for f in packed.group.functions if f.id == owner.id)
    installed = target.record.installed.get(function_directory(target.facts, function))
    last = target.deployed.code.get(owner.id) if target.deployed else None
    return (last, installed.contents) if last and installed and last.sha256 == installed.sha256 else None


def _last_model(
    owner: PackageOwner, packed: PackedGroup, target: Target
) -> tuple[Artifact, tuple[Content, ...]] | None:
    deployed, resource = target.deployed or Group(), packed.group.resource(owner.id)
    before, last = deployed.resource(owner.id), deployed.artifacts.get(owner.id)
    if not (before and resource and last) or address(before) != owner.address:
        return None
    installed = target.record.installed.get(model_directory(target.facts, resource, last))
    return (last, installed.contents) if installed else None


def _marked(unknown: Sequence[PackageOwner], entry: Entry) -> Entry:
    """Return an entry whose reason says when what is in it is not known."""
    if any(owner.id == (entry.resource or entry.function) for owner in unknown) and entry.rule not in _LINKS:
        return replace(entry, reason=f"{entry.reason}; {UNKNOWN}")
    return entry


def _uses(group: Group, facts: HostFacts) -> Iterator[Use]:
    for resource in group.resources:
        path = resource.source_path
        if path is not None:
            reason = f"{type(resource.data).__name__}: must be there"
            yield Use(
                path=path, node=facts.paths.get(path), doubt=facts.doubt(path), resource=resource.id, reason=reason
            )
