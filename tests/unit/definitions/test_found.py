"""Definitions as people have them (``found/README.md``): read, written, read again; and spoiled in many ways."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from edge_sim import scenario
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import read
from edge_sim.definitions.writer import canonical, dump
from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass.resources import LocalDevice, LocalVolume, S3Model, Secret
from tests import sweeps

FOUND = Path(__file__).parent / "found"
FILES = sorted(path for path in FOUND.iterdir() if path.suffix in (".json", ".yaml"))
EXAMPLE = Path(__file__).parents[3] / "examples" / "no-container-ml"
FORMS = {
    "blueprint.json": "DefinitionVersions",
    "create-functions.json": "CreateFunctionDefinition",
    "create-resources.json": "CreateResourceDefinition",
    "get-resources.json": "GetResourceDefinitionVersion",
    "gg_state.json": "greengo state",
    "grassformation.yaml": "SAM",
    "greengo-spi.yaml": "greengo",
    "greengo-twice.yaml": "greengo",
    "greengo-volume.yaml": "greengo",
    "group-empty.json": "group.json",
    "group.json": "group.json",
    "sam-connectors.yaml": "SAM",
    "sam-etl.yaml": "SAM",
    "sam-models.yaml": "SAM",
    "skeleton.json": "CreateResourceDefinition",
    "template.json": "CloudFormation",
    "template.yaml": "CloudFormation",
}
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def found(name: str) -> Definition:
    return read(FOUND / name)


def messages(definition: Definition) -> list[str]:
    return [note.message for note in definition.notes]


def rules(definition: Definition) -> list[tuple[str, str]]:
    return [(finding.id, finding.path) for finding in definition.findings]


@each
def test_the_form_is_known_and_every_finding_has_a_place(path: Path) -> None:
    definition = read(path)
    assert definition.form == FORMS[path.name]
    for finding in definition.findings:
        position = definition.locate(finding.path)
        assert position is not None
        assert position.file == path
        assert position.line > 1


@each
def test_importing_the_canonical_form_changes_nothing(path: Path, tmp_path: Path) -> None:
    definition = read(path)
    for name, text in (("group.yaml", dump(definition)), ("group.json", json.dumps(canonical(definition)))):
        file = tmp_path / name
        file.write_text(text)
        again = read(file)
        assert dump(again) == dump(definition)
        assert canonical(again) == canonical(definition)
        assert again.form == "bundle"
        assert again.group == replace(definition.group, code={}, artifacts={})
        assert not [f for f in again.findings if f not in definition.findings]


def test_only_what_is_really_wrong_is_a_finding() -> None:
    variables = "$.Functions[0].FunctionConfiguration.Environment.Variables"
    policy = "$.Functions[0].FunctionConfiguration.Environment.ResourceAccessPolicies[1].Permission"
    expected = {
        "greengo-twice.yaml": [("duplicate-key", variables)],
        "skeleton.json": [("shape", "$.Resources[0].ResourceDataContainer")],
        "blueprint.json": [("shape", "$.Functions[0].Id"), ("shape", policy)],
    }
    for path in FILES:
        assert rules(read(path)) == expected.get(path.name, []), path.name


def test_numbers_and_flags_are_taken_as_aws_s_samples_write_them() -> None:
    definition = found("sam-models.yaml")
    (resource,) = definition.group.resources
    assert isinstance(resource.data, S3Model)
    assert resource.data.owner is not None
    assert (resource.data.owner.group_owner, resource.data.owner.group_permission) == ("999", "ro")
    (function,) = definition.group.functions
    assert (function.pinned, function.timeout_s, function.run_as.uid, function.run_as.gid) == (True, 300, 111, 999)
    written = canonical(definition)
    settings = written["resources"]["Resources"][0]["ResourceDataContainer"]["S3MachineLearningModelResourceData"]
    assert settings["OwnerSetting"] == {"GroupOwner": "999", "GroupPermission": "ro"}
    assert written["functions"]["Functions"][0]["FunctionConfiguration"]["Pinned"] is True


def test_a_template_keeps_placeholders_and_tells_each_once() -> None:
    definition = found("sam-models.yaml")
    assert definition.group.core is not None
    core = definition.group.core
    assert core.thing_arn == "arn:aws:iot:${AWS::Region}:${AWS::AccountId}:thing/${Ref:CoreName}_Core"
    assert core.certificate_arn == "arn:aws:iot:${AWS::Region}:${AWS::AccountId}:cert/${GetAtt:Thing.certificateId}"
    (note,) = [note for note in definition.notes if "placeholders" in note.message]
    names = re.findall(r"\$\{[^}]+\}", note.message)
    assert len(names) == len(set(names)) == 6
    assert "${Ref:ModelLocation} (line 75)" in note.message
    assert note.place is not None
    assert note.place.file == FOUND / "sam-models.yaml"
    assert definition.ignored == (), "a comment inside a text is none of ours"


def test_a_group_s_references_choose_among_the_versions_of_a_template() -> None:
    definition = found("template.json")
    assert [resource.id for resource in definition.group.resources] == ["model", "secret"]
    secret = definition.group.resources[1].data
    assert isinstance(secret, Secret)
    assert secret.arn == "arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:greengrass-${Ref:Name}"
    assert any("refers to CoreFromAnotherStack, which is not in this template" in note for note in messages(definition))
    position = definition.locate("$.Resources[1].ResourceDataContainer.SecretsManagerSecretResourceData.ARN")
    assert position is not None
    assert position.line == 37


def test_conditions_and_defaults_are_told() -> None:
    definition = found("sam-etl.yaml")
    assert [f.timeout_s for f in definition.group.functions] == [300, 300]
    assert [f.memory_size_kb for f in definition.group.functions] == [None, None]
    assert not [note for note in messages(definition) if "Always" in note], "a is a"
    assert "${Ref:Seconds} is taken as the parameter's default, 300" in messages(definition)


CHOICE = """\
Resources:
  Camera:
    Type: AWS::Greengrass::ResourceDefinitionVersion
    Properties: {ResourceDefinitionId: x, Resources: [{Id: camera, Name: camera, ResourceDataContainer: {}}]}
  Readings:
    Type: AWS::Greengrass::ResourceDefinitionVersion
    Properties: {ResourceDefinitionId: x, Resources: [{Id: readings, Name: readings, ResourceDataContainer: {}}]}
  Group:
    Type: AWS::Greengrass::Group
    Properties:
      InitialVersion: {ResourceDefinitionVersionArn: !If [HasCamera, !Ref Camera, !Sub "${Readings}"]}
