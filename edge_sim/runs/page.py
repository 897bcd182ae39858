"""A run as a page: the verdict for each board first, then what is behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_sim.greengrass.blast import BlastRadius
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.pages import access, fidelity, layout, reach
from edge_sim.pages.page import (
    Block,
    BoardVerdict,
    Cell,
    Issue,
    Issues,
    Lines,
    Log,
    Moment,
    Page,
    PathTree,
    Section,
    State,
    Table,
    Timeline,
    first,
    from_first,
    together,
    worst,
)
from edge_sim.runs.claims import HELP
from edge_sim.runs.results import BoardReport, Problem, RunReport
from edge_sim.runs.rows import FunctionRow, UpdateRow
from edge_sim.validation.text import place

_PHASES: Mapping[str, State] = {"SUCCEEDED": "good", "FAILED": "bad", "REJECTED": "bad", "ROLL_BACK": "open"}
_PROCESS = re.compile(r"\[pid = \d+\]")
"""What differs from board to board in messages that say the same."""
_RESULT = 240
"""Characters of a function's result that the table shows."""


def page(report: RunReport) -> Page:
    """Return the page of a run."""
    index = _IssueIndex.of(report)
    boards = [_board(board, index) for board in report.boards]
    wrong = [issue for issue in index.issues if issue.state == "bad"]
    return Page(
        command="run",
        subject=report.scenario,
        state=worst(board.state for board in boards),
        verdict=verdict(report),
        about={**_about(report), "exit status": str(report.exit_status)},
        boards=together(boards),
        sections=[
            Section(title="Problems" if wrong else "Not decided", blocks=_issues(index.issues)),
            Section(title="Access", blocks=_access(report, index), note=_ACCESS),
            Section(title="Reach", blocks=reach.pictures(_reachable(report)), note=_REACH),
            Section(title="Layout", blocks=_layouts(report), note=_LAYOUT),
            Section(title="Functions", blocks=_functions(report, index)),
            Section(title="Updates", blocks=_updates(report)),
            Section(title="Fidelity", blocks=_fidelity(report), note=_FIDELITY),
            Section(title="Notes", blocks=_notes(report)),
        ],
        data=report.as_json(),
    )


_ACCESS = (
    "r and w: the function can read and write; the second line says by what right. "
    "Probed: tried by a real process with the function's identity. A red cell leads to its reason and remedy."
)
_REACH = (
    "Solid: access through the attachment. Dashed: access only through a shared group or permissive bits. "
    "Red: not as defined. Dotted: which functions are in a group."
)
_LAYOUT = "The files on each board after the deployment. Differences from the first board are marked."
_FIDELITY = "A result is only as reliable as the simulated board's resemblance to the real one."


def verdict(report: RunReport) -> str:
    """Return the run's verdict in one sentence."""
    count = len(report.boards)
    bad = sum(bool(board.problems) for board in report.boards)
    unchecked = sum(row.ok is None for board in report.boards for row in board.access)
    if bad:
        return (
            f"{bad} of {count} boards {'is' if bad == 1 else 'are'} not as the scenario says"
            if count > 1
            else ("The board is not as the scenario says")
        )
    if not report.ok:
        return "Nothing is wrong, but this machine could not prove everything"
    rest = f"; {unchecked} {'claim' if unchecked == 1 else 'claims'} could not be checked" if unchecked else ""
    whole = "The board is as the scenario says" if count == 1 else f"All {count} boards are as the scenario says"
    return whole + rest


@dataclass(frozen=True, kw_only=True)
class _IssueIndex:
    """Every issue of a run once, with the boards that have it; those of access rows by row."""

    issues: Sequence[Issue]
    judged: Sequence[access.Judged]
    rows: Mapping[access.Judged, Issue]
    by_board: Mapping[str, Sequence[Issue]]

    @classmethod
    def of(cls, report: RunReport) -> _IssueIndex:
        judged = [
            access.Judged(board=board.profile, row=row, place=_located(board, row))
            for board in report.boards
            for row in board.access
        ]
        rows = access.issues(judged)
        by_name = {(cell.board, cell.row.name): issue for cell, issue in rows.items()}
        merged: dict[tuple[object, ...], Issue] = {}
        by_board: dict[str, list[tuple[object, ...]]] = {}
        for board in report.boards:
            for issue in _plain(board, by_name):
                message = _PROCESS.sub("", issue.message)
                key = (issue.where, message, issue.state, tuple(issue.remedies), issue.anchor)
                same = merged.get(key)
                boards = (*(same.boards if same else ()), board.profile)
                anchor = issue.anchor or (same.anchor if same else f"problem-{len(merged) + 1}")
                merged[key] = replace(same or issue, boards=issue.boards or boards, anchor=anchor)
                by_board.setdefault(board.profile, []).append(key)
        open_rows = [issue for issue in rows.values() if issue.anchor not in {same.anchor for same in merged.values()}]
        ordered = sorted([*merged.values(), *dict.fromkeys(open_rows)], key=lambda issue: issue.state)
        shown = {name: [merged[key] for key in keys] for name, keys in by_board.items()}
        return cls(issues=ordered, judged=judged, rows=rows, by_board=shown)


