"""Verdicts as JUnit: a test case a rule, or a board and core version, so that a report shows what was held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_sim.greengrass.rules import RULES
from edge_sim.validation.grid import MatrixRow, agrees
from edge_sim.validation.junitxml import Outcome, Suite, TestCase, document
from edge_sim.validation.text import place
from edge_sim.validation.verdict import LocatedFinding, Verdict


def to_junit(verdict: Verdict) -> str:
    """Return the JUnit document of a verdict.

    Errors are failures; a rule that is not decided is skipped; warnings and notes are in a passing case's output.
    """
    by_rule: dict[str, list[LocatedFinding]] = {rule.id: [] for rule in RULES}
    for result in verdict.findings:
        by_rule.setdefault(result.finding.id, []).append(result)
    unseen = {rule.id for rule in RULES if rule.board and not verdict.boards}
    cases = [_case(id_, findings, unseen=id_ in unseen) for id_, findings in by_rule.items()]
    return document("edge-sim validate", [Suite(name=verdict.form, cases=cases)])


def _case(id_: str, findings: Sequence[LocatedFinding], *, unseen: bool) -> TestCase:
    errors, unknowns = (
        [result for result in findings if result.finding.severity == word] for word in ("error", "unknown")
    )
    output = "\n".join(_line(result) for result in findings if result not in errors)
    case = TestCase(group="edge-sim.rules", name=id_, output=output)
    if unseen:
        return _not_passed(case, "skipped", "no board was checked (no --profile)")
    if errors:
        text = "\n".join(_line(result) for result in errors)
        return _not_passed(case, "failure", errors[0].finding.message, kind=id_, text=text)
    if unknowns:
        return _not_passed(case, "skipped", "; ".join(result.finding.message for result in unknowns))
    return case


def _not_passed(case: TestCase, outcome: Outcome, message: str, *, kind: str = "", text: str = "") -> TestCase:
    return replace(case, outcome=outcome, message=message, kind=kind, text=text)


def _line(result: LocatedFinding) -> str:
    finding = result.finding
    aws = f" (AWS: {finding.aws_text})" if finding.aws_text else ""
    hint = f"\n  hint: {finding.hint}" if finding.hint else ""
    return f"{place(result.position)}: {finding.severity}: {finding.message}{aws}{hint}"


def matrix_to_junit(rows: Sequence[MatrixRow]) -> str:
    """Return the JUnit document of a matrix: a suite a board, a case a core version.

    What fails is a failure, as is a simulated board that does not agree; what is unsupported or unknown is skipped.
    """
    boards = dict.fromkeys(row.profile for row in rows)
    suites = [Suite(name=name, cases=[_of_row(row) for row in rows if row.profile == name]) for name in boards]
    return document("edge-sim matrix", suites)


def _of_row(row: MatrixRow) -> TestCase:
    case = TestCase(group=row.profile, name=f"core {row.ggc}")
    cause, real = row.cause, row.real
    if real and (not agrees(row) or real.status == "fail"):
        outcome = real.message or real.status
        message = f"on a simulated board: {outcome}" if agrees(row) else f"a simulated board does not agree: {outcome}"
        return _not_passed(case, "failure", message, kind="simulated board")
    if cause is None:
        return case
    aws = f"\nAWS: {cause.aws_text}" if cause.aws_text else ""
    text = f"{cause.place or '-'}: {cause.message}{aws}\nsource: {cause.source}"
    if row.status == "fail":
        return _not_passed(case, "failure", cause.message, kind=cause.id, text=text)
    return _not_passed(case, "skipped", f"{row.status}: {cause.message}", text=text)
