"""Known, unknown, absent: what a profile does not list is neither a pass nor an error, in every command and format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass import rules
from edge_sim.greengrass.access import RIGHTS, View
from edge_sim.greengrass.process import function_process
from edge_sim.profiles import profile_folder
from tests.small_group import C, answer, edge, group_of, make_root, write_group
from tests.unit.greengrass import build
from tests.unit.greengrass.build import device, function, volume

PI = ("--profile", "raspberry-pi-3")
LISTED, UNLISTED, SLIP = "/dev/gpiomem", "/dev/vcsm", "/dev/gpiomen"
COMMANDS = ("validate", "matrix", "plan", "access")


def group(tmp_path: Path, *sources: str) -> Path:
    made = [
        device(f"r{n}", source, AutoAddGroupOwner=True)
        if source.startswith("/dev/")
        else volume(f"r{n}", source, f"/in{n}", AutoAddGroupOwner=True)
        for n, source in enumerate(sources)
    ]
    policies = [(one["Id"], "rw") for one in made]
    look = function("look", *policies, isolation=C)
    code = {"function": look["FunctionArn"], "folder": "code", "handler": "main.handler", "runtime": "python3.7"}
    return write_group(tmp_path / "group", made, [look], more={"code": [code]})


def last_line(*words: object, status: int = 0) -> str:
    return edge(*words, status=status).stdout.rstrip().splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("source", "count"), [(UNLISTED, 1), ("/home/pi/input", 2)])
def test_what_a_profile_does_not_list_is_unknown_in_every_command(
    tmp_path: Path, command: str, source: str, count: int
) -> None:
    made = group(tmp_path, source)
    count = 1 if command == "access" else count  # of a volume both source and destination
    assert f"{count} unknown" in last_line(command, made, *PI)
    assert f"{count} unknown" in last_line(command, made, *PI, "--strict", status=6)
    everything = edge(command, made, *PI).output
    assert f"the profile does not say whether {source} exists on the board" in everything
    assert "does not exist" not in everything


@pytest.mark.parametrize("command", COMMANDS)
def test_what_it_lists_is_known_in_every_command(tmp_path: Path, command: str) -> None:
    told = edge(command, group(tmp_path, LISTED), *PI, "--strict")
    assert "unknown" not in told.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_slip_is_named_in_every_command(tmp_path: Path, command: str) -> None:
    assert f"did you mean {LISTED}?" in edge(command, group(tmp_path, SLIP), *PI).output


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_whole_list_lacks_is_absent_in_every_command(tmp_path: Path, command: str) -> None:
    text = (profile_folder() / "raspberry-pi-3.yaml").read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("whole: [users, groups]", "whole: [users, groups, devices]"))
    done = edge(command, group(tmp_path, UNLISTED), "--profile", own, status=3)
    told = done.output + str(getattr(done.exception, "brief", ""))
    assert f"file doesn't exist: {UNLISTED}" in told
    assert "unknown" not in told.splitlines()[-1]


def test_a_profile_can_list_paths_outside_of_dev(tmp_path: Path) -> None:
    text = (profile_folder() / "raspberry-pi-3.yaml").read_text(encoding="utf-8")
    paths = """paths:
  - {path: /srv/readings, type: directory, user: pi, group: video, mode: "0770"}
  - {path: /in0, type: directory, mode: "0755"}
