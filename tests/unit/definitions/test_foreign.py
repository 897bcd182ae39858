"""Definitions as other people and their tools write them: what is refused, what is converted, and what follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import read
from edge_sim.definitions.writer import versions
from edge_sim.validation.verdict import judge

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:blink:4"
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Things:
    Type: AWS::Greengrass::ResourceDefinition
    Properties:
      Name: things
      InitialVersion:
        Resources:
          - {Id: led, Name: led, ResourceDataContainer: {LocalDeviceResourceData: {SourcePath: /dev/gpiomem}}}
"""


def written(folder: Path, name: str, content: object) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def function(**configuration: object) -> dict[str, Any]:
    given = {"MemorySize": 16384, "Timeout": 3, **configuration}
    return {"Functions": [{"Id": "blink", "FunctionArn": ARN, "FunctionConfiguration": given}]}


def errors(definition: Definition) -> list[tuple[str, str, str]]:
    """Return id, last member of the path, and hint of every error, of the reader and of the rules."""
    found = (one.finding for one in judge(definition, {}).errors)
    return [(f.id, f.path.rpartition(".")[2], f.hint or "") for f in found]


@pytest.mark.parametrize(
    ("configuration", "member", "hint"),
    [
        ({"MemorySize": None, "Execution": {"IsolationMode": "NoContainer"}}, "Execution", "Environment.Execution"),
        ({"AccessSysfs": True}, "AccessSysfs", "FunctionConfiguration.Environment.AccessSysfs"),
        ({"Variables": {"A": "b"}}, "Variables", "FunctionConfiguration.Environment.Variables"),
        ({"ResourceAccessPolicies": []}, "ResourceAccessPolicies", "Environment.ResourceAccessPolicies"),
        ({"Environment": {"RunAs": {"Uid": 1}}}, "RunAs", "Environment.Execution.RunAs"),
        ({"Environment": {"Pinned": True}}, "Pinned", "It belongs in FunctionConfiguration"),
        ({"MemorySize": None, "MemorySyze": 16384}, "MemorySyze", "Did you mean MemorySize?"),
        ({"Environment": {"Execution": {"IsolationMod": "NoContainer"}}, "MemorySize": None}, "IsolationMod", "Mode?"),
        ({"Colour": 1}, "Colour", "Known: EncodingType"),
    ],
)
def test_a_member_in_the_wrong_place_is_one_error_that_says_where_it_belongs(
    tmp_path: Path, configuration: dict[str, object], member: str, hint: str
) -> None:
    given = function(**configuration)
    settings = given["Functions"][0]["FunctionConfiguration"]
    given["Functions"][0]["FunctionConfiguration"] = {key: v for key, v in settings.items() if v is not None}
    definition = read(written(tmp_path, "f.json", given))
    ((rule, where, told),) = errors(definition)
    assert (rule, where) == ("unknown-key", member)
    assert hint in told
    assert versions(definition)["functions"] == given, "what is written again is what was read"


def test_a_member_of_other_resources_is_named_with_them(tmp_path: Path) -> None:
    settings = {"S3Uri": "s3://greengrass-x/m.zip", "DestinationPath": "/m", "GroupOwnerSetting": {}}
    resource = {"Id": "m", "Name": "m", "ResourceDataContainer": {"S3MachineLearningModelResourceData": settings}}
    ((_, where, hint),) = errors(read(written(tmp_path, "r.json", {"Resources": [resource]})))
    assert where == "GroupOwnerSetting"
    assert hint == "It belongs in LocalDeviceResourceData or LocalVolumeResourceData. Did you mean OwnerSetting?"


def test_a_misplaced_member_does_not_replace_one_that_is_there(tmp_path: Path) -> None:
    own = {"Execution": {"IsolationMode": "GreengrassContainer"}}
    given = function(Execution={"IsolationMode": "NoContainer"}, Environment=own)
    definition = read(written(tmp_path, "f.json", given))
    assert definition.group.functions[0].isolation_mode == "GreengrassContainer"