def _located(board: BoardReport, row: AccessRow) -> str | None:
    """Return where a row's resource is defined, else its function."""
    resource, function = ("resource", row.resource or ""), ("function", row.function)
    position = board.places.get(resource) or board.places.get(function)
    return place(position) if position else None


def _plain(board: BoardReport, rows: Mapping[tuple[str, str], Issue]) -> Iterator[Issue]:
    """Yield a board's problems, then what it could not prove; a problem with an access row is that row's issue."""
    for problem in board.problems:
        of_row = rows.get((board.profile, problem.where)) if problem.kind in ("access", "disagreement") else None
        yield of_row or _problem(problem)
    for text in board.not_proven:
        what, _, why = text.partition(": ")
        yield Issue(where=f"Not proven here: {what}", message=why or what, state="open")


def _problem(problem: Problem) -> Issue:
    return Issue(
        where=problem.where,
        message=problem.message,
        remedies=(problem.hint or HELP[problem.kind],),
        place=place(problem.place) if problem.place else None,
        log=tuple(problem.log),
    )


def _about(report: RunReport) -> dict[str, str]:
    drivers = ", ".join(dict.fromkeys(board.driver for board in report.boards))
    return {"driver": drivers, **{key: report.parts[key] for key in ("broker", "region") if key in report.parts}}


def _board(board: BoardReport, index: _IssueIndex) -> BoardVerdict:
    count = len(board.problems)
    state: State = "bad" if count else "open" if board.not_proven else "good"
    words = {"bad": f"{count} problem{'s' * (count != 1)}", "open": "not proven", "good": "as the scenario says"}
    about = f"{board.architecture} {board.operating_system}, core {board.core}, driver {board.driver}"
    return BoardVerdict(
        name=board.profile,
        state=state,
        verdict=words[state],
        about=about + (f" ({board.standing_in})" if board.standing_in else ""),
        fidelity=fidelity.sentence(board.certificate),
        issues=index.by_board.get(board.profile, ()),
    )


def _issues(issues: Sequence[Issue]) -> list[Block]:
    some, left_out = first(issues, access.MOST, "issues")
    return [Issues(issues=some, left_out=left_out)] if issues else []


def _access(report: RunReport, index: _IssueIndex) -> list[Block]:
    boards = [board.profile for board in report.boards if board.access or not _deployed(board)]
    return [access.matrix(index.judged, boards, index.rows)] if index.judged else []


def _deployed(board: BoardReport) -> bool:
    """Say whether nothing failed before access could be looked at: nobody asked then."""
    return board.deployment is None or board.deployment.status == "Success"


def _reachable(report: RunReport) -> Iterator[tuple[str, Sequence[AccessRow], BlastRadius]]:
    for board in report.boards:
        if board.blast_radius:
            yield board.profile, board.access, board.blast_radius


def _layouts(report: RunReport) -> list[Block]:
    """Return the first board's tree, and of every other board the tree with what differs marked, if anything does."""
    boards = [board for board in report.boards if board.layout]
    if not boards:
        return []
    reference, *others = boards
    nodes = {row.path: row for row in reference.layout}
    blocks: list[Block] = [
        _tree(reference, [layout.Leaf(path=r.path, node=r.node, whose=_whose(r)) for r in nodes.values()])
    ]
    for board in others:
        leaves = [_leaf(row, nodes.get(row.path)) for row in board.layout]
        removals = [row for path, row in nodes.items() if path not in {leaf.path for leaf in leaves}]
        leaves += [
            layout.Leaf(path=row.path, node=row.node, whose=_whose(row), mark="-", changes=("not on this board",))
            for row in removals
        ]
        if any(leaf.mark or leaf.changes for leaf in leaves):
            blocks.append(_tree(board, leaves, f"against {reference.profile}"))
        else:
            same = f"{board.profile}: the same {len(leaves)} paths, owners, groups and modes as {reference.profile}."
            blocks.append(Lines(lines=[same]))
    return blocks


def _leaf(row: LayoutRow, other: LayoutRow | None) -> layout.Leaf:
    if other is None:
        return layout.Leaf(path=row.path, node=row.node, whose=_whose(row), mark="+", changes=("on this board only",))
    changes = layout.words(row.node, other.node)
    return layout.Leaf(
        path=row.path,
        node=row.node,
        other=other.node,
        whose=_whose(row),
        mark="~" if changes else "",
        changes=changes,
    )