"""


def test_a_condition_among_a_group_s_references_is_taken_as_true_and_told(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(CHOICE)
    definition = read(tmp_path / "template.yaml")
    assert [item["Id"] for item in definition.sections["resources"]["Resources"]] == ["camera"]
    (note,) = messages(definition)
    assert note.startswith("condition HasCamera is undecided: assumed true, checked both ways")
    assert [one.sections["resources"]["Resources"][0]["Id"] for one in definition.variants.values()] == ["readings"]
    other = CHOICE.replace('!If [HasCamera, !Ref Camera, !Sub "${Readings}"]', '!Sub "${Readings}"')
    (tmp_path / "template.yaml").write_text(other)
    assert [item["Id"] for item in read(tmp_path / "template.yaml").sections["resources"]["Resources"]] == ["readings"]


NO_VALUE = """\
Resources:
  Things:
    Type: AWS::Greengrass::ResourceDefinition
    Properties:
      Name: things
      InitialVersion: !If [Bare, !Ref AWS::NoValue, {Resources: []}]
  Functions:
    Type: AWS::Greengrass::FunctionDefinition
    Properties:
      Name: functions
      InitialVersion:
        Functions:
        - Id: !Sub {Ref: AWS::NoValue}
          FunctionArn: !Select [0, !Ref AWS::NoValue]
          FunctionConfiguration: {Timeout: !Ref AWS::NoValue}
  Group:
    Type: AWS::Greengrass::Group
    Properties: {Name: !Ref AWS::NoValue}
