"""Definitions that people have: each is judged for both nuclei, and its files are written and held to their rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from botocore.validate import ParamValidator

from edge_sim.v2.recipes import problems
from tests.models import service_model
from tests.small_group import edge

FOUND = Path(__file__).parents[1] / "definitions/found"
FILES = sorted(path for path in FOUND.iterdir() if path.suffix in (".json", ".yaml"))
BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4")


@pytest.mark.parametrize("target", ["classic", "lite"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_definition_that_somebody_has_is_judged_and_written(path: Path, target: str, tmp_path: Path) -> None:
    done = edge("migrate", path, *BOARDS, "--target", target, "--format", "json", "-o", tmp_path / "out", status=None)
    assert done.exit_code in (0, 3), done.exception
    report = json.loads(done.stdout)
    assert all(one["labels"] and one["source"] for one in report["findings"])
    validator, model = ParamValidator(), service_model("greengrassv2")
    plan = json.loads((tmp_path / "out/deployment.json").read_text())
    assert not validator.validate(plan, model.operation_model("CreateDeployment").input_shape).has_errors()
    for recipe in tmp_path.rglob("recipe.yaml"):
        assert list(problems(yaml.safe_load(recipe.read_text()), recipe.read_bytes())) == []
