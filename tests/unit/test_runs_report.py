"""What a run's report says, and the exit status it adds up to: reports written by hand."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from rich.console import Console

from edge_sim.certificate import CertificateRow
from edge_sim.cli.run import command
from edge_sim.greengrass.process import Identity
from edge_sim.greengrass.rows import Answer, LayoutRow
from edge_sim.runs.junit import to_junit
from edge_sim.runs.results import BoardReport, Kind, Problem, RunReport
from edge_sim.runs.rows import CoreEvent, DeploymentRow, FunctionRow, JobMessage, JournalEntry, UpdateRow
from edge_sim.runs.summary import next_step
from edge_sim.runs.text import Detail, output, print_report
from tests.unit.greengrass.build import access, directory, file

EXAMPLE = Path(__file__).parents[2] / "examples/no-container-ml"


def board(*problems: tuple[Kind, str, str], **changes: Any) -> BoardReport:
    values: dict[str, Any] = {
        "profile": "raspberry-pi-3",
        "architecture": "armv7l",
        "operating_system": "raspbian",
        "deployment": DeploymentRow(id="d", group_id="g", status="Success"),
        "access": [access()],
        "updates": [
            UpdateRow(
                job_id="j", job_status="COMPLETED", before="1.10.0", to="1.11.6", status="SUCCEEDED", running="1.11.6"
            )
        ],
        "problems": [Problem(kind=kind, where=where, message=message) for kind, where, message in problems],
    }
    return BoardReport(**{**values, **changes})


def report(*boards: BoardReport) -> RunReport:
    return RunReport(scenario="s", boards=list(boards))


def shown(*boards: BoardReport, detail: Detail = "usual") -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    print_report(report(*boards), console, detail)
    return console.export_text()


def test_the_log_of_a_failed_function_is_in_every_format() -> None:
    failed = board()
    log = ["[DEBUG]-reader.py:3,about to \x1b[2Jread", "[FATAL]-no such file"]
    failed.problems.append(Problem(kind="function", where="reader", message="it failed", log=log))
    assert failed.problems[-1].log == log
    for text in (shown(failed), to_junit(report(failed))):
        assert "about to \\x1b[2Jread" in text
        assert "[FATAL]-no such file" in text


def test_a_report_in_a_file_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "the group refers to a resource with a nonexistent S3 object, as " + "its address says: " * 20
    failed = board(("definition", "deployment", sentence), notes=[sentence], not_proven=[sentence])
    print_report(report(failed), output())
    lines = capsys.readouterr().out.splitlines()
    assert sum(sentence.strip() in line for line in lines) == 3
    assert max(map(len, lines)) < 2 * len(sentence)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("disagreement", 1), ("definition", 3), ("access", 4), ("function", 4), ("update", 5)],
)
def test_each_kind_of_problem_has_its_status(kind: Kind, status: int) -> None:
    assert report(board((kind, "here", "wrong"))).exit_status == status


def test_the_first_cause_decides_when_there_are_several() -> None:
    assert report(board(("update", "u", "x")), board(("definition", "d", "y"))).exit_status == 3


def test_what_could_not_be_proven_is_neither_green_nor_a_fault() -> None:
    unproven = report(board(not_proven=["owners of the files: no subordinate ids"]))
    assert (unproven.ok, unproven.exit_status) == (False, 6)
    assert "incomplete" in shown(board(not_proven=["owners"]))


def test_a_fault_is_graver_than_what_was_not_proven() -> None:
    assert report(board(("access", "a", "x"), not_proven=["owners"])).exit_status == 4


def test_an_unchecked_secret_is_said_in_the_verdict() -> None:
    nothing = Answer(computed=True)
    secret = access(resource="secret", read=nothing, write=nothing, ok=None, agree=None, reasons=("no endpoint yet",))
    text = shown(board(access=[access(), secret]))
    assert "not proven: no endpoint yet" in text
    assert "1 claim not checked" in text


def test_a_question_mark_is_explained_where_there_is_one() -> None:
    assert "?  not probed" not in shown(board())
    assert "?  not probed" in shown(board(access=[access(write=Answer(computed=False))]))


def test_a_hint_reaches_the_person_and_the_ci_system() -> None:
    problem = Problem(kind="definition", where="deployment", message="no group x", hint="addgroup x")
    failed = board(problems=[problem])
    assert "deployment: no group x\n    hint: addgroup x" in shown(failed)
    assert failed.as_json()["problems"] == [problem.as_json()]
    assert problem.as_json()["hint"] == "addgroup x"
    (failure,) = ET.fromstring(to_junit(report(failed))).iter("failure")
    assert (failure.get("message"), failure.text) == ("no group x", "hint: addgroup x")


def test_text_names_what_is_not_as_it_should_be() -> None:
    text = shown(board(("access", "f × model", "the definition says ro: it is not"), access=[access(ok=False)]))
    assert "f × model: the definition says ro: it is not" in text
    assert "not as defined" in text
    assert "failed (exit 4)" in text


def test_a_disagreement_is_told_apart_from_a_wrong_definition() -> None:
    assert "not as computed" in shown(board(access=[access(agree=False)]))
    assert "not as computed" in shown(board(access=[access(agree=False, ok=None)]))
    assert "not as defined" in shown(board(access=[access(agree=None, ok=False)]))


def test_junit_counts_claims_failures_and_what_was_not_proven() -> None:
    made = ET.fromstring(
        to_junit(report(board(("update", "core 1.10.0 → 1.11.6", "ended FAILED"), not_proven=["owners"])))
    )
    (suite,) = made
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["core 1.10.0 → 1.11.6"]


def test_junit_skips_what_was_not_checked_and_says_why() -> None:
    secret = access(resource="secret", ok=None, agree=None, reasons=("no endpoint yet",))
    (suite,) = ET.fromstring(to_junit(report(board(access=[access(), secret]))))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "0", "1")
    (skipped,) = [case for case in suite if case.find("skipped") is not None]
    assert (skipped.get("name"), skipped[0].get("message")) == ("f × secret", "no endpoint yet")


def test_junit_does_not_pass_a_deployment_that_failed_for_want_of_mounts() -> None:
    failed = board(
        deployment=DeploymentRow(id="d", group_id="g", status="Failure"),
        not_proven=["deployment: no device"],
        access=[],
        updates=[],
    )
    (suite,) = ET.fromstring(to_junit(report(failed)))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("1", "0", "1")


def test_a_long_directory_is_cut_and_says_so() -> None:
    rows = [LayoutRow(path="/d", node=directory()), *(LayoutRow(path=f"/d/f{i}", node=file()) for i in range(20))]
    assert "… and 12 more" in shown(board(layout=rows))


def test_every_report_says_what_about_the_board_is_true() -> None:
    rows = [
        CertificateRow(fact="libc", claimed="musl", actual="glibc", verdict="not faithful"),
        CertificateRow(fact="umask", claimed="0022", actual="0022", verdict="true"),
    ]
    certified = board(certificate=rows)
    assert "Certificate  true: 1, emulated: 0, not faithful: libc" in shown(certified)
    suite = ET.fromstring(to_junit(report(certified))).find("testsuite")
    assert suite is not None
    properties = {found.get("name"): found.get("value") for found in suite.iter("property")}
    assert properties["certificate.libc"] == "not faithful: glibc instead of musl"
    assert [child.tag for child in suite][:2] == ["properties", "testcase"]


@pytest.mark.parametrize(("uid", "told"), [(0, False), (1000, True)])
def test_who_keeps_a_board_is_told_how_to_remove_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, told: bool
) -> None:
    """A plain user's boards have files of subordinate ids, which ``rm`` alone cannot remove."""

    def run(*_: object, keep: Path, **__: object) -> SimpleNamespace:
        (keep / "board").mkdir()
        return SimpleNamespace(as_json=dict, exit_status=0)

    monkeypatch.setattr("edge_sim.runs.runner.run", run)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    output = CliRunner().invoke(command, [str(EXAMPLE), "--keep", "--format", "json"]).output
    (kept,) = tmp_path.iterdir()
    assert f"kept: {kept}\n" in output
    assert (f"unshare --map-auto --map-root-user rm -r {kept}\n" in output) == told


