"""A verdict as SARIF 2.1.0 (OASIS), for code hosts. Silenced findings are suppressed results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from edge_sim import __version__
from edge_sim.greengrass.rules import RULES
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.validation.text import relative
from edge_sim.validation.verdict import LocatedFinding, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(verdict: Verdict, rules: Sequence[Rule] = RULES) -> dict[str, Any]:
    """Return the SARIF log; ``rules`` are those that were asked."""
    index = {rule.id: number for number, rule in enumerate(rules)}
    return _log([_result(result, index) for result in (*verdict.findings, *verdict.ignored)], rules)


def failure(message: str, exit_status: int) -> dict[str, Any]:
    """Return the SARIF log of a run that came to no verdict, and why: no result in it is not a good one."""
    notification = {"level": "error", "message": {"text": message}}
    invocation = {
        "executionSuccessful": False,
        "exitCode": exit_status,
        "toolExecutionNotifications": [notification],
    }
    return _log([], RULES, invocations=[invocation])


def _log(results: Sequence[Mapping[str, Any]], rules: Sequence[Rule], **more: object) -> dict[str, Any]:
    driver = {"name": "edge-sim", "version": __version__, "rules": [_rule(rule) for rule in rules]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", **more, "results": list(results)}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, object]:
    members: dict[str, object] = {
        "id": rule.id,
        "shortDescription": {"text": rule.what},
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"phase": rule.phase, "source": rule.source},
    }
    if rule.hint:
        members["help"] = {"text": rule.hint}
    return members


def _result(located: LocatedFinding, index: Mapping[str, int]) -> dict[str, object]:
    finding = located.finding
    parts = (finding.message, f"AWS: {finding.aws_text}" if finding.aws_text else None, finding.hint)
    unknown = finding.severity == "unknown"
    members: dict[str, object] = {
        "ruleId": finding.id,
        "level": "note" if unknown else finding.severity,
        "message": {"text": "\n".join(part for part in parts if part)},
        "locations": [_location(located)] if located.position else [],
        "properties": {
            "path": finding.path,
            "phase": finding.phase,
            "profiles": list(located.boards),
            "unknown": unknown,
        },
    }
    if finding.id in index:
        members["ruleIndex"] = index[finding.id]
    if located.ignored:
        members["suppressions"] = [{"kind": "inSource", "justification": located.ignored.reason}]
    return members


def _location(result: LocatedFinding) -> dict[str, object]:
    where = result.position
    assert where is not None  # noqa: S101 - asked before
    name = relative(where.file)
    artifact = {"uri": quote(name)} if not name.startswith("/") else {"uri": f"file://{quote(name)}"}
    return {
        "physicalLocation": {
            "artifactLocation": artifact,
            "region": {"startLine": where.line, "startColumn": where.column},
        },
        "logicalLocations": [{"fullyQualifiedName": result.finding.path}],
    }
