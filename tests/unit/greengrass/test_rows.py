"""The rows that families and kinds are made of, against botocore's model; no rule stands alone."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from edge_sim.cloud.greengrass.kinds import FAMILY_KINDS, GROUP
from edge_sim.cloud.protocol import load_model
from edge_sim.greengrass import rules
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.model import FLAG, TEXT, TEXT_MAP, WHOLE
from edge_sim.greengrass.objectreader import ObjectReader
from edge_sim.greengrass.resources import KINDS
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.v2 import checks

MODEL = load_model("greengrass")
_SCALARS = {"string": TEXT, "integer": WHOLE, "boolean": FLAG, "map": TEXT_MAP}
_VALUES: dict[Any, object] = {TEXT: "/dev/x", FLAG: True, ("ro", "rw"): "ro"}


def shape_of(shape: Any) -> Any:
    """Return botocore's shape as ours says it."""
    if shape.type_name == "structure":
        return {name: shape_of(member) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [shape_of(shape.member)]
    return frozenset(shape.enum) if getattr(shape, "enum", None) else _SCALARS[shape.type_name]


def ours(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {name: ours(member) for name, member in shape.items()}
    if isinstance(shape, list):
        return [ours(shape[0])]
    return frozenset(shape) if isinstance(shape, tuple) else shape


def filled(shape: Any) -> Any:
    """Return a value with every member of a shape."""
    if isinstance(shape, dict):
        return {name: filled(member) for name, member in shape.items()}
    return [filled(shape[0])] if isinstance(shape, list) else _VALUES[shape]


def test_the_families_are_the_api_s() -> None:
    suffix = "DefinitionVersion"
    created = {name for name in MODEL.operation_names if name.startswith("Create") and name.endswith(suffix)}
    assert {f"Create{family.kind}{suffix}" for family in FAMILIES.values()} == created


def test_a_group_s_refusal_names_every_family_in_aws_s_order() -> None:
    """The order is AWS's, so the rows cannot give it; a family that it lacks could be missing unnoticed."""
    versions = {kind.reference: f"arn:aws:greengrass:::{word}" for word, kind in FAMILY_KINDS.items()}
    assert sorted(GROUP.problems(versions, lambda _kind, _arn: False)) == sorted(
        f"{family.texts.reference} definition reference does not exist" for family in FAMILIES.values()
    )


@pytest.mark.parametrize("word", FAMILIES)
def test_a_family_s_row_is_botocore_s(word: str) -> None:
    family = FAMILIES[word]
    assert ours(family.shape) == shape_of(MODEL.shape_for(f"{family.kind}DefinitionVersion"))
    assert family.member in family.shape
    assert set(family.required) - {"FunctionArn"} == set(MODEL.shape_for(family.kind).required_members)


def test_the_kinds_are_the_api_s() -> None:
    assert set(KINDS) == set(MODEL.shape_for("ResourceDataContainer").members)
    for name in ("type_name", "file_type"):
        assert len({getattr(data.kind, name) for data in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize("key", KINDS)
def test_a_kind_s_row_is_botocore_s_and_its_class_loses_no_member(key: str) -> None:
    data = KINDS[key]
    assert ours(data.kind.shape) == shape_of(MODEL.shape_for(key))
    reader = ObjectReader(filled(data.kind.shape), "$")
    read = data.read(reader)
    assert reader.findings == []
    assert read.members() == reader.value
    assert data.read(ObjectReader(read.members(), "$")) == read


@pytest.mark.parametrize(("package", "table"), [(rules, rules.RULES), (checks, checks.CHECKS)])
def test_every_rule_runs(package: ModuleType, table: Sequence[Rule]) -> None:
    """A rule, or a check of a migration, that stands in no table is never asked."""
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    modules = map(importlib.import_module, names)
    written = {value.id for module in modules for value in vars(module).values() if isinstance(value, Rule)}
    assert len(written) > 30
    assert written <= {rule.id for rule in table}
    assert len({rule.id for rule in table}) == len(table)
