"""Definitions as other people and their tools write them: what is refused, what is converted, and what follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim import scenario
from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import read
from edge_sim.definitions.writer import versions
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.greengrass.resources import LocalDevice
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


CONDITIONS = """\
Parameters: {Gpu: {Type: String, Default: "false"}, Stage: {Type: String}}
Conditions:
  HasGpu: !Equals [!Ref Gpu, "true"]
  NoGpu: !Not [{Condition: HasGpu}]
  Both: !And [{Condition: HasGpu}, !Equals [!Ref Stage, prod]]
  Either: !Or [!Equals [a, a], !Equals [!Ref Stage, prod]]
  Prod: !Equals [!Ref Stage, prod]
  Test: !Not [{Condition: Prod}]
Resources:
  R:
    Type: AWS::Greengrass::ResourceDefinition
    Properties:
      Name: r
      InitialVersion:
        Resources:
          - Id: a
            Name: a
            ResourceDataContainer: {LocalDeviceResourceData: {SourcePath: !If [WHICH, /dev/yes, /dev/no]}}
"""


def source(definition: Definition) -> str:
    (resource,) = definition.group.resources
    assert isinstance(resource.data, LocalDevice)
    return resource.data.source_path


@pytest.mark.parametrize(
    ("condition", "parameters", "path"),
    [
        ("HasGpu", {}, "/dev/no"),
        ("HasGpu", {"Gpu": "true"}, "/dev/yes"),
        ("NoGpu", {}, "/dev/yes"),
        ("Both", {}, "/dev/no"),
        ("Either", {}, "/dev/yes"),
        ("Prod", {"Stage": "prod"}, "/dev/yes"),
        ("Prod", {"Stage": "test"}, "/dev/no"),
        ("Test", {"Stage": "prod"}, "/dev/no"),
    ],
)
def test_parameters_and_their_defaults_decide_conditions(
    tmp_path: Path, condition: str, parameters: dict[str, str], path: str
) -> None:
    file = written(tmp_path, "t.yaml", CONDITIONS.replace("WHICH", condition))
    definition = read(file, choice=Choice(parameters=parameters))
    assert source(definition) == path
    assert definition.variants == {}
    assert not [note for note in definition.notes if "condition" in note.message]


def test_a_condition_that_is_not_decided_is_tried_both_ways_and_named(tmp_path: Path) -> None:
    text = CONDITIONS.replace("WHICH", "Test").replace("/dev/yes", "/etc/yes").replace("Name: a\n", "Name: '!'\n", 1)
    definition = read(written(tmp_path, "t.yaml", text))
    assert {words: source(one) for words, one in definition.variants.items()} == {"condition Prod is false": "/etc/yes"}
    assert source(definition) == "/dev/no"
    told = {one.finding.id: one.finding.message for one in judge(definition, {}).errors}
    assert told["device-outside-dev"].endswith("(where condition Prod is false)")
    assert "where" not in told["resource-identifier"], "that is wrong either way"
    (note,) = [note for note in definition.notes if "condition" in note.message]
    assert note.message.startswith("condition Prod is undecided")


def test_one_condition_is_one_switch_for_the_whole_file(tmp_path: Path) -> None:
    one = "{Id: a, Name: a, ResourceDataContainer: {LocalDeviceResourceData: {SourcePath: !If [X, /dev/a, /dev/b]}}}"
    other = one.replace("Id: a", "Id: b").replace("/dev/a", "/dev/c").replace("/dev/b", "/dev/d")
    properties = f"{{Resources: [{one}, {other}]}}"
    text = f"Resources: {{R: {{Type: AWS::Greengrass::ResourceDefinitionVersion, Properties: {properties}}}}}"
    definition = read(written(tmp_path, "t.yaml", text))
    paths = [
        [resource.data.source_path for resource in group.resources if isinstance(resource.data, LocalDevice)]
        for group in (definition.group, *(variant.group for variant in definition.variants.values()))
    ]
    assert paths == [["/dev/a", "/dev/c"], ["/dev/b", "/dev/d"]]


def test_a_definition_under_a_false_condition_is_not_there(tmp_path: Path) -> None:
    text = (
        CONDITIONS.replace("WHICH", "NoGpu")
        + "  C:\n    Type: AWS::Greengrass::CoreDefinition\n    Condition: HasGpu\n"
    )
    text += "    Properties: {Name: c, InitialVersion: {Cores: []}}\n"
    file = written(tmp_path, "t.yaml", text)
    assert "core" not in read(file).sections
    assert "core" in read(file, choice=Choice(parameters={"Gpu": "true"})).sections


def test_conditions_that_name_each_other_end(tmp_path: Path) -> None:
    text = CONDITIONS.replace("WHICH", "A").replace(
        "Conditions:\n", "Conditions:\n  A: {Condition: B}\n  B: {Condition: A}\n"
    )
    assert source(read(written(tmp_path, "t.yaml", text))) == "/dev/yes"


def test_a_value_that_is_given_stands_wherever_the_parameter_is_named(tmp_path: Path) -> None:
    text = CONDITIONS.replace("!If [WHICH, /dev/yes, /dev/no]", '!Sub "/dev/${Stage}"')
    assert source(read(written(tmp_path, "t.yaml", text), choice=Choice(parameters={"Stage": "x=1"}))) == "/dev/x=1"


CORE = "{Type: AWS::Greengrass::CoreDefinition, Properties: {Name: c, InitialVersion: {Cores: [{Id: %s}]}}}"
GROUPS = f"""\
Resources:
  CoresA: {CORE % "a"}
  CoresB: {CORE % "b"}
  Shared: {{Type: AWS::Greengrass::ResourceDefinition, Properties: {{Name: r, InitialVersion: {{Resources: []}}}}}}
  GroupA: {{Type: AWS::Greengrass::Group, Properties: {{Name: first}}}}
  VersionA:
    Type: AWS::Greengrass::GroupVersion
    Properties:
      GroupId: !Ref GroupA
      CoreDefinitionVersionArn: !GetAtt CoresA.LatestVersionArn
      ResourceDefinitionVersionArn: !GetAtt Shared.LatestVersionArn
  GroupB:
    Type: AWS::Greengrass::Group
    Properties: {{Name: second, InitialVersion: {{CoreDefinitionVersionArn: !GetAtt CoresB.LatestVersionArn}}}}
