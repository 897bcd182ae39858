"""A newcomer's way from an installed edge-sim to the first answer: ``python -m tests.newcomer`` times it.

Five groups as people have them, each in a folder with a model and code beside it: answers of the AWS CLI, a request of
it, a template of CloudFormation, a file of greengo, a device of AWS's tutorial. Each gets the same two commands, and
neither may be refused: ``edge-sim init`` and ``edge-sim run .``. A line a group; status 1 where one was.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = (("init",), ("run", "."))
LIMIT_S = 600
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:look:3"
_MODEL = {
    "S3MachineLearningModelResourceData": {
        "DestinationPath": "/models/birds",
        "S3Uri": "s3://birds-of-mine/2020/birds.tar.gz",
        "OwnerSetting": {"GroupOwner": "100", "GroupPermission": "ro"},
    }
}
_READS = """
import os
def function_handler(event, context):
    with open(os.environ["AWS_GG_RESOURCE_PREFIX"].rstrip("/") + "/models/birds/weights.csv") as model:
        return {"lines": len(model.readlines())}
"""


def _resources(model: Mapping[str, object] = _MODEL) -> list[object]:
    return [{"Id": "birds", "Name": "Birds", "ResourceDataContainer": model}]


def _functions(mode: str) -> list[dict[str, object]]:
    contained = mode == "GreengrassContainer"
    memory = {"MemorySize": 65536} if contained else {}
    policy = {"ResourceId": "birds", **({"Permission": "ro"} if contained else {})}
    environment = {
        "Execution": {"IsolationMode": mode},
        "ResourceAccessPolicies": [policy],
        "Variables": {},
    }
    configuration = {"EncodingType": "json", "Executable": "look.function_handler", "Pinned": False, "Timeout": 10}
    return [
        {
            "Id": "look",
            "FunctionArn": ARN,
            "FunctionConfiguration": {**configuration, **memory, "Environment": environment},
        }
    ]


def _with_model(folder: Path) -> None:
    (folder / "birds").mkdir()
    (folder / "birds/weights.csv").write_text("1,2\n3,4\n", "utf-8")
    (folder / "look").mkdir()
    (folder / "look/look.py").write_text(_READS, "utf-8")


def _answers(folder: Path) -> None:
    """What ``aws greengrass get-resource-definition-version`` and its sister print."""
    _with_model(folder)
    for word, entries in (("Resources", _resources()), ("Functions", _functions("NoContainer"))):
        answer = {"Arn": "arn", "CreationTimestamp": "2020-02-20T10:00:00Z", "Id": "1", "Version": "2"}
        text = json.dumps({**answer, "Definition": {word: entries}}, indent=4)
        (folder / f"{word.lower()}.json").write_text(text, "utf-8")


def _request(folder: Path) -> None:
    """What ``aws greengrass create-function-definition --cli-input-json`` takes, beside its sister."""
    _with_model(folder)
    for word, entries in (("Resources", _resources()), ("Functions", _functions("GreengrassContainer"))):
        text = json.dumps({"Name": "birds", "InitialVersion": {word: entries}})
        (folder / f"create-{word.lower()}.json").write_text(text, "utf-8")


def _template(folder: Path) -> None:
    """A template of CloudFormation, whose function and bucket are known to its stack alone."""
    _with_model(folder)
    bucket = {"Fn::Sub": "s3://${Bucket}/2020/birds.tar.gz"}
    model = {"S3MachineLearningModelResourceData": {**_MODEL["S3MachineLearningModelResourceData"], "S3Uri": bucket}}
    functions = [{**one, "FunctionArn": {"Ref": "LookVersion"}} for one in _functions("NoContainer")]
    parts = {"Resource": ("Resources", _resources(model)), "Function": ("Functions", functions)}
    resources = {
        f"Birds{kind}s": {
            "Type": f"AWS::Greengrass::{kind}Definition",
            "Properties": {"Name": "birds", "InitialVersion": {word: entries}},
        }
        for kind, (word, entries) in parts.items()
    }
    resources["Look"] = {"Type": "AWS::Lambda::Function", "Properties": {"Runtime": "python3.7", "Handler": "look.x"}}
    resources["LookVersion"] = {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Look"}}}
    parameters = {"Bucket": {"Type": "String"}}
    document = {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": parameters, "Resources": resources}
    (folder / "template.json").write_text(json.dumps(document, indent=2), "utf-8")


def _greengo(folder: Path) -> None:
    """A file of greengo, which has its functions in folders named beside it."""
    text = (ROOT / "tests/cases/greengo-variables.yaml").read_text("utf-8")
    (folder / "greengo.yaml").write_text(text.replace("DEBUG: false, LANES: 4", 'SITE: "north"'), "utf-8")
    (folder / "count").mkdir()
    (folder / "count/count.py").write_text("def handler(event, context):\n    return event\n", "utf-8")


def _device(folder: Path) -> None:
    """A device of the board, without a model."""
    shutil.copy(ROOT / "tests/cases/serial-usb.json", folder / "group.json")
    (folder / "dial").mkdir()
    (folder / "dial/dial.py").write_text(
        'def handler(event, context):\n    return open("/dev/ttyUSB0").name\n', "utf-8"
    )


GROUPS: Mapping[str, Callable[[Path], None]] = {
    "answers of the AWS CLI": _answers,
    "requests of the AWS CLI": _request,
    "CloudFormation": _template,
    "greengo": _greengo,
    "a device": _device,
}


def refusals(edge_sim: Path, folder: Path) -> Iterator[str]:
    """Call the commands in a folder, and yield what one of them says that does not end with 0."""
    for words in COMMANDS:
        done = subprocess.run(
            [edge_sim, *words], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode:
            yield f"edge-sim {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
            return


def main() -> None:
    """Print for each group how long it took to the answer; ``sys.argv[1]`` is another edge-sim than this one's."""
    edge_sim = Path(
        sys.argv[1] if len(sys.argv) > 1 else shutil.which("edge-sim", path=Path(sys.executable).parent) or ""
    )
    good = 0
    for name, lay in GROUPS.items():
        with tempfile.TemporaryDirectory(prefix="edge-sim-newcomer-") as place:
            lay(Path(place))
            began = time.monotonic()
            refused = [*refusals(edge_sim.absolute(), Path(place))]
            good += not refused
            print(f"{name}: {'; '.join(refused) or f'{time.monotonic() - began:.1f} s'}", flush=True)
    print(f"{good} of {len(GROUPS)} groups had their answer after {len(COMMANDS)} commands")
    sys.exit(good != len(GROUPS))


if __name__ == "__main__":
    main()
