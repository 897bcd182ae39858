"""The scenario loader: the example loads, and every fault is one sentence with file and line."""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from edge_sim import scenario
from edge_sim.definitions.writer import dump, versions
from edge_sim.documents import MAX_BYTES
from edge_sim.errors import EdgeSimError, UsageError
from edge_sim.greengrass.families import FAMILIES
from edge_sim.limits import Limits
from edge_sim.offline.inputs import read_inputs
from edge_sim.runs.aws import create_definitions
from edge_sim.runs.expected import differences
from edge_sim.scenario import BoardFile, DeviceBacking, load

EXAMPLE = Path(__file__).parents[2] / "examples" / "no-container-ml"

BACKING = "  - path: /dev/ttyUSB0\n    lines: gps.nmea\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))


def edit(folder: Path, old: str, new: str) -> int:
    """Replace a text of the scenario's file and return its line."""
    file = folder / "edge-sim.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def fault(path: Path) -> EdgeSimError:
    with pytest.raises(EdgeSimError) as caught:
        read_inputs(path)
    assert "\n" not in caught.value.brief
    return caught.value


def test_the_example_loads_from_its_folder_and_from_its_file() -> None:
    scenario = load(EXAMPLE)
    assert scenario == load(EXAMPLE / "edge-sim.yaml")
    assert [source.kind for source in scenario.sources] == ["s3", "trainingJob", "secret"]
    assert scenario.sources[1].object_uri is not None
    assert scenario.sources[1].object_uri.endswith("/model.zip")
    assert [(u.version, u.starts, u.status, u.running) for u in scenario.updates] == [
        ("1.11.6", True, "SUCCEEDED", "1.11.6"),
        ("1.11.7", False, "FAILED", "1.11.6"),
    ]
    lines = (EXAMPLE / "edge-sim.yaml").read_text("utf-8").splitlines()
    assert [u.version in lines[u.place.line - 1] for u in scenario.updates if u.place] == [True, True]
    assert "not-a-real-token" not in repr(scenario), "a secret's value is not shown"


def test_modes_of_files_and_directories() -> None:
    assert BoardFile(path="/a", mode=0o640).directory_mode == 0o750
    assert BoardFile(path="/a", mode=0o604).directory_mode == 0o705


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("boards:", "bords:", "bords: unknown key", "Did you mean boards?"),
        ("edgeSim: 1", "edgeSim: 2", "must be 1, the version of this format, not '2'", None),
        ("    folder: models/digits", "    folder: models/none", "models/none: no such file or folder", None),
        ("    folder: models/digits", "    file: models/digits", "models/digits: must be a file", None),
        ("    value: not-a-real-token", "    value:", "must be text", None),
        ("    output: s3:", "    outptu: s3:", "sources[1].outptu: unknown key", "output"),
        ("starts: true", "starts: 1", "must be true or false", None),
        ("status: SUCCEEDED", "status: DONE", "updates[0].expect.status: 'DONE' is not allowed", "SUCCEEDED, FAILED"),
        ("version: 1.11.6\n", "version: 1.11\n", "must be a version of three numbers", None),
        ("path: /srv/meter", "path: /srv/../etc", "must be an absolute path on the board", None),
        ('mode: "0640"', "mode: rw", "three octal digits", None),
        ("function: sort-wine", "function: sort-whine", "no function has the id 'sort-whine'", "sort-wine"),
        ("function:sort-wine:3", "function:sort-wine:4", "there is no code for function sort-wine", None),
        ("name: no-container-ml", "name: a\nname: b", "name: is already set in line", None),
        ("boards:", "packages: copy\nboards:", "packages: must be a mapping of keys to values", "links"),
        ("boards:", "packages:\nboards:", "packages: must be a mapping of keys to values", "file_bytes"),
        ("boards:", "packages: {file_byte: 1}\nboards:", "packages.file_byte: unknown key", "Did you mean file_bytes?"),
        ("boards:", "packages: {links: keep}\nboards:", "packages.links: 'keep' is not allowed", "refuse, copy"),
        ("boards:", "packages: {links: [copy]}\nboards:", "packages.links: must be a single value", "refuse, copy"),
        ("boards:", "packages: {entries: true}\nboards:", "packages.entries: must be a whole number", None),
        ("boards:", "packages: {entries: -1}\nboards:", "packages.entries: must be a whole number", None),
        ("boards:", "packages: {ratio: 1.5}\nboards:", "packages.ratio: must be a whole number", None),
        ("boards:", "packages: {file_bytes: 3 GiB}\nboards:", "packages.file_bytes: must be a whole number", None),
        ("boards:", "packages: {depth: }\nboards:", "packages.depth: must be a whole number", None),
        ("boards:", "packages: {depth: 1, depth: 2}\nboards:", "packages.depth: is already set in line", None),
    ],
)
def test_faults_name_file_and_line(folder: Path, old: str, new: str, message: str, hint: str | None) -> None:
    line = edit(folder, old, new)
    error = fault(folder)
    assert error.exit_status == 3
    assert message in error.brief
    assert (hint or "") in (error.hint or "")
    where = int(error.brief.split(":")[1])
    assert error.brief.startswith(str(folder / "edge-sim.yaml"))
    assert abs(where - line) <= 1 or "no code" in message


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("packages: {links: copy, file_bytes: 3000000000}", Limits(links="copy", file_bytes=3_000_000_000)),
        ("packages: {links: refuse, seconds: 0}", Limits(seconds=0)),
        ("packages: {}", Limits()),
        ("", Limits()),
    ],
)
def test_the_limits_of_packages_have_the_names_of_the_agents_configuration(
    folder: Path, given: str, found: Limits
) -> None:
    edit(folder, "boards:", f"{given}\nboards:")
    assert load(folder).packages == found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    folder: models/digits", "    file: {}"),
        ("    copy: meter", "    copy: {}"),
        ("    lines: gps.nmea", "    lines: {}"),
        ("  resources: resources.json", "  resources: {}"),
        ("    folder: functions/read_digits", "    folder: {}"),
    ],
)
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link to a fifo"])
def test_what_is_neither_a_file_nor_a_folder_is_not_opened(folder: Path, kind: str, old: str, new: str) -> None:
    """Opening a FIFO would wait until somebody writes to it, reading a device would never end."""
    special = folder / "special"
    if kind == "device":
        special = Path("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(special))
    else:
        os.mkfifo(folder / "pipe")
        special.symlink_to("pipe")
        special = special if kind.startswith("link") else folder / "pipe"
    line = edit(folder, old, new.format(special))
    error = fault(folder)
    assert error.exit_status == 3
    assert error.brief.startswith(f"{folder / 'edge-sim.yaml'}:{line}:")
    assert error.brief.endswith(", not a file or folder")
    assert f"{special}: a " in error.brief


@pytest.mark.parametrize(
    ("given", "found"),
    [("block: 8 MiB", {"size_kib": 8192}), ("host: /dev/null", {"host": Path("/dev/null")})],
)
def test_what_stands_behind_a_device(folder: Path, given: str, found: dict[str, object]) -> None:
    edit(folder, BACKING, f"  - path: /dev/mmcblk0\n    {given}\n")
    device = load(folder).devices[0]
    assert device == DeviceBacking(path="/dev/mmcblk0", **found)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["path: /dev/video0", "path: /dev/video0\n    block: 4\n    host: /dev/null"])