def test_an_update_shows_its_stable_window_and_what_became_of_the_core() -> None:
    died = CoreEvent(status="died", version="1.11.6", error="not running\n", next_try_s=None, seconds=1.5)
    failed = CoreEvent(status="failed", version="1.10.0", error="disk full", next_try_s=4.0, seconds=2)
    row = UpdateRow(
        job_id="j", job_status="COMPLETED", before="1.10.0", to="1.11.6", status="FAILED", running="1.10.0",
        stable_window_s=3, core=(died, failed),
    )  # fmt: skip
    text = shown(board(updates=[row]))
    failure = "1.10.0 failed (disk full), next try in 4 s at 2 s"
    assert f"stable window 3 s; core: 1.11.6 died (not running\\n) at 1.5 s; {failure}" in text
    assert "stable window 3 s; core: no event" in shown(board(updates=[replace(row, core=())]))


def function(log: str = "") -> FunctionRow:
    who = Identity(uid=110, gid=996, groups=())
    return FunctionRow(
        function="reader", ok=True, result={}, error=None, log=log, notes=(), isolation="NoContainer", identity=who
    )


def test_every_board_has_a_line_at_the_end() -> None:
    good = board(functions=[function()], seconds=18.6)
    bad = board(("access", "f × m", "x"), profile="jetson-tx2", access=[access(), access(ok=False)], updates=[])
    open_ = board(profile="docker-core", deployment=None, not_proven=["no mounts"])
    lines = [re.split(r" {2,}", line.rstrip()) for line in shown(good, bad, open_, detail="summary").splitlines()]
    rows = {words[0]: words[1:] for words in lines}
    assert rows["raspberry-pi-3"] == ["ok", "Success", "1 of 1", "1 of 1", "1 of 1", "19 s"]
    assert rows["jetson-tx2"] == ["failed", "Success", "1 of 2", "-", "-", "-"]
    assert rows["docker-core"] == ["not proven", "-", "1 of 1", "-", "1 of 1", "-"]