TYPES = {"MemorySize": "16384", "Timeout": "3", "Pinned": "true", "Environment": {"AccessSysfs": "false"}}
VARIABLES = {"Environment": {"Variables": {"CAMERAS": 2, "DEMO": True, "RATIO": 0.5, "NAME": "x"}}}


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"InitialVersion": v}, lambda v: v["Functions"]])
@pytest.mark.parametrize(
    ("configuration", "members"),
    [
        (TYPES, ["MemorySize", "Timeout", "Pinned", "AccessSysfs"]),
        (VARIABLES, ["CAMERAS", "DEMO", "RATIO"]),
    ],
)
def test_types_that_boto3_refuses_are_errors_in_what_it_is_given(
    tmp_path: Path, configuration: dict[str, object], members: list[str], wrap: Any
) -> None:
    definition = read(written(tmp_path, "f.json", wrap(function(**configuration))))
    assert [(rule, where) for rule, where, _ in errors(definition)] == [("shape", member) for member in members]


def test_greengo_hands_its_values_to_boto3(tmp_path: Path) -> None:
    configuration = {"MemorySize": 16384, "Timeout": 3, **VARIABLES}
    lambdas = [{"name": "blink", "alias": "dev", "greengrassConfig": configuration}]
    definition = read(written(tmp_path, "greengo.yaml", {"Group": {"name": "g"}, "Cores": [], "Lambdas": lambdas}))
    assert [where for _, where, _ in errors(definition)] == ["CAMERAS", "DEMO", "RATIO"]


def test_cloudformation_makes_texts_of_numbers_and_booleans(tmp_path: Path) -> None:
    properties = {"Name": "f", "InitialVersion": function(**TYPES | VARIABLES)}
    resources = {"F": {"Type": "AWS::Greengrass::FunctionDefinition", "Properties": properties}}
    definition = read(written(tmp_path, "t.json", {"Resources": resources}))
    assert errors(definition) == []
    (told,) = versions(definition)["functions"]["Functions"]
    assert told["FunctionConfiguration"]["MemorySize"] == 16384
    variables = {"CAMERAS": "2", "DEMO": "true", "RATIO": "0.5", "NAME": "x"}
    assert told["FunctionConfiguration"]["Environment"]["Variables"] == variables


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (TEMPLATE.replace("Resources:\n  T", "Description: a\nDescription: b\nResources:\n  T"), "warning"),
        (TEMPLATE + "  B: {Type: AWS::S3::Bucket, Type: AWS::S3::Bucket}\n", "warning"),
        (TEMPLATE + "Outputs: {A: {Value: a, Value: b}}\n", "warning"),
        (TEMPLATE.replace("Id: led,", "Id: led, Id: lamp,"), "error"),
        (TEMPLATE.replace("Name: things", "Name: things\n      Name: others"), "error"),
        (TEMPLATE.replace("  Things:", "  Things: {Type: AWS::S3::Bucket}\n  Things:"), "error"),
        (TEMPLATE + "Parameters: {A: {Type: String, Default: a, Default: b}}\n", "error"),
        ('{"Name": "a", "Name": "b", "InitialVersion": {"Resources": []}}', "warning"),
        ('{"InitialVersion": {"Resources": [], "Resources": []}}', "error"),
        ('{"InitialVersion": {}, "InitialVersion": {"Resources": []}}', "error"),
    ],
)
def test_a_doubled_key_is_an_error_only_in_what_the_group_is_made_of(tmp_path: Path, text: str, severity: str) -> None:
    definition = read(written(tmp_path, "t.yaml", text))
    (finding,) = [f for f in definition.findings if f.id == "duplicate-key"]
    assert finding.severity == severity
    place = definition.locate(finding.path)
    assert place is not None
    assert place.line >= 1


def test_a_value_that_cannot_be_read_is_not_missed_as_well(tmp_path: Path) -> None:
    definition = read(
        written(tmp_path, "r.json", '{"Resources": [{"Id": NaN, "Name": "n", "ResourceDataContainer": {}}]}')
    )
    assert ("not-json", "Id") in [(rule, where) for rule, where, _ in errors(definition)]
    assert ("shape", "Id") not in [(rule, where) for rule, where, _ in errors(definition)]
