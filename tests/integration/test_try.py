"""``edge-sim try`` as a newcomer starts it: answers of the API, a model, some code, and no scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_sim.cli.main import edge_sim
from edge_sim.errors import EdgeSimError
from tests import needs

PI = "raspberry-pi-3"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:watch-birds:1"


def write(folder: Path, *, run_as: dict[str, int] | None = None, attached: bool = True) -> list[str]:
    """What ``aws greengrass get-…-definition-version`` prints, in two files; return them."""
    model = {
        "S3Uri": "s3://models/birds/model.tar.gz",
        "DestinationPath": "/models/birds",
        "OwnerSetting": {"GroupOwner": "100", "GroupPermission": "ro"},
    }
    resource = {
        "Id": "birds",
        "Name": "Bird_Model",
        "ResourceDataContainer": {"S3MachineLearningModelResourceData": model},
    }
    execution: dict[str, Any] = {"IsolationMode": "NoContainer"}
    if run_as:
        execution["RunAs"] = run_as
    configuration = {
        "Executable": "watch.function_handler",
        "Timeout": 20,
        "Environment": {
            "Execution": execution,
            "ResourceAccessPolicies": [{"ResourceId": "birds"}] if attached else [],
        },
    }
    function = {"Id": "watch", "FunctionArn": ARN, "FunctionConfiguration": configuration}
    for name, definition in {"Resources": [resource], "Functions": [function]}.items():
        answer = {
            "Arn": "arn:aws:greengrass:us-east-1:1:x",
            "Id": "1",
            "Version": "1",
            "Definition": {name: definition},
        }
        (folder / f"{name}.json").write_text(json.dumps(answer))
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "weights.bin").write_text("w")
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "watch.py").write_text("def function_handler(event, context):\n    return {}\n")
    return [str(folder / "Resources.json"), str(folder / "Functions.json")]


def call(files: list[str], *options: str) -> Result:
    return CliRunner().invoke(edge_sim, ["try", *files, "--profile", PI, *options])


def model(folder: Path) -> tuple[str, str]:
    return "--model", f"Bird_Model={folder / 'model'}"


def code(folder: Path, function: str = "watch-birds") -> tuple[str, str]:
    return "--code", f"{function}={folder / 'code'}"


@pytest.mark.network
@needs.whole_board
def test_a_real_process_opens_the_model(tmp_path: Path) -> None:
    result = call(write(tmp_path), *model(tmp_path), *code(tmp_path), "--format", "json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["ran"], answer["not_run"]) == (True, None)
    (row,) = answer["boards"][0]["access"]
    assert (row["function"], row["resource"], row["ok"], row["agree"]) == ("watch", "birds", True, True)
    assert (row["read"]["probed"], row["write"]["probed"]) == (True, False)
    assert any("made-up certificate" in note for note in answer["notes"])


def test_without_the_code_nothing_was_run_and_that_is_no_success(tmp_path: Path) -> None:
    result = call(write(tmp_path), *model(tmp_path))
    assert result.exit_code == 6
    assert "nothing was run: a deployment also needs --code watch=FOLDER" in result.stdout
    assert "computed, not proven" in result.stdout
    assert "--source" not in result.stdout + result.stderr  # an option that this command does not have


@pytest.mark.parametrize(
    ("uid", "gid", "attached", "problem"),
    [
        (0, 0, True, "does not run functions as root"),
        (998, 100, False, "reaches model birds by its group 100, without being attached"),
    ],
)
def test_what_is_not_as_it_should_be(tmp_path: Path, uid: int, gid: int, attached: bool, problem: str) -> None:
    error = call(write(tmp_path, run_as={"Uid": uid, "Gid": gid}, attached=attached), *model(tmp_path)).exception
    assert isinstance(error, EdgeSimError)
    assert error.exit_status == 3
    assert problem in error.explained()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--model", "bird=/tmp"), "--model bird=/tmp: the group has no such model"),
        (("--model", "birds=nowhere"), "nowhere: no such file or folder"),
        (("--code", "watch=nowhere"), "nowhere: no such folder"),
    ],
)
def test_options_that_lead_nowhere(tmp_path: Path, options: tuple[str, str], problem: str) -> None:
    error = call(write(tmp_path), *options).exception
    assert isinstance(error, EdgeSimError)
    assert error.exit_status == 2
    assert problem in error.explained()


def test_code_without_a_clear_handler(tmp_path: Path) -> None:
    files = write(tmp_path)
    (tmp_path / "code" / "watch.py").rename(tmp_path / "code" / "other.py")
    (tmp_path / "code" / "more.py").write_text("def lambda_handler(event, context): ...\n")
    error = call(files, *code(tmp_path, "watch")).exception
    assert isinstance(error, EdgeSimError)
    assert "more.lambda_handler, other.function_handler" in error.explained()


def test_a_scenario_is_for_run() -> None:
    error = call(["examples/no-container-ml"]).exception
    assert isinstance(error, EdgeSimError)
    assert "edge-sim run examples/no-container-ml" in error.explained()
