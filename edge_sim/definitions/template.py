"""CloudFormation and SAM templates, also as the CDK writes them: the ``AWS::Greengrass::*`` resources of one group.

Properties are the API's own members. Where a template holds several versions of a kind, the group's references decide.
Shapes: CloudFormation's resource reference, ``AWS_Greengrass``; the example of Neosperience/GrassFormation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from typing import Any

from edge_sim.definitions import templategroups
from edge_sim.definitions.conditions import Choice, Conditions
from edge_sim.definitions.forms import Part
from edge_sim.definitions.intrinsics import Resolver
from edge_sim.definitions.lambdas import function_code, unqualified
from edge_sim.definitions.tree import Array, Note, Object, array_like, like, object_at
from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass.families import FAMILIES, Family
from edge_sim.greengrass.model import FLAG, TEXT, TEXT_MAP, WHOLE, Shape, text
from edge_sim.greengrass.rules.functions import qualified
from edge_sim.report import Finding

_CONTEXT = ("Parameters", "Conditions", "Mappings", "Globals")
_TYPE = re.compile(r"(?:AWS::Greengrass|NSP::GrassFormation)::(\w+?)(Definition)?(Version)?")


def is_template(top: Object) -> bool:
    """Return whether an object is a template: ``Resources`` is an object of things that have a Type."""
    resources = top.get("Resources")
    return isinstance(resources, Object) and (
        "AWSTemplateFormatVersion" in top or any(isinstance(r, Object) and "Type" in r for r in resources.values())
    )


def template(top: Object, choice: Choice) -> Part | None:
    """Read a template's group, or return None when it has nothing of Greengrass V1."""
    conditions = Conditions(top, choice)
    resources = list(_greengrass(top["Resources"], conditions))
    if not resources:
        return None
    resolver = Resolver(conditions=conditions, parameters=choice.parameters)
    part = Part(form="SAM" if "Serverless" in str(top.get("Transform")) else "CloudFormation", reader="CloudFormation")
    part.context += [top[key] for key in _CONTEXT if isinstance(top.get(key), Object)]
    group, alone = templategroups.choose(top, resources, resolver, choice.group)
    part.name, chosen = group.name, group.references
    defaults = _defaults(top)
    for name, section in FAMILIES.items():
        contents = {
            id_: content for id_, kind, p in resources if kind == section.kind for content in _content(p, section)
        }
        content = _choose(
            top, section, contents, templategroups.with_versions(resources, section, chosen, resolver), alone
        )
        if content is not None:
            version = resolver.resolve(content)
            if isinstance(version, Object):
                part.sections[name] = _filled(version, section.shape, defaults, part.notes)
            elif version is not None:
                message = f"{version} stands for a whole definition, which is not in this template"
                part.notes.append(Note(message=message, place=content.position()))
    _code(top, part, resolver, defaults)
    kinds = ("Group", *(section.kind for section in FAMILIES.values()))
    part.notes += [
        Note(message=f"{id_} has a type that Greengrass V1 does not have", place=p.position())
        for id_, k, p in resources
        if k not in kinds
    ]
    part.undecided = conditions.undecided
    part.parameters = tuple(object_at(top, "Parameters"))
    part.notes += [
        Note(message=f"the group refers to {what}, which is not in this template, so it was not checked", place=place)
        for what, place in {**chosen, **group.elsewhere}.items()
        if what not in top["Resources"]
    ]
    return part


def _code(top: Object, part: Part, resolver: Resolver, defaults: Mapping[str, Any]) -> None:
    """Note what the template says of the Lambda functions that the group's refer to."""
    functions = part.sections["functions"].get("Functions") if "functions" in part.sections else None
    for index, function in enumerate(functions if isinstance(functions, Array) else ()):
        if isinstance(function, Object) and (what := unqualified(top, function.get("FunctionArn"))):
            part.findings.append(_unqualified(function, index, what))
        match = function_code(top, function.get("FunctionArn"), resolver) if isinstance(function, Object) else None
        if match:
            code, place = match
            runtime = _default(code.runtime, defaults, part.notes)
            part.code[text(function.get("Id")) or ""] = replace(code, runtime=text(runtime) or "")
            own = function.get("FunctionConfiguration")
            if not (isinstance(own, Object) and "FunctionRuntimeOverride" in own):
                part.places[f"$.Functions[{index}].FunctionConfiguration.FunctionRuntimeOverride"] = place


