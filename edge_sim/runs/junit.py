"""A run as JUnit XML: a test suite a board, a test case a claim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from edge_sim.runs.results import BoardReport, RunReport

_Case = tuple[str, str, str | None]  # class name, name, failure message


def to_junit(report: RunReport) -> str:
    """Return the report as a JUnit document, as CI systems read it."""
    suites = ET.Element("testsuites", name=f"edge-sim {report.scenario}")
    for board in report.boards:
        cases = list(_cases(board))
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=board.profile,
            tests=str(len(cases) + len(board.not_proven)),
            failures=str(sum(1 for case in cases if case[2] is not None)),
            skipped=str(len(board.not_proven)),
        )
        for class_name, name, failure in cases:
            case = ET.SubElement(suite, "testcase", classname=f"{board.profile}.{class_name}", name=name)
            if failure is not None:
                ET.SubElement(case, "failure", message=failure)
        for claim in board.not_proven:
            case = ET.SubElement(suite, "testcase", classname=f"{board.profile}.not-proven", name=claim)
            ET.SubElement(case, "skipped", message="not proven here")
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _cases(board: BoardReport) -> Iterator[_Case]:
    told = {(problem.kind, problem.where) for problem in board.problems}
    yield from ((p.kind, p.where, p.message) for p in board.problems)
    if board.deployment and ("definition", "deployment") not in told:
        yield "definition", "deployment", None
    for kind, rows, name in (
        ("access", board.access, _access_name),
        ("function", board.functions, _function_name),
        ("update", board.updates, _update_name),
    ):
        yield from ((kind, name(row), None) for row in rows if (kind, name(row)) not in told)


def _access_name(row: dict[str, Any]) -> str:
    return f"{row['function']} × {row['resource']}"


def _function_name(row: dict[str, Any]) -> str:
    return str(row["function"])


def _update_name(row: dict[str, Any]) -> str:
    return f"{row['from']} → {row['to']}"