def test_a_device_has_exactly_one_backing(folder: Path, given: str) -> None:
    edit(folder, BACKING, f"  - {given}\n")
    assert "exactly one of lines, frames, block and host" in fault(folder).brief


def test_a_name_too_long_for_a_file_is_told_and_not_repeated_in_full(folder: Path) -> None:
    line = edit(folder, "folder: models/digits", f"folder: {'x' * 1_000_000}")
    told = fault(folder).brief
    assert f"edge-sim.yaml:{line}:" in told
    assert told.endswith("File name too long")
    assert len(told) < 1000


def test_yaml_faults_have_line_and_column(folder: Path) -> None:
    line = edit(folder, "name: no-container-ml", "name: a: b")
    assert fault(folder).brief.startswith(f"{folder / 'edge-sim.yaml'}:{line}:8: not valid YAML")


def test_a_folder_without_a_scenario_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"edge-sim\.yaml: no such file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\xff", "not a text file"),
        (b'{"Resources": \0}', "it holds zero bytes"),
        (b'{"Resources": [\n  {"Id": }\n]}', "resources.json:2:10: not valid JSON: expected a value"),
        (b'{"Resources": [], "Resources": []}', "'Resources' is already set"),
        (b"[]", "not a Greengrass V1 definition"),
        (b'{"Functions": []}', "not a resource definition version: it has no list 'Resources'"),
        (b'{"a":' * 100_000, "nested deeper than 64 levels"),
        (b'{"Resources": [{"Id": NaN}]}', "NaN is not JSON"),
        (b"x" * (MAX_BYTES + 1), "larger than 4 MiB"),
    ],
    ids=["empty", "blank", "binary", "zero byte", "syntax", "twice", "list", "other", "deep", "NaN", "large"],
)
def test_bad_definition_files(folder: Path, content: bytes, message: str) -> None:
    (folder / "resources.json").write_bytes(content)
    error = fault(folder)
    assert error.exit_status == 3
    assert message in error.brief
    assert "resources.json" in error.brief


def test_definitions_may_be_yaml_and_of_any_form_that_is_read(folder: Path) -> None:
    whole = load(folder)
    (folder / "group.yaml").write_text(dump(whole.definition))
    file = folder / "edge-sim.yaml"
    text = file.read_text()
    start, end = text.index("group:"), text.index("\nsources:")
    file.write_text(text[:start] + "group: group.yaml" + text[end:])
    one = load(folder)
    assert one.definition.group == whole.definition.group == load(EXAMPLE).definition.group


