"""What any command has to say about places in the user's files: what SARIF and GitHub's annotations are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sim.errors import Position
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.report import Severity
from edge_sim.validation.grid import MatrixRow
from edge_sim.validation.verdict import LocatedFinding, Verdict

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
"""Worst first."""
_LEVELS: dict[Severity, Level] = {"error": "error", "warning": "warning", "unknown": "note", "note": "note"}
_INDEX = re.compile(r"\[\d+\]")
_PAGE = re.compile(r"\b([a-z][a-z0-9-]+)\.md\b")
GUIDE = "https://docs.aws.amazon.com/greengrass/v1/developerguide"
"""Where the pages are that rules name as their sources."""
_ELSEWHERE: Mapping[str, str] = {
    "AWS General Reference": "https://docs.aws.amazon.com/general/latest/gr/greengrass.html",
    "botocore greengrass 2017-06-07": "https://docs.aws.amazon.com/greengrass/v1/apireference/api-doc.html",
    "the API says": "https://docs.aws.amazon.com/greengrass/v1/apireference/api-doc.html",
    "moto greengrass models": "https://github.com/getmoto/moto/blob/master/moto/greengrass/models.py",
    "aws-greengrass-provisioner issue 637": "https://github.com/awslabs/aws-greengrass-provisioner/issues/637",
    "aws-greengrass-provisioner": "https://github.com/awslabs/aws-greengrass-provisioner",
    "botocore's validate.py": "https://github.com/boto/botocore/blob/develop/botocore/validate.py",
    "botocore's handlers.py": "https://github.com/boto/botocore/blob/develop/botocore/handlers.py",
    "botocore iot 2015-05-28": "https://docs.aws.amazon.com/iot/latest/apireference/API_AttachThingPrincipal.html",
    "cfn-lint issue 246": "https://github.com/aws-cloudformation/cfn-lint/issues/246",
    "RFC 8259": "https://www.rfc-editor.org/rfc/rfc8259",
    "MQTT 3.1.1": "https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html",
    "path_resolution(7)": "https://man7.org/linux/man-pages/man7/path_resolution.7.html",
    "execve(2)": "https://man7.org/linux/man-pages/man2/execve.2.html",
    "chown(2)": "https://man7.org/linux/man-pages/man2/chown.2.html",
}
"""What else rules name as their sources, the most telling words first, and its public address."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What results refer to: a rule of V1's, or a claim of a run. ``help`` says what to do; ``page`` is its source."""

    id: str
    what: str
    level: Level
    description: str
    help: str
    page: str | None = None
    phase: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, rule: Rule) -> Check:
        """Return a rule as a check; its page is the first public one that its source names."""
        return cls(
            id=rule.id,
            what=rule.what,
            level=_LEVELS[rule.severity],
            description=f"{rule.what}. Phase: {rule.phase}. Source: {rule.source}.",
            help=rule.hint or f"edge-sim rules {rule.id} shows a definition that violates it, and one that does not.",
            page=_page(rule.source),
            phase=rule.phase,
            source=rule.source,
        )


def _page(source: str) -> str | None:
    named = _PAGE.search(source)
    if named:
        return f"{GUIDE}/{named[1]}.html"
    return next((address for words, address in _ELSEWHERE.items() if words in source), None)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One result of a check. ``about`` names what it is about in words that no reordering or moved line changes.

    ``justification`` is that of whoever silenced it, None where nobody did.
    """

    check: str
    level: Level
    text: str
    about: str
    position: Position | None = None
    path: str | None = None
    boards: Sequence[str] = ()
    unknown: bool = False
    justification: str | None = None


def of_verdict(verdict: Verdict) -> list[Result]:
    """Return the results of ``edge-sim validate``."""
    return [_of_finding(result) for result in (*verdict.findings, *verdict.ignored)]


def _of_finding(located: LocatedFinding) -> Result:
    finding = located.finding
    parts = (finding.message, f"AWS: {finding.aws_text}" if finding.aws_text else None, finding.hint)
    return Result(
        check=finding.id,
        level=_LEVELS[finding.severity],
        text="\n".join(filter(None, parts)),
        about=" ".join(filter(None, (finding.resource, finding.function, _INDEX.sub("[]", finding.path)))),
        position=located.position,
        path=finding.path,
        boards=located.boards,
        unknown=finding.severity == "unknown",
        justification=(located.ignored.reason or "") if located.ignored else None,
    )


def of_matrix(rows: Iterable[MatrixRow]) -> list[Result]:
    """Return a result for each cause, with the cells it is true of, and one for each run that is not as computed."""
    by_cause: dict[tuple[str, str, str], list[MatrixRow]] = {}
    for row in rows:
        if row.cause:
            by_cause.setdefault((row.status, row.cause.id, row.cause.message), []).append(row)
    return [_of_cause(cells) for cells in by_cause.values()]


def _of_cause(cells: Sequence[MatrixRow]) -> Result:
    cause, status = cells[0].cause, cells[0].status
    assert cause is not None  # noqa: S101 - that is what they have in common
    boards = [f"{cell.profile} ({cell.ggc})" for cell in cells]
    parts = (f"{status} on {', '.join(boards)}: {cause.message}", f"AWS: {cause.aws_text}" if cause.aws_text else None)
    return Result(
        check=cause.id,
        level="error" if status == "fail" else "note",
        text="\n".join(filter(None, parts)),
        about=_INDEX.sub("[]", cause.path or cause.message),
        position=cause.position,
        path=cause.path,
        boards=boards,
        unknown=status == "unknown",
    )
