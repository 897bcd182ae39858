"""A verdict as JUnit XML: a test case a rule, so that a report shows what was held to and not only what broke."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from edge_sim.greengrass.rules import RULES
from edge_sim.validation.text import place
from edge_sim.validation.verdict import Located, Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def to_junit(verdict: Verdict) -> str:
    """Return the JUnit document.

    Errors are failures; a rule that is not decided is skipped; warnings and notes are in a passing case's output.
    """
    by_rule: dict[str, list[Located]] = {rule.id: [] for rule in RULES}
    for one in verdict.findings:
        by_rule.setdefault(one.finding.id, []).append(one)
    unseen = {rule.id for rule in RULES if rule.board and not verdict.boards}
    cases = [_case(id_, found, unseen=id_ in unseen) for id_, found in by_rule.items()]
    failures, skipped = (sum(case.find(tag) is not None for case in cases) for tag in ("failure", "skipped"))
    counts = {"tests": str(len(cases)), "failures": str(failures), "skipped": str(skipped)}
    suites = ET.Element("testsuites", {"name": "edge-sim validate", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _text(verdict.form), "errors": "0", **counts})
    suite.extend(cases)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(id_: str, found: Sequence[Located], *, unseen: bool) -> ET.Element:
    case = ET.Element("testcase", classname="edge-sim.rules", name=id_)
    errors, unknowns = ([one for one in found if one.finding.severity == word] for word in ("error", "unknown"))
    others = [one for one in found if one not in errors]
    if unseen:
        ET.SubElement(case, "skipped", message="the board was not looked at (no --profile)")
    elif errors:
        failure = ET.SubElement(case, "failure", message=_text(errors[0].finding.message), type=id_)
        failure.text = _text("\n".join(_line(one) for one in errors))
    elif unknowns:
        ET.SubElement(case, "skipped", message=_text("; ".join(one.finding.message for one in unknowns)))
    if others:
        ET.SubElement(case, "system-out").text = _text("\n".join(_line(one) for one in others))
    return case


def _line(one: Located) -> str:
    finding = one.finding
    return f"{place(one.position)}: {finding.severity}: {finding.message}" + (
        f" (AWS: {finding.aws_text})" if finding.aws_text else ""
    )


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