def test_a_summary_has_what_is_wrong_and_no_more() -> None:
    good, bad = board(notes=["a note"]), board(("function", "reader", "it failed"), profile="jetson-tx2")
    text = shown(good, bad, detail="summary")
    assert "reader: it failed" in text
    assert "not proven" not in text
    assert [word in text for word in ("a note", "Who may open what", "armv7l")] == [False] * 3
    assert "a note" in shown(good)


def test_what_a_report_leaves_out_is_in_the_verbose_one() -> None:
    rows = [LayoutRow(path="/d", node=directory()), *(LayoutRow(path=f"/d/f{i}", node=file()) for i in range(20))]
    update = UpdateRow(
        job_id="j", job_status="COMPLETED", before="1.10.0", to="1.11.6", status="SUCCEEDED", running="1.11.6",
        messages=(JobMessage(way="sent", topic="update", status="IN_PROGRESS", seconds=0.5),),
        journal=(JournalEntry(phase="STAGE", confirmed=False, report=None, seconds=0.25),),
    )  # fmt: skip
    full = board(layout=rows, functions=[function("\x1b[2Jopened")], access=[access(ok=False, chain=("/m is 0755",))])
    full.updates[:] = [update]
    text = shown(full, detail="verbose")
    details = ("f19", "\\x1b[2Jopened", "/m is 0755", "0.25 s  journal STAGE", "0.50 s  sent update IN_PROGRESS")
    assert [detail in text for detail in details] == [True] * 5
    assert [detail in shown(full) for detail in details] == [False] * 5


@pytest.mark.parametrize(
    ("boards", "step"),
    [
        ([board(standing_in="x86_64 standing in")], "edge-sim run 'a b' --driver docker "),
        ([board(driver="docker")], "edge-sim run 'a b' --board ssh://"),
        ([board()], "edge-sim run 'a b' --report report.html "),
        ([board(not_proven=["owners"])], "edge-sim doctor "),
        ([board(("update", "u", "x")), board(("definition", "d", "y"))], "edge-sim validate 'a b' --profile "),
        ([board(("access", "f × m", "x"))], "edge-sim access 'a b' --profile raspberry-pi-3 "),
        ([board(("update", "u", "x"))], "edge-sim run 'a b' --profile raspberry-pi-3 --verbose "),
        ([board(("disagreement", "f × m", "x"), ("definition", "d", "y"))], "report this as a bug"),
        ([board(problems=[Problem(kind="function", where="f", message="x", hint="y")])], "f on raspberry-pi-3: y"),
    ],
)  # fmt: skip
def test_the_next_step_is_about_the_gravest_problem(boards: list[BoardReport], step: str) -> None:
    assert next_step(report(*boards), "a b").startswith(step)


def test_colours_and_columns_are_a_terminals_only(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_report(report(board(("function", "reader", "it failed"))), output())
    assert "\x1b" not in capsys.readouterr().out
