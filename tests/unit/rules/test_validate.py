"""``edge-sim validate`` on real files: places, several boards, silenced findings, and every output format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from edge_sim.greengrass.rules import RULES
from edge_sim.profiles import list_profiles
from tests.command import answer

EXAMPLE = Path(__file__).parents[3] / "examples" / "no-container-ml"
BAD = """\
Resources:
- Id: class
  Name: class
  ResourceDataContainer:
    LocalVolumeResourceData:
      SourcePath: /sys/class
      DestinationPath: /host-class
- Id: serial
  Name: serial
  ResourceDataContainer:
    LocalDeviceResourceData: {SourcePath: /dev/ttyUSB9}
Functions:
- Id: f
  FunctionArn: arn:aws:lambda:eu-west-1:123456789012:function:f:1
  FunctionConfiguration:
    MemorySize: 16384
    Environment:
      ResourceAccessPolicies:
      - {ResourceId: class, Permission: ro}
      - {ResourceId: serial, Permission: rw}
      - {ResourceId: gone, Permission: ro}
"""


def validate(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return answer("validate", *arguments, folder=cwd)


def program(*arguments: str | Path, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, as CI starts it; ``text`` is its standard input."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", "validate", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(
        argv, cwd=cwd, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
    )


def findings(*arguments: str | Path, cwd: Path) -> dict[str, Any]:
    result = validate(*arguments, "--format", "json", cwd=cwd)
    told: dict[str, Any] = json.loads(result.stdout)
    assert result.returncode == (0 if told["ok"] else 3), result.stderr
    return told


@pytest.fixture
def group(tmp_path: Path) -> Path:
    path = tmp_path / "group.yaml"
    path.write_text(BAD)
    return path


def test_every_fault_comes_at_once_with_file_line_and_column(group: Path) -> None:
    told = findings("group.yaml", cwd=group.parent)
    errors = {f["id"]: (f["file"], f["line"], f["column"]) for f in told["findings"] if f["severity"] == "error"}
    assert errors == {"volume-under-sys": ("group.yaml", 6, 7), "unknown-resource": ("group.yaml", 21, 10)}
    keys = "id severity phase path file line column resource message aws_text source hint"
    assert set(keys.split()) <= set(told["findings"][0])
    [sys_] = [f for f in told["findings"] if f["id"] == "volume-under-sys"]
    assert sys_["path"] == "$.Resources[0].ResourceDataContainer.LocalVolumeResourceData.SourcePath"
    assert sys_["aws_text"] == "The resources definition is invalid. (ErrorDetails: [Accessing /sys is prohibited])"
    assert (sys_["phase"], sys_["resource"]) == ("create", "class")


def test_json_definitions_have_places_too(tmp_path: Path) -> None:
    (tmp_path / "resources.json").write_text(
        '{"Resources": [\n {"Id": "a b", "Name": "a",\n  "ResourceDataContainer": {\n'
        '   "SecretsManagerSecretResourceData": {"ARN": '
        '"arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-x-a1b2c3"}}}]}\n'
    )
    told = findings("resources.json", cwd=tmp_path)
    assert [(f["id"], f["line"], f["column"]) for f in told["findings"]] == [("resource-identifier", 2, 3)]


def test_without_a_profile_it_says_that_the_board_was_not_looked_at(group: Path) -> None:
    text = validate(group, cwd=group.parent).stdout
    assert "no board was checked" in text
    assert "source-exists" not in text
    assert "not valid: 2 errors, 1 note" in text.splitlines()


def test_boards_are_told_apart(group: Path) -> None:
    told = findings(group, "--profile", "raspberry-pi-3", "--profile", "openwrt-armv7", cwd=group.parent)
    on = {f["id"]: f["profiles"] for f in told["findings"]}
    assert on["source-exists"] == ["raspberry-pi-3", "openwrt-armv7"]
    assert told["profiles"] == ["raspberry-pi-3", "openwrt-armv7"]
    example = findings(EXAMPLE, "--profile", "raspberry-pi-3", "--profile", "openwrt-armv7", cwd=group.parent)
    assert {tuple(f["profiles"]) for f in example["findings"] if f["id"] == "ml-unsupported"} == {("openwrt-armv7",)}


def test_the_core_version_can_be_chosen(tmp_path: Path) -> None:
    assert findings(EXAMPLE, "--profile", "raspberry-pi-3", cwd=tmp_path)["ok"]
    old = findings(EXAMPLE, "--profile", "raspberry-pi-3", "--ggc", "1.9", cwd=tmp_path)
    assert {f["id"] for f in old["findings"] if f["severity"] == "error"} == {
        "owner-setting-version",
        "ml-no-container-version",
    }


def test_a_core_that_never_was_is_a_usage_error(tmp_path: Path) -> None:
    done = validate(EXAMPLE, "--ggc", "1.11.99", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'1.11.99' is not a version of the Greengrass V1 core: the last 1.11 was 1.11.6" in done.stderr


def test_settings_reach_the_rules(tmp_path: Path) -> None:
    strict = findings(EXAMPLE, "--gid-only", "--limit", "functions-per-group=1", cwd=tmp_path)
    assert {f["id"] for f in strict["findings"] if f["severity"] == "error"} == {"group-owner-gid", "function-total"}


def test_what_a_template_leaves_open_is_not_judged(tmp_path: Path) -> None:
    text = BAD.replace("Id: class", 'Id: "${Ref:Prefix}_class"')
    text = text.replace("/sys/class", '"${Ref:Folder}"').replace("/host-class", '"${Ref:Place}"')
    (tmp_path / "g.yaml").write_text(text.replace("ResourceId: class", 'ResourceId: "${Ref:Prefix}_class"'))
    told = findings("g.yaml", "--profile", "raspberry-pi-3", cwd=tmp_path)
    assert {f["id"] for f in told["findings"] if f["resource"] and "Ref" in f["resource"]} == set()


def test_functions_alone_are_not_blamed_for_resources_that_are_elsewhere(tmp_path: Path) -> None:
    functions = "Functions:" + BAD.partition("Functions:")[2]
    (tmp_path / "functions.yaml").write_text(functions)
    told = findings("functions.yaml", cwd=tmp_path)
    assert (told["ok"], {f["id"] for f in told["findings"]}) == (True, {"core-missing", "resources-missing"})
    bundle = "edgeSimGroup: 1\nfunctions:\n" + "".join(f"  {line}\n" for line in functions.splitlines())
    (tmp_path / "bundle.yaml").write_text(bundle)
    told = findings("bundle.yaml", cwd=tmp_path)
    assert "unknown-resource" in {f["id"] for f in told["findings"]}, "a bundle is a whole group"


def test_a_resource_of_no_kind_has_its_other_faults_told_as_well(tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text('{"Resources": [{"Id": [], "ResourceDataContainer": {}}]}')
    faults = {f["path"] for f in findings("g.json", cwd=tmp_path)["findings"]}
    assert faults == {f"$.Resources[0].{key}" for key in ("Id", "Name", "ResourceDataContainer")}


def test_silenced_findings_are_listed_and_do_not_count(group: Path) -> None:
    text = BAD.replace(
        "      SourcePath: /sys", "      # edge-sim: ignore volume-under-sys we know\n      SourcePath: /sys"
    )
    group.write_text(text.replace("- {ResourceId: gone, Permission: ro}", ""))
    told = findings(group, cwd=group.parent)
    assert told["ok"]
    assert [(f["id"], f["reason"]) for f in told["ignored"]] == [("volume-under-sys", "we know")]
    assert "ignored volume-under-sys: we know" in validate(group, cwd=group.parent).stdout


def test_an_ignore_that_matches_nothing_is_a_warning(group: Path) -> None:
    group.write_text(BAD.replace("- Id: serial", "- Id: serial  # edge-sim: ignore no-such-rule because"))
    found = [f for f in findings(group, cwd=group.parent)["findings"] if f["id"] == "ignore-unused"]
    assert [(f["severity"], f["line"], f["hint"]) for f in found] == [("warning", 8, "See: edge-sim rules")]


def test_no_rule_draws_conclusions_from_what_could_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(BAD.replace("LocalDeviceResourceData", "LocalDeviceData").replace("gone", "class"))
    told = findings("g.yaml", cwd=tmp_path)
    assert "unknown-resource" not in {f["id"] for f in told["findings"]}
    assert "unknown-key" in {f["id"] for f in told["findings"]}
    assert "shape" not in {f["id"] for f in told["findings"]}, "a misspelt member is not missing as well"


@pytest.mark.process
@pytest.mark.parametrize(
    ("content", "line"), [(b'{\n "Resources": [', 2), (b"[" * 1_000_000, 1), (b"\x00\x01\x7fELF", 1), (b"a: [b", 1)]
)
def test_what_cannot_be_read_is_a_finding_as_well(content: bytes, line: int, tmp_path: Path) -> None:
    (tmp_path / "g.json").write_bytes(content)
    told = findings("g.json", cwd=tmp_path)
    assert [(f["id"], f["line"]) for f in told["findings"]] == [("unreadable", line)]
    result = program("g.json", cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_the_place_of_what_cannot_be_read_is_told_from_the_text_about_it(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("a: 1\nb: !x:7:7: y\n")
    [found] = findings("g.yaml", cwd=tmp_path)["findings"]
    assert (found["file"], found["line"], found["column"]) == ("g.yaml", 2, 4)
    assert found["message"] == "the tag !x:7:7: is not known here"


def test_of_several_files_the_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("Resources: []\n")
    (tmp_path / "wide.json").write_text('{"Functions": []}', encoding="utf-16")
    for arguments in (("good.yaml", "wide.json"), (".",)):
        [found] = findings(*arguments, cwd=tmp_path)["findings"]
        assert (found["id"], found["file"], found["line"]) == ("unreadable", "wide.json", 1)
        assert "PowerShell" in found["hint"]


def test_bad_arguments_are_usage_errors(group: Path) -> None:
    for arguments in (
        ["nowhere.yaml"],
        [group, "--profile", "no-board"],
        [group, "--ggc", "2.0"],
        [group, "--limit", "x"],
    ):
        result = validate(*arguments, cwd=group.parent)
        assert (result.returncode, "Traceback" in result.stderr) == (2, False), result.stderr


def test_github_commands_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "a,b:c%.yaml").write_text(BAD.replace("Id: class", "Id: 100% sure"))
    result = validate("a,b:c%.yaml", "--format", "github", cwd=tmp_path)
    assert result.returncode == 3
    lines = result.stdout.splitlines()
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    [identifier] = [line for line in lines if "title=resource-identifier" in line]
    assert identifier.startswith("::error file=a%2Cb%3Ac%25.yaml,line=2,col=3,title=resource-identifier::")
    assert "100%25 sure" in identifier


def test_junit_has_a_case_a_rule(group: Path) -> None:
    suite = ET.fromstring(validate(group, "--format", "junit", cwd=group.parent).stdout)[0]
    cases = {case.get("name"): case for case in suite}
    assert set(cases) == {rule.id for rule in RULES}
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    skipped = {name for name, case in cases.items() if case.find("skipped") is not None}
    assert failed == {"volume-under-sys", "unknown-resource"}
    assert skipped == {rule.id for rule in RULES if rule.board}
    assert (suite.get("failures"), suite.get("skipped")) == (str(len(failed)), str(len(skipped)))


def test_junit_stays_xml_whatever_the_definition_holds(tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text(BAD_JSON_NAME)
    ET.fromstring(validate("g.json", "--format", "junit", cwd=tmp_path).stdout)


BAD_JSON_NAME = (
    '{"Resources": [{"Id": "a\\u0001<]]>&", "Name": "x", "ResourceDataContainer": '
    '{"LocalDeviceResourceData": {"SourcePath": "/tmp/\\ufffe"}}}]}'
)


def test_sarif_has_what_the_standard_requires(group: Path) -> None:
    group.write_text(BAD.replace("- Id: serial", "- Id: serial  # edge-sim: ignore core-missing part of a group"))
    log = json.loads(validate(group, "--format", "sarif", cwd=group.parent).stdout)
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "edge-sim"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    for result in run["results"]:
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        assert ids[result["ruleIndex"]] == result["ruleId"]
        [location] = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "group.yaml"
        assert min(location["physicalLocation"]["region"].values()) >= 1


def test_a_scenarios_own_files_are_on_its_boards(tmp_path: Path) -> None:
    told = findings(EXAMPLE, "--profile", "raspberry-pi-3", cwd=tmp_path)
    assert {f["id"] for f in told["findings"]} == {"group-owner-disputed"}
    alone = findings(EXAMPLE / "resources.json", "--profile", "raspberry-pi-3", cwd=tmp_path)
    assert ("source-exists", "unknown") in {(f["id"], f["severity"]) for f in alone["findings"]}


def test_a_scenarios_runtimes_are_its_functions(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario"
    shutil.copytree(EXAMPLE, scenario)
    text = (scenario / "edge-sim.yaml").read_text()
    (scenario / "edge-sim.yaml").write_text(text.replace("runtime: python3.7", "runtime: python3.8", 1))
    [found] = [f for f in findings(scenario, "--ggc", "1.10", cwd=tmp_path)["findings"] if f["severity"] == "error"]
    assert (found["id"], found["function"]) == ("runtime-version", "read-digits")
    assert findings(scenario, "--ggc", "1.11", cwd=tmp_path)["ok"]


def test_a_broken_scenario_is_said_and_the_definition_judged(tmp_path: Path) -> None:
    (tmp_path / "edge-sim.yaml").write_text("edgeSim: 1\nname: x\ngroup: {resources: group.yaml}\n")
    (tmp_path / "group.yaml").write_text(BAD)
    told = findings(tmp_path, "--profile", "raspberry-pi-3", cwd=tmp_path)
    (fault,) = [f for f in told["findings"] if f["id"] == "unreadable"]
    assert (fault["file"], fault["line"], fault["message"]) == ("edge-sim.yaml", 1, "missing: boards")
    assert "volume-under-sys" in {f["id"] for f in told["findings"]}


def test_a_permission_that_is_none_is_not_called_absent_as_well(tmp_path: Path) -> None:
    owner = "OwnerSetting: {GroupOwner: '44', GroupPermission: rx}"
    model = f"S3MachineLearningModelResourceData: {{S3Uri: s3://greengrass-m/m.zip, DestinationPath: /m, {owner}}}"
    (tmp_path / "m.yaml").write_text(f"Resources: [{{Id: m, Name: m, ResourceDataContainer: {{{model}}}}}]\n")
    assert [f["id"] for f in findings("m.yaml", cwd=tmp_path)["findings"]] == ["shape"]


def test_a_silenced_fault_of_the_text_hides_no_rule(tmp_path: Path) -> None:
    container = '{"LocalDeviceResourceData": {"SourcePath": "/dev/ttyS0", "SourcePath": "/etc/passwd"}}'
    place = "$.Resources[0].ResourceDataContainer.LocalDeviceResourceData.SourcePath"
    silenced = json.dumps([{"rule": "duplicate-key", "path": place, "reason": "the tool writes it so"}])
    (tmp_path / "group.json").write_text(
        f'{{"Resources": [{{"Id": "a", "Name": "a", "ResourceDataContainer": {container}}}],\n'
        f' "x-edge-sim-ignore": {silenced}}}'
    )
    told = findings("group.json", cwd=tmp_path)
    assert ([f["id"] for f in told["ignored"]], [f["id"] for f in told["findings"]]) == (
        ["duplicate-key"],
        ["device-outside-dev"],
    )


@pytest.mark.parametrize("profile", ["raspberry-pi-3", "generic-x86_64", "openwrt-aarch64"])
def test_every_board_has_the_shared_memory_that_may_be_a_volume(profile: str, tmp_path: Path) -> None:
    volume = "LocalVolumeResourceData: {SourcePath: /dev/shm, DestinationPath: /dev/shm}"
    (tmp_path / "shm.yaml").write_text(
        f"Resources: [{{Id: shm, Name: shm, ResourceDataContainer: {{{volume}}}}}]\n"
        "Functions:\n- Id: f\n  FunctionArn: arn:aws:lambda:eu-west-1:123456789012:function:f:1\n"
        "  FunctionConfiguration:\n    MemorySize: 16384\n    Timeout: 3\n"
        "    Environment: {ResourceAccessPolicies: [{ResourceId: shm, Permission: rw}]}\n"
    )
    assert [f["id"] for f in findings("shm.yaml", "--profile", profile, cwd=tmp_path)["findings"]] == ["core-missing"]


def test_a_placeholder_that_nobody_filled_in_is_noted_in_every_form(tmp_path: Path) -> None:
    volume = {"SourcePath": "${VOLUME}", "DestinationPath": "/data"}
    resource = {"Id": "a", "Name": "a${", "ResourceDataContainer": {"LocalVolumeResourceData": volume}}
    function = {"Id": "f", "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1"}
    configuration = {"MemorySize": 16384, "Timeout": 3, "ExecArgs": "${A}", "Environment": {"Variables": {"B": "${C}"}}}
    (tmp_path / "a.json").write_text(
        json.dumps({"Resources": [resource], "Functions": [{**function, "FunctionConfiguration": configuration}]})
    )
    told = findings("a.json", cwd=tmp_path)
    assert [note.partition(": ")[2] for note in told["notes"]] == [
        "placeholders, whose values are not in the file: ${VOLUME} (line 1)"
    ]
    assert "resource-identifier" in {f["id"] for f in told["findings"]}, "half a placeholder is none"


def test_a_definition_s_own_words_begin_no_line_of_the_report(tmp_path: Path) -> None:
    device = {"LocalDeviceResourceData": {"SourcePath": "/etc/a\n::warning::x"}}
    resource = {"Id": "a\x1b[2J\nok: nothing found", "Name": "a\u202e", "ResourceDataContainer": device}
    (tmp_path / "a.json").write_text(json.dumps({"Resources": [resource]}))
    for command in ("validate", "matrix", "import"):
        arguments = ["--profile", "raspberry-pi-3", "--no-cache"] if command == "matrix" else []
        done = answer(command, "a.json", *arguments, folder=tmp_path)
        report = done.stderr if command == "import" else done.stdout
        assert not [line for line in report.split("\n") if line.startswith(("ok:", "::")) or not line.isprintable()]


@pytest.mark.parametrize("path", ["$.Resources[7]", "$.Resources[?Id=gone]", "$.Resources[0].Nmae", "$.Resorces"])
def test_an_ignore_that_leads_nowhere_silences_nothing(path: str, tmp_path: Path) -> None:
    device = {"LocalDeviceResourceData": {"SourcePath": "/etc/a"}}
    resources = [{"Id": id_, "Name": id_, "ResourceDataContainer": device} for id_ in ("a",)]
    entry = {"rule": "device-outside-dev", "path": path, "reason": "an old place"}
    (tmp_path / "a.json").write_text(json.dumps({"Resources": resources, "x-edge-sim-ignore": [entry]}))
    told = findings("a.json", cwd=tmp_path)
    assert ({f["id"] for f in told["findings"]}, told["ignored"]) == ({"device-outside-dev", "ignore-unused"}, [])


def test_what_is_missing_is_silenced_where_it_would_stand(tmp_path: Path) -> None:
    function = {
        "Id": "f",
        "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1",
        "FunctionConfiguration": {},
    }
    place = "$.Functions[?Id=f].FunctionConfiguration.MemorySize"
    entry = {"rule": "memory-size", "path": place, "reason": "set by hand"}
    (tmp_path / "a.json").write_text(json.dumps({"Functions": [function], "x-edge-sim-ignore": [entry]}))
    told = findings("a.json", cwd=tmp_path)
    assert (told["ok"], [f["id"] for f in told["ignored"]]) == (True, ["memory-size"])


def test_a_missing_member_hides_nothing_else_of_its_resource(tmp_path: Path) -> None:
    resource = {"Id": "a", "ResourceDataContainer": {"LocalDeviceResourceData": {"SourcePath": "/dev/ttyS0"}}}
    function = {"Id": "f", "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1"}
    configuration = {"FunctionConfiguration": {"MemorySize": 16384, "Timeout": 3}}
    (tmp_path / "a.json").write_text(
        json.dumps({"Resources": [resource], "Functions": [{**function, **configuration}]})
    )
    told = findings("a.json", cwd=tmp_path)
    assert {f["id"] for f in told["findings"]} == {"core-missing", "shape", "unused-resource"}


@pytest.mark.parametrize("kind", ["volume", "model"])
def test_a_permission_that_cannot_be_read_is_not_called_missing(kind: str, tmp_path: Path) -> None:
    data = {
        "volume": {"LocalVolumeResourceData": {"SourcePath": "/srv/a", "DestinationPath": "/a"}},
        "model": {"S3MachineLearningModelResourceData": {"S3Uri": "s3://greengrass-a/m.zip", "DestinationPath": "/a"}},
    }
    resource = {"Id": "a", "Name": "a", "ResourceDataContainer": data[kind]}
    for permission in ("RO", "Ro", "read"):
        policies = {"ResourceAccessPolicies": [{"ResourceId": "a", "Permission": permission}]}
        configuration = {"MemorySize": 16384, "Timeout": 3, "Environment": policies}
        function = {"Id": "f", "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1"}
        (tmp_path / "a.json").write_text(
            json.dumps({"Resources": [resource], "Functions": [{**function, "FunctionConfiguration": configuration}]})
        )
        assert {f["id"] for f in findings("a.json", cwd=tmp_path)["findings"]} == {"core-missing", "shape"}


@pytest.mark.process
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("content", [BAD, BAD_JSON_NAME], ids=["yaml", "json"])
def test_the_standard_input_is_read_as_a_file(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "group").write_text(content)
    expected = findings("group", cwd=tmp_path)["findings"]
    done = program(name, "--format", "json", cwd=tmp_path, text=content)
    assert json.loads(done.stdout)["findings"] == [{**one, "file": name} for one in expected]


@pytest.mark.process
def test_a_pipe_of_a_shell_is_read(tmp_path: Path) -> None:
    (tmp_path / "group").write_text(BAD)
    script = f"{sys.executable} -m edge_sim.cli.main validate <(cat group)"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "volume-under-sys" in done.stdout


def test_all_means_every_profile(tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text(BAD)
    told = findings("group.yaml", "--profile", "all", "--profile", "raspberry-pi-3", cwd=tmp_path)
    assert told["profiles"] == list(list_profiles())


def test_notes_come_after_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text(BAD.replace("gone", "'${GONE}'"))
    lines = validate("group.yaml", cwd=tmp_path).stdout.splitlines()
    verdict = next(number for number, line in enumerate(lines) if line.startswith("not valid: "))
    assert [line.partition(": ")[0] for line in lines[verdict + 1 :]] == ["note", "note"]
    assert "placeholders" in lines[verdict + 1]


TEMPLATE = """\
Parameters: {Gpu: {Type: String}}
Conditions: {HasGpu: !Equals [!Ref Gpu, "true"]}
Resources:
  R:
    Type: AWS::Greengrass::ResourceDefinition
    Properties:
      InitialVersion:
        Resources:
          - Id: a
            Name: a
            ResourceDataContainer: {LocalDeviceResourceData: {SourcePath: !If [HasGpu, /dev/gpu, /etc/none]}}
