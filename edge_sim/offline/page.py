"""What ``access``, ``plan`` and ``drift`` say, as pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge_sim.definitions.definition import Item
from edge_sim.errors import Position
from edge_sim.facts import Node
from edge_sim.greengrass.blast import BlastRadius
from edge_sim.greengrass.changes import MARKS, Line
from edge_sim.greengrass.rows import AccessRow
from edge_sim.offline.drift import Drift, PathDifference
from edge_sim.offline.plan import OfflinePlan, Use
from edge_sim.offline.plantext import summary
from edge_sim.pages import access, layout, reach
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
from edge_sim.validation.text import place

_ROOT = "a function that runs as root can open everything that its isolation lets it see"
Places = Mapping[Item, Position]
"""Where resources and functions are defined: ``Definition.places``."""


@dataclass(frozen=True, kw_only=True)
class BoardAccess:
    """What is to be said about one board; ``unknown`` counts rows, and sources of local resources in no row."""

    target: str
    access: Sequence[AccessRow]
    blast_radius: BlastRadius
    notes: Sequence[str]
    unknown: int

    def as_json(self) -> dict[str, object]:
        """Return the board's entry of ``boards``."""
        return {
            "target": self.target,
            "access": [row.as_json() for row in self.access],
            "blast_radius": self.blast_radius.as_json(),
            "notes": self.notes,
        }


def access_page(
    boards: Sequence[BoardAccess], subject: str, places: Places, notes: Sequence[str], data: Mapping[str, object]
) -> Page:
    """Return the page of ``edge-sim access``."""
    judged = [
        access.Judged(board=board.target, row=row, place=located(places, row.resource, row.function))
        for board in boards
        for row in board.access
    ]
    issues = access.issues(judged)
    once = {issue.anchor: issue for issue in issues.values()}
    ordered = sorted(once.values(), key=lambda issue: issue.state)
    cards = together(_card(board, issues) for board in boards)
    some, left_out = first(ordered, access.MOST, "rows")
    wrong = sum(access.state(answer.row) == "bad" for answer in judged)
    unknown = sum(board.unknown for board in boards)
    verdict = (
        f"{wrong} of {len(judged)} answers are not as the definition says"
        if wrong
        else "All known access is as defined"
    )
    return Page(
        command="access",
        subject=subject,
        state=worst(card.state for card in cards),
        verdict=verdict + (f", {unknown} unknown" if unknown else ""),
        about={},
        boards=cards,
        sections=[
            Section(
                title="Problems" if wrong else "Not decided",
                blocks=[Issues(issues=some, left_out=left_out)] if ordered else [],
            ),
            Section(title="Access", blocks=[access.matrix(judged, [board.target for board in boards], issues)]),
            Section(title="Reach", blocks=_pictures(boards)),
            Section(title="Blast radius", blocks=_blast(boards), note="What the group's GIDs mean on each board."),
            Section(title="Notes", blocks=_lines([*notes, *_by_board(boards)])),
        ],
        data=data,
    )


def located(places: Places, resource: str | None, function: str | None) -> str | None:
    """Return where a resource is defined, else the function, as ``file:line:column``."""
    position = places.get(("resource", resource or "")) or places.get(("function", function or ""))
    return place(position) if position else None


def _card(board: BoardAccess, issues: Mapping[access.Judged, Issue]) -> BoardVerdict:
    wrong = [row for row in board.access if access.state(row) == "bad"]
    state: State = "bad" if wrong else "open" if board.unknown else "good"
    words = {"bad": f"{len(wrong)} not as defined", "open": f"{board.unknown} unknown", "good": "as defined"}
    mine = {
        issue.anchor: issue for judged, issue in issues.items() if judged.board == board.target and judged.row in wrong
    }
    return BoardVerdict(name=board.target, state=state, verdict=words[state], issues=[*mine.values()])


def _pictures(boards: Sequence[BoardAccess]) -> Sequence[Block]:
    return reach.pictures((board.target, board.access, board.blast_radius) for board in boards)


def _blast(boards: Sequence[BoardAccess]) -> list[Block]:
    rows = [
        [
            Cell(text=board.target),
            Cell(
                text=f"{'/'.join(group.names) or 'no such group'} ({group.gid})",
                state="open" if group.warnings else "plain",
            ),
            Cell(text=", ".join(group.models)),
            Cell(text=", ".join(group.functions)),
            Cell(text="; ".join(group.warnings), state="open" if group.warnings else "plain"),
        ]
        for board in boards
        for group in board.blast_radius.groups
    ]
    some, left_out = first(rows, access.MOST, "groups")
    columns = ["board", "group", "opens the models", "held by functions", "mind"]
    table = Table(caption="Groups", columns=columns, rows=some, headers=2, left_out=left_out)
    root = [f"{board.target}: {name}: {_ROOT}" for board in boards for name in board.blast_radius.root_functions]
    return [*([table] if rows else []), *_lines(root)]


def _by_board(boards: Sequence[BoardAccess]) -> list[str]:
    return [f"{board.target}: {note}" if len(boards) > 1 else note for board in boards for note in board.notes]


