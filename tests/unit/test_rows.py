"""Rows and their JSON: what users' programs read stays as it is, byte for byte; and what is no row is told as such."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from edge_sim.certificate import CertificateRow
from edge_sim.errors import Position
from edge_sim.facts import Node
from edge_sim.greengrass.blast import BlastRadius, GidReach
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.jsonobject import JsonObject
from edge_sim.runs.results import BoardReport, Problem
from edge_sim.runs.rows import CoreEvent, DeploymentRow, FunctionRow, JobMessage, JournalEntry, UpdateRow, UpdateStep
from edge_sim.validation.grid import MatrixRow, RunOutcome
from tests import sources
from tests.small_group import answer, group_of
from tests.unit.greengrass.build import access

PINNED = Path(__file__).with_name("pinned")


def read_board(text: str) -> BoardReport:
    """A run's report of a board as the agent's answers make it."""
    board: dict[str, Any] = json.loads(text)
    rows = JsonObject(board)
    (update,) = board["updates"]
    (function,) = board["functions"]
    return BoardReport(
        profile=board["profile"],
        driver=board["driver"],
        core=board["core"],
        architecture=board["architecture"],
        operating_system=board["operating_system"],
        machine=board["uname"],
        standing_in=board["standing_in"],
        certificate=rows.children("certificate", CertificateRow.from_json),
        deployment=DeploymentRow(**board["deployment"]),
        layout=rows.children("layout", LayoutRow.from_json),
        access=rows.children("access", AccessRow.from_json),
        functions=[
            replace(FunctionRow.from_json(function["function"], JsonObject(function)), seconds=function["seconds"])
        ],
        updates=[
            UpdateRow(
                job_id=update["job_id"],
                job_status=update["job_status"],
                before=update["from"],
                to=update["to"],
                status=update["status"],
                running=update["running"],
                software=update["software"],
                details=update["details"],
                timeline=tuple(UpdateStep(**step) for step in update["timeline"]),
                stable_window_s=update["stable_window_s"],
                core=tuple(CoreEvent(**event) for event in update["core"]),
                messages=tuple(JobMessage(**message) for message in update["messages"]),
                journal=tuple(JournalEntry(**entry) for entry in update["journal"]),
                as_expected=update["as_expected"],
            )
        ],
        not_proven=board["not_proven"],
        notes=board["notes"],
        problems=[_problem(problem) for problem in board["problems"]],
        blast_radius=_blast_radius(board["blast_radius"]),
        user_names={uid: name for name, uid in board["users"].items()},
        group_names={gid: name for name, gid in board["groups"].items()},
        seconds=board["seconds"],
    )


def _problem(problem: dict[str, Any]) -> Problem:
    file, line, column = (problem.pop(key) for key in ("file", "line", "column"))
    return Problem(**problem, place=Position(file=Path(file), line=line, column=column))


def _blast_radius(given: dict[str, Any]) -> BlastRadius:
    groups = tuple(GidReach(**{key: _tuple(value) for key, value in group.items()}) for group in given["groups"])
    return BlastRadius(groups=groups, root_functions=tuple(given["root_functions"]))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def test_a_boards_report_is_the_same_json_as_ever() -> None:
    text = (PINNED / "board.json").read_text(encoding="utf-8")
    assert json.dumps(read_board(text).as_json(), indent=2) + "\n" == text


def test_a_matrix_is_the_same_json_as_ever() -> None:
    text = (PINNED / "matrix.json").read_text(encoding="utf-8")
    given = json.loads(text)
    rows = [replace(_present(MatrixRow.from_json(row)), real=RunOutcome.from_json(row["real"])) for row in given]
    assert json.dumps([row.as_json() for row in rows], indent=2) + "\n" == text


def _present(row: MatrixRow | None) -> MatrixRow:
    assert row is not None
    return row


def test_what_access_prints_is_made_of_rows(tmp_path: Path) -> None:
    told = answer("access", group_of(tmp_path / "group", "net", gid="44"), "--profile", "raspberry-pi-3")
    assert list(told) == ["boards", "unknown", "notes"]
    (board,) = told["boards"]
    assert list(board) == ["target", "access", "blast_radius", "notes"]
    assert list(board["blast_radius"]) == ["groups", "root_functions", "shared"]
    assert board["access"]
    for row in board["access"]:
        assert json.dumps(AccessRow.from_json(JsonObject(row)).as_json()) == json.dumps(row)


def test_a_row_survives_its_json() -> None:
    row = access(path=None, resource=None, type=None, agree=None, ok=None)
    assert AccessRow.from_json(JsonObject.parse(json.dumps(row.as_json()))) == row
    link = LayoutRow(path="/x", node=Node(type="link", uid=1, gid=2, mode=0o777, target="y"), function="f")
    assert LayoutRow.from_json(JsonObject.parse(json.dumps(link.as_json()))) == link


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"function": None}, "row.function must be a string"),
        ({"paths": True}, "row.paths must be a whole number"),
        ({"expected": "rx"}, "row.expected must be one of ro, rw, none"),
        ({"read": None}, "row.read must be an object"),
        ({"write": {"computed": "yes"}}, "row.write.computed must be true or false"),
        ({"reasons": [1]}, "row.reasons: each item must be a string"),
    ],
)
def test_what_is_no_row_is_told_by_its_member(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AccessRow.from_json(JsonObject({**access().as_json(), **change, "chain": []}, "row"))


@pytest.mark.parametrize("value", [None, [], "x", {}, {"status": "pass"}, {"profile": "p", "ggc": "1.10"}])
def test_what_was_kept_in_another_form_is_no_answer(value: object) -> None:
    assert (MatrixRow.from_json(value), RunOutcome.from_json(value)) == (None, None)


@pytest.mark.parametrize("row", [AccessRow, LayoutRow, UpdateRow, CertificateRow, MatrixRow])
def test_a_row_is_a_value_that_says_its_json(row: type) -> None:
    value: object = object.__new__(row)
    for name in row.__annotations__:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
    assert callable(row.as_json)  # type: ignore[attr-defined]


REPORTS = (
    *(f"runs/{name}.py" for name in ("text", "page", "junit", "claims", "details", "results")),
    *(f"offline/{name}.py" for name in ("page", "accesstext", "plantext", "drift")),
    *(f"validation/{name}.py" for name in ("text", "page", "junit", "sarif", "annotations", "results", "formats")),
    *(f"cli/{name}.py" for name in ("access", "doctor", "drift", "matrix", "plan", "run", "agent")),
    "emulation/doctor.py",
    "testing/page.py",
)
"""What tells of rows, and ``pages/``, which shows them."""


def members_of(value: Any) -> Iterator[str]:
    """Yield the names of the members of rows in a report."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        yield from members_of(inner)
    for inner in value if isinstance(value, list) else ():
        yield from members_of(inner)


def test_reports_matrix_and_commands_read_rows_and_no_members_of_their_json() -> None:
    pinned = [json.loads((PINNED / name).read_text(encoding="utf-8")) for name in ("board.json", "matrix.json")]
    rows = [pinned[0][name] for name in ("certificate", "layout", "access", "updates")]
    names = set(members_of([*rows, *pinned[1]]))
    modules = [name for name in sources.mentioning("") if name in REPORTS or name.startswith("pages/")]
    assert set(REPORTS) <= set(modules)
    read = [(name, member) for name in modules for member in members_read(sources.tree(name)) if member in names]
    assert read == []


def members_read(tree: ast.Module) -> Iterator[str]:
    """Yield the constants by which a module looks something up: ``row["mode"]``, ``row.get("mode")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key: ast.AST | None = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            key = node.args[0]
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value
