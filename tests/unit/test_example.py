"""The example's definition is one that AWS allows, its models are real, and its code runs on old Pythons."""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import stat
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from edge_sim.greengrass import rules
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Model
from edge_sim.profiles import load_profile
from edge_sim.scenario import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "no-container-ml"
HANDLERS = sorted((EXAMPLE / "functions").glob("*/*.py"))
CONTEXT = SimpleNamespace(function_name="f")


def group() -> Group:
    definition = load(EXAMPLE).definition
    assert definition.findings == ()
    return definition.group


def test_no_rule_has_anything_against_it() -> None:
    made = group()
    assert rules.create_refusals(made) == []
    assert [f.message for f in rules.check(made) if f.severity != "note"] == []


@pytest.mark.parametrize(
    "name", ["raspberry-pi-zero-w", "raspberry-pi-3", "raspberry-pi-4", "generic-x86_64", "amazon-linux-x86_64"]
)
def test_every_board_with_ml_inference_has_the_groups_and_the_device(name: str) -> None:
    profile = load_profile(name)
    facts = profile.facts()
    owners = [r.data.owner.group_owner for r in group().resources if isinstance(r.data, Model) and r.data.owner]
    assert owners == ["100", "video"]
    assert facts.gid("video") is not None
    assert "users" in facts.groups
    assert facts.groups["users"] == 100
    assert "adm" in facts.groups
    assert "/dev/ttyUSB0" in [device.path for device in profile.devices]


def test_every_file_is_small_text() -> None:
    files = [p for p in EXAMPLE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) < 120_000
    for path in files:
        assert "\0" not in path.read_text(encoding="utf-8")
        assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.stem)
def test_handlers_are_python_3_6_without_packages(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    cores_own = {"greengrass_ipc_python_sdk.ipc_client"}
    assert names <= {"csv", "errno", "hmac", "json", "os", "pathlib", "select", "time"} | cores_own


def imported(name: str, prefix: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("AWS_GG_RESOURCE_PREFIX", f"{prefix}")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # another test may be copying the example
    path = EXAMPLE / "functions" / name / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(function: str) -> Any:
    return next(i.expect for i in load(EXAMPLE).invocations if i.function_id == function)


def test_the_digits_are_really_read(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported("read_digits", EXAMPLE, monkeypatch)
    monkeypatch.setattr(module, "try_to_open", lambda path, mode: "refused: EACCES")
    result = module.function_handler({}, CONTEXT)
    assert (result["images"], result["accuracy"]) == (240, expected("read-digits")["accuracy"])
    weights = module.rows(EXAMPLE / "models/digits/weights.csv")
    blank = [[0] * 65 for _ in weights]
    guesses = [module.classify(blank, row[1:]) for row in module.rows(EXAMPLE / "meter/readings.csv")]
    assert len(set(guesses)) == 1, "with empty weights nothing is recognised: the model does the work"


def test_a_writable_model_makes_the_digit_reader_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/digits").mkdir(parents=True)
    (tmp_path / "models/digits/weights.csv").write_bytes((EXAMPLE / "models/digits/weights.csv").read_bytes())
    with pytest.raises(RuntimeError, match="could be opened for writing"):
        imported("read_digits", tmp_path, monkeypatch).function_handler({}, CONTEXT)


def test_calibration_stays_in_the_model_and_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/wine").mkdir(parents=True)
    (tmp_path / "models/wine/model.json").write_bytes((EXAMPLE / "models/wine/model.json").read_bytes())
    module = imported("sort_wine", tmp_path, monkeypatch)
    first = module.function_handler({"calibrate": 40}, CONTEXT)
    assert first.items() >= expected("sort-wine").items()
    assert first["accuracy"] > first["accuracy before"]
    again = module.function_handler({}, CONTEXT)
    assert (again["accuracy before"], again["calibrated with"]) == (first["accuracy"], 40)


def test_held_out_rows_were_not_learned_from() -> None:
    """No held-out wine is among those that the calibration teaches."""
    folder = EXAMPLE / "functions/sort_wine"
    rows = [list(csv.reader((folder / name).open())) for name in ("feedback.csv", "heldout.csv")]
    assert not {tuple(row) for row in rows[0]} & {tuple(row) for row in rows[1]}
    assert json.loads((EXAMPLE / "models/wine/model.json").read_text())["classes"][0]["count"] < 10


def test_gps_sentences_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported("meter_log", EXAMPLE, monkeypatch)
    lines = (EXAMPLE / "gps.nmea").read_text().splitlines()
    assert all(module.sentence(line) for line in lines)
    assert module.sentence(lines[0].replace("1", "2", 1)) == []
    assert module.sentence("garbage") == []
