"""A verdict as JUnit XML: a test case a rule, so that a report shows what was held to and not only what broke."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from edge_sim.greengrass.rules import RULES
from edge_sim.validation.text import place
from edge_sim.validation.verdict import LocatedFinding, Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def to_junit(verdict: Verdict) -> str:
    """Return the JUnit document.

    Errors are failures; a rule that is not decided is skipped; warnings and notes are in a passing case's output.
    """
    by_rule: dict[str, list[LocatedFinding]] = {rule.id: [] for rule in RULES}
    for result in verdict.findings:
        by_rule.setdefault(result.finding.id, []).append(result)
    unseen = {rule.id for rule in RULES if rule.board and not verdict.boards}
    cases = [_case(id_, results, unseen=id_ in unseen) for id_, results in by_rule.items()]
    failures, skipped = (sum(case.find(tag) is not None for case in cases) for tag in ("failure", "skipped"))
    counts = {"tests": str(len(cases)), "failures": str(failures), "skipped": str(skipped)}
    suites = ET.Element("testsuites", {"name": "edge-sim validate", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _text(verdict.form), "errors": "0", **counts})
    suite.extend(cases)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(id_: str, results: Sequence[LocatedFinding], *, unseen: bool) -> ET.Element:
    case = ET.Element("testcase", classname="edge-sim.rules", name=id_)
    errors, unknowns = (
        [result for result in results if result.finding.severity == word] for word in ("error", "unknown")
    )
    others = [result for result in results if result not in errors]
    if unseen:
        ET.SubElement(case, "skipped", message="no board was checked (no --profile)")
    elif errors:
        failure = ET.SubElement(case, "failure", message=_text(errors[0].finding.message), type=id_)
        failure.text = _text("\n".join(_line(result) for result in errors))
    elif unknowns:
        ET.SubElement(case, "skipped", message=_text("; ".join(result.finding.message for result in unknowns)))
    if others:
        ET.SubElement(case, "system-out").text = _text("\n".join(_line(result) for result in others))
    return case


def _line(result: LocatedFinding) -> str:
    finding = result.finding
    return f"{place(result.position)}: {finding.severity}: {finding.message}" + (
        f" (AWS: {finding.aws_text})" if finding.aws_text else ""
    )


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