"""


def test_no_value_leaves_out_and_stays_a_placeholder_where_there_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(NO_VALUE)
    definition = read(tmp_path / "template.yaml")
    assert (definition.name, list(definition.sections)) == ("", ["functions"])
    [function] = definition.group.functions
    assert (function.id, function.arn) == ("${Sub:AWS::NoValue}", "${Select:0}")
    assert not [note for note in definition.notes if "object at" in note.message]


def test_greengo_is_read_as_greengo_would_have_sent_it() -> None:
    definition = found("greengo-volume.yaml")
    assert definition.name == "Epsilon"
    (function,) = definition.group.functions
    assert function.arn == "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:localresource:dev"
    (volume,) = definition.group.resources
    assert isinstance(volume.data, LocalVolume)
    assert (volume.id, volume.data.source_path, volume.data.destination_path) == (
        "data-volume",
        "/src/data",
        "/dest/data",
    )
    subscriptions = canonical(definition)["subscriptions"]["Subscriptions"]
    assert subscriptions[1] == {
        "Id": "1",
        "Source": "cloud",
        "Subject": "invoke/LRAFunction",
        "Target": function.arn,
    }
    position = definition.locate(
        "$.Functions[0].FunctionConfiguration.Environment.ResourceAccessPolicies[0].ResourceId"
    )
    assert position is not None
    assert position.line == 24


def test_greengo_s_state_gives_what_its_file_does_not() -> None:
    definition = found("gg_state.json")
    assert definition.group.core is not None
    assert definition.group.core.certificate_arn.endswith(f":cert/{'7f8b' * 16}")
    assert definition.group.arn.endswith("/groups/3333/versions/4444")
    assert "removed" not in dump(definition), "keys stay where they are"


def test_a_core_s_group_json_gives_back_its_definitions() -> None:
    definition = found("group.json")
    assert definition.group.core is not None
    assert definition.group.core.thing_name == "camera_core"
    (function,) = definition.group.functions
    assert (function.pinned, function.memory_size_kb, function.variables) == (
        True,
        128000,
        {"WATCH_PATTERN": "/input/*.jpeg"},
    )
    assert definition.group.code[function.id].handler == "run.handler"
    entry = canonical(definition)["functions"]["Functions"][0]
    assert set(entry["FunctionConfiguration"]) == {"MemorySize", "Pinned", "Timeout", "Environment"}
    position = definition.locate("$.Resources[0].ResourceDataContainer.LocalVolumeResourceData.DestinationPath")
    assert position is not None
    assert position.line == 23
    assert any("functions have no Id" in note for note in messages(definition))


def test_a_devices_only_field_stays_out_of_the_way() -> None:
    devices = [r.data for r in found("greengo-spi.yaml").group.resources]
    assert [d.source_path for d in devices if isinstance(d, LocalDevice)] == ["/dev/gpiomem", "/dev/spidev0.0"]


def test_a_folder_gives_what_its_files_give_together(tmp_path: Path) -> None:
    for name in ("create-resources.json", "create-functions.json"):
        (tmp_path / name).write_text((FOUND / name).read_text())
    (tmp_path / "package.json").write_text('{"name": "something else"}')
    (tmp_path / "notes.txt").write_text("not looked at")
    definition = read(tmp_path)
    assert len(definition.group.attached(definition.group.functions[0])) == 2
    assert [*map(str, definition.notes)] == [f"{tmp_path / 'package.json'}:1:1: not a definition, so it was left out"]
    both = read(tmp_path / "create-resources.json", tmp_path / "create-functions.json")
    assert both.group == definition.group
    (tmp_path / "again.json").write_text((FOUND / "get-resources.json").read_text())
    with pytest.raises(InvalidDefinitionError, match="resources are defined both here and in"):
        read(tmp_path)


def test_the_example_scenario_is_a_group() -> None:
    definition = scenario.read(EXAMPLE).definition
    assert definition.form == "scenario"
    assert scenario.read(EXAMPLE / "edge-sim.yaml").definition.group == definition.group
    assert definition.findings == ()
    position = definition.locate("$.Functions[?Id=meter-log].FunctionConfiguration.Executable")
    assert position is not None
    assert (position.file.name, position.line) == (
        "functions.json",
        lines_of("functions.json", '"meter_log.function_handler"'),
    )


def lines_of(name: str, word: str) -> int:
    return next(n for n, line in enumerate((EXAMPLE / name).read_text().splitlines(), 1) if word in line)


# --- spoiled ------------------------------------------------------------------------------------------------------


def spoiled(rng: random.Random, text: str) -> str:
    """Cut, flip, repeat, nest, swap: what editors, merges and bad downloads do to a file."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text = text[:at] + rng.choice("{}[]\",:'-&*!|>#%@`\\\0\ud7ff\t\n 0e.") + text[at + 1 :]
        elif kind == 2:
            text = text[:end] + text[at : min(end, at + 400)] + text[end:]
        elif kind == 3:
            text = text[:at] + rng.choice("[{") * rng.choice([1, 3, 100]) + text[at:]
        elif kind == 4:
            text = (
                text[:at] + rng.choice(["null", "NaN", "[]", "{}", "true", "1e999", "&a", "*a", "<<: *a"]) + text[end:]
            )
        else:
            text = text[:at] + text[end:]
    return text


