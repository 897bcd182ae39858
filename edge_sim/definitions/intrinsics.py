"""CloudFormation's intrinsic functions, kept as placeholders: nothing here knows a stack's values.

``!Ref Name`` → ``${Ref:Name}`` (or the value that a user gives for the parameter), ``!GetAtt A.B`` →
``${GetAtt:A.B}``, pseudo parameters → ``${AWS::Region}``. ``!Sub`` and ``!Join`` become the text around their
placeholders, spelled the same way, so that equal things stay equal. ``!If`` is the branch that its condition chooses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_sim.definitions.conditions import Conditions
from edge_sim.definitions.tree import Array, Object, array_like, like, plain

REFERENCE = re.compile(r"\$\{(?:Ref|GetAtt):([A-Za-z0-9]+)(?:\.[^{}]*)?\}")
"""A resolved reference to something of the template, whose logical id is the group."""
_VARIABLE = re.compile(r"\$\{([^!{}][^{}]*)\}")
_FUNCTION = re.compile(r"Ref|Condition|Fn::[A-Za-z0-9:]+")
_NOTHING = object()


@dataclass(kw_only=True)
class Resolver:
    """Turns a template's values into values with placeholders. ``parameters`` are the values that a user gives."""

    conditions: Conditions
    parameters: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, value: object) -> object:
        """Return a value without intrinsic functions; what is ``AWS::NoValue`` is left out, as a whole it is None."""
        value = self._resolve(value)
        return None if value is _NOTHING else value

    def _resolve(self, value: object) -> object:
        if isinstance(value, Object):
            name = next(iter(value), "")
            if len(value) == 1 and _FUNCTION.fullmatch(name):
                return self._intrinsic(value, name.removeprefix("Fn::"), value[name])
            members = {key: self._resolve(item) for key, item in value.items()}
            return like(value, {key: item for key, item in members.items() if item is not _NOTHING})
        if isinstance(value, Array):
            resolved = {index: self._resolve(item) for index, item in enumerate(value)}
            return array_like(value, {index: item for index, item in resolved.items() if item is not _NOTHING})
        return value

    def _intrinsic(self, holder: Object, name: str, argument: object) -> object:
        if name == "Ref" and argument == "AWS::NoValue":
            return _NOTHING
        if name == "Ref" and isinstance(argument, str) and argument in self.parameters:
            return self.parameters[argument]
        if name == "If" and isinstance(argument, Array) and len(argument) == 3:
            return self._resolve(
                argument[1] if self.conditions.holds(str(argument[0]), holder.position()) else argument[2]
            )
        value = self._resolve(argument)
        if value is _NOTHING:
            return self._placeholder(name, "AWS::NoValue")
        if name == "Sub":
            return self._sub(value)
        if name == "Join" and isinstance(value, Array) and len(value) == 2 and isinstance(value[1], Array):
            return str(value[0]).join(_text(item) for item in value[1])
        if name == "Select" and isinstance(value, Array) and len(value) == 2 and isinstance(value[1], Array):
            index = int(str(value[0])) if re.fullmatch(r"[0-9]{1,4}", str(value[0])) else -1
            if 0 <= index < len(value[1]):
                return value[1][index]
        return self._placeholder(name, value)

    def _placeholder(self, name: str, value: object) -> str:
        text = ".".join(_text(item) for item in value) if isinstance(value, list) else _text(value)
        return f"${{{text}}}" if name == "Ref" and text.startswith("AWS::") else f"${{{name}:{text}}}"

    def _sub(self, value: Any) -> str:
        variables: dict[str, Any] = {}
        if isinstance(value, Array) and len(value) == 2 and isinstance(value[1], Object):
            value, variables = value[0], dict(value[1])

        def variable(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name in variables:
                return _text(variables[name])
            if name in self.parameters:
                return self.parameters[name]
            kind = "GetAtt" if "." in name else "Ref"
            return match[0] if re.match(r"[A-Z][A-Za-z0-9]*:(?!:)", name) else self._placeholder(kind, name)

        return _VARIABLE.sub(variable, _text(value)).replace("${!", "${")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(plain(value), separators=(",", ":"))