"""


def test_one_of_several_groups_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, "t.yaml", GROUPS)
    with pytest.raises(InvalidDefinitionError, match=r"holds 2 groups: GroupA \(first\), GroupB \(second\)"):
        read(file)
    for name, core, sections in (("GroupA", "a", {"core", "resources"}), ("second", "b", {"core"})):
        definition = read(file, choice=Choice(group=name))
        assert definition.sections["core"]["Cores"][0]["Id"] == core
        assert set(definition.sections) == sections, "nothing of the other group"


@pytest.mark.parametrize(
    ("text", "choice", "message"),
    [
        (GROUPS, Choice(group="third"), "no group is named third"),
        ("Resources: []\n", Choice(group="third"), "not a template"),
        (CONDITIONS, Choice(parameters={"Gpus": "1"}), "--parameter Gpus"),
        ("Resources: []\n", Choice(parameters={"Gpu": "1"}), "--parameter Gpu"),
    ],
)
def test_a_choice_that_is_not_offered_is_refused(tmp_path: Path, text: str, choice: Choice, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(written(tmp_path, "t.yaml", text), choice=choice)


def test_what_is_referred_to_and_not_there_is_noted(tmp_path: Path) -> None:
    last = "!GetAtt Shared.LatestVersionArn\n"
    text = GROUPS.replace("  CoresA:", "#  CoresA:")
    text = text.replace(last, f"{last}      LoggerDefinitionVersionArn: arn:aws:greengrass:x\n")
    notes = " ".join(
        note.message for note in read(written(tmp_path, "t.yaml", text), choice=Choice(group="first")).notes
    )
    assert "the group refers to CoresA, which is not in this template" in notes
    assert "the group refers to arn:aws:greengrass:x, which is not in this template" in notes
    table = {"Subscriptions": [{"Id": "1", "Source": ARN, "Subject": "a", "Target": "cloud"}]}
    (note,) = read(written(tmp_path, "s.json", table)).notes
    assert (
        f"subscriptions name items that the files do not hold, so these were not checked: {ARN} (line 1)"
        in note.message
    )
    assert read(written(tmp_path, "both.json", {**table, **function()})).notes == ()


def test_a_greengo_file_has_no_placeholders_of_its_own(tmp_path: Path) -> None:
    text = "Group: {name: g}\nCores: [{name: c}]\nLambdas: [{name: f, greengrassConfig: {Executable: '${HERE}'}}]\n"
    notes = [note.message for note in read(written(tmp_path, "greengo.yaml", text)).notes]
    assert "placeholders, whose values are not in the file: ${HERE} (line 3)" in notes
    assert not [note for note in notes if "AWS::Region" in note]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("duplicate-key", "Description: b"),
        ("duplicate-key", "      Name: others"),
        (
            "duplicate-key",
            "          - {Id: led, Id: lamp, Name: led, ResourceDataContainer: {LocalDeviceResourceData: {}}}",
        ),
        ("unknown-key", "            Colour: red"),
        ("device-outside-dev", "            ResourceDataContainer: {LocalDeviceResourceData: {SourcePath: /etc/x}}"),
        ("volume-under-sys", "                SourcePath: /sys/class"),
    ],
)
@pytest.mark.parametrize("above", [True, False])
def test_a_comment_silences_what_is_in_its_line_and_in_the_line_below(
    tmp_path: Path, rule: str, line: str, above: bool
) -> None:
    text = """\