def _tree(board: BoardReport, leaves: Sequence[layout.Leaf], compared: str | None = None) -> PathTree:
    names = layout.Names(users=board.user_names, groups=board.group_names)
    return layout.tree(f"{board.profile}: {len(leaves)} paths", leaves, names, compared=compared)


def _whose(row: LayoutRow) -> str | None:
    return row.resource or row.function


def _functions(report: RunReport, index: _IssueIndex) -> list[Block]:
    rows, logs = [], []
    for board in report.boards:
        for row in board.functions:
            anchors = [issue.anchor for issue in index.by_board.get(board.profile, ()) if issue.where == row.function]
            text = row.error or json.dumps(row.result, ensure_ascii=False)
            rows.append(
                [
                    Cell(text=row.function),
                    Cell(text=board.profile),
                    Cell(
                        text="✓ ok" if row.ok else "✗ failed",
                        state="good" if row.ok else "bad",
                        detail=text[:_RESULT] + "…" * (len(text) > _RESULT),
                        link=anchors[0] if anchors and not row.ok else None,
                    ),
                    Cell(text=row.isolation, detail=_who(row, board)),
                    Cell(text="" if row.seconds is None else f"{row.seconds:.2f}\N{NO-BREAK SPACE}s"),
                ]
            )
            if not row.ok:
                lines = [*text.splitlines(), *row.log.splitlines()]
                logs.append(Log(caption=f"{row.function} on {board.profile}: result and log", lines=lines))
    if not rows:
        return []
    some, left_out = first(rows, access.MOST, "invocations")
    columns = ["function", "board", "result", "runs as", "took"]
    return [Table(caption="Each invocation", columns=columns, rows=some, headers=2, left_out=left_out), *logs]


def _who(row: FunctionRow, board: BoardReport) -> str:
    groups = [str(board.group_names.get(gid, gid)) for gid in (row.identity.gid, *row.identity.groups)]
    return f"{board.user_names.get(row.identity.uid, row.identity.uid)}:{'+'.join(groups)}"


def _updates(report: RunReport) -> list[Block]:
    return [_timeline(board, row) for board in report.boards for row in board.updates]


def _timeline(board: BoardReport, row: UpdateRow) -> Timeline:
    facts = {"job": row.job_id, "job status": row.job_status, "runs afterwards": row.running}
    if row.stable_window_s:
        facts["stable window"] = f"{row.stable_window_s:g} s"
    return Timeline(
        caption=f"{board.profile}: {row.name}",
        state="good" if row.as_expected else "bad",
        verdict=f"{row.status}, {'as expected' if row.as_expected else 'not as expected'}",
        moments=from_first([*_messages(row), *_journal(row), *_phases(row), *_core(row)]),
        facts={**facts, **({"reason": row.reason} if row.reason else {})},
    )


def _phases(row: UpdateRow) -> Iterator[Moment]:
    for step in row.timeline:
        state = _PHASES.get(step.phase, "plain")
        yield Moment(seconds=step.seconds, kind="phase", text=step.phase, detail=step.detail, state=state)


def _messages(row: UpdateRow) -> Iterator[Moment]:
    for message in row.messages:
        arrow = "→" if message.way == "sent" else "←"
        text = f"{arrow} {message.topic}" + (f" {message.status}" if message.status else "")
        yield Moment(seconds=message.seconds, kind="message", text=text)


def _journal(row: UpdateRow) -> Iterator[Moment]:
    for entry in row.journal:
        confirmed = "confirmed: the new version stays" if entry.confirmed else None
        report = f"to report: {entry.report}" if entry.report else None
        detail = "; ".join(filter(None, (confirmed, report))) or None
        yield Moment(seconds=entry.seconds, kind="journal", text=entry.phase, detail=detail)


def _core(row: UpdateRow) -> Iterator[Moment]:
    for event in row.core:
        again = None if event.next_try_s is None else f"next try in {event.next_try_s:g} s"
        detail = "; ".join(filter(None, (event.error, again))) or None
        state: State = "plain" if event.status == "running" else "open"
        text = f"core {event.version or 'of an unknown version'}: {event.status}"
        yield Moment(seconds=event.seconds, kind="core", text=text, detail=detail, state=state)


def _fidelity(report: RunReport) -> list[Block]:
    boards = {board.profile: board.certificate for board in report.boards if board.certificate}
    return [fidelity.table(boards)] if boards else []


def _notes(report: RunReport) -> list[Block]:
    by_note: dict[str, list[str]] = {}
    for board in report.boards:
        for note in board.notes:
            by_note.setdefault(note, []).append(board.profile)
    everywhere = len(report.boards)
    lines = [note if len(on) == everywhere else f"{note} ({', '.join(on)})" for note, on in by_note.items()]
    return [Lines(lines=lines)] if lines else []
