"""A run as JUnit XML: a test suite a board, a test case a claim. What was not checked is skipped, never passed.

The board's certificate is among the suite's properties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from edge_sim.report import printable
from edge_sim.runs.results import BoardReport, RunReport


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A claim; ``message`` says why it failed or was skipped, ``text`` what to do about it."""

    kind: str
    name: str
    outcome: Literal["passed", "failure", "skipped"] = "passed"
    message: str = ""
    text: str | None = None


def to_junit(report: RunReport) -> str:
    """Return the report as a JUnit document, as CI systems read it."""
    suites = ET.Element("testsuites", name=f"edge-sim {report.scenario}")
    for board in report.boards:
        cases = list(_cases(board))
        counts = {outcome: sum(case.outcome == outcome for case in cases) for outcome in ("failure", "skipped")}
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=board.profile,
            tests=str(len(cases)),
            failures=str(counts["failure"]),
            skipped=str(counts["skipped"]),
        )
        if board.certificate:
            properties = ET.SubElement(suite, "properties")
            for fact in board.certificate:
                value = f"{fact.verdict}: {fact.found} for {fact.claimed}"
                ET.SubElement(properties, "property", name=f"certificate.{fact.fact}", value=value)
        for case in cases:
            row = ET.SubElement(suite, "testcase", classname=f"{board.profile}.{case.kind}", name=case.name)
            if case.outcome != "passed":
                ET.SubElement(row, case.outcome, message=case.message).text = case.text
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _cases(board: BoardReport) -> Iterator[_Case]:
    for problem in board.problems:
        more = [f"hint: {problem.hint}"] if problem.hint else []
        more += [printable(line) for line in problem.log]
        text = "\n".join(more) or None
        yield _Case(kind=problem.kind, name=problem.where, outcome="failure", message=problem.message, text=text)
    if board.deployment and board.deployment.status == "Success":
        yield _Case(kind="definition", name="deployment")
    told = {(problem.kind, problem.where) for problem in board.problems}
    yield from (case for case in _rows(board) if (case.kind, case.name) not in told)
    for claim in board.not_proven:
        yield _Case(kind="not-proven", name=claim, outcome="skipped", message="not proven here")


def _rows(board: BoardReport) -> Iterator[_Case]:
    """Yield the case of each row: passed, or skipped where nothing could be checked. Problems tell what failed."""
    for row in board.access:
        if row.ok is None:
            reasons = "; ".join(row.reasons) or "not checked"
            yield _Case(kind="access", name=row.name, outcome="skipped", message=reasons)
        else:
            yield _Case(kind="access", name=row.name)
    yield from (_Case(kind="function", name=row.function) for row in board.functions)
    yield from (_Case(kind="update", name=row.name) for row in board.updates)