"""
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("whole: [users, groups]", "whole: [users, groups, paths]") + paths)
    known = group(tmp_path, "/srv/readings")
    for command in COMMANDS:
        assert "unknown" not in edge(command, known, "--profile", own, "--strict").output
    (board,) = answer("access", known, "--profile", own)["boards"]
    assert board["access"][0]["read"]["computed"] is True
    for command in COMMANDS:
        done = edge(command, group(tmp_path, "/srv/reading"), "--profile", own, status=3)
        told = done.output + str(getattr(done.exception, "brief", "")) + str(getattr(done.exception, "hint", ""))
        assert "file doesn't exist: /srv/reading" in told
        assert command == "matrix" or "Did you mean /srv/readings?" in told


def test_a_group_that_nobody_knows_may_reach_a_model() -> None:
    models = [build.s3("m", owner=build.owner("44"))]
    for lender, severity in ((device("r", UNLISTED, AutoAddGroupOwner=True), "unknown"), (device("r", LISTED), None)):
        made = build.group([lender, *models], [function("f", ("r", "rw"), isolation=C)])
        found = rules.check(made, build.board(whole=frozenset()))
        assert [f.severity for f in found if f.id == "shared-local-group"] == ([severity] if severity else [])


def test_a_board_that_is_looked_at_knows(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    (root / "srv").mkdir()
    (root / "srv/readings").mkdir()
    made = group(tmp_path, "/srv/reading")
    done = edge("plan", made, "--root", root, status=3)
    assert isinstance(done.exception, InvalidDefinitionError)
    assert (done.exception.problem, done.exception.hint) == (
        "resource r0: file doesn't exist: /srv/reading",
        "Did you mean /srv/readings?",
    )


def test_json_says_unknown(tmp_path: Path) -> None:
    made = group(tmp_path, LISTED, UNLISTED)
    judged = answer("validate", made, *PI)
    assert (judged["ok"], judged["unknown"]) == (True, 1)
    assert [f["severity"] for f in judged["findings"] if f["id"] == "source-exists"] == ["unknown"]
    (cell,) = answer("matrix", made, *PI)["cells"]
    assert (cell["status"], cell["unknowns"], cell["errors"]) == ("unknown", 1, 0)
    assert cell["cause"]["id"] == "source-exists"
    uses: list[dict[str, Any]] = answer("plan", made, *PI)["uses"]
    assert [(use["path"], use["found"] is None, use["unknown"] is None) for use in uses] == [
        (LISTED, False, True),
        (UNLISTED, True, False),
    ]


def test_access_has_a_word_for_what_is_unknown(tmp_path: Path) -> None:
    made = group(tmp_path, LISTED, UNLISTED)
    (board,) = answer("access", made, *PI)["boards"]
    known, unknown = board["access"]
    assert (known["unknown"], known["ok"], known["read"]["computed"]) == (None, True, True)
    assert UNLISTED in unknown["unknown"]
    assert (unknown["ok"], {unknown[right]["computed"] for right in RIGHTS}) == (None, {None})
    lines = edge("access", made, *PI).stdout.splitlines()
    (line,) = [line.split() for line in lines if line.split()[:2] == ["look", "r1"]]
    assert line[3:] == ["unknown"] * 5


def test_access_to_one_path_tells_unknown_from_absent(tmp_path: Path) -> None:
    made = group(tmp_path, LISTED)
    for path, reason in (
        ("/opt/x", "the profile does not say whether /opt/x exists on the board"),
        ("/dev/vcsm", "a container's /dev holds only what is attached"),
        ("/etc/../dev/null/x", "/dev/null: not a directory"),
    ):
        told = answer("access", made, *PI, "--path", path)
        (row,) = told["boards"][0]["access"]
        assert any(reason in text for text in row["reasons"])
        assert (told["unknown"], row["unknown"] is not None) == (("opt" in path), "opt" in path)


def test_what_a_group_would_open_is_unknown_while_nobody_knows_the_group() -> None:
    """A device that no profile lists lends its group, whichever that is."""
    resources = [device("r", UNLISTED, AutoAddGroupOwner=True), volume("v", to="/in")]
    made = build.group(resources, [function("f", ("r", "rw"), ("v", "rw"), isolation=C)])
    for mode, unknown in ((0o750, True), (0o755, False), (0o700, False)):
        paths = {**build.board().paths, "/srv/readings": build.directory(mode, gid=44)}
        facts = build.board(paths=paths, whole=frozenset())
        view = View(function_process(made, made.functions[0], facts), paths, facts)
        assert (view.access("/in").doubt is not None) == unknown, oct(mode)


def test_access_that_a_group_nobody_knows_may_give_is_no_error() -> None:
    resources = [device("r", UNLISTED, AutoAddGroupOwner=True), device("known", "/dev/ttyAMA0")]
    paths = {**build.board().paths, "/dev/ttyAMA0": build.char(0o660, gid=44)}
    for policies, severity in (((("r", "rw"), ("known", "rw")), "unknown"), ((("known", "rw"),), "error")):
        made = build.group(resources, [function("f", *policies, isolation=C)])
        found = rules.check(made, build.board(paths=paths, whole=frozenset()))
        assert [f.severity for f in found if f.id == "local-access"] == [severity]


def test_a_models_group_that_is_not_known_has_no_plan(tmp_path: Path) -> None:
    text = (profile_folder() / "raspberry-pi-3.yaml").read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("whole: [users, groups]", "whole: [users]").replace("1.10.0", "1.11.6"))
    made = group_of(tmp_path / "group", "net", gid="birds")
    assert "unknown" in last_line("validate", made, "--profile", own)
    for command in ("plan", "access"):
        done = edge(command, made, "--profile", own, status=6)
        assert "does not say whether the board has a group 'birds'" in str(done.exception)


def test_junit_skips_and_sarif_notes_what_is_unknown(tmp_path: Path) -> None:
    made = group(tmp_path, UNLISTED)
    suites = ET.fromstring(edge("validate", made, *PI, "--format", "junit").stdout)
    skipped = {case.get("name"): case[0].get("message") for case in suites.iter("testcase") if len(case)}
    assert UNLISTED in str(skipped["source-exists"])
    assert (suites.get("failures"), suites.get("skipped")) == ("0", "1")
    (run,) = json.loads(edge("validate", made, *PI, "--format", "sarif").stdout)["runs"]
    assert [r["level"] for r in run["results"] if r["ruleId"] == "source-exists"] == ["note"]
    assert "::notice" in edge("validate", made, *PI, "--format", "github").stdout


def test_an_error_is_graver_than_what_is_unknown(tmp_path: Path) -> None:
    made = group(tmp_path, UNLISTED, "/sys/class")
    for command in ("validate", "matrix"):
        edge(command, made, *PI, "--strict", status=3)
