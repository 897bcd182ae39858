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


OPENS = """
import os
def function_handler(event, context):
    with open(os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/birds/weights.bin") as file:
        return [file.read(), event]
"""
LOST = "def function_handler(event, context):\n    open('/models/birds/weights.bin')\n"
PICKY = "def function_handler(event, context):\n    return event['picture']\n"
FOREIGN = "import no_such_package\ndef function_handler(event, context): ...\n"


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
    (folder / "code" / "watch.py").write_text(OPENS)
    return [str(folder / "Resources.json"), str(folder / "Functions.json")]


def call(files: list[str], *options: str) -> Result:
    return CliRunner().invoke(edge_sim, ["try", *files, "--profile", PI, *options])


def model(folder: Path) -> tuple[str, str]:
    return "--model", f"Bird_Model={folder / 'model'}"


def code(folder: Path, function: str = "watch-birds") -> tuple[str, str]:
    return "--code", f"{function}={folder / 'code'}"


@pytest.mark.network
@needs.whole_board
def test_a_real_process_opens_the_model_and_the_function_is_called(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    event = ("--event", 'watch-birds={"images": 3}')
    options = (*model(tmp_path), *code(tmp_path), *event, "--format", "json", "--report", str(page))
    result = call(write(tmp_path), *options)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["ran"], answer["not_run"]) == (True, None)
    (row,) = answer["boards"][0]["access"]
    assert (row["function"], row["resource"], row["ok"], row["agree"]) == ("watch", "birds", True, True)
    assert (row["read"]["probed"], row["write"]["probed"]) == (True, False)
    (called,) = answer["boards"][0]["functions"]
    assert (called["ok"], called["result"]) == (True, ["w", {"images": 3}])
    assert any("made-up certificate" in note for note in answer["notes"])
    assert "edge-sim try" in page.read_text()


@pytest.mark.network
@needs.whole_board
def test_what_goes_wrong_in_a_call_is_told_from_what_this_machine_or_the_event_lacks(tmp_path: Path) -> None:
    files = write(tmp_path)
    whole = json.loads(Path(files[1]).read_text())
    (function,) = whole["Definition"]["Functions"]
    codes = {"lost": LOST, "picky": PICKY, "foreign": FOREIGN, "lasting": OPENS}
    functions = [json.loads(json.dumps(function).replace("watch", name)) for name in codes]
    functions[-1]["FunctionConfiguration"]["Pinned"] = True
    whole["Definition"]["Functions"] = functions
    Path(files[1]).write_text(json.dumps(whole))
    options: list[str] = []
    for name, text in codes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(text)
        options += ["--code", f"{name}={tmp_path / name}"]
    result = call(files, *model(tmp_path), *options, "--format", "json")
    assert result.exit_code == 4, result.stderr
    answer = json.loads(result.stdout)
    (board,) = answer["boards"]
    assert [row["function"] for row in board["functions"]] == ["lost", "picky", "foreign"]
    lost, picky = board["problems"]
    assert "AWS_GG_RESOURCE_PREFIX" in lost
    assert "It was called with {}; pass the event that it expects with --event picky=JSON." in picky
    assert [text for text in board["not_proven"] if "foreign" in text and "imports no_such_package" in text]
    assert (
        "function lasting is long-lived, so it was started but not called; --event lasting=JSON calls it"
        in answer["notes"]
    )


def test_without_the_code_nothing_was_run_and_that_is_no_success(tmp_path: Path) -> None:
    result = call(write(tmp_path), *model(tmp_path))
    assert result.exit_code == 6
    assert "nothing was run: a deployment also needs --code watch=FOLDER" in result.stdout
    assert "computed, not proven" in result.stdout
    assert "--source" not in result.stdout + result.stderr  # an option that this command does not have
    page = call(write(tmp_path), *model(tmp_path), "--format", "markdown").stdout
    assert "computed, not proven: a deployment also needs --code watch=FOLDER" in page


@pytest.mark.parametrize(
    ("uid", "gid", "attached", "problem"),
    [
        (0, 0, True, "does not run functions as root"),
        (998, 100, False, "reaches model birds through its group 100, without being attached"),
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
        (("--model", "birds="), "--model birds=: the path is empty"),
        (("--event", "watch={images: 3}"), "--event watch={images: 3}: not JSON"),
        (("--event", "watch=NaN"), "not JSON"),
        (("--event", "bird={}"), "--event bird={}: the group has no such function"),
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
