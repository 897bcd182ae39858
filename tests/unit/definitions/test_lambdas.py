"""A template's own Lambda functions: their runtime is that of the group's functions that refer to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_sim.definitions.reader import read
from edge_sim.validation.verdict import judge

TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters: {Runtime: {Type: String, Default: python3.9}}
Globals: {Function: {Runtime: python3.7, Handler: common.handler}}
Resources:
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      AutoPublishAlias: live
      Handler: app.read
      Runtime: python3.9
  Plain: {Type: "AWS::Lambda::Function", Properties: {Handler: app.plain, Runtime: python3.9}}
  PlainVersion: {Type: "AWS::Lambda::Version", Properties: {FunctionName: !GetAtt Plain.Arn}}
  PlainAlias: {Type: "AWS::Lambda::Alias", Properties: {FunctionName: !Ref Plain, FunctionVersion: "1"}}
  Native:
    Type: AWS::Lambda::Function
    Properties: {Handler: meter, Runtime: "arn:aws:greengrass:::runtime/function/executable"}
  Common: {Type: "AWS::Serverless::Function", Properties: {}}
  Open: {Type: "AWS::Lambda::Function", Properties: {Handler: !Ref Handler, Runtime: !Ref Runtime}}
  Unknown: {Type: "AWS::Lambda::Function", Properties: {Runtime: !Ref Handler}}
  Loop: {Type: "AWS::Lambda::Version", Properties: {FunctionName: !Ref Loop}}
  Bucket: {Type: "AWS::S3::Bucket", Properties: {Runtime: python3.9}}
  Image: {Type: "AWS::Lambda::Function", Properties: {PackageType: Image}}
  Functions:
    Type: AWS::Greengrass::FunctionDefinition
    Properties:
      InitialVersion:
        Functions:
        - Id: f
          FunctionArn: ARN
          FunctionConfiguration: {MemorySize: 16384}
"""


@pytest.mark.parametrize(
    ("arn", "runtime", "handler"),
    [
        ("!Ref Reader.Version", "python3.9", "app.read"),
        ("!Ref Reader.Alias", "python3.9", "app.read"),
        ('!Sub "${Reader.Arn}:1"', "python3.9", "app.read"),
        ('!Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${Reader}:1"', "python3.9", "app.read"),
        ('!Join [":", [!GetAtt Plain.Arn, "1"]]', "python3.9", "app.plain"),
        ("!Ref PlainVersion", "python3.9", "app.plain"),
        ("!Ref PlainAlias", "python3.9", "app.plain"),
        ("!Ref Common.Version", "python3.7", "common.handler"),
        ('!Sub "${Open.Arn}:1"', "python3.9", "${Ref:Handler}"),
        ('!Sub "${Unknown.Arn}:1"', "${Ref:Handler}", ""),
        ("!Ref Image.Version", "", ""),
        ("!Ref Loop", None, None),
        ("!Ref Bucket", None, None),
        ("!Ref Runtime", None, None),
        ("!ImportValue Reader", None, None),
        ("arn:aws:lambda:eu-west-1:123456789012:function:Reader:1", None, None),
    ],
)
def test_a_reference_leads_to_the_function(tmp_path: Path, arn: str, runtime: str | None, handler: str | None) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.replace("ARN", arn))
    definition = read(path)
    code = definition.group.code.get("f")
    assert (code.runtime, code.handler) == (runtime, handler) if code else runtime is None
    told = [one for one in judge(definition, {}).errors if one.finding.id != "function-version"]
    assert [one.finding.id for one in told] == (["runtime-known"] if runtime == "python3.9" else [])
    for one in told:
        assert one.position is not None
        assert re.search("Runtime: (python3.9|!Ref Runtime)", TEMPLATE.splitlines()[one.position.line - 1])


def test_a_native_executable_is_known_by_the_runtime_of_its_function(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.replace("ARN", '!Sub "${Native.Arn}:1"'))
    assert [one.finding.id for one in judge(read(path), {}).errors] == ["executable-encoding"]
    path.write_text(path.read_text().replace("{MemorySize: 16384}", "{MemorySize: 16384, EncodingType: binary}"))
    assert judge(read(path), {}).errors == ()


def test_the_group_s_own_override_counts(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    own = "{MemorySize: 16384, FunctionRuntimeOverride: python4}"
    path.write_text(TEMPLATE.replace("ARN", "!Ref Reader.Version").replace("{MemorySize: 16384}", own))
    (told,) = judge(read(path), {}).errors
    assert told.position is not None
    assert (told.finding.message, "python4" in path.read_text().splitlines()[told.position.line - 1]) == (
        "function f: V1 never supported runtime python4",
        True,
    )


@pytest.mark.parametrize(
    ("arn", "told"),
    [
        ("!GetAtt Reader.Arn", "function f: ${GetAtt:Reader.Arn} is the ARN of no version or alias"),
        ("!Ref Plain", "function f: ${Ref:Plain} is a function's name"),
        (
            '!Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:reader"',
            "function f: 'arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:reader' is not a function's ARN",
        ),
        ('!Sub "arn:aws:lambda:${AWS::Region}:1:function:reader:$LATEST"', None),
        ('!Sub "arn:aws:lambda:${AWS::Region}:1:function:${Name}"', ""),
        ('!Sub "arn:aws:lambda:${AWS::Region}:1:function:reader:${Alias}"', ""),
        ('!Sub "${Native.Arn}:1"', ""),
        ("!Ref Reader.Alias", ""),
        ("!Ref PlainVersion", ""),
    ],
)
def test_a_function_without_version_or_alias_is_told_where_it_is_sure(
    tmp_path: Path, arn: str, told: str | None
) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.replace("ARN", arn))
    found = [one for one in judge(read(path), {}).errors if one.finding.id == "function-version"]
    assert len(found) == (told != "")
    assert all(one.position is not None and one.finding.message.startswith(told or "") for one in found)
