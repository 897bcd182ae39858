"""The members and types that the API has, compared with botocore's model; and what is told of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_sim.definitions.reader import read
from edge_sim.definitions.writer import canonical
from edge_sim.greengrass.model import text, truth, whole_number
from tests.small_group import edge


def resource(member: str) -> str:
    return f'{{"Resources": [{{"ResourceDataContainer": {{"LocalDeviceResourceData": {{{member}}}}}}}]}}'


def function(member: str) -> str:
    return f'{{"Functions": [{{"FunctionConfiguration": {{{member}}}}}]}}'


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ('{"Resources": [{"Id": "a", "Nmae": "b"}]}', "$.Resources[0] has no member 'Nmae'", "Did you mean Name?"),
        ('{"Functions": [], "DefaultConfg": {}}', "$ has no member 'DefaultConfg'", "Did you mean DefaultConfig?"),
        ('{"Resources": [], "Functions": [], "Fruits": 1}', "$ has no member 'Fruits'", None),
        ('{"Resources": [], "Functions": [], "Corse": 1}', "$ has no member 'Corse'", "Did you mean Cores?"),
        (
            '{"InitialVersion": {"Resources": []}, "Functions": []}',
            "$ has no member 'Functions'",
            "It is beside the definition, not in it; move it to its own file.",
        ),
        ('{"InitialVersion": {"Resources": []}, "Definition": {}}', "$ has no member 'Definition'", None),
        ('{"edgeSimGroup": 1, "resource": {}}', "$ has no member 'resource'", "Did you mean resources?"),
        ('{"Loggers": [{"Level": "LOUD"}]}', "$.Loggers[0].Level must be one of DEBUG, INFO, WARN, ERROR, FATAL", None),
        ('{"Loggers": [{"Space": "much"}]}', "$.Loggers[0].Space must be a whole number", None),
        ('{"Connectors": [{"Parameters": {"a": []}}]}', "Parameters.a must be a string", None),
        ('{"Subscriptions": {}}', "$.Subscriptions must be a list", None),
        ('{"Devices": [7]}', "$.Devices[0] must be an object", None),
    ],
)
def test_what_the_api_would_not_take_is_told(tmp_path: Path, content: str, message: str, hint: str | None) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    definition = read(file)
    told = [f for f in definition.findings if message in f.message]
    assert len(told) == 1
    assert hint is None or told[0].hint == hint
    assert definition.locate(told[0].path) is not None


@pytest.mark.parametrize(
    ("content", "path", "message"),
    [
        (
            '{"Subscriptions": [{"Id": "a", "Source": "cloud", "Subject": "a"}]}',
            "$.Subscriptions[0].Target",
            "is missing",
        ),
        ('{"Devices": [{"Id": "a", "ThingArn": null}]}', "$.Devices[0].ThingArn", "is missing"),
        ('{"Loggers": [{"Id": "a"}]}', "$.Loggers[0].Level", "is missing"),
        ('{"Connectors": [{"Id": "a"}]}', "$.Connectors[0].ConnectorArn", "is missing"),
        ('{"Cores": [{}, {}]}', "$.Cores", "a group has exactly one core, the core definition has 2"),
        (resource('"GroupOwnerSetting": ""'), "$.Resources[0]…GroupOwnerSetting", "must be an object, not a string"),
        (resource('"GroupOwnerSetting": []'), "$.Resources[0]…GroupOwnerSetting", "must be an object, not a list"),
        (resource('"SourcePath": true'), "$.Resources[0]…SourcePath", "must be a string, not a boolean"),
        (
            function('"Environment": {"Execution": {"IsolationMode": "${Ref:M}"}}'),
            "$.Functions[0]…IsolationMode",
            "is the placeholder ${Ref:M}: it is unknown whether that is one of",
        ),
        (function('"MemorySize": "${Ref:M}"'), "$.Functions[0]…MemorySize", "a whole number: boto3 refuses"),
        (function('"Pinned": 1'), "$.Functions[0]…Pinned", "must be true or false, not a number"),
        (
            function('"Environment": {"Variables": {"A": null}}'),
            "$…Environment.Variables.A",
            "must be a string, not null",
        ),
        (function('"Environment": {"Variables": {"A": false}}'), "$…Environment.Variables.A", "not a boolean"),
    ],
)
def test_what_the_parser_cannot_read_is_told(tmp_path: Path, content: str, path: str, message: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    start, end = path.split("…") if "…" in path else (path, "")
    assert [
        f.message
        for f in read(file).findings
        if message in f.message and f.path.startswith(start) and f.path.endswith(end)
    ] != []


def test_an_item_that_is_no_object_is_one_fault(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"Resources": ["a"], "Functions": [7], "Subscriptions": [null]}')
    assert [f.path for f in read(file).findings] == ["$.Resources[0]", "$.Functions[0]", "$.Subscriptions[0]"]


def test_aws_s_words_are_not_put_on_what_a_template_leaves_open(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(function('"Environment": {"Execution": {"IsolationMode": "${Ref:M}"}}'))
    (found,) = [f for f in read(file).findings if f.path.endswith("IsolationMode")]
    assert (found.id, found.severity, found.aws_text) == ("shape", "unknown", None)
    assert found.hint is not None
    assert "a Default" in found.hint


def test_null_members_are_as_good_as_absent(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(function('"MemorySize": null, "Timeout": 5'))
    (entry,) = canonical(read(file))["functions"]["Functions"]
    assert entry["FunctionConfiguration"] == {"Timeout": 5}


FUNCTION = (
    '{"Id": "f", "FunctionArn": "arn:aws:lambda:::function:GGIPDetector:1", "FunctionConfiguration": {"Pinned": null}}'
)
"""A function with a member that is null."""
VERSION = f'{{"Functions": [{FUNCTION}]}}'
TEMPLATE = (
    '{"Resources": {"F": {"Type": "AWS::Greengrass::FunctionDefinition", "Properties": {"Name": "f", "InitialVersion": '
    f"{VERSION}}}}}}}}}"
)
GREENGO = '{"Group": {"name": "g"}, "Cores": [], "Lambdas": [{"name": "f", "greengrassConfig": {"Pinned": null}}]}'


@pytest.mark.parametrize(
    ("name", "content", "findings"),
    [
        ("a.json", VERSION, [("null-member", "warning")]),
        ("a.json", f'{{"InitialVersion": {VERSION}}}', [("null-member", "warning")]),
        ("a.json", f'{{"FunctionDefinitionVersion": {VERSION}}}', [("null-member", "warning")]),
        ("a.json", f"[{FUNCTION}]", [("null-member", "warning")]),
        ("a.json", '{"Functions": null}', [("null-member", "warning")]),
        ("a.json", '{"Devices": [], "Resources": null}', [("null-member", "warning")]),
        ("a.json", TEMPLATE, [("null-in-template", "error")]),
        ("a.json", TEMPLATE.replace("null", '{"Ref": "AWS::NoValue"}'), []),
        ("greengo.json", GREENGO, [("null-member", "error")]),
        ("a.json", f'{{"edgeSimGroup": 1, "functions": {VERSION}}}', []),
        (
            "a.json",
            '{"Subscriptions": [{"Id": "a", "Source": "cloud", "Subject": "a", "Target": null}]}',
            [("shape", "error")],
        ),
        (
            "a.json",
            '{"Connectors": [{"Id": "a", "ConnectorArn": "a", "Parameters": {"a": null}}]}',
            [("shape", "error")],
        ),
    ],
)
def test_what_becomes_of_null_depends_on_who_reads_it(
    tmp_path: Path, name: str, content: str, findings: list[tuple[str, str]]
) -> None:
    file = tmp_path / name
    file.write_text(content)
    definition = read(file)
    assert [(f.id, f.severity) for f in definition.findings] == findings
    for finding in definition.findings:
        place = definition.locate(finding.path)
        assert place is not None
        assert content[place.column - 1 :].partition(":")[0].strip('"') == finding.path.rpartition(".")[2]


def test_import_says_that_null_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(VERSION)
    done = edge("import", tmp_path / "a.json")
    assert "Pinned" not in done.stdout
    assert f"left out: {tmp_path / 'a.json'}:1:" in done.output
    assert "kept as it is" not in done.output


@pytest.mark.parametrize(
    ("read_as", "value", "result"),
    [
        (whole_number, "16384", 16384),
        (whole_number, " -1 ", -1),
        (whole_number, "²", None),
        (whole_number, "9" * 5000, None),
        (whole_number, "1.5", None),
        (whole_number, True, None),
        (truth, "true", True),
        (truth, "False", False),
        (truth, "yes", None),
        (truth, 1, None),
        (text, 999, "999"),
        (text, True, None),
        (text, 1.5, None),
    ],
)
def test_scalars_as_aws_writes_them(read_as: Any, value: object, result: object) -> None:
    assert read_as(value) == result
    assert type(read_as(value)) is type(result)


def test_what_cannot_be_read_names_the_resource_or_function_it_is_in(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    volume = '{"Id": "r", "Name": "r", "ResourceDataContainer": {"LocalVolumeResourceData": {"SourcePath": []}}}'
    function = '{"Id": "f", "FunctionArn": "a", "FunctionConfiguration": {"Timeout": "soon"}}'
    file.write_text(f'{{"Resources": [{volume}], "Functions": [{function}], "Subscriptions": [{{"Id": "s"}}]}}')
    named = {(f.path.split("[")[0], f.resource, f.function) for f in read(file).findings}
    assert named == {("$.Resources", "r", None), ("$.Functions", None, "f"), ("$.Subscriptions", None, None)}
