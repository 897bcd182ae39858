"""``dump``: a ``Definition`` → the canonical bundle: every section in the API's own members, order and types.

    edgeSimGroup: 1
    core: {Cores: [...]}
    resources: {Resources: [...]}
    functions: {DefaultConfig: ..., Functions: [...]}

Reading a bundle and writing it again changes nothing. What has the wrong type stays as it is: that is for the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from edge_sim.definitions.definition import Definition
from edge_sim.definitions.forms import BUNDLE, IGNORE_LIST
from edge_sim.definitions.tree import MAX_DEPTH
from edge_sim.definitions.yamlwords import is_text
from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass import model
from edge_sim.greengrass.families import FAMILIES

_WIDTH = 120


def dump(definition: Definition) -> str:
    """Return the canonical bundle as YAML."""
    return bundle_text(canonical(definition))


def bundle_text(bundle: Mapping[str, Any]) -> str:
    """Return a canonical bundle as YAML."""
    return yaml.dump(dict(bundle), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def canonical(definition: Definition) -> dict[str, Any]:
    """Return the canonical bundle as plain values. Raises InvalidDefinitionError for one too deep to be read again."""
    bundle: dict[str, Any] = {BUNDLE: 1}
    if definition.group.arn:
        bundle["arn"] = definition.group.arn
    if definition.name:
        bundle["name"] = definition.name
    bundle |= versions(definition)
    if definition.ignored:
        entries = [{"rule": e.rule, "path": e.path, "reason": e.reason} for e in definition.ignored]
        bundle[IGNORE_LIST] = entries
    if _depth(bundle) > MAX_DEPTH:
        problem = f"its canonical form would be nested deeper than {MAX_DEPTH} levels"
        raise InvalidDefinitionError(problem, place=definition.locate("$"))
    return bundle


def versions(definition: Definition) -> dict[str, Any]:
    """Return the …DefinitionVersion objects by the bundle's words, as boto3 takes them."""
    return {
        name: _ordered(definition.sections[name], section.shape)
        for name, section in FAMILIES.items()
        if name in definition.sections
    }


def _depth(value: object) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(_depth, members), default=0)


def _ordered(value: object, shape: model.Shape) -> Any:
    """Return a value with the members that the API knows first, in its types; null members are left out."""
    if isinstance(value, Mapping):
        members = shape if isinstance(shape, Mapping) else {}
        keys = [key for key in members if key in value] + [key for key in value if key not in members]
        is_map = shape == model.TEXT_MAP
        inner = model.TEXT if is_map else None
        return {k: _ordered(value[k], members.get(k, inner)) for k in keys if is_map or value[k] is not None}
    if isinstance(value, list):
        return [_ordered(item, shape[0] if isinstance(shape, list) else None) for item in value]
    return _scalar(value, shape)


def _scalar(value: object, shape: model.Shape) -> object:
    if isinstance(shape, tuple) or not isinstance(shape, str):
        return value
    read = {model.TEXT: model.text, model.WHOLE: model.whole_number, model.FLAG: model.truth}.get(shape)
    scalar = read(value) if read else None
    return value if scalar is None else scalar


class _Dumper(yaml.SafeDumper):
    """Indents lists, writes no aliases, and quotes every text that some reader could take for something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _quoted(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_text(value) else "'")


_Dumper.add_representer(str, _quoted)