AWSTemplateFormatVersion: "2010-09-09"
Description: a
Description: b
Resources:
  Things:
    Type: AWS::Greengrass::ResourceDefinition
    Properties:
      Name: things
      Name: others
      InitialVersion:
        Resources:
          - {Id: led, Id: lamp, Name: led, ResourceDataContainer: {LocalDeviceResourceData: {}}}
          - Id: etc
            Name: etc
            Colour: red
            ResourceDataContainer: {LocalDeviceResourceData: {SourcePath: /etc/x}}
          - Id: sys
            Name: sys
            ResourceDataContainer:
              LocalVolumeResourceData:
                SourcePath: /sys/class
                DestinationPath: /host
"""
    comment = f"# edge-sim: ignore {rule} on purpose"
    indent = line[: len(line) - len(line.lstrip())]
    assert f"{line}\n" in text
    text = text.replace(f"{line}\n", f"{indent}{comment}\n{line}\n" if above else f"{line}  {comment}\n")
    verdict = judge(read(written(tmp_path, "t.yaml", text)), {})
    (silenced,) = verdict.ignored
    assert silenced.finding.id == rule
    assert "ignore-unused" not in {one.finding.id for one in verdict.findings}


def test_a_fault_of_a_scenario_is_one_under_every_condition(tmp_path: Path) -> None:
    written(tmp_path, "t.yaml", CONDITIONS.replace("WHICH", "Prod"))
    written(tmp_path, "edge-sim.yaml", "edgeSim: 1\nname: s\nboards: []\ngroup: t.yaml\nsorces: []\n")
    definition = scenario.read(tmp_path).definition
    assert list(definition.variants) == ["condition Prod is false"]
    (fault,) = [one for one in judge(definition, {}).errors if one.finding.id == "unreadable"]
    assert (fault.finding.message, fault.position and fault.position.line) == ("sorces: unknown key", 5)


def test_an_error_under_one_condition_names_it(tmp_path: Path) -> None:
    two = f"Resources:\n  A: {CORE % 'a'}\n  B: {CORE % 'b'}\n"
    text = two + "  G: {Type: AWS::Greengrass::Group, Properties: {CoreDefinitionVersionArn: !If [X, !Ref A, none]}}\n"
    with pytest.raises(InvalidDefinitionError, match=r"no group says which of A, B \(where condition X is false\)"):
        read(written(tmp_path, "t.yaml", text))
