"""Rules about what every resource has: Id, Name, kind, and how many there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.greengrass.model import is_open, text
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule

IDENTIFIER = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
LRA = "lra-cli.md"


@rule("resource-identifier", condition="sourced", timing="ours", source="lra-cli.md; botocore greengrass 2017-06-07")
def identifiers(case: Case) -> Iterator[Fault]:
    """A resource's Id and Name have 1 to 128 letters, digits, colons, underscores or hyphens."""
    for resource in case.group.resources:
        for what, value in (("Id", resource.id), ("Name", resource.name)):
            if not IDENTIFIER.fullmatch(value) and not is_open(value):
                message = f"resource {resource.id!r}: {what} {value!r} must be 1 to 128 of [a-zA-Z0-9:_-]"
                yield Fault(path=f"{resource.path}.{what}", message=message, resource=resource.id)


@rule("resource-id-unique", condition="sourced", timing="ours", source=LRA)
def unique_ids(case: Case) -> Iterator[Fault]:
    """A resource's Id is unique in the group."""
    for resource, first in doubled(case.group.resources):
        yield Fault(
            path=f"{resource.path}.Id",
            message=f"resource Id {resource.id!r} is already used at {first.path}",
            resource=resource.id,
        )


@rule(
    "resource-name-unique",
    condition="sourced",
    timing="ours",
    severity="warning",
    source="botocore greengrass 2017-06-07: must be unique within a group; lra-cli.md says so of the Id only",
    hint="Give each resource its own name.",
)
def unique_names(case: Case) -> Iterator[Fault]:
    """By the API reference, a resource's Name is unique in the group; whether V1 refused a duplicate is not known."""
    first: dict[str, Resource] = {}
    for resource in case.group.resources:
        before = first.setdefault(resource.name, resource)
        if before is not resource and before.id != resource.id:
            message = f"resource {resource.id}: its Name {resource.name!r} is also that of resource {before.id}"
            yield Fault(path=f"{resource.path}.Name", message=message, resource=resource.id)


@rule(
    "resource-total",
    condition="sourced",
    timing="inferred",
    source="AWS General Reference, Greengrass V1 quotas (200); lra-cli.md says 50",
)
def total(case: Case) -> Iterator[Fault]:
    """A group has at most 200 resources (setting: resources-per-group)."""
    count, allowed = len(case.group.resources), case.settings.quotas.resources_per_group
    if count > allowed:
        yield Fault(path="$.Resources", message=f"the group has {count} resources; at most {allowed} are allowed")


@rule(
    "resource-total-disputed",
    condition="sourced",
    timing="inferred",
    severity="note",
    source="AWS General Reference, Greengrass V1 quotas: 200; lra-cli.md: 50",
    hint="Use --limit resources-per-group=50 to enforce the smaller number.",
)
def total_disputed(case: Case) -> Iterator[Fault]:
    """AWS's quota page allows 200 resources per group, lra-cli.md only 50."""
    count = len(case.group.resources)
    if 50 < count <= case.settings.quotas.resources_per_group:
        message = f"the group has {count} resources: the quota page allows 200, lra-cli.md 50"
        yield Fault(path="$.Resources", message=message)


@rule("unused-resource", condition="ours", timing="ours", severity="note", source="ours: nothing refuses it")
def unused(case: Case) -> Iterator[Fault]:
    """A resource that no function is attached to and no connector names cannot be opened by anything."""
    references = frozenset().union(*case.attached_ids, _of_connectors(case))
    for resource in case.group.resources if case.group.functions else ():
        if resource.id not in references:
            what = "is fetched, but " if resource.model else ""
            message = f"resource {resource.id} {what}is attached to no function"
            yield Fault(path=resource.path, message=message, resource=resource.id)


def _of_connectors(case: Case) -> Iterator[str]:
    """Yield the values of connectors' parameters, some of which are resources' Ids (``MLModelResourceId``)."""
    connectors = case.sections.get("Connectors")
    for connector in connectors if isinstance(connectors, list) else ():
        parameters = connector.get("Parameters") if isinstance(connector, Mapping) else None
        for value in parameters.values() if isinstance(parameters, Mapping) else ():
            yield text(value) or ""


def doubled(resources: tuple[Resource, ...]) -> Iterator[tuple[Resource, Resource]]:
    """Yield each resource whose Id was there before, with the first that has it."""
    first: dict[str, Resource] = {}
    for resource in resources:
        before = first.setdefault(resource.id, resource)
        if before is not resource:
            yield resource, before


RULES: tuple[Rule, ...] = (identifiers, unique_ids, unique_names, total, total_disputed, unused)