def plan_page(
    planned: OfflinePlan, subject: str, places: Places, notes: Sequence[str], data: Mapping[str, object]
) -> Page:
    """Return the page of ``edge-sim plan``: the tree with what is to be made, changed and removed."""
    leaves = [_planned_leaf(line) for line in planned.lines]
    missing = [_use_issue(use, places) for use in planned.uses if use.node is None]
    unknown = [
        Issue(where=str(owner), message=_NO_PACKAGE, state="open", remedies=[f"--source {owner.address}=PATH"])
        for owner in planned.unknown
    ]
    issues = [replace(issue, anchor=f"issue-{number}") for number, issue in enumerate([*missing, *unknown], 1)]
    state = worst(issue.state for issue in issues)
    tree = layout.tree(planned.target.name, leaves, layout.Names.of(planned.target.facts), compared=_COMPARED)
    return Page(
        command="plan",
        subject=subject,
        state=state,
        verdict=summary(planned.lines) + (f", {planned.unknowns} unknown" if planned.unknowns else ""),
        about={"board": planned.target.name},
        boards=[BoardVerdict(name=planned.target.name, state=state, verdict=summary(planned.lines), issues=issues)],
        sections=[
            Section(title="Not settled", blocks=[Issues(issues=issues)] if issues else []),
            Section(title="Paths", blocks=[tree] if leaves else []),
            Section(title="Sources on the board", blocks=_uses(planned.uses)),
            Section(title="Notes", blocks=_lines(notes)),
        ],
        data=data,
    )


_NO_PACKAGE = "its package is not available here, so its contents are unknown"
_COMPARED = "+ to create, ~ to change, - to remove; changes are marked"


def _planned_leaf(line: Line) -> layout.Leaf:
    entry = line.entry
    return layout.Leaf(
        path=line.path,
        node=line.node,
        other=line.actual if line.kind == "change" else None,
        whose=(entry.resource or entry.function) if entry else None,
        mark=MARKS[line.kind].strip(),
        changes=line.words if entry else ("no longer in the definition",),
    )


def _use_issue(use: Use, places: Places) -> Issue:
    return Issue(
        where=f"{use.resource}: {use.path}",
        message=use.doubt or "does not exist on the board, so the deployment would fail",
        state="open" if use.doubt else "bad",
        remedies=[] if use.doubt else ["Create it on the board before the deployment, or correct its SourcePath."],
        place=located(places, use.resource, None),
    )


def _uses(uses: Sequence[Use]) -> list[Block]:
    def there(node: Node | None, doubt: str | None) -> Cell:
        if node is None:
            return Cell(text="unknown" if doubt else "missing", state="open" if doubt else "bad", detail=doubt)
        return Cell(text=f"{node.type} {node.mode:04o} {node.uid}:{node.gid}", code=True)

    rows = [[Cell(text=use.path), Cell(text=use.resource), there(use.node, use.doubt)] for use in uses]
    some, left_out = first(rows, access.MOST, "sources")
    caption = "Paths that local resources need and that no deployment creates"
    table = Table(caption=caption, columns=["path", "resource", "on the board"], rows=some, left_out=left_out)
    return [table] if rows else []


def drift_page(drift: Drift, name: str, subject: str, places: Places, data: Mapping[str, object]) -> Page:
    """Return the page of ``edge-sim drift``: exactly the paths that differ, with the bits that do."""
    state: State = "bad" if drift.differences else "open" if drift.not_compared else "good"
    count = len(drift.differences)
    verdict = f"{count} of {drift.compared} paths differ from the plan" if count else "No difference from the plan"
    issues = [_difference(difference, places) for difference in drift.differences]
    tree = layout.tree(
        name, [_drift_leaf(difference) for difference in drift.differences], layout.Names(), compared=_DRIFT
    )
    return Page(
        command="drift",
        subject=subject,
        state=state,
        verdict=verdict + (f"; {len(drift.not_compared)} could not be compared" if drift.not_compared else ""),
        about={"board": name, "paths compared": str(drift.compared)},
        boards=[
            BoardVerdict(
                name=name, state=state, verdict=f"{count} differences" if count else "as planned", issues=issues
            )
        ],
        sections=[
            Section(title="Differences", blocks=[tree] if count else []),
            Section(title="Not compared", blocks=_lines(drift.not_compared)),
            Section(title="Notes", blocks=_lines(drift.notes)),
        ],
        data=data,
    )


_DRIFT = "+ only on the board, ~ different, - missing; differences from the plan are marked"
_KINDS = {"missing": "-", "different": "~", "extra": "+"}


def _difference(difference: PathDifference, places: Places) -> Issue:
    words = {"missing": "missing", "extra": "not part of the deployment", "different": ", ".join(difference.words)}
    return Issue(
        where=difference.path,
        message=words[difference.kind],
        place=located(places, difference.resource, difference.function),
    )


def _drift_leaf(difference: PathDifference) -> layout.Leaf:
    return layout.Leaf(
        path=difference.path,
        node=difference.actual or difference.expected,
        other=difference.expected if difference.actual else None,
        whose=difference.resource or difference.function,
        mark=_KINDS[difference.kind],
        changes=difference.words or (difference.kind,),
    )


def _lines(lines: Sequence[str]) -> list[Block]:
    some, left_out = first(lines, access.MOST, "lines")
    return [Lines(lines=some, left_out=left_out)] if lines else []
