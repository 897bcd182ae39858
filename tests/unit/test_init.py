"""``edge-sim init``: what it writes is a scenario that the reader and validate take, and nothing is overwritten."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from edge_sim.cli.main import edge_sim
from edge_sim.errors import EdgeSimError
from edge_sim.scenario import SCENARIO, load
from tests.schema_cases import seen

PI = "raspberry-pi-3"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:watch-birds:1"


def call(*words: object) -> Result:
    return CliRunner().invoke(edge_sim, [str(word) for word in words])


def answers(folder: Path) -> list[Path]:
    """A definition without a core, as the AWS CLI prints it."""
    model = {
        "S3Uri": "s3://models/2020/model.tar.gz",
        "DestinationPath": "/opt/birds: all",
        "OwnerSetting": {"GroupOwner": "100", "GroupPermission": "ro"},
    }
    data = {"S3MachineLearningModelResourceData": model}
    resource = {"Id": "birds", "Name": "Bird_Model", "ResourceDataContainer": data}
    environment = {"Execution": {"IsolationMode": "NoContainer"}, "ResourceAccessPolicies": [{"ResourceId": "birds"}]}
    configuration = {"Timeout": 20, "Environment": environment}
    function = {"Id": "watch", "FunctionArn": ARN, "FunctionConfiguration": configuration}
    files = []
    for name, definition in {"Resources": [resource], "Functions": [function]}.items():
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps({"Id": "1", "Version": "1", "Definition": {name: definition}}))
    return files


@pytest.mark.parametrize("example", ["no-container-ml", "migrate-no-container-ml"])
def test_the_examples_get_a_scenario_like_their_own(tmp_path: Path, example: str) -> None:
    shutil.copytree("examples", tmp_path / "examples")
    folder = tmp_path / "examples" / example
    own = load(folder)
    (folder / SCENARIO).unlink()
    result = call("init", folder, "--profile", PI)
    assert result.exit_code == (0 if example == "no-container-ml" else 3), result.exception
    written = load(folder)
    assert written.definition.sections == own.definition.sections
    assert {(one.function_arn, one.handler) for one in written.code} == {
        (one.function_arn, one.handler) for one in own.code
    }
    if example == "no-container-ml":
        assert "missing" not in result.stderr
        places = {one.address: one.path and one.path.resolve() for one in own.sources}
        assert {one.address: one.path and one.path.resolve() for one in written.sources} | places == places
        assert [one.path for one in written.files] == ["/srv/meter"]
    else:  # its model lies in the other example's folder
        assert "missing: the model of resource" in result.stderr
    assert call("validate", folder, "--profile", PI).exit_code == 0


def test_answers_of_the_api(tmp_path: Path) -> None:
    files = answers(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "Bird_Model.tar.gz").write_bytes(b"")
    (tmp_path / "watch_birds").mkdir()
    (tmp_path / "watch_birds" / "main.py").write_text("def lambda_handler(event, context): ...\n")
    folder = tmp_path / "my scenario: 1"
    result = call("init", *files, "-o", folder)
    assert result.exit_code == 0, result.exception
    assert f"next: edge-sim run '{folder}'" in result.stdout
    assert f"note: board {PI} is a guess" in result.stderr
    assert "note: the group has no core" in result.stderr
    written = load(folder)
    assert not written.definition.errors
    content = (folder / SCENARIO).read_text()
    assert content.startswith("# yaml-language-server: $schema=edge-sim.schema.json\n")
    schema = json.loads((folder / "edge-sim.schema.json").read_text())
    assert Draft202012Validator(schema).is_valid(seen(content))
    assert written.definition.group.core is not None
    assert [one.handler for one in written.code] == ["main.lambda_handler"]
    assert [one.path and one.path.name for one in written.sources] == ["Bird_Model.tar.gz"]
    assert call("validate", folder, "--profile", PI).exit_code == 0
    (folder / SCENARIO).write_text(content.replace("# invocations:", "invocations:").replace("#   - {", "  - {"))
    assert [one.function_id for one in load(folder).invocations] == ["watch"]


def local(path: str) -> dict[str, object]:
    """A device, or below /srv a directory with a group that only one board has."""
    kind, owner = "LocalDeviceResourceData", {"AutoAddGroupOwner": True}
    data: dict[str, object] = {"SourcePath": path, "GroupOwnerSetting": owner}
    if path.startswith("/srv/"):
        kind = "LocalVolumeResourceData"
        data |= {"DestinationPath": path, "GroupOwnerSetting": {"AutoAddGroupOwner": False, "GroupOwner": "nvidia"}}
    return {"Id": path.rpartition("/")[2], "Name": "n", "ResourceDataContainer": {kind: data}}


@pytest.mark.parametrize(
    ("paths", "machine", "board", "reason"),
    [
        ([], None, PI, "the definition names nothing that only another board has"),
        (["/dev/gpiomem"], None, PI, "the definition names nothing that only another board has"),
        (["/dev/nvhost-gpu", "/dev/nvmap"], None, "jetson-tx2", "it has /dev/nvhost-gpu, /dev/nvmap"),
        (["/srv/data"], None, "jetson-tx2", f"the definition fits it better than {PI}"),
        ([], 62, "amazon-linux-x86_64", "the files beside the definition are built for x86_64 and it fits"),
        ([], 40, PI, "the files beside the definition are built for armv7l"),
    ],
)
def test_the_board_is_guessed_from_what_the_definition_names_and_its_code_is_built_for(
    tmp_path: Path, paths: list[str], machine: int | None, board: str, reason: str
) -> None:
    file = tmp_path / "group.json"
    functions = {"Functions": [{"Id": "watch", "FunctionArn": ARN}]}
    file.write_text(json.dumps({"Resources": [local(path) for path in paths], **functions}))
    if machine:
        (tmp_path / "watch").mkdir()
        (tmp_path / "watch/main.py").write_text("def handler(event, context): ...\n")
        (tmp_path / "watch/fast.so").write_bytes(b"\x7fELF\1\1" + bytes(12) + machine.to_bytes(2, "little") + bytes(50))
    result = call("init", file)
    assert f"note: board {board} is a guess: {reason}" in result.stderr
    assert f"\nboards: [{board}]" in (tmp_path / SCENARIO).read_text()


TEMPLATE = """
Parameters: {Bucket: {Type: String}}
Resources:
  Watch: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.8, Handler: main.handler}}
  Live: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref Watch}}
  Models:
    Type: AWS::Greengrass::ResourceDefinition
    Properties:
      InitialVersion:
        Resources:
          - Id: birds
            Name: Birds
            ResourceDataContainer:
              S3MachineLearningModelResourceData:
                S3Uri: !Sub "s3://${Bucket}/birds.tar.gz"
                DestinationPath: /birds
                OwnerSetting: {GroupOwner: "100", GroupPermission: ro}
  Functions:
    Type: AWS::Greengrass::FunctionDefinition
    Properties:
      InitialVersion:
        Functions:
          - Id: watch
            FunctionArn: !Ref Live
            FunctionConfiguration: {Timeout: 5, MemorySize: 65536, Environment: {Variables: {MODE: "${Ref:MINE}"}}}
  Table:
    Type: AWS::Greengrass::SubscriptionDefinition
    Properties:
      InitialVersion:
        Subscriptions: [{Id: s, Source: !Ref Live, Subject: birds, Target: cloud}]