"""


def test_a_parameter_decides_a_condition_and_without_it_the_finding_names_it(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE)
    (found,) = findings("t.yaml", cwd=tmp_path)["findings"]
    assert found["message"].endswith("(where condition HasGpu is false)")
    assert found["line"] == 11
    assert findings("t.yaml", "--parameter", "Gpu=true", cwd=tmp_path)["ok"]
    assert "where" not in findings("t.yaml", "--parameter", "Gpu=no", cwd=tmp_path)["findings"][0]["message"]
    refused = validate("t.yaml", "--parameter", "Gpu", cwd=tmp_path)
    assert (refused.returncode, "expected NAME=VALUE" in refused.stderr) == (2, True)


def test_code_that_opens_a_model_without_the_prefix_is_warned_of(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))
    handler = folder / "functions/read_digits/read_digits.py"
    assert [one["id"] for one in findings(folder, cwd=tmp_path)["findings"] if one["id"] == "model-prefix"] == []
    handler.write_text(handler.read_text().replace('os.environ["AWS_GG_RESOURCE_PREFIX"] + ', ""))
    told = findings(folder, cwd=tmp_path)
    (one,) = [one for one in told["findings"] if one["id"] == "model-prefix"]
    assert told["ok"]
    assert (one["severity"], one["function"], one["resource"]) == ("warning", "read-digits", "digits-model")
    assert one["file"].endswith("functions.json")
    assert one["line"]
    assert "os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/digits'" in one["hint"]
    assert not any("was not checked" in note for note in told["notes"])
    alone = [folder / f"{name}.json" for name in ("resources", "functions")]
    notes = findings(*alone, cwd=tmp_path)["notes"]
    assert any("the code of read-digits, sort-wine was not checked" in note for note in notes)
