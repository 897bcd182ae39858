"""A verdict as JUnit XML: a test case a rule, so that a report shows what was held to and not only what broke."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from edge_sim.greengrass.rules import RULES
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.validation.text import place
from edge_sim.validation.verdict import Located, Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def to_junit(verdict: Verdict) -> str:
    """Return the JUnit document; errors are failures, warnings and notes are in a passing case's output."""
    by_rule: dict[str, list[Located]] = {rule.id: [] for rule in RULES}
    for one in verdict.findings:
        by_rule.setdefault(one.finding.id, []).append(one)
    skipped = [rule for rule in RULES if rule.board and not verdict.boards]
    failed = [id_ for id_, found in by_rule.items() if any(one.finding.severity == "error" for one in found)]
    counts = {"tests": str(len(by_rule)), "failures": str(len(failed)), "skipped": str(len(skipped))}
    suites = ET.Element("testsuites", {"name": "edge-sim validate", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _text(verdict.form), "errors": "0", **counts})
    for id_, found in by_rule.items():
        _case(suite, id_, found, skipped)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, id_: str, found: Sequence[Located], skipped: Sequence[Rule]) -> None:
    case = ET.SubElement(suite, "testcase", classname="edge-sim.rules", name=id_)
    if any(rule.id == id_ for rule in skipped):
        ET.SubElement(case, "skipped", message="the board was not looked at (no --profile)")
    errors = [one for one in found if one.finding.severity == "error"]
    others = [one for one in found if one.finding.severity != "error"]
    if errors:
        failure = ET.SubElement(case, "failure", message=_text(errors[0].finding.message), type=id_)
        failure.text = _text("\n".join(_line(one) for one in errors))
    if others:
        ET.SubElement(case, "system-out").text = _text("\n".join(_line(one) for one in others))


def _line(one: Located) -> str:
    finding = one.finding
    return f"{place(one.position)}: {finding.severity}: {finding.message}" + (
        f" (AWS: {finding.aws_text})" if finding.aws_text else ""
    )


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