"""


def test_what_only_a_stack_knows_has_a_stand_in_wherever_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "birds").mkdir()
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/main.py").write_text("def handler(event, context): ...\n")
    result = call("init", tmp_path / "template.yaml")
    assert result.exit_code == 0, result.exception
    arn = "arn:aws:lambda:us-east-1:123456789012:function:live:1"
    assert f"note: ${{Ref:Live}} is not in the file, so {arn} is used" in result.stderr
    assert "runtime" not in result.stderr, "the template says it"
    written = load(tmp_path)
    assert not written.definition.errors
    (function,) = written.definition.group.functions
    assert (function.arn, function.variables) == (arn, {"MODE": "${Ref:MINE}"})
    assert [one.source for one in written.definition.group.subscriptions] == [arn]
    assert [(code.function_arn, code.runtime) for code in written.code] == [(arn, "python3.8")]
    assert [source.address for source in written.sources] == ["s3://bucket/birds.tar.gz"]


def test_what_is_missing_is_said_and_nothing_is_overwritten(tmp_path: Path) -> None:
    files = answers(tmp_path)
    result = call("init", *files)
    assert result.exit_code == 3
    assert "missing: the model of resource birds (s3://models/2020/model.tar.gz)" in result.stderr
    assert "missing: the code of function watch" in result.stderr
    before = (tmp_path / SCENARIO).read_bytes()
    error = call("init", *files).exception
    assert isinstance(error, EdgeSimError)
    assert error.exit_status == 2
    assert (tmp_path / SCENARIO).read_bytes() == before


def test_what_a_script_reads(tmp_path: Path) -> None:
    result = call("init", *answers(tmp_path), "--format", "json", "--profile", PI)
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["exit_status"]) == (3, 3)
    assert [Path(file).name for file in answer["files"]] == ["core.json", SCENARIO, "edge-sim.schema.json"]
    assert all(Path(file).is_file() for file in answer["files"])
    assert [text.split(",")[0] for text in answer["missing"]] == [
        "the model of resource birds (s3://models/2020/model.tar.gz)",
        "the code of function watch",
    ]


def test_a_template_with_a_choice_becomes_a_group_of_its_own(tmp_path: Path) -> None:
    template = Path("tests/cases/two-groups.yaml").resolve()
    error = call("init", template, "-o", tmp_path / "new").exception
    assert isinstance(error, EdgeSimError)
    assert "--group" in error.explained()
    assert not (tmp_path / "new").exists(), "nothing is left of an init that could not do its work"
    result = call("init", template, "-o", tmp_path / "new", "--group", "GroupWest")
    assert result.exit_code == 0, result.exception
    core = load(tmp_path / "new").definition.group.core
    assert core is not None
    assert core.thing_name == "west"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    files = answers(tmp_path)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "no" / "such", tmp_path / "file", tmp_path / "file" / "inside"):
        result = call("init", *files, "-o", place)
        status = result.exception.exit_status if isinstance(result.exception, EdgeSimError) else result.exit_code
        assert status == 2, place
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Functions.json", "Resources.json", "file"]


@pytest.mark.process
def test_at_a_terminal_it_asks_for_the_board_until_there_is_such_a_one(tmp_path: Path) -> None:
    files = answers(tmp_path)
    near, far = pty.openpty()
    command = [sys.executable, "-m", "edge_sim", "init", *map(str, files)]
    with subprocess.Popen(command, stdin=far, stdout=subprocess.PIPE, stderr=far) as program:
        os.close(far)
        asked = read_until(near, b"]: ")
        os.write(near, b"rpi9\n")
        refused = read_until(near, b"]: ")
        os.write(near, b"openwrt-armv7\n")
        read_until(near, b"missing: the code")
        assert program.stdout is not None
        program.stdout.read()
    os.close(near)
    assert b"Which board?" in asked
    assert b"rpi9: no such device profile" in refused
    assert program.returncode == 3
    assert "boards: [openwrt-armv7]" in (tmp_path / SCENARIO).read_text()


def read_until(terminal: int, end: bytes) -> bytes:
    """Return what a program writes on a terminal until ``end`` is there."""
    heard = b""
    while end not in heard:
        heard += os.read(terminal, 4096)
    return heard