@pytest.mark.parametrize(
    ("expect", "actual", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["result.a.b: expected 1, got 2"]),
        ({"a": 1}, {}, ["result.a: expected 1, but it is missing"]),
        ({"a": True}, {"a": 1}, ["result.a: expected True, got 1"]),
        ({"a": 1}, None, ["result: expected an object, got None"]),
        ([1, 2], [1, 2, 3], ["result: expected [1, 2], got [1, 2, 3]"]),
        ({}, "anything", ["result: expected an object, got 'anything'"]),
    ],
)
def test_differences(expect: object, actual: object, found: list[str]) -> None:
    assert differences(expect, actual) == found


def test_subscriptions_and_a_secrets_other_labels(tmp_path: Path) -> None:
    folder = tmp_path / "scenario"
    shutil.copytree(EXAMPLE, folder)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:read-digits:1"
    table = {"Subscriptions": [{"Id": "1", "Source": arn, "Subject": "a/#", "Target": "cloud"}]}
    (folder / "subscriptions.json").write_text(json.dumps(table))
    file = folder / "edge-sim.yaml"
    text = file.read_text().replace(
        "  functions: functions.json\n", "  functions: functions.json\n  subscriptions: subscriptions.json\n"
    )
    file.write_text(text.replace("value: not-a-real-token", "value: x\n    stages: {AWSPREVIOUS: y}"))
    scenario = load(folder)
    assert versions(scenario.definition)["subscriptions"] == table
    (secret,) = (source for source in scenario.sources if source.kind == "secret")
    assert (secret.value, secret.stages) == ("x", {"AWSPREVIOUS": "y"})
    assert "AWSPREVIOUS" not in repr(scenario)
    assert "subscriptions" not in load(EXAMPLE).definition.sections


def test_a_group_that_has_no_resources_names_none(folder: Path) -> None:
    functions = json.loads((folder / "functions.json").read_text())
    for function in functions["Functions"]:
        function["FunctionConfiguration"]["Environment"].pop("ResourceAccessPolicies", None)
    (folder / "functions.json").write_text(json.dumps(functions))
    edit(folder, "  resources: resources.json\n", "")
    scenario = load(folder)
    assert scenario.definition.findings == ()
    assert set(scenario.definition.sections) == {"core", "functions"}
    made = Recorder()
    arns = create_definitions(made, scenario.name, versions(scenario.definition))  # type: ignore[arg-type]
    assert arns == {"FunctionDefinitionVersionArn": f"arn:{made.operations[0]}"}


def test_every_definition_of_a_group_but_its_core_is_created() -> None:
    """Those that no board simulates as well: the cloud then says that the deployment goes without them."""
    content: dict[str, dict[str, list[object]]] = {
        section: {family.member: []} for section, family in FAMILIES.items() if section != "resources"
    }
    made = Recorder()
    arns = create_definitions(made, "s", content)  # type: ignore[arg-type]
    kinds = ("Function", "Logger", "Subscription", "Device", "Connector")
    assert arns == {f"{kind}DefinitionVersionArn": f"arn:create_{kind.lower()}_definition" for kind in kinds}


class Recorder:
    """Answers the calls of a client, and keeps their names."""

    greengrass = None

    def __init__(self) -> None:
        self.operations: list[str] = []

    def call(self, _client: object, operation: str, **_params: object) -> dict[str, str]:
        self.operations.append(operation)
        return {"LatestVersionArn": f"arn:{operation}"}


def test_a_core_s_own_functions_have_no_code(folder: Path) -> None:
    functions = json.loads((folder / "functions.json").read_text())
    arn = "arn:aws:lambda:::function:GGIPDetector:1"
    functions["Functions"].append({"Id": "ip", "FunctionArn": arn, "FunctionConfiguration": {"Timeout": 3}})
    (folder / "functions.json").write_text(json.dumps(functions))
    assert load(folder).definition.findings == ()


def test_code_without_the_prefix_is_another_scenario_and_holds_for_every_variant_of_a_template(folder: Path) -> None:
    before = load(folder)
    assert {name: sorted(words) for name, words in before.definition.mentions.items()} == {
        "read-digits": ["/models/digits", "AWS_GG_RESOURCE_PREFIX"],
        "sort-wine": ["/models/wine", "AWS_GG_RESOURCE_PREFIX"],
    }
    handler = folder / "functions/read_digits/read_digits.py"
    handler.write_text(handler.read_text().replace("AWS_GG_RESOURCE_PREFIX", "PREFIX"))
    after = load(folder)
    assert after.definition.mentions["read-digits"] == {"/models/digits"}
    assert after.digest != before.digest
    variants = replace(before.definition, variants={"where A is false": before.definition}, mentions={})
    made = scenario._with_code(variants, after.code)
    assert made.variants["where A is false"].mentions == made.mentions == after.definition.mentions


def test_an_executable_of_the_definition_is_said_to_take_the_handlers_place(folder: Path) -> None:
    definitions = json.loads((folder / "functions.json").read_text())
    definitions["Functions"][0]["FunctionConfiguration"]["Executable"] = "other.main"
    (folder / "functions.json").write_text(json.dumps(definitions))
    notes = [str(note) for note in load(folder).definition.notes]
    assert any("its Executable 'other.main' is what runs, not the scenario's handler" in note for note in notes)
