"""Rules about the core of a group. Pages: gg-core.md, gg-deployments; limits: AWS General Reference."""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule

MAX_THING_NAME_BYTES = 124


@rule(
    "core-missing",
    condition="sourced",
    timing="sourced",
    severity="note",
    source="moto greengrass models (copied from the service): MissingCoreException",
    aws_text="You need a Greengrass Core in this Group before you can deploy.",
    hint="You can ignore this when checking definitions without a core.",
)
def missing(case: Case) -> Iterator[Fault]:
    """A group without a core cannot be deployed."""
    if case.group.core is None and case.group.functions:
        yield Fault(path="$.Cores", message="the core definition is missing; a deployment needs one")


@rule("core-thing-name", condition="sourced", timing="inferred", source="AWS General Reference, Greengrass V1 quotas")
def thing_name(case: Case) -> Iterator[Fault]:
    """The name of a core's thing has at most 124 bytes of UTF-8."""
    core = case.group.core
    if core and len(core.thing_name.encode()) > MAX_THING_NAME_BYTES and not is_open(core.thing_arn):
        message = f"core {core.id}: its thing name has {len(core.thing_name.encode())} bytes; at most 124 are allowed"
        yield Fault(path="$.Cores[0].ThingArn", message=message)


RULES: tuple[Rule, ...] = (missing, thing_name)
