"""What CI systems and code hosts read: SARIF, JUnit and annotations, held against readers that are not ours."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from edge_sim.cli.main import edge_sim
from edge_sim.errors import Position
from edge_sim.greengrass.rules import RULES
from edge_sim.runs.claims import CHECKS, of_run
from edge_sim.runs.junit import to_junit
from edge_sim.validation.annotations import github
from edge_sim.validation.results import Check, Result
from edge_sim.validation.sarif import MOST, log
from tests.reports import PAYLOADS, failed_board, run_report, with_texts

EXAMPLE = "examples/no-container-ml"
PI = "raspberry-pi-3"
BROKEN = {"Resources": [{"Id": "a", "Name": "n", "ResourceDataContainer": {}}, {"Id": "b", "Name": "n"}]}


def output(command: str, *words: str, fmt: str) -> str:
    return CliRunner().invoke(edge_sim, [command, *words, "--format", fmt]).stdout


def checked(text: str) -> dict[str, Any]:
    """A log that OASIS's schema takes, by a model that others generated from it."""
    Sarif.model_validate_json(text)
    run: dict[str, Any] = json.loads(text)["runs"][0]
    return run


def test_every_rule_with_a_public_source_links_to_it() -> None:
    """What rests on no page of anybody's has no address: its help text and edge-sim rules explain it."""
    without = {rule.id: rule.source for rule in RULES if Check.of(rule).page is None}
    assert all(source.startswith(("ours", "silent: ", "inferred: V1's text")) for source in without.values()), without
    assert len(without) < len(RULES) / 10


def suites(text: str, folder: Path) -> list[TestSuite]:
    file = folder / "junit.xml"
    file.write_text(text, "utf-8")
    return list(JUnitXml.fromfile(str(file)))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("validate", (EXAMPLE, "--profile", "openwrt-armv7")),
        ("matrix", (EXAMPLE, "--profile", "openwrt-armv7", "--ggc", "1.9,1.11")),
        ("validate", ("nowhere.yaml",)),
        ("run", ("nowhere.yaml",)),
    ],
)
def test_sarif_is_as_its_schema_says(command: str, words: tuple[str, ...]) -> None:
    run = checked(output(command, *words, fmt="sarif"))
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["fullDescription"]["text"]
        assert rule["help"]["text"]
        assert rule.get("helpUri", "https://").startswith("https://")
    assert len({result["partialFingerprints"]["edgeSim/v1"] for result in run["results"]}) == len(run["results"])


def test_a_rule_of_the_guide_has_its_page() -> None:
    rules = checked(output("validate", EXAMPLE, fmt="sarif"))["tool"]["driver"]["rules"]
    by_id = {rule["id"]: rule for rule in rules}
    page = "https://docs.aws.amazon.com/greengrass/v1/developerguide/access-local-resources.html"
    assert by_id["device-outside-dev"]["helpUri"] == page


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_a_strangers_words_keep_every_format_whole(number: int, tmp_path: Path) -> None:
    report = with_texts(run_report(failed_board()), lambda text: f"{text}{PAYLOADS[number]}")
    run = checked(json.dumps(log(of_run(report), CHECKS)))
    assert len(run["results"]) == 4
    (suite,) = suites(to_junit(report), tmp_path)
    assert (suite.tests, suite.failures, suite.skipped) == (len([*suite]), 3, 2)
    lines = [*github(of_run(report))]
    assert len(lines) == 4
    assert all(re.fullmatch(r"::(error|notice) [^:\r\n]*::[^\r\n]*", line) for line in lines)


def test_fingerprints_stay_when_lines_move_and_items_change_places(tmp_path: Path) -> None:
    def prints(text: str) -> set[str]:
        (tmp_path / "resources.json").write_text(text, "utf-8")
        run = checked(output("validate", str(tmp_path / "resources.json"), fmt="sarif"))
        return {one["partialFingerprints"]["edgeSim/v1"] for one in run["results"]}

    before = prints(json.dumps(BROKEN))
    assert len(before) > 1
    assert prints(json.dumps(BROKEN, indent=4)) == before
    assert prints(json.dumps({"Resources": BROKEN["Resources"][::-1]})) == before