def _unqualified(function: Object, index: int, what: str) -> Finding:
    message = f"function {text(function.get('Id'))}: {function['FunctionArn']} is {what}"
    return Finding(
        id=qualified.id,
        severity=qualified.severity,
        phase=qualified.phase,
        path=f"$.Functions[{index}].FunctionArn",
        message=message,
        source=qualified.source,
        hint=qualified.hint,
        function=text(function.get("Id")),
    )


def _greengrass(resources: Object, conditions: Conditions) -> Iterator[tuple[str, str, Object]]:
    """Yield logical id, the API's word for the kind (``Resource``, ``Group``), and properties."""
    for id_, resource in resources.items():
        if not isinstance(resource, Object):
            continue
        match = _TYPE.fullmatch(str(resource.get("Type")))
        condition = resource.get("Condition")
        if match and isinstance(condition, str) and not conditions.holds(condition, resource.position("Condition")):
            continue
        properties = resource.get("Properties")
        if match:
            yield id_, match[1], properties if isinstance(properties, Object) else like(resource, {})


def _content(properties: Object, section: Family) -> list[Object]:
    """Return the …DefinitionVersion object in a resource's properties, if there is one."""
    initial = properties.get("InitialVersion")
    if isinstance(initial, Object):
        return [initial]
    if not any(key in properties for key in section.shape):
        return []
    about = (f"{section.kind}DefinitionId", "Name", "Tags")
    own = {key: value for key, value in properties.items() if key not in about}
    return [like(properties, own)]


def _choose(
    top: Object, section: Family, contents: Mapping[str, Object], references: Container[str], alone: bool
) -> Object | None:
    """Return the definition that the group refers to; where there is one group, it may as well be the only one."""
    selection = {id_: content for id_, content in contents.items() if id_ in references} or (contents if alone else {})
    if len(selection) > 1:
        kinds = f"{len(selection)} {section.kind} definitions"
        raise InvalidDefinitionError(
            f"holds {kinds}, and no group says which of {', '.join(selection)}",
            place=top.position(),
            hint="Pass the template of one group.",
        )
    return next(iter(selection.values()), None)


def _defaults(top: Object) -> dict[str, Any]:
    return {
        f"${{Ref:{name}}}": parameter["Default"]
        for name, parameter in object_at(top, "Parameters").items()
        if isinstance(parameter, Object) and parameter.get("Default") is not None
    }


def _filled(value: Any, shape: Shape, defaults: Mapping[str, Any], notes: list[Note]) -> Any:
    """Return a value with its numbers, flags and words from the parameters' defaults; they cannot stay open.

    What the API has a text for is one: CloudFormation makes texts of numbers and booleans.
    """
    if isinstance(shape, Mapping) and isinstance(value, Object):
        return like(value, {k: _filled(v, shape.get(k), defaults, notes) for k, v in value.items()})
    if isinstance(shape, list) and isinstance(value, Array):
        return array_like(value, {i: _filled(v, shape[0], defaults, notes) for i, v in enumerate(value)})
    if shape == TEXT_MAP and isinstance(value, Object):
        return like(value, {k: _text(v) for k, v in value.items()})
    if shape == TEXT:
        return _text(value)
    closed = isinstance(shape, tuple) or shape in (WHOLE, FLAG)
    return _default(value, defaults, notes) if closed and isinstance(value, str) else value


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _default(value: str, defaults: Mapping[str, Any], notes: list[Note]) -> Any:
    if value not in defaults:
        return value
    note = Note(message=f"{value} is taken as the parameter's default, {defaults[value]}")
    notes += [] if note in notes else [note]
    return defaults[value]
