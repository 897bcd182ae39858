"""Two reports side by side: which facts differ, which cannot be compared, and what is no report at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_sim.cli.main import edge_sim
from edge_sim.errors import EdgeSimError
from edge_sim.facts import Node
from edge_sim.greengrass.rows import Answer, LayoutRow
from edge_sim.pages.html import render
from edge_sim.runs.page import page
from edge_sim.runs.results import RunReport
from tests.reports import failed_board, run_report

EXAMPLE = "examples/no-container-ml"


def written(folder: Path, name: str, report: RunReport) -> str:
    file = folder / name
    html = name.endswith(".html")
    file.write_text(render(page(report)) if html else json.dumps(report.as_json()), "utf-8")
    return str(file)


def compare(a: str, b: str, *options: str) -> Result:
    return CliRunner().invoke(edge_sim, ["compare", a, b, *options])


def differences(a: str, b: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(compare(a, b, "--format", "json").stdout)["differences"]
    return told


def test_a_report_does_not_differ_from_itself_in_another_form(tmp_path: Path) -> None:
    report = run_report(failed_board(), failed_board("b"))
    result = compare(written(tmp_path, "a.json", report), written(tmp_path, "b.html", report))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("No difference in ")


def test_what_is_another_at_every_run_is_no_difference(tmp_path: Path) -> None:
    one = failed_board()
    update = replace(one.updates[0], job_id="another", details={"reason": "died [pid = 7]"}, timeline=())
    other = failed_board(updates=[replace(update)], seconds=99.0)
    other.functions = [replace(other.functions[0], seconds=3.0, log="other")]
    one.updates = [replace(one.updates[0], details={"reason": "died [pid = 164]"})]
    a, b = (written(tmp_path, name, run_report(board)) for name, board in (("a.json", one), ("b.json", other)))
    assert differences(a, b) == []


def test_each_kind_of_fact_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    before, after = failed_board(), failed_board()
    wide = Node(type="directory", uid=0, gid=44, mode=0o750)
    after.layout = [LayoutRow(path="/m", node=wide, resource="model"), *after.layout[1:2]]
    read = Answer(computed=True, probed=True, by="attachment")
    after.access = [replace(after.access[0], read=read, ok=True), *after.access[1:]]
    after.updates = [replace(after.updates[0], status="SUCCEEDED", running="1.11.6", as_expected=True)]
    after.problems = after.problems[1:]
    a, b = (written(tmp_path, f"{name}.json", run_report(board)) for name, board in (("a", before), ("b", after)))
    found = {(one["kind"], one["name"]): one for one in differences(a, b)}
    assert found["path", "/m"]["fields"] == [
        {"field": "gid", "a": "100", "b": "44"},
        {"field": "mode", "a": "0550", "b": "0750"},
    ]
    assert found["path", "/w"]["change"] == "only in A"
    assert {"field": "read", "a": "no", "b": "yes"} in found["access", "reader × model"]["fields"]
    assert {"field": "status", "a": "FAILED", "b": "SUCCEEDED"} in found["update", "core 1.10.0 → 1.11.6"]["fields"]
    assert found["problem", "access: reader × model: expected ro"]["change"] == "only in A"
    result = compare(a, b)
    assert result.exit_code == 7
    assert "path  raspberry-pi-3  /m: gid 100 → 44, mode 0550 → 0750" in result.stdout
    for fmt in ("html", "markdown"):
        text = compare(a, b, "--format", fmt).stdout
        assert "0750" in text
        assert "2 of 3 paths" in text


def test_a_board_that_only_one_knows_is_not_a_difference_of_each_of_its_facts(tmp_path: Path) -> None:
    a = written(tmp_path, "a.json", run_report(failed_board()))
    b = written(tmp_path, "b.json", run_report(failed_board(), failed_board("b")))
    result = compare(a, b)
    assert (result.exit_code, "not compared: b: only in B" in result.stdout) == (0, True)


PI = ("--profile", "raspberry-pi-3")


@pytest.mark.parametrize(
    ("command", "options", "change", "kind"),
    [
        ("validate", PI, ("--ggc", "1.9"), "rule"),
        ("matrix", (*PI, "--ggc", "1.10"), ("--ggc", "1.9,1.10"), "core version"),
        ("plan", PI, ("--limit", "entries=1000"), None),
        ("access", PI, ("--function", "sort-wine"), "access"),
        ("drift", ("--root", "/"), ("--greengrass-root", "/opt/gg"), "path"),
    ],
)
def test_reports_of_every_command_are_read(
    command: str, options: tuple[str, ...], change: tuple[str, ...], kind: str | None, tmp_path: Path
) -> None:
    a, b, c = (str(tmp_path / name) for name in ("a.html", "b.json", "c.json"))
    CliRunner().invoke(edge_sim, [command, EXAMPLE, *options, "--report", a, "--report", b])
    CliRunner().invoke(edge_sim, [command, EXAMPLE, *options, *change, "--report", c])
    same = json.loads(compare(a, b, "--format", "json").stdout)
    assert (same["differences"], sum(same["compared"].values()) > 0) == ([], True)
    assert {one["kind"] for one in differences(a, c)} == ({kind} if kind else set())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a report"),
        ("{}", "not a report"),
        ("[]", "must be an object"),
        ('{"a": 1, "a": 2}', "not a report"),
        ('{"boards": [{}], "scenario": "s"}', "profile must be a string"),
        ('{"cells": [], "error": {"message": "no such file"}}', "holds no result: no such file"),
        ("<html></html>", "not a report"),
        ('{"left_out": "the data is elsewhere"}', "the data is elsewhere"),
    ],
)
def test_what_is_no_report_is_told_in_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, "utf-8")
    result = compare(str(file), str(file))
    assert isinstance(result.exception, EdgeSimError)
    assert result.exception.exit_status == 2
    assert words in result.exception.brief
    assert str(file) in result.exception.brief


def test_a_result_with_an_integer_beyond_2_53_is_compared(tmp_path: Path) -> None:
    """A function may return nanoseconds; what ``run`` writes, ``compare`` reads."""
    one, other = failed_board(), failed_board()
    one.functions = [replace(one.functions[0], result={"at": 1_700_000_000_123_456_789})]
    other.functions = [replace(one.functions[0], result={"at": 1_700_000_000_123_456_788})]
    a, b = (written(tmp_path, name, run_report(board)) for name, board in (("a.json", one), ("b.html", other)))
    assert compare(a, a).exit_code == 0
    assert compare(a, b).exit_code == 0, "results are no facts that are compared"
