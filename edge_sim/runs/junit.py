"""A run as JUnit XML: a test suite a board, a test case a claim. What was not checked is skipped, never passed.

The board's certificate is among the suite's properties; what a function returned and logged is in its case's output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from edge_sim.printing import printable
from edge_sim.runs.results import BoardReport, Problem, RunReport
from edge_sim.runs.rows import FunctionRow, UpdateRow
from edge_sim.validation.junitxml import Suite, TestCase, document
from edge_sim.validation.text import place


def to_junit(report: RunReport) -> str:
    """Return the report as a JUnit document, as CI systems read it."""
    return document(f"edge-sim {report.scenario}", [_suite(board) for board in report.boards])


def _suite(board: BoardReport) -> Suite:
    properties = {
        f"certificate.{fact.fact}": f"{fact.verdict}: {fact.actual} instead of {fact.claimed}"
        for fact in board.certificate
    }
    return Suite(name=board.profile, cases=[*_cases(board)], properties=properties, seconds=board.seconds)


def _cases(board: BoardReport) -> Iterator[TestCase]:
    rows = {(case.group, case.name): case for case in _rows(board)}
    for problem in board.problems:
        yield _failed(problem, rows, f"{board.profile}.{problem.kind}")
    if board.deployment and board.deployment.status == "Success":
        yield TestCase(group=f"{board.profile}.definition", name="deployment")
    reports = {(f"{board.profile}.{problem.kind}", problem.where) for problem in board.problems}
    yield from (case for name, case in rows.items() if name not in reports)
    for claim in board.not_proven:
        yield TestCase(group=f"{board.profile}.not-proven", name=claim, outcome="skipped", message="not proven here")


def _failed(problem: Problem, rows: Mapping[tuple[str, str], TestCase], group: str) -> TestCase:
    """Return the case of a problem, with the time and output of the row that it is about."""
    lines = [f"hint: {problem.hint}"] if problem.hint else []
    lines += [place(problem.place)] if problem.place else []
    lines += [printable(line) for line in problem.log]
    case = rows.get((group, problem.where), TestCase(group=group, name=problem.where))
    return replace(case, outcome="failure", message=problem.message, kind=problem.kind, text="\n".join(lines))


def _rows(board: BoardReport) -> Iterator[TestCase]:
    """Yield the case of each row: passed, or skipped where nothing could be checked. Problems tell what failed."""
    for row in board.access:
        case = TestCase(group=f"{board.profile}.access", name=row.name)
        if row.ok is None:
            case = replace(case, outcome="skipped", message="; ".join(row.reasons) or "not checked")
        yield case
    yield from (_function(row, f"{board.profile}.function") for row in board.functions)
    yield from (_update(row, f"{board.profile}.update") for row in board.updates)


def _function(row: FunctionRow, group: str) -> TestCase:
    returned = row.error or json.dumps(row.result, ensure_ascii=False)
    output = "\n".join(map(printable, (returned, *row.log.splitlines())))
    return TestCase(group=group, name=row.function, output=output, seconds=row.seconds)


def _update(row: UpdateRow, group: str) -> TestCase:
    output = "\n".join(
        printable(f"{step.seconds:.2f} s {step.phase} {step.detail or ''}".rstrip()) for step in row.timeline
    )
    seconds = row.timeline[-1].seconds if row.timeline else None
    return TestCase(group=group, name=row.name, output=output, seconds=seconds)
