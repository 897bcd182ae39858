"""docs/scenario.md, made of the schemas: a table for each mapping, with what stands at its keys and what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from edge_sim.keys import Schema
from edge_sim.schemas import catalogue

_HEAD = """\
# Keys of edge-sim.yaml, of a profile, of a group and of updates.yaml

Generated from the rows that the readers themselves use (`edge-sim schema --markdown`); `edge-sim schema
scenario|profile|group|updates` prints them as JSON schemas (draft 2020-12). What a schema refuses, edge-sim refuses as
well; what it accepts may still be refused if one part of a file contradicts another.

For completion and checks in an editor, write a schema beside your file (`edge-sim schema scenario
>edge-sim.schema.json`; `edge-sim init` does it) and name it in the file:
`# yaml-language-server: $schema=edge-sim.schema.json`. Those of this version are in [docs/schemas/](schemas).

Values are read as they are written (`1.10` stays `1.10`) and may stand in quotes. The YAML is version 1.1
without dates, anchors and aliases. An unknown or repeated key is an error.
"""
_ABOUT = {
    "scenario": """\
## edge-sim.yaml

A scenario: what is deployed, to which boards, from where, and which results are expected. `edge-sim init` writes a
first one; [examples/no-container-ml](../examples/no-container-ml/edge-sim.yaml) uses nearly every key.
""",
    "profile": """\
## Profile

A board before anything is deployed to it ([device_profiles/](../device_profiles/README.md)). Its name is the file's.
""",
    "group": """\
## Group

The canonical form of a group, which `edge-sim import` writes from any other form. Its members are those of the API of
AWS IoT Greengrass V1; numbers and booleans may stand in quotes, and a member that is null is left out.
""",
    "updates": """\
## updates.yaml

What `edge-sim cloud serve --updates FILE` offers to boards in place of AWS's last release: simulated builds, or
your own files.
""",
}


def markdown() -> str:
    """Return docs/scenario.md."""
    return "\n".join([_HEAD, *(line for name in catalogue.NAMES for line in _format(name))]).rstrip() + "\n"


def _format(name: str) -> Iterator[str]:
    yield _ABOUT[name]
    yield from _sections("", catalogue.schema(name))


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """Yield the table of a mapping, and below it those of the mappings that its keys hold."""
    yield from _table(schema)
    for key, value in _properties(schema).items():
        for way, inner in _mappings(value):
            inner_path = f"{path}.{key}{way}".lstrip(".")
            title = f": {inner['title']}" if "title" in inner else ""
            yield f"### `{inner_path}`{title}\n"
            yield from _sections(inner_path, inner)


def _table(schema: Schema) -> Iterator[str]:
    needed = _list(schema, "required")
    if choices := [word for option in _schemas(schema, "oneOf") for word in _list(option, "required")]:
        yield f"Exactly one of {', '.join(f'`{word}`' for word in choices)} is required.\n"
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, value in _properties(schema).items():
        default = f"`{_plain(value['default'])}`" if "default" in value else "*required*" if key in needed else ""
        examples = " or ".join(f"`{_plain(example)}`" for example in _list(value, "examples"))
        meaning = f"{value.get('description', '')}{examples and f' Example: {examples}'}"
        yield f"| `{key}` | {_words(value)} | {default} | {meaning} |"
    yield ""


def _mappings(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the mappings with keys of their own in what stands at a key, each with the way to it."""
    if "properties" in schema:
        yield "", schema
        return
    for key, way in (("items", "[]"), ("additionalProperties", ".NAME")):
        if isinstance(schema.get(key), Mapping):
            yield from ((f"{way}{rest}", inner) for rest, inner in _mappings(_schema(schema, key)))
    for option in _options(schema):
        yield from _mappings(option)


def _words(schema: Schema) -> str:
    """Return what may stand at a key, in words."""
    if "enum" in schema:
        words = [word for word in _list(schema, "enum") if isinstance(word, str) and word]
        return str(schema.get("title") or ", ".join(f"`{word}`" for word in words))
    if "const" in schema:
        return f"`{_plain(schema['const'])}`"
    if "items" in schema:
        item = _schema(schema, "items")
        return "a list, see below" if any(_mappings(item)) else f"a list: {_words(item)}"
    if "properties" not in schema and (options := _options(schema)):
        return " or ".join(dict.fromkeys(map(_words, options)))
    below = ", see below" if any(_mappings(schema)) else ""
    usual = {"boolean": "true or false", "object": "a mapping"}.get(str(schema.get("type")), "a mapping")
    return _escaped(str(schema.get("title", usual))) + below


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _options(schema: Schema) -> Sequence[Schema]:
    return (*_schemas(schema, "anyOf"), *_schemas(schema, "oneOf"))


def _escaped(text: str) -> str:
    return re.sub(r"([|*_<\[\]])", r"\\\1", text)


def _properties(schema: Schema) -> Mapping[str, Schema]:
    return cast("Mapping[str, Schema]", schema.get("properties", {}))


def _schema(schema: Schema, key: str) -> Schema:
    return cast("Schema", schema[key])


def _schemas(schema: Schema, key: str) -> Sequence[Schema]:
    return cast("Sequence[Schema]", schema.get(key, ()))


def _list(schema: Schema, key: str) -> Sequence[object]:
    return cast("Sequence[object]", schema.get(key, ()))
