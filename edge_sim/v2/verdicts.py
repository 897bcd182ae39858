"""What each function becomes on a nucleus: an imported Lambda, a generic component, or nothing.

Sources: the V2 guide's choose-runtime and set-up-v2-test-device-lite (lite takes no Lambda functions),
migrate-from-v1 (no native executables); that a No-container function with a model has to become a generic component is
inferred: an imported one has neither mounts nor the variables of a recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.rules.rule import Label
from edge_sim.v2.move import Move

Becomes = Literal["lambda", "generic", "nothing"]
WORDS = {
    "lambda": "can be imported as a Lambda",
    "generic": "must become a generic component",
    "nothing": "can't be moved",
}


@dataclass(frozen=True, kw_only=True)
class FunctionVerdict:
    """What a function becomes, and why. ``doubt``: what would have to be known to be sure."""

    function: str
    becomes: Becomes
    reason: str
    label: Label
    doubt: str | None = None

    @property
    def words(self) -> str:
        return WORDS[self.becomes]


def verdict(move: Move, function: Function) -> FunctionVerdict:
    """Return what becomes of one of the user's functions on the nucleus of ``move``."""
    return _on_classic(move, function) if move.nucleus.lambdas else _on_lite(move, function)


def becomes_lambda(move: Move, function: Function) -> bool:
    """Return whether a function is imported as it is."""
    return verdict(move, function).becomes == "lambda"


def stays_contained(move: Move, function: Function) -> bool:
    """Return whether a function runs in a Greengrass container afterwards."""
    return move.contained(function) and becomes_lambda(move, function)


def _on_classic(move: Move, function: Function) -> FunctionVerdict:
    def verdict_of(becomes: Becomes, reason: str, label: Label, doubt: str | None = None) -> FunctionVerdict:
        return FunctionVerdict(function=function.id, becomes=becomes, reason=reason, label=label, doubt=doubt)

    if move.native(function):
        return verdict_of("generic", "V2 does not import native executables", "sourced")
    if move.contained(function):
        if move.to is not None and move.to.cgroups == "v2":
            return verdict_of(
                "generic", "its container needs cgroups version 1, and the board has version 2", "sourced"
            )
        doubt = None
        if move.to is None or move.to.cgroups is None:
            doubt = "whether the board has cgroups version 1, which its container needs"
        return verdict_of("lambda", "the Lambda launcher starts it in a container", "sourced", doubt)
    if move.models_of(function):
        reason = "an imported function without a container has neither mounts nor recipe variables for its model"
        return verdict_of("generic", reason, "inferred")
    return verdict_of("lambda", "the Lambda launcher starts it without a container", "sourced")


def _on_lite(move: Move, function: Function) -> FunctionVerdict:
    lacking = [*_lacking_on_lite(move, function)]
    if lacking:
        reason = f"nucleus lite has no {' and no '.join(lacking)}"
        return FunctionVerdict(function=function.id, becomes="nothing", reason=reason, label="inferred")
    reason = "nucleus lite does not support Lambda functions"
    return FunctionVerdict(function=function.id, becomes="generic", reason=reason, label="sourced")


def _lacking_on_lite(move: Move, function: Function) -> list[str]:
    uses = move.uses.get(function.id, frozenset())
    ends = [
        *(r.target_kind for r in move.routes if r.source == function.arn),
        *(r.source_kind for r in move.routes if r.target == function.arn),
    ]
    needs = {
        "secret manager": any(resource.secret for resource, _ in move.group.attached(function)),
        "local shadow service": "shadow" in uses or "shadow" in ends,
        "client devices": "device" in ends,
        "stream manager": "stream-manager" in uses,
        "connectors": "connector" in ends,
    }
    return [what for what, needed in needs.items() if needed]
