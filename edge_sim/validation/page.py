"""A verdict, or a matrix of verdicts, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge_sim.greengrass.rules import by_id
from edge_sim.pages.page import (
    Block,
    BoardVerdict,
    Cell,
    Issue,
    Issues,
    Lines,
    Page,
    Section,
    State,
    Table,
    first,
    together,
    worst,
)
from edge_sim.report import Severity
from edge_sim.validation.formats import as_json
from edge_sim.validation.grid import Cause, MatrixRow, Status, agrees
from edge_sim.validation.text import NOT_LOOKED_AT, place, summary
from edge_sim.validation.verdict import LocatedFinding, Verdict

MOST = 400
"""Findings that a page shows."""
_SEVERITIES: Mapping[Severity, State] = {"error": "bad", "warning": "open", "unknown": "open", "note": "plain"}
_STATUSES: Mapping[Status, State] = {"pass": "good", "fail": "bad", "unsupported": "plain", "unknown": "open"}
_MARKS: Mapping[State, str] = {"bad": "✗", "open": "?", "good": "✓", "plain": "·"}


def verdict_page(verdict: Verdict, subject: str) -> Page:
    """Return the page of ``edge-sim validate``."""
    issues = [_issue(result, f"finding-{number}") for number, result in enumerate(verdict.findings, 1)]
    issues.sort(key=lambda issue: ("bad", "open", "good", "plain").index(issue.state))
    some, left_out = first(issues, MOST, "findings")
    notes = [*verdict.notes, *([] if verdict.boards else [NOT_LOOKED_AT])]
    return Page(
        command="validate",
        subject=subject,
        state="bad" if verdict.errors else "open" if verdict.unknowns else "good",
        verdict=_sentence(verdict),
        about={"form": verdict.form},
        boards=together(_board(name, issues) for name in verdict.boards or ("the definition alone",)),
        sections=[
            Section(title="Findings", blocks=[Issues(issues=some, left_out=left_out)] if issues else []),
            Section(title="Silenced", blocks=_silenced(verdict.ignored)),
            Section(title="Notes", blocks=[Lines(lines=notes)] if notes else []),
        ],
        data=as_json(verdict),
    )


def _sentence(verdict: Verdict) -> str:
    _, _, counts = summary(verdict).partition(": ")
    refusing = {board for result in verdict.errors for board in result.boards or verdict.boards}
    on = f" on {len(refusing)} of {len(verdict.boards)} boards" if len(verdict.boards) > 1 and refusing else ""
    word = (
        "Not valid" if verdict.errors else "Undecided" if verdict.unknowns else "Valid, as far as V1's rules are known"
    )
    return f"{word}{on}: {counts}"


def _issue(result: LocatedFinding, anchor: str) -> Issue:
    finding = result.finding
    about = finding.resource or finding.function
    aws = [f"AWS: {finding.aws_text}"] if finding.aws_text and finding.aws_text != finding.message else []
    rule = by_id(finding.id)
    description = [f"Rule: {rule.what}"] if rule else []
    return Issue(
        where=f"{finding.severity}: {finding.id}" + (f" ({about})" if about else ""),
        message=finding.message,
        state=_SEVERITIES[finding.severity],
        remedies=[finding.hint] if finding.hint else [],
        place=place(result.position) if result.position else None,
        boards=result.boards,
        details=[*aws, *description, *([f"Source: {finding.source}"] if finding.source else [])],
        details_are="Rule and source",
        anchor=anchor,
    )


def _board(name: str, issues: Sequence[Issue]) -> BoardVerdict:
    mine = [issue for issue in issues if not issue.boards or name in issue.boards]
    counts = {state: sum(issue.state == state for issue in mine) for state in ("bad", "open")}
    words = f"{counts['bad']} error{'s' * (counts['bad'] != 1)}" if counts["bad"] else "no error"
    unknown = any(issue.where.startswith("unknown") for issue in mine)
    state: State = "bad" if counts["bad"] else "open" if unknown else "good"
    return BoardVerdict(
        name=name,
        state=state,
        verdict=f"{words}, not everything is known" if state == "open" else words,
        issues=[issue for issue in mine if issue.state in ("bad", "open")],
    )


def _silenced(ignored: Sequence[LocatedFinding]) -> list[Block]:
    rows = [
        [
            Cell(text=result.finding.id),
            Cell(text=result.finding.message),
            Cell(text=result.ignored.reason if result.ignored else ""),
            Cell(text=place(result.position), code=True),
        ]
        for result in ignored
    ]
    some, left_out = first(rows, MOST, "silenced findings")
    columns = ["rule", "finding", "reason", "place"]
    return (
        [Table(caption="Findings that the definition suppresses", columns=columns, rows=some, left_out=left_out)]
        if rows
        else []
    )


def matrix_page(rows: Sequence[MatrixRow], subject: str, exit_status: int, data: Mapping[str, object]) -> Page:
    """Return the page of ``edge-sim matrix``."""
    issues = _causes(rows)
    versions, profiles = ([*dict.fromkeys(getattr(row, key) for row in rows)] for key in ("ggc", "profile"))
    cells = {(row.profile, row.ggc): row for row in rows}
    table = Table(
        caption="Each board with each core version",
        columns=["board", *versions],
        rows=[[Cell(text=name), *(_cell(cells.get((name, ggc)), issues) for ggc in versions)] for name in profiles],
    )
    counts = {status: sum(row.status == status for row in rows) for status in _STATUSES}
    statuses = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return Page(
        command="matrix",
        subject=subject,
        state="bad" if exit_status not in (0, 6) else worst(map(_state, rows)),
        verdict=f"{len(rows)} combinations of board and core: {statuses}",
        about={"exit status": str(exit_status)},
        boards=together(_card(name, [row for row in rows if row.profile == name], issues) for name in profiles),
        sections=[
            Section(title="Matrix", blocks=[table]),
            Section(title="Causes", blocks=[Issues(issues=[*issues.values()])] if issues else []),
        ],
        data=data,
    )


def _state(row: MatrixRow) -> State:
    return "bad" if not agrees(row) or (row.real and row.real.status == "fail") else _STATUSES[row.status]


def _causes(rows: Sequence[MatrixRow]) -> dict[Cause, Issue]:
    """Return each cause once, worst first, with the cells it is true of."""
    issues: dict[Cause, Issue] = {}
    for row in sorted(rows, key=lambda row: ("fail", "unknown", "unsupported", "pass").index(row.status)):
        cause = row.cause
        if cause is None:
            continue
        known = issues.get(cause)
        rule = by_id(cause.id)
        aws = [f"AWS: {cause.aws_text}"] if cause.aws_text else []
        issue = known or Issue(
            where=f"{row.status}: {cause.id}",
            message=cause.message,
            state=_STATUSES[row.status],
            remedies=[rule.hint] if rule and rule.hint else [],
            place=cause.place,
            details=[*aws, *([f"Source: {cause.source}"] if cause.source else [])],
            details_are="Rule and source",
            anchor=f"cause-{len(issues) + 1}",
        )
        issues[cause] = replace(issue, boards=(*issue.boards, f"{row.profile} ({row.ggc})"))
    return issues


def _cell(row: MatrixRow | None, issues: Mapping[Cause, Issue]) -> Cell:
    if row is None:
        return Cell(text="–")
    state = _state(row)
    details = [row.cause.id] if row.cause else []
    if row.real:
        details.append(f"on a simulated board: {row.real.status}" + ("" if agrees(row) else ", NOT as computed"))
    link = issues[row.cause].anchor if row.cause else None
    return Cell(text=f"{_MARKS[state]} {row.status}", state=state, detail=" · ".join(details) or None, link=link)


def _card(name: str, rows: Sequence[MatrixRow], issues: Mapping[Cause, Issue]) -> BoardVerdict:
    mine = dict.fromkeys(row.cause for row in rows if row.cause)
    real = [
        Issue(where=f"on a simulated board ({row.ggc})", message=row.real.message or row.real.status)
        for row in rows
        if row.real and (row.real.status == "fail" or not agrees(row))
    ]
    return BoardVerdict(
        name=name,
        state=worst(map(_state, rows)),
        verdict=", ".join(dict.fromkeys(row.status for row in rows)),
        about=f"core {', '.join(row.ggc for row in rows)}",
        issues=[*real, *(issues[cause] for cause in mine)],
    )
