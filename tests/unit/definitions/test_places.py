"""Where JSON paths lead, and what ignore comments and lists silence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import read
from edge_sim.definitions.writer import canonical, dump
from edge_sim.errors import InvalidDefinitionError
from edge_sim.report import Finding

YAML = """\
# edge-sim: ignore group-wide said of everything
Resources:
  - Id: port          # edge-sim: ignore dev-rule a test rig
    Name: 'a # edge-sim: ignore no-rule this is a name'
    ResourceDataContainer:
      LocalDeviceResourceData:
        # edge-sim: ignore path-rule the next line is meant
        SourcePath: /dev/ttyS0
  - Id: a.b[0]
    Name: odd
    ResourceDataContainer: {}
Functions:
  - Id: reader
    FunctionArn: arn
    FunctionConfiguration:
      Environment:
        Variables:
          A.B: x
          A: y
"""


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    file = tmp_path / "group.yaml"
    file.write_text(YAML)
    return read(file)


def finding(rule: str, path: str) -> Finding:
    return Finding(id=rule, severity="error", phase="deploy", path=path, message="")


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("$", 1, 1),
        ("$.Resources", 2, 1),
        ("$.Resources[0]", 3, 5),
        ("$.Resources[?Id=port]", 3, 5),
        ("$.Resources[0].ResourceDataContainer.LocalDeviceResourceData.SourcePath", 8, 9),
        ("$.Resources[0].ResourceDataContainer.LocalDeviceResourceData.GroupOwnerSetting.GroupOwner", 6, 7),
        ("$.Resources[?Id=a.b[0]].Name", 10, 5),
        ("$.Resources[7].Name", 2, 1),
        ("$.Resources[?Id=none]", 2, 1),
        ("$.Functions[?Id=reader].FunctionConfiguration.Environment.Variables.A.B", 18, 11),
        ("$.Functions[?Id=reader].FunctionConfiguration.Environment.Variables.A", 19, 11),
        ("$.Functions[0].FunctionConfiguration.Timeout", 15, 5),
        ("$.Cores[0].ThingArn", 1, 1),
        ("nonsense[", 1, 1),
    ],
)
def test_a_path_leads_to_the_nearest_place_that_is_written(
    definition: Definition, path: str, line: int, column: int
) -> None:
    position = definition.locate(path)
    assert position is not None
    assert (position.line, position.column) == (line, column)


def test_every_section_is_located_in_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('\n\n{"Resources": []}')
    (tmp_path / "f.json").write_text('\n{"Functions": [{}]}')
    definition = read(tmp_path)
    for path, place in (("$.Resources[3]", "r.json:3:2"), ("$.DefaultConfig.Execution", "f.json:2:1")):
        assert str(definition.locate(path)) == str(tmp_path / place)


def test_comments_silence_what_starts_in_their_line_or_next(definition: Definition) -> None:
    assert [(i.rule, i.path, i.reason, i.position.line) for i in definition.ignored] == [
        ("group-wide", "$", "said of everything", 1),
        ("dev-rule", "$.Resources[0]", "a test rig", 3),
        (
            "path-rule",
            "$.Resources[0].ResourceDataContainer.LocalDeviceResourceData.SourcePath",
            "the next line is meant",
            7,
        ),
    ]


@pytest.mark.parametrize(
    ("rule", "path", "silenced"),
    [
        ("dev-rule", "$.Resources[?Id=port]", True),
        ("dev-rule", "$.Resources[0].ResourceDataContainer.LocalDeviceResourceData.SourcePath", True),
        ("dev-rule", "$.Resources[1]", False),
        ("dev-rule", "$", False),
        ("path-rule", "$.Resources[?Id=port]", True),
        ("path-rule", "$.Resources[0].Name", False),
        ("path-rule", "$.Resources[0].ResourceDataContainer.LocalDeviceResourceData.SourcePath", True),
        ("group-wide", "$", True),
        ("group-wide", "$.Resources[0]", False),
        ("other", "$.Resources[0]", False),
    ],
)
def test_what_is_silenced(definition: Definition, rule: str, path: str, silenced: bool) -> None:
    assert bool(definition.ignore_for(finding(rule, path))) is silenced


def test_a_doubled_key_is_found_where_the_second_stands(tmp_path: Path) -> None:
    file = tmp_path / "group.yaml"
    file.write_text("InitialVersion:\n  Resources:\n    - Id: a\n      Id: b\n      Name: n\n")
    definition = read(file)
    (doubled,) = definition.ambiguities
    assert doubled.path == "$.Resources[0].Id"
    assert str(definition.locate(doubled.path)) == f"{file}:4:7"


def test_the_list_silences_as_well_and_is_kept_by_the_canonical_form(tmp_path: Path) -> None:
    entry = {"rule": "dev-rule", "path": "$.Resources[?Id=port]", "reason": "a test rig"}
    file = tmp_path / "group.json"
    file.write_text(
        '{"Resources": [{"Id": "x"}, {"Id": "port"}],\n "x-edge-sim-ignore": [\n'
        '  {"rule": "dev-rule", "path": "$.Resources[?Id=port]", "reason": "a test rig"}]}'
    )
    definition = read(file)
    assert {f.id for f in definition.findings} == {"shape"}, "the list is no unknown member"
    assert definition.ignore_for(finding("dev-rule", "$.Resources[1]"))
    assert not definition.ignore_for(finding("dev-rule", "$.Resources[0]"))
    assert definition.ignored[0].position.line == 3
    assert canonical(definition)["x-edge-sim-ignore"] == [entry]


def test_many_comments_take_a_time_in_proportion(tmp_path: Path) -> None:
    file = tmp_path / "group.yaml"
    file.write_text("# edge-sim: ignore dev-rule r\n" * 20_000 + "Resources: []\n")
    start = time.process_time()
    assert {entry.path for entry in read(file).ignored} == {"$"}
    assert time.process_time() - start < 4


def test_a_comment_of_yaml_is_kept_as_an_entry_of_the_list(definition: Definition, tmp_path: Path) -> None:
    file = tmp_path / "canonical.yaml"
    file.write_text(dump(definition))
    again = read(file)
    assert [(i.rule, i.path, i.reason) for i in again.ignored] == [
        (i.rule, i.path, i.reason) for i in definition.ignored
    ]
    assert dump(again) == dump(definition)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "Resources: []  # edge-sim: ignore some-rule\n", "a.yaml:1:16: an ignore comment is"),
        ("a.yaml", "Resources: []  # edge-sim: ignore\n", "a.yaml:1:16: an ignore comment is"),
        ("a.json", '{"Resources": [],\n"x-edge-sim-ignore": {}}', "a.json:2:1: x-edge-sim-ignore must be a list"),
        ("a.json", '{"Resources": [],\n"x-edge-sim-ignore": [{"rule": "a", "path": "$"}]}', "a.json:2:23: an entry"),
    ],
)
def test_an_ignore_without_a_reason_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidDefinitionError) as caught:
        read(tmp_path / name)
    assert message in caught.value.brief
