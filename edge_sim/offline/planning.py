"""The plan of a group on a board: refused as the core would refuse it, else every path and what is to be done there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass import rules
from edge_sim.greengrass.changes import Line, compare
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Entry, function_directory, model_directory, plan
from edge_sim.greengrass.resources import LocalDevice, LocalVolume
from edge_sim.offline.given import address
from edge_sim.offline.packages import Packed, Wanted
from edge_sim.offline.target import Target

UNKNOWN = "contents unknown until the source is given"
_LINKS = ("prefix-directory", "prefix-link")


@dataclass(frozen=True, kw_only=True)
class Use:
    """A local resource's source: a path that the group uses and no deployment makes."""

    path: str
    node: Node
    resource: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A group on a board. ``lines`` are in the order of the paths; ``notes`` say what could not be known."""

    target: Target
    group: Group
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    uses: tuple[Use, ...]
    unknown: tuple[Wanted, ...]
    notes: tuple[str, ...]

    @property
    def changes(self) -> tuple[Line, ...]:
        """Return the lines with something to do."""
        return tuple(line for line in self.lines if line.kind)


def planned(packed: Packed, target: Target) -> Planned:
    """Return the plan of a group on a board. Raises InvalidDefinitionError with all that the core refuses."""
    refuse(packed.group, target.facts)
    packed, notes = _adopt(packed, target)
    entries = [
        _marked(packed.unknown, entry) for entry in plan(packed.group, target.facts, packed.contents, packed.code)
    ]
    lines = compare(entries, target.disk, target.ours)
    return Planned(
        target=target,
        group=packed.group,
        entries=tuple(entries),
        lines=tuple(line for line in lines if not _under(line.path, target.closed)),
        uses=tuple(_uses(packed.group, target.facts)),
        unknown=packed.unknown,
        notes=(*notes, *(f"{one}: {UNKNOWN}: --source {one.address}=PATH" for one in packed.unknown), *_closed(target)),
    )


def refuse(group: Group, facts: HostFacts) -> None:
    """Raise InvalidDefinitionError with every reason for which this group is refused on this board."""
    found = [finding for finding in rules.check(group, facts) if finding.severity == "error"]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InvalidDefinitionError(
            f"{found[0].aws_text or found[0].message}{more}",
            details="\n".join(f"{f.id}: {f.message}" for f in found[1:]) or None,
            hint=found[0].hint,
        )


def _adopt(packed: Packed, target: Target) -> tuple[Packed, list[str]]:
    """Return ``packed`` with what the last deployment recorded of packages that were not given, and notes on it."""
    artifacts, contents, code = dict(packed.group.artifacts), dict(packed.contents), dict(packed.code)
    still, notes = [], []
    for one in packed.unknown:
        if one.kind == "function":
            function = next(f for f in packed.group.functions if f.id == one.id)
            installed = target.record.installed.get(function_directory(target.facts, function))
            if installed:
                code[one.id] = installed.contents
        else:
            before = target.deployed.resource(one.id)
            artifact = target.deployed.artifacts.get(one.id) if before and address(before) == one.address else None
            resource = packed.group.resource(one.id)
            assert resource is not None  # noqa: S101 - it is one of the group's
            directory = model_directory(target.facts, resource, artifact) if artifact else ""
            installed = target.record.installed.get(directory)
            if installed and artifact:
                artifacts[one.id], contents[one.id] = artifact, installed.contents
        if installed:
            notes.append(f"{one}: its package is taken to be the one that was deployed last")
        else:
            still.append(one)
    group = replace(packed.group, artifacts=artifacts)
    return replace(packed, group=group, contents=contents, code=code, unknown=tuple(still)), notes


def _marked(unknown: Sequence[Wanted], entry: Entry) -> Entry:
    """Return an entry whose reason says when what is in it is not known."""
    if any(one.id == (entry.resource or entry.function) for one in unknown) and entry.rule not in _LINKS:
        return replace(entry, reason=f"{entry.reason}; {UNKNOWN}")
    return entry


def _uses(group: Group, facts: HostFacts) -> Iterator[Use]:
    for resource in group.resources:
        if isinstance(resource.data, LocalDevice | LocalVolume):
            path = resource.data.source_path
            kind = type(resource.data).__name__
            yield Use(path=path, node=facts.paths[path], resource=resource.id, reason=f"{kind}: must be there")


def _closed(target: Target) -> Iterator[str]:
    for path in sorted(target.closed):
        yield f"{path}: not looked at: only root may"


def _under(path: str, directories: Collection[str]) -> bool:
    return any(path.startswith(f"{directory}/") for directory in directories)
