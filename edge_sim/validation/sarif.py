"""Results as SARIF 2.1.0 (OASIS), for code hosts. Silenced findings are suppressed results.

GitHub shows 5,000 results of a run and takes 10 MB: more are left out, worst last, and a notification says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from edge_sim import __version__
from edge_sim.errors import Position
from edge_sim.greengrass.rules import RULES
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.printing import printable
from edge_sim.validation.results import LEVELS, Check, Result, of_verdict
from edge_sim.validation.text import relative
from edge_sim.validation.verdict import Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST = 5_000


def to_sarif(verdict: Verdict, rules: Sequence[Rule] = RULES) -> dict[str, Any]:
    """Return the SARIF log of a verdict; ``rules`` are those that were asked."""
    return log(of_verdict(verdict), [Check.of(rule) for rule in rules])


def failure(message: str, exit_status: int) -> dict[str, Any]:
    """Return the SARIF log of a run that came to no verdict, and why: no result in it is not a good one."""
    return _log([], [Check.of(rule) for rule in RULES], _invocation("error", message, exit_status))


def log(results: Sequence[Result], checks: Sequence[Check]) -> dict[str, Any]:
    """Return the SARIF log of some results, the worst first; ``checks`` are those that were asked."""
    index = {check.id: number for number, check in enumerate(checks)}
    ordered = sorted(results, key=lambda result: LEVELS.index(result.level))
    omitted = len(ordered) - MOST
    omission = (
        _invocation("warning", f"{omitted} more results are omitted: code hosts show no more", None)
        if omitted > 0
        else {}
    )
    seen: Counter[str] = Counter()
    return _log([_result(result, index, seen) for result in ordered[:MOST]], checks, omission)


def _log(
    results: Sequence[Mapping[str, Any]], checks: Sequence[Check], invocation: Mapping[str, object]
) -> dict[str, Any]:
    driver = {"name": "edge-sim", "version": __version__, "rules": [_rule(check) for check in checks]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints"}
    more = {"invocations": [invocation]} if invocation else {}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{**run, **more, "results": list(results)}]}


def _invocation(level: str, message: str, exit_status: int | None) -> dict[str, object]:
    notification = {"level": level, "message": {"text": message}}
    status = {} if exit_status is None else {"exitCode": exit_status}
    return {"executionSuccessful": exit_status is None, **status, "toolExecutionNotifications": [notification]}


def _rule(check: Check) -> dict[str, object]:
    properties = {key: value for key, value in (("phase", check.phase), ("source", check.source)) if value}
    return {
        "id": check.id,
        "shortDescription": {"text": check.what},
        "fullDescription": {"text": check.description},
        "help": {"text": check.help},
        **({"helpUri": check.page} if check.page else {}),
        "defaultConfiguration": {"level": check.level},
        "properties": properties,
    }


def _result(result: Result, index: Mapping[str, int], seen: Counter[str]) -> dict[str, object]:
    file = relative(result.position.file) if result.position else ""
    name = "\0".join((result.check, file, result.about))
    seen[name] += 1
    fingerprint = hashlib.sha256(f"{name}\0{seen[name]}".encode("utf-8", "backslashreplace")).hexdigest()
    return {
        "ruleId": result.check,
        **({"ruleIndex": index[result.check]} if result.check in index else {}),
        "level": result.level,
        "message": {"text": "\n".join(map(printable, result.text.split("\n")))},
        "locations": [_location(result.position, result.path or result.about)] if result.position else [],
        "partialFingerprints": {"edgeSim/v1": fingerprint},
        "properties": {
            "path": printable(result.path) if result.path else None,
            "profiles": [printable(board) for board in result.boards],
            "unknown": result.unknown,
        },
        **(
            {}
            if result.justification is None
            else {"suppressions": [{"kind": "inSource", "justification": printable(result.justification)}]}
        ),
    }


def _location(where: Position, name: str) -> dict[str, object]:
    file = relative(where.file)
    artifact = {"uri": quote(file)} if not file.startswith("/") else {"uri": f"file://{quote(file)}"}
    return {
        "physicalLocation": {
            "artifactLocation": artifact,
            "region": {"startLine": where.line, "startColumn": where.column},
        },
        "logicalLocations": [{"fullyQualifiedName": printable(name)}],
    }
