"""``edge-sim migrate`` on files: places in the user's lines, formats, statuses, bad input."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.router import Router
from edge_sim.agent.functions.shadows import Shadows
from edge_sim.cli.main import edge_sim
from tests.small_group import edge, group_of, ml, write_group
from tests.unit.greengrass.build import ARN, function

BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4")


def report(*words: object, status: int = 3) -> Any:
    return json.loads(edge("migrate", *words, *BOARDS, "--format", "json", status=status).stdout)


def test_every_line_has_a_place_a_label_and_a_source(tmp_path: Path) -> None:
    found = report(group_of(tmp_path / "group", "m"))
    assert found["nucleus"] == "classic"
    assert not found["ok"]
    for one in found["findings"]:
        assert one["source"]
        assert one["labels"]["condition"] in ("sourced", "inferred", "ours")
        assert one["file"]
        assert one["line"]
    by_id = {one["id"]: one for one in found["findings"]}
    line = (tmp_path / "group/resources.json").read_text().splitlines()[by_id["v2-model-owner"]["line"] - 1]
    assert line[by_id["v2-model-owner"]["column"] - 1 :].startswith('"OwnerSetting"')
    becomes = found["functions"][0]
    assert becomes["classic"]["raspberry-pi-4"]["words"] == "must become a generic component"
    assert becomes["lite"]["raspberry-pi-4"]["words"] == "must become a generic component"


def test_a_message_that_a_run_saw_go_nowhere_is_told(tmp_path: Path) -> None:
    arn = f"{ARN}predict:1"
    group = write_group(tmp_path / "group", [], [{**function("predict"), "FunctionArn": arn}])
    shadows = Shadows(tmp_path, "/greengrass", lambda _topic, _payload: None)
    router = Router([], lambda _arn, _payload, _context: None, None, shadows, LogFile(tmp_path / "runtime.log"))
    notes = router.publish(arn, "up/a b", b"{}")
    run = {"scenario": "small", "boards": [{"functions": [{"function": "predict", "notes": [*notes, "another"]}]}]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    findings = report(group, "--run", tmp_path / "run.json", status=0)["findings"]
    lost = [one for one in findings if one["id"] == "v2-publish-lost"]
    assert ["up/a b" in one["message"] for one in lost] == [True]
    assert not [one for one in report(group, status=0)["findings"] if one["id"] == "v2-publish-lost"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"boards": []}', '{"boards": 1, "scenario": "s"}', pytest.param("[" * 100_000, id="deep")]
)
def test_what_is_no_runs_report_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    done = edge("migrate", group_of(tmp_path / "group", "m"), *BOARDS, "--run", tmp_path / "run.json", status=3)
    assert "not a run's report" in str(done.exception)


def test_the_text_tells_first_what_blocks(tmp_path: Path) -> None:
    text = edge("migrate", group_of(tmp_path / "group", "m"), *BOARDS, status=3).stdout
    order = [
        text.index(title) for title in ("\nFunctions", "\nBlocks (", "\nChanges without an error (", "\nWorth know")
    ]
    assert order == sorted(order)


def test_a_permission_that_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    model = ml("m", None)
    container = function("predict", ("m", "write"), isolation="GreengrassContainer")
    found = report(write_group(tmp_path / "group", [model], [container]))
    assert [one["message"].partition(" ")[2] for one in found["findings"] if one["id"] == "shape"] == [
        "must be 'ro' or 'rw', not 'write'"
    ]
    (note,) = (note for note in found["notes"] if note.startswith("what V1 allowed is not known"))
    assert note.endswith("Permission must be 'ro' or 'rw', not 'write'")
    assert "needs a permission" not in json.dumps(found)


def test_what_decides_no_access_leaves_v1_s_own_known(tmp_path: Path) -> None:
    group = group_of(tmp_path / "group", "m", gid="video")
    core = json.loads((group / "core.json").read_text())
    core["Cores"][0]["SyncShadow"] = "maybe"
    (group / "core.json").write_text(json.dumps(core))
    found = report(group)
    assert [one["id"] for one in found["findings"] if not one["id"].startswith("v2-")] == ["shape"]
    assert not [note for note in found["notes"] if "V1 allowed" in note]


def test_sarif_names_what_the_reader_finds_as_well(tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [ml("m")], [function("predict", ("m", "write"))])
    (run,) = json.loads(edge("migrate", group, *BOARDS, "--format", "sarif", status=3).stdout)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {rules[one["ruleIndex"]] for one in run["results"] if not one["ruleId"].startswith("v2-")} == {"shape"}


def test_sarif_names_the_checks_and_a_board_is_judged_apart(tmp_path: Path) -> None:
    group = group_of(tmp_path / "group", "m")
    log = json.loads(edge("migrate", group, *BOARDS, "--format", "sarif", status=3).stdout)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    words = (
        "--from-profile",
        "raspberry-pi-3",
        "--to-profile",
        "raspberry-pi-4",
        "--to-profile",
        "raspberry-pi-zero-w",
    )
    found = json.loads(edge("migrate", group, *words, "--format", "json", status=3).stdout)
    only = [one for one in found["findings"] if one["id"] == "v2-board-architecture"]
    assert [one["profiles"] for one in only] == [["raspberry-pi-zero-w"]]


@pytest.mark.parametrize(("fmt", "words"), [("html", "<h1"), ("markdown", "### Changes without an error")])
def test_the_page_says_the_same_for_people(tmp_path: Path, fmt: str, words: str) -> None:
    group = group_of(tmp_path / "<b>group", "m", gid="video")
    text = edge("migrate", group, *BOARDS, "--format", fmt, status=3).stdout
    assert words in text
    for told in ("must become a generic component", "v2-model-owner", "can delete and replace files", "FunctionArn"):
        assert told in text
    assert fmt != "html" or "<b>group" not in text


def test_values_of_variables_stay_out_of_the_report(tmp_path: Path) -> None:
    functions = [function("f", variables={"PLACE": "/greengrass/ggc/hush-hush"})]
    group = write_group(tmp_path / "group", [], functions)
    assert "hush-hush" not in edge("migrate", group, *BOARDS, status=None).stdout
    assert "hush-hush" in edge("migrate", group, *BOARDS, "--include-values", status=None).stdout


def test_nothing_blocks_a_plain_function_on_classic(tmp_path: Path) -> None:
    found = report(write_group(tmp_path / "group", [], [function("f", Pinned=True, Timeout=3)]), status=0)
    assert found["ok"]


def test_the_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    group, out = group_of(tmp_path / "group", "m"), tmp_path / "out"
    edge("migrate", group, *BOARDS, "-o", out, status=3)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {"report.txt", "report.json", "report.sarif"} <= {path.name for path in out.iterdir()}
    edge("migrate", group, *BOARDS, "-o", out, status=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["group", "out"]


def test_an_ignore_of_a_check_silences_it_and_is_none_of_validates_business(tmp_path: Path) -> None:
    file = tmp_path / "group.yaml"
    file.write_text(
        f"Functions:\n- Id: f\n  FunctionArn: {ARN}f:live  # edge-sim: ignore v2-lambda-version aliases are resolved\n"
        "  FunctionConfiguration: {MemorySize: 1, Environment: {Execution: {IsolationMode: GreengrassContainer}}}\n"
    )
    found = report(file, "--target", "classic", status=0)
    assert [one["id"] for one in found["ignored"]] == ["v2-lambda-version"]
    validated = json.loads(edge("validate", file, "--format", "json", status=None).stdout)
    assert "ignore-unused" not in {one["id"] for one in validated["findings"]}


@pytest.mark.parametrize("broken", ["package", "missing", "member"])
def test_what_is_broken_is_one_sentence_and_the_rest_is_there(tmp_path: Path, broken: str) -> None:
    group = write_group(tmp_path / "group", [ml("m"), ml("n")], [function("f", ("m", None), ("n", None))])
    if broken == "package":
        (group / "m" / "up").symlink_to("..")
    elif broken == "missing":
        text = (group / "edge-sim.yaml").read_text()
        (group / "edge-sim.yaml").write_text(text.replace("- s3: s3://greengrass-models/m.tar.gz\n  folder: m\n", ""))
    else:
        text = (group / "resources.json").read_text()
        (group / "resources.json").write_text(text.replace('"GroupOwner"', '"GroupOwnr"', 1))
    found = report(group)
    ids = {one["id"] for one in found["findings"]}
    assert {"package": "v2-model-unpackable", "missing": "v2-model-missing", "member": "unknown-key"}[broken] in ids
    assert "v2-model-owner" in ids
    assert all("\n" not in one["message"] for one in found["findings"])


def test_the_command_is_listed() -> None:
    assert "migrate" in edge_sim.list_commands(None)  # type: ignore[arg-type]


def test_a_fault_of_the_scenario_is_the_only_one(tmp_path: Path) -> None:
    """What it names cannot be missed: its models and code are there, only nothing of it could be read."""
    group = write_group(tmp_path / "group", [ml("m")], [function("f", ("m", None))])
    file = group / "edge-sim.yaml"
    file.write_text(f"{file.read_text()}devise: []\n")
    refusal = report(group)
    assert refusal["error"]["message"] == "devise: unknown key"
    assert (refusal["error"]["file"], refusal["error"]["line"]) == (str(file), len(file.read_text().splitlines()))
    assert not refusal.get("findings")


def test_a_group_leaves_one_board(tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [ml("m")], [function("f", ("m", None))])
    assert str(edge("migrate", group, "--from-profile", "all", status=2).exception) == "all: no such device profile"


def test_a_run_s_needs_block_no_migration(tmp_path: Path) -> None:
    """Without its code a function cannot be run here; as an imported Lambda it brings it itself."""
    group = write_group(tmp_path / "group", [], [function("f", isolation="GreengrassContainer")])
    file = group / "edge-sim.yaml"
    text = yaml.safe_load(file.read_text())
    del text["code"]
    file.write_text(yaml.safe_dump({**text, "invocations": [{"function": "other", "event": {}}]}))
    assert "unreadable" not in {one["id"] for one in report(group, status=0)["findings"]}
