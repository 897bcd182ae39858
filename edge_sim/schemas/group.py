"""The schema of the canonical form of a group: the API's members, with the types that the reader takes for them."""

from __future__ import annotations

from collections.abc import Mapping

from edge_sim.definitions.forms import BUNDLE, IGNORE_LIST
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.model import FLAG, TEXT, TEXT_MAP, WHOLE, Members, Shape
from edge_sim.greengrass.resources import KINDS

_OPEN = r"\$\{[^}]*\}"
"""What a template leaves open, as the canonical form has it."""
_TEXT: dict[str, object] = {"title": "text", "type": ["string", "integer"]}
_SCALARS: Mapping[str, dict[str, object]] = {
    TEXT: _TEXT,
    WHOLE: {"title": "a whole number", "type": ["integer", "string"], "pattern": rf"^\s*-?[0-9]{{1,17}}\s*$|{_OPEN}"},
    FLAG: {
        "title": "true or false",
        "type": ["boolean", "string"],
        "pattern": f"^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$|{_OPEN}",
    },
    TEXT_MAP: {"title": "a mapping of names to text", "type": "object", "additionalProperties": _TEXT},
}
_PLACEHOLDER = {"title": "a placeholder, ${…}", "type": "string", "pattern": _OPEN}
_IGNORED = {
    "type": "object",
    "properties": {
        "rule": {"description": "The rule's id.", "title": "a rule"},
        "path": {
            "description": "A JSON path within the section, starting at $.",
            "title": "a JSON path",
            "type": "string",
            "pattern": r"^\$",
        },
        "reason": {"description": "Why the rule does not matter here.", "title": "text"},
    },
    "required": ["rule", "path", "reason"],
}


def schema() -> dict[str, object]:
    """Return the schema of a bundle, as ``edge-sim import`` writes it."""
    return {
        "title": "group",
        "type": "object",
        "properties": {
            BUNDLE: {"description": "The version of this form.", "title": "1", "enum": [1, "1"]},
            "name": {"description": "The group's name in reports.", **_optional(_TEXT)},
            "arn": {"description": "The group version's ARN.", **_optional(_TEXT)},
            **{
                word: {"description": f"The API's {family.kind}DefinitionVersion.", **_optional(_members(family.shape))}
                for word, family in FAMILIES.items()
            },
            IGNORE_LIST: {
                "description": "Where rules are ignored. A comment works as well: # edge-sim: ignore RULE reason",
                **_optional({"type": "array", "items": _IGNORED}),
            },
        },
        "required": [BUNDLE],
        "additionalProperties": False,
    }


def _members(shape: Members) -> dict[str, object]:
    properties = {
        name: {"description": shape.meanings[name], **_value(inner, required=name in shape.required)}
        for name, inner in shape.items()
    }
    schema: dict[str, object] = {"type": "object", "properties": properties, "additionalProperties": False}
    if shape.required:
        schema["required"] = list(shape.required)
    if shape.keys() == KINDS.keys():
        schema["oneOf"] = [{"required": [key], "properties": {key: {"type": "object"}}} for key in KINDS]
    return schema


def _value(shape: Shape, *, required: bool) -> dict[str, object]:
    """Return the schema of a member; one that is not required may be null, which means that it is left out."""
    if isinstance(shape, Members):
        schema = _members(shape)
    elif isinstance(shape, list):
        schema = {"type": "array", "items": _value(shape[0], required=True)}
    elif isinstance(shape, tuple):
        words = {"enum": [*shape] if required else [*shape, "", None]}
        schema = {"anyOf": [words, _PLACEHOLDER]}
    else:
        schema = _SCALARS[shape]
    return schema if required else _optional(schema)


def _optional(schema: Mapping[str, object]) -> dict[str, object]:
    types = schema.get("type")
    if types is None:
        return dict(schema)
    return {**schema, "type": [*types, "null"] if isinstance(types, list) else [types, "null"]}