def misplaced(rng: random.Random, value: object) -> object:
    """Put another kind of value at some place of a tree."""
    if rng.random() < 0.04:
        return rng.choice([None, True, 3, 1.5, "x", "", [], {}, [None], {"Ref": "X"}, {"Fn::If": [1]}, {"Fn::Sub": []}])
    if isinstance(value, dict):
        return {key: misplaced(rng, item) for key, item in value.items()}
    if isinstance(value, list):
        return [misplaced(rng, item) for item in value]
    return value


def survives(file: Path) -> None:
    try:
        definition = read(file)
    except InvalidDefinitionError:
        return
    for finding in definition.findings:
        assert definition.locate(finding.path) is not None
        definition.ignore_for(finding)
    written = dump(definition)
    file.with_suffix(".again.yaml").write_text(written)
    again = read(file.with_suffix(".again.yaml"))
    assert dump(again) == written
    if not definition.ambiguities:
        assert again.group == replace(definition.group, code={}, artifacts={})


@pytest.mark.parametrize("times", [15, pytest.param(60, marks=pytest.mark.slow)])
@each
def test_a_spoiled_text_is_a_clean_error_or_findings(path: Path, tmp_path: Path, times: int) -> None:
    rng = random.Random(path.name)
    file = tmp_path / path.name
    for _ in range(times):
        file.write_text(spoiled(rng, path.read_text()), encoding="utf-8", errors="replace")
        survives(file)


@pytest.mark.slow
@pytest.mark.sweep
@each
def test_values_of_the_wrong_kind_are_findings(path: Path, tmp_path: Path) -> None:
    rng = random.Random(path.name)
    whole = json.loads(path.read_text()) if path.suffix == ".json" else canonical(read(path))
    file = tmp_path / f"{path.stem}.json"
    for _ in range(sweeps.size(whole=60, sample=20)):
        file.write_text(json.dumps(misplaced(rng, whole)))
        survives(file)


@pytest.mark.slow
@pytest.mark.sweep
def test_templates_with_values_of_the_wrong_kind(tmp_path: Path) -> None:
    rng = random.Random(1)
    for name in ("template.json", "grassformation.yaml", "greengo-spi.yaml", "gg_state.json"):
        text = (FOUND / name).read_text()
        whole = json.loads(text) if name.endswith("json") else yaml.load(text, Loader=_LongForms)
        for _ in range(sweeps.size(whole=150, sample=50)):
            (tmp_path / "file.json").write_text(json.dumps(misplaced(rng, whole)))
            survives(tmp_path / "file.json")


class _LongForms(yaml.SafeLoader):
    """Reads a template's short tags as some object, which is enough here."""


_LongForms.add_multi_constructor("!", lambda loader, suffix, node: {f"Fn::{suffix}": str(node.value)})


def test_what_is_written_can_be_read_again_however_deep(tmp_path: Path) -> None:
    def written(levels: int) -> str:
        (tmp_path / "a.json").write_text(f'{{"Resources": {"[" * levels}{"]" * levels}}}')
        return dump(read(tmp_path / "a.json"))

    for levels in (1, 61, 62):
        text = written(levels)
        (tmp_path / "b.yaml").write_text(text)
        assert dump(read(tmp_path / "b.yaml")) == text
    with pytest.raises(InvalidDefinitionError, match="nested deeper than 64 levels"):
        written(63)
