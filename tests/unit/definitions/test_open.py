"""Members that a template leaves open: unknown, and told from what holds whatever their values are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cloud.greengrass.kinds import FAMILY_KINDS
from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.reader import read
from edge_sim.errors import UnknownFactError
from edge_sim.facts import HostFacts
from edge_sim.runs.runner import check_definition
from edge_sim.validation.verdict import judge
from tests.small_group import edge
from tests.unit.greengrass.build import ARN, board, s3

PI = ("--profile", "raspberry-pi-3")
REF = {"Ref": "Open"}


def template(kind: str, version: object, folder: Path) -> Path:
    resource = {"Type": f"AWS::Greengrass::{kind}Definition", "Properties": {"Name": "a", "InitialVersion": version}}
    path = folder / "template.json"
    path.write_text(json.dumps({"Parameters": {"Open": {"Type": "String"}}, "Resources": {"Own": resource}}))
    return path


def functions(*, arn: str = f"{ARN}f:1", environment: object = None, **configuration: object) -> dict[str, Any]:
    own = {"MemorySize": 16384, "Environment": environment or {}, **configuration}
    return {"Functions": [{"Id": "f", "FunctionArn": arn, "FunctionConfiguration": own}]}


def severities(path: Path, facts: HostFacts | None = None, **parameters: str) -> list[tuple[str, str]]:
    definition = read(path, choice=Choice(parameters=parameters))
    verdict = judge(definition, {} if facts is None else {"board": facts})
    findings = [result.finding for result in verdict.findings]
    return sorted((f.severity, f.path.rpartition(".")[2]) for f in findings if f.severity in ("error", "unknown"))


@pytest.mark.parametrize(
    ("kind", "version", "member"),
    [
        ("Function", functions(MemorySize=REF), "MemorySize"),
        ("Function", functions(Timeout=REF), "Timeout"),
        ("Function", functions(Pinned=REF), "Pinned"),
        ("Function", functions(Environment=REF), "Environment"),
        ("Function", functions(environment={"Variables": REF}), "Variables"),
        ("Function", functions(environment={"AccessSysfs": REF}), "AccessSysfs"),
        ("Function", functions(environment={"Execution": {"IsolationMode": REF}}), "IsolationMode"),
        ("Function", functions(environment={"Execution": {"RunAs": {"Uid": REF}}}), "Uid"),
        ("Function", functions(environment={"ResourceAccessPolicies": REF}), "ResourceAccessPolicies"),
        ("Function", {"DefaultConfig": {"Execution": {"IsolationMode": REF}}, "Functions": []}, "IsolationMode"),
        ("Function", {"Functions": REF}, "Functions"),
        ("Function", {"Functions": [REF]}, "Functions[0]"),
        ("Logger", {"Loggers": [{"Id": "a", "Component": "Lambda", "Level": REF, "Type": "FileSystem"}]}, "Level"),
        ("Device", {"Devices": REF}, "Devices"),
        ("Connector", {"Connectors": [{"Id": "a", "ConnectorArn": "${Own}", "Parameters": REF}]}, "Parameters"),
    ],
)
def test_what_a_template_leaves_open_is_unknown(kind: str, version: object, member: str, tmp_path: Path) -> None:
    assert severities(template(kind, version, tmp_path)) == [("unknown", member)]


@pytest.mark.parametrize(
    ("member", "severity"), [("MemorySize", "error"), ("Pinned", "error"), ("IsolationMode", "unknown")]
)
def test_boto3_is_given_no_placeholder_for_a_number(member: str, severity: str, tmp_path: Path) -> None:
    execution = {"IsolationMode": "${MODE}"} if member == "IsolationMode" else {}
    own = {} if execution else {member: "${MODE}"}
    path = tmp_path / "functions.json"
    path.write_text(json.dumps(functions(environment={"Execution": execution}, **own)))
    assert severities(path) == [(severity, member)]


def test_what_holds_for_any_value_is_an_error_and_what_depends_on_it_is_not_told(tmp_path: Path) -> None:
    mode = {"Execution": {"IsolationMode": REF}, "Variables": {"a-b": "1"}}
    path = template("Function", functions(environment=mode), tmp_path)
    assert severities(path) == [("error", "a-b"), ("unknown", "IsolationMode")]
    assert severities(path, Open="GreengrassContainer") == [("error", "a-b")]
    assert severities(path, Open="NoContainer") == [("error", "MemorySize"), ("error", "a-b")]


def test_no_conclusion_is_drawn_from_an_open_identity(tmp_path: Path) -> None:
    """As ggc_user the function could not start: config.json is not asked, and the board has no such account."""
    run_as = {"Execution": {"IsolationMode": "NoContainer", "RunAs": {"Uid": REF, "Gid": REF}}}
    version = functions(environment=run_as)
    del version["Functions"][0]["FunctionConfiguration"]["MemorySize"]
    path = template("Function", version, tmp_path)
    nobody = board(users={"root": board().users["root"]})
    assert severities(path, nobody) == [("unknown", "Gid"), ("unknown", "Uid")]
    assert {severity for severity, _ in severities(path, nobody, Open="0")} == {"error"}


def test_no_permission_is_missed_that_is_open(tmp_path: Path) -> None:
    """A model without an owner needs one, and so would be refused."""
    version = functions(environment={"ResourceAccessPolicies": [{"ResourceId": "model", "Permission": REF}]})
    template("Function", version, tmp_path)
    whole = json.loads((tmp_path / "template.json").read_text())
    models = {"Name": "m", "InitialVersion": {"Resources": [s3()]}}
    whole["Resources"]["Models"] = {"Type": "AWS::Greengrass::ResourceDefinition", "Properties": models}
    (tmp_path / "template.json").write_text(json.dumps(whole))
    assert severities(tmp_path / "template.json") == [("unknown", "Permission")]
    assert severities(tmp_path / "template.json", Open="ro") == []
    assert [severity for severity, _ in severities(tmp_path / "template.json", Open="")] == ["error"]


def test_validate_and_matrix_count_it_and_strict_makes_it_6(tmp_path: Path) -> None:
    path = template("Function", functions(MemorySize=REF), tmp_path)
    assert "1 unknown" in edge("validate", path).output
    for command in (("validate",), ("matrix", *PI)):
        edge(*command, path, status=0)
        edge(*command, path, "--strict", status=6)
        edge(*command, path, "--strict", "--parameter", "Open=16384", status=0)


@pytest.mark.parametrize(
    "command",
    [
        ("plan", *PI),
        ("access", *PI),
        ("migrate", "--from-profile", "raspberry-pi-3"),
        ("init", *PI),
        ("try", *PI),
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_needs_the_value_ends_with_6_and_says_how_to_give_it(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    path = template("Function", functions(MemorySize=REF), tmp_path)
    done = edge(command[0], path, *command[1:], status=6)
    assert isinstance(done.exception, UnknownFactError)
    assert done.exception.brief.startswith(f"{path}:1:")
    assert "MemorySize is the placeholder ${Ref:Open}" in done.exception.brief
    assert "--parameter Open=VALUE" in str(done.exception.hint)


def test_so_does_a_run(tmp_path: Path) -> None:
    with pytest.raises(UnknownFactError):
        check_definition(read(template("Function", functions(MemorySize=REF), tmp_path)))


def test_the_cloud_is_not_asked_with_a_placeholder() -> None:
    content = functions(environment={"Execution": {"IsolationMode": "${Ref:Open}"}})
    (problem,) = FAMILY_KINDS["functions"].problems(content, lambda _kind, _arn: True)
    assert "IsolationMode is the placeholder" in problem
