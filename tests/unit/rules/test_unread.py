"""A value that cannot be read is one fault: no rule, and no reader, draws conclusions from its absence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sim.definitions.reader import read
from edge_sim.profiles import load_profile
from edge_sim.validation.verdict import judge
from tests.unit.greengrass.build import ARN

EXAMPLE = Path("examples/no-container-ml")
BOARDS = {"raspberry-pi-3": load_profile("raspberry-pi-3").facts()}
Step = str | int


def group() -> dict[str, Any]:
    """A group with every kind of resource and both modes, one of them by default."""
    parts = (json.loads((EXAMPLE / f"{name}.json").read_text()) for name in ("core", "resources", "functions"))
    whole = {key: value for part in parts for key, value in part.items()}
    contained = whole["Functions"][2]["FunctionConfiguration"]["Environment"]
    contained["Execution"] = {"IsolationMode": "GreengrassContainer", "RunAs": {"Uid": 1000, "Gid": 1000}}
    route = {"Id": "s", "Source": whole["Functions"][0]["FunctionArn"], "Subject": "a/b", "Target": "cloud"}
    logger = {"Id": "l", "Component": "Lambda", "Level": "INFO", "Type": "FileSystem", "Space": 1024}
    connector = {"Id": "c", "ConnectorArn": "arn:aws:greengrass:us-east-1::/connectors/SNS/versions/4"}
    connector["Parameters"] = {"DefaultSNSArn": "arn:aws:sns:us-east-1:123456789012:topic"}  # type: ignore[assignment]
    return {**whole, "Subscriptions": [route], "Loggers": [logger], "Connectors": [connector]}


def places(value: object, at: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Yield the way to every value in a group."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*at, key)
        yield from places(item, (*at, key))


def findings(definition: dict[str, Any], folder: Path) -> set[tuple[str, str, str]]:
    file = folder / "group.json"
    file.write_text(json.dumps(definition))
    return {(f.finding.severity, f.finding.id, f.finding.path) for f in judge(read(file), BOARDS).findings}


def spoilt(place: tuple[Step, ...], wrong: object) -> dict[str, Any]:
    whole = copy.deepcopy(group())
    holder: Any = whole
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = wrong
    return whole


@pytest.mark.parametrize("place", [place for place in places(group()) if place[0] != "Connectors" or len(place) < 5])
def test_a_value_of_a_wrong_type_is_one_fault(place: tuple[Step, ...], tmp_path: Path) -> None:
    """But for free texts, whose values may be anything that is a text."""
    before = findings(group(), tmp_path)
    after = findings(spoilt(place, [[1]]), tmp_path)
    faults = after - before
    assert len(faults) == 1, faults
    assert {severity for severity, *_ in faults} == {"error"}


@pytest.mark.parametrize("name", ["Cores", "Resources", "Functions", "DefaultConfig"])
def test_a_section_by_a_wrong_name_is_one_fault(name: str, tmp_path: Path) -> None:
    whole = group()
    misnamed = {f"{key}x" if key == name else key: value for key, value in whole.items()}
    assert {fault[1] for fault in findings(misnamed, tmp_path) - findings(whole, tmp_path)} == {"unknown-key"}


def test_what_holds_whatever_the_unread_mode_is_said_all_the_same(tmp_path: Path) -> None:
    whole = spoilt(("DefaultConfig", "Execution", "IsolationMode"), 5)
    whole["Functions"][0]["FunctionArn"] = f"{ARN}f"
    faults = {fault[1] for fault in findings(whole, tmp_path) - findings(group(), tmp_path)}
    assert faults == {"isolation-mode", "function-version", "subscription-unknown"}


def test_a_model_that_may_be_attached_is_shared_with_nobody(tmp_path: Path) -> None:
    """A function in the group that owns a model, whose policy cannot be read, may have it attached."""
    whole = group()
    environment = whole["Functions"][1]["FunctionConfiguration"]["Environment"]
    environment["Execution"] = {"IsolationMode": "NoContainer", "RunAs": {"Uid": 1000, "Gid": 44}}
    whole["Resources"][1]["ResourceDataContainer"]["SageMakerMachineLearningModelResourceData"]["OwnerSetting"] = {
        "GroupOwner": "44",
        "GroupPermission": "rw",
    }
    before = findings(whole, tmp_path)
    environment["ResourceAccessPolicies"][0]["ResourceId"] = ["wine-model"]
    assert {(severity, id_) for severity, id_, _ in findings(whole, tmp_path) - before} == {("error", "shape")}
