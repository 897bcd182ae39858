"""The groups of a template: which one is read, and the definitions that it refers to."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from edge_sim.definitions.intrinsics import REFERENCE, Resolver
from edge_sim.definitions.tree import Object
from edge_sim.errors import InvalidDefinitionError, Position, UsageError
from edge_sim.greengrass.families import Family

Resource = tuple[str, str, Object]
"""Logical id, the API's word for the kind (``Resource``, ``Group``), and properties."""


@dataclass(kw_only=True)
class TemplateGroup:
    """One group. ``references`` are the logical ids that it and its versions name, each with its place."""

    id: str = ""
    name: str = ""
    references: dict[str, Position] = field(default_factory=dict)
    elsewhere: dict[str, Position] = field(default_factory=dict)
    """ARNs and values that stand for definitions, and where."""

    def __str__(self) -> str:
        return f"{self.id} ({self.name})" if self.name and self.name != self.id else self.id


def choose(
    top: Object, resources: Iterable[Resource], resolver: Resolver, name: str | None
) -> tuple[TemplateGroup, bool]:
    """Return the group that is read, and whether it is the only one.

    Raises InvalidDefinitionError where there are several and none is ``name``, UsageError where that one is not.
    """
    groups = _groups(resources, resolver)
    if name is not None:
        matches = [group for group in groups if name in (group.id, group.name)]
        if len(matches) != 1:
            known = ", ".join(map(str, groups)) or "none"
            problem = f"{len(matches)} groups are named {name}" if matches else f"no group is named {name}"
            raise UsageError(f"{top.file.path}: {problem}", hint=f"Its groups: {known}.")
        return matches[0], len(groups) == 1
    if len(groups) > 1 and any(group.references.keys() != groups[0].references.keys() for group in groups):
        raise InvalidDefinitionError(
            f"holds {len(groups)} groups: {', '.join(map(str, groups))}",
            place=top.position(),
            hint=f"Choose one: --group {groups[0].id}",
        )
    return (groups or [TemplateGroup()])[0], len(groups) < 2


def with_versions(
    resources: Iterable[Resource], section: Family, references: Container[str], resolver: Resolver
) -> set[str]:
    """Return the logical ids of a kind that are chosen, or are versions of a definition that is."""
    ids = set()
    for id_, kind, properties in resources:
        if kind == section.kind:
            definition = _referred(properties.get(f"{section.kind}DefinitionId"), resolver)
            if id_ in references or (definition and definition in references):
                ids.add(id_)
    return ids


def _groups(resources: Iterable[Resource], resolver: Resolver) -> list[TemplateGroup]:
    groups: dict[str, TemplateGroup] = {}
    holders = [(id_, properties) for id_, kind, properties in resources if kind == "Group"]
    known = {id_ for id_, properties in holders if "GroupId" not in properties}
    for id_, properties in holders:
        owner = _referred(properties.get("GroupId"), resolver)
        group = groups.setdefault(owner if owner in known else id_, TemplateGroup())
        if id_ in known:
            group.name = str(resolver.resolve(properties.get("Name")) or "")
        for holder in (properties, properties.get("InitialVersion")):
            if isinstance(holder, Object):
                _refer(group, holder, resolver)
    for id_, group in groups.items():
        group.id = id_
    return list(groups.values())


def _refer(group: TemplateGroup, holder: Object, resolver: Resolver) -> None:
    """Add the definitions that a group's version names."""
    for key in holder:
        if key.endswith("VersionArn"):
            value = resolver.resolve(holder[key])
            id_ = _referred(value, resolver)
            if id_:
                group.references[id_] = holder.position(key)
            elif isinstance(value, str):
                group.elsewhere[value] = holder.position(key)


def _referred(value: object, resolver: Resolver) -> str | None:
    match = REFERENCE.fullmatch(str(resolver.resolve(value)))
    return match[1] if match else None
