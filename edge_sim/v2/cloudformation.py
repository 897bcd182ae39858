"""The same components and deployment as a CloudFormation template; every placeholder is one of its parameters.

Shapes: AWS::GreengrassV2::ComponentVersion and AWS::GreengrassV2::Deployment, whose members are those of the API with a
capital first letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from edge_sim.v2.components import Component, Json

_PLACEHOLDER = re.compile(r"REPLACE(?:_[A-Z0-9]+)+")
_FREE_MAPS = ("environmentVariables", "componentDependencies", "components", "tags")
"""Members whose keys are the user's."""


def template(components: Sequence[tuple[Component, str]], deployment: Mapping[str, object]) -> Json:
    """Return the template. Each component comes with its recipe as text, "" for an imported Lambda."""
    resources: Json = {}
    for component, recipe in components:
        request = component.request or {}
        properties = {"InlineRecipe": recipe} if recipe else _capital({**request})
        resources[_logical("Component", component.name)] = {
            "Type": "AWS::GreengrassV2::ComponentVersion",
            "Properties": _filled(properties),
        }
    needed = sorted(resources)
    resources["Deployment"] = {
        "Type": "AWS::GreengrassV2::Deployment",
        **({"DependsOn": needed} if needed else {}),
        "Properties": _filled(_capital(_without_jobs(deployment))),
    }
    names = placeholders([[recipe or component.request for component, recipe in components], deployment])
    parameters = {_parameter(name): {"Type": "String", "Description": f"Instead of {name}"} for name in names}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Written by edge-sim migrate from a Greengrass V1 group.",
        **({"Parameters": parameters} if parameters else {}),
        "Resources": resources,
    }


def placeholders(value: object) -> list[str]:
    """Return the placeholders in a value, sorted."""
    return sorted(set(_PLACEHOLDER.findall(str(value))))


def _without_jobs(deployment: Mapping[str, object]) -> Json:
    return {key: value for key, value in deployment.items() if key != "iotJobConfiguration"}


def _capital(value: object, *, free: bool = False) -> object:
    if isinstance(value, Mapping):
        return {
            key if free else key[:1].upper() + key[1:]: _capital(inner, free=not free and key in _FREE_MAPS)
            for key, inner in value.items()
        }
    return [_capital(item) for item in value] if isinstance(value, list) else value


def _filled(value: object) -> object:
    """Return a value whose placeholders refer to parameters."""
    if isinstance(value, Mapping):
        return {key: _filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if not isinstance(value, str) or not _PLACEHOLDER.search(value):
        return value
    if _PLACEHOLDER.fullmatch(value):
        return {"Ref": _parameter(value)}
    return {"Fn::Sub": _PLACEHOLDER.sub(lambda m: f"${{{_parameter(m[0])}}}", value.replace("${", "${!"))}


def _parameter(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _logical(kind: str, name: str) -> str:
    """Return a logical id: letters and digits, and no two names alike."""
    return kind + "".join(c if c.isascii() and c.isalnum() else f"x{ord(c):x}" for c in name)
