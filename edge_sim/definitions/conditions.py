"""What a user decides of a template, and which of its conditions are true.

A condition that parameters, given or by default, decide is true or false. One that they do not is a switch for the
whole file: true, unless ``Choice.switches`` says false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_sim.definitions.tree import Array, Object, object_at
from edge_sim.errors import Position

MAX_NESTED = 64


@dataclass(frozen=True, kw_only=True)
class Choice:
    """``group`` is the name or the logical id of one of a template's groups, ``parameters`` are values by name."""

    group: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, bool] = field(default_factory=dict)


class Conditions:
    """The conditions of one template. ``undecided`` are those that were asked for, with the place of the first use."""

    def __init__(self, top: Object, choice: Choice) -> None:
        self.undecided: dict[str, Position] = {}
        self._expressions = object_at(top, "Conditions")
        self._switches = choice.switches
        self._values = {**_defaults(object_at(top, "Parameters")), **choice.parameters}
        self._known: dict[str, bool] = {}
        self._open: list[str] = []

    def holds(self, name: str, place: Position) -> bool:
        """Return whether a condition is true, or taken as true."""
        if name not in self._known:
            decided = None
            if name not in self._open and len(self._open) < MAX_NESTED:  # else it is true only if it is true
                self._open.append(name)
                decided = self._decided(self._expressions.get(name), place)
                self._open.pop()
            if decided is None:
                self.undecided.setdefault(name, place)
                decided = self._switches.get(name, True)
            self._known[name] = decided
        return self._known[name]

    def _decided(self, expression: object, place: Position) -> bool | None:
        if not isinstance(expression, Object) or len(expression) != 1:
            return None
        ((name, operand),) = expression.items()
        if name == "Condition":
            return self.holds(operand, place) if isinstance(operand, str) else None
        if not isinstance(operand, Array):
            return None
        if name == "Fn::Equals" and len(operand) == 2:
            first, second = map(self._text, operand)
            return None if first is None or second is None else first == second
        parts = [self._decided(part, place) for part in operand]
        if name == "Fn::Not" and len(parts) == 1:
            return None if parts[0] is None else not parts[0]
        if name in ("Fn::And", "Fn::Or") and parts:
            settles = name == "Fn::Or"
            return settles if settles in parts else None if None in parts else not settles
        return None

    def _text(self, operand: object) -> str | None:
        if isinstance(operand, Object):
            name = operand.get("Ref")
            return self._values.get(name) if len(operand) == 1 and isinstance(name, str) else None
        return scalar_text(operand)


def scalar_text(value: object) -> str | None:
    """Return a scalar as the text that CloudFormation makes of it; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _defaults(parameters: Object) -> dict[str, str]:
    values = {name: scalar_text(p.get("Default")) for name, p in parameters.items() if isinstance(p, Object)}
    return {name: default for name, default in values.items() if default is not None}
