"""The mapping's rows are about members that the API has, and a group's report has those that it has itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_sim.greengrass.families import FAMILIES
from edge_sim.v2.mapping import ROWS, Row, rows
from edge_sim.validation.explain import migration_markdown
from tests.small_group import answer, edge
from tests.unit.greengrass.build import device, function
from tests.unit.v2.build import move

PAGE = Path(__file__).parents[3] / "docs/migration-checks.md"
SHAPES: dict[str, Any] = {
    member: shape[0] if isinstance(shape, list) else shape
    for family in FAMILIES.values()
    for member, shape in family.shape.items()
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.where}-{row.member}")
def test_a_row_is_about_a_member_of_the_api(row: Row) -> None:
    shape = SHAPES.get(row.where)
    for part in row.member.split(".") if row.where != "config.json" else ():
        assert isinstance(shape, dict)
        assert part in shape
        shape = shape[part]
    assert row.source


def test_every_member_of_a_function_and_a_resource_has_a_row() -> None:
    def missing(where: str, shape: Any, path: str) -> list[str]:
        if any(path == row.member or path.startswith(f"{row.member}.") for row in ROWS if row.where == where):
            return []
        if isinstance(shape, dict):
            return [lost for key, inner in shape.items() for lost in missing(where, inner, f"{path}.{key}".lstrip("."))]
        return [path]

    assert missing("Functions", SHAPES["Functions"], "") == []
    assert missing("Resources", SHAPES["Resources"], "") == ["Id", "Name"]


def test_a_group_has_the_rows_about_what_it_has() -> None:
    found = move(functions=[function("f", Pinned=True)], resources=[device(AutoAddGroupOwner=True)])
    members = {row.member.rpartition(".")[2] for row in rows(found)}
    assert {"Pinned", "AutoAddGroupOwner", "Id", "FunctionArn"} <= members
    assert not {"Timeout", "S3Uri", "iotMqttPort"} & members


def test_the_page_of_checks_is_what_the_checks_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == migration_markdown(), "edge-sim rules --migration --format markdown"


def test_rules_lists_and_explains_the_checks() -> None:
    listed = answer("rules", "--migration")
    assert all(one["id"].startswith("v2-") and one["nuclei"] for one in listed)
    assert "nuclei:" in edge("rules", "v2-model-owner").stdout
    assert "v2-model-owner" in str(edge("rules", "v2-model-ownr", status=2).exception.hint)  # type: ignore[union-attr]