def test_a_problem_has_its_line_and_says_on_which_boards() -> None:
    run = checked(json.dumps(log(of_run(run_report(failed_board(), failed_board("b"))), CHECKS)))
    access = next(one for one in run["results"] if one["ruleId"] == "run/access")
    assert access["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 5}
    assert access["message"]["text"].startswith("raspberry-pi-3, b: ")
    assert [one["level"] for one in run["results"]] == ["error", "error", "error", "note"]


def test_more_results_than_a_host_shows_are_left_out_worst_last() -> None:
    note = Result(check="run/not-proven", level="note", text="t", about="a")
    results = [replace(note, about=str(number)) for number in range(MOST)]
    results.append(Result(check="run/access", level="error", text="t", about="worst"))
    run = checked(json.dumps(log(results, CHECKS)))
    assert len(run["results"]) == MOST
    assert run["results"][0]["level"] == "error"
    assert "1 more results are omitted" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_annotations_come_worst_first_for_only_ten_are_shown() -> None:
    place = Position(file=Path("a,b:c.json"), line=2, column=3)
    results = [Result(check="note", level="note", text="n", about="n")] * 12
    results.append(Result(check="error", level="error", text="50%\nof it", about="e", position=place))
    results.append(Result(check="silenced", level="error", text="x", about="s", justification="known"))
    lines = [*github(results)]
    assert lines[0] == "::error file=a%2Cb%3Ac.json,line=2,col=3,title=error::50%25%0Aof it"
    assert len(lines) == 13


def test_junit_has_times_bodies_and_logs(tmp_path: Path) -> None:
    (suite,) = suites(to_junit(run_report(failed_board())), tmp_path)
    cases: dict[str, TestCase] = {case.name: case for case in suite}
    assert suite.time == 12.5
    reader = cases["reader"]
    assert reader.time == 0.25
    (failure,) = reader.result
    assert isinstance(failure, Failure)
    assert (failure.message, failure.type) == ("PermissionError", "function")
    assert failure.text == "hint: attach it\nopening\nfailed"
    assert reader.system_out == "PermissionError\nopening\nfailed"
    assert cases["core 1.10.0 → 1.11.6"].time == 2.0
    assert "2.00 s FAILED died" in cases["core 1.10.0 → 1.11.6"].system_out
    assert "resources.json:3:5" in cases["reader × model"].result[0].text
    assert isinstance(cases["writer × other"].result[0], Skipped)


def test_junit_of_a_matrix_has_a_case_for_each_cell(tmp_path: Path) -> None:
    words = (EXAMPLE, "--profile", PI, "--profile", "openwrt-armv7", "--ggc", "1.9,1.10")
    read = {suite.name: list(suite) for suite in suites(output("matrix", *words, fmt="junit"), tmp_path)}
    outcomes = {name: [type(case.result[0]) if case.result else None for case in cases] for name, cases in read.items()}
    assert outcomes == {PI: [Skipped, None], "openwrt-armv7": [Skipped, Skipped]}
    device = {"LocalDeviceResourceData": {"SourcePath": "/tmp/x", "GroupOwnerSetting": {"AutoAddGroupOwner": True}}}
    outside = {"Resources": [{"Id": "a", "Name": "n", "ResourceDataContainer": device}]}
    (tmp_path / "resources.json").write_text(json.dumps(outside), "utf-8")
    (suite,) = suites(output("matrix", str(tmp_path / "resources.json"), "--profile", PI, fmt="junit"), tmp_path)
    assert isinstance(next(iter(suite)).result[0], Failure)
    (suite,) = suites(output("matrix", "nowhere.yaml", "--profile", PI, fmt="junit"), tmp_path)
    assert isinstance(next(iter(suite)).result[0], Error)
