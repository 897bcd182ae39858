"""Test suites as JUnit XML, as CI systems read it: counts and times at every level, nothing that XML cannot hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree import ElementTree as ET

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""
Outcome = Literal["passed", "failure", "error", "skipped"]


@dataclass(frozen=True, kw_only=True)
class TestCase:
    """A claim; ``message`` says why it did not pass, ``text`` what to do about it, ``output`` what was printed.

    ``kind`` types a failure; ``seconds`` is what the case took, None where nothing was measured.
    """

    group: str
    name: str
    outcome: Outcome = "passed"
    message: str = ""
    kind: str = ""
    text: str = ""
    output: str = ""
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Cases of one board or one definition."""

    name: str
    cases: Sequence[TestCase]
    properties: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None


def document(name: str, suites: Sequence[Suite]) -> str:
    """Return the JUnit document."""
    cases = [case for suite in suites for case in suite.cases]
    times = [suite.seconds for suite in suites if suite.seconds is not None]
    top = ET.Element("testsuites", {"name": clean(name), **_counts(cases), **_time(sum(times) if times else None)})
    for suite in suites:
        counts = {**_counts(suite.cases), **_time(suite.seconds)}
        element = ET.SubElement(top, "testsuite", {"name": clean(suite.name), **counts})
        if suite.properties:
            properties = ET.SubElement(element, "properties")
            for key, value in suite.properties.items():
                ET.SubElement(properties, "property", name=clean(key), value=clean(value))
        for case in suite.cases:
            _add(element, case)
    ET.indent(top)
    return ET.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def clean(text: str) -> str:
    """Return text without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _add(suite: ET.Element, case: TestCase) -> None:
    row = ET.SubElement(
        suite, "testcase", {"classname": clean(case.group), "name": clean(case.name), **_time(case.seconds)}
    )
    if case.outcome != "passed":
        kind = {"type": clean(case.kind)} if case.kind else {}
        ET.SubElement(row, case.outcome, {"message": clean(case.message), **kind}).text = clean(case.text) or None
    if case.output:
        ET.SubElement(row, "system-out").text = clean(case.output)


def _counts(cases: Sequence[TestCase]) -> dict[str, str]:
    """Return the counts as attributes."""
    outcomes = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    numbers = {key: str(sum(case.outcome == outcome for case in cases)) for key, outcome in outcomes.items()}
    return {"tests": str(len(cases)), **numbers}


def _time(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"time": f"{seconds:.3f}"}
