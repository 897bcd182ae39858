"""The report of a migration as a page: for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_sim.greengrass.rules import by_id
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.offline.migration.moves import Migration
from edge_sim.offline.migration.report import BY_ID, LABELS, TITLES, as_json, because, rights
from edge_sim.pages.page import Block, BoardVerdict, Cell, Issue, Issues, Lines, Page, Section, State, Table, first
from edge_sim.report import Severity
from edge_sim.v2.access import WHY, AccessCell
from edge_sim.v2.designs import placements
from edge_sim.v2.mapping import rows as mapping_rows
from edge_sim.v2.names import component_names
from edge_sim.v2.nucleus import NUCLEI
from edge_sim.v2.verdicts import Becomes, FunctionVerdict
from edge_sim.validation.text import place
from edge_sim.validation.verdict import LocatedFinding

MOST = 400
"""Rows of a table that a page shows."""
_STATES: Mapping[Severity, State] = {"error": "bad", "warning": "open", "unknown": "open", "note": "plain"}
_BECOMES: Mapping[Becomes, State] = {"lambda": "good", "generic": "open", "nothing": "bad"}


def migration_page(migration: Migration) -> Page:
    """Return the page of ``edge-sim migrate``."""
    judgement = migration.judgement
    counts = [sum(result.finding.severity == severity for result in judgement.findings) for severity in TITLES]
    return Page(
        command="migrate",
        subject=migration.name,
        state="bad" if counts[0] else "open" if counts[1] or counts[2] else "good",
        verdict=f"{counts[0]} block, {counts[1]} change without an error, {counts[2]} unknown, {counts[3]} notes",
        about={"from": migration.from_board, "nucleus": f"{migration.nucleus} ({migration.chosen})", "labels": LABELS},
        boards=[_board(name, judgement.findings) for name in migration.moves],
        sections=[
            Section(title="Functions", blocks=[_functions(migration)]),
            *(Section(title=title, blocks=_issues(migration, severity)) for severity, title in TITLES.items()),
            Section(title="Access", blocks=[*_access(migration)], note="Rows in which something differs."),
            Section(title="Models", blocks=_models(migration)),
            Section(title="Mapping", blocks=[_mapping(migration)]),
            Section(title="Notes", blocks=_lines([*judgement.notes, *migration.notes])),
        ],
        data=as_json(migration),
    )


def _board(name: str, findings: Sequence[LocatedFinding]) -> BoardVerdict:
    mine = [result for result in findings if not result.boards or name in result.boards]
    blocking = [_issue(result) for result in mine if result.finding.severity == "error"]
    unknown = any(result.finding.severity == "unknown" for result in mine)
    words = f"{len(blocking)} block" if blocking else "nothing blocks"
    state: State = "bad" if blocking else "open" if unknown else "good"
    return BoardVerdict(name=name, state=state, verdict=words, issues=blocking)


def _issue(result: LocatedFinding) -> Issue:
    finding = result.finding
    rule: Rule | None = BY_ID.get(finding.id) or by_id(finding.id)
    about = finding.resource or finding.function
    label = [f"Condition {rule.labels.condition}, phase {rule.labels.timing}: {finding.phase}"] if rule else []
    return Issue(
        where=finding.id + (f" ({about})" if about else ""),
        message=finding.message,
        state=_STATES[finding.severity],
        remedies=[finding.hint] if finding.hint else [],
        place=place(result.position) if result.position else None,
        boards=result.boards,
        details=[*([rule.what] if rule else []), f"Source: {finding.source}", *label],
        details_are="Check, source and label",
    )


def _issues(migration: Migration, severity: Severity) -> list[Block]:
    issues = [_issue(result) for result in migration.judgement.findings if result.finding.severity == severity]
    some, left_out = first(issues, MOST, "findings")
    return [Issues(issues=some, left_out=left_out)] if issues else []


def _functions(migration: Migration) -> Table:
    names = component_names(migration.strictest)
    cells = [
        [Cell(text=id_), Cell(text=names[id_], code=True), *(_verdicts(by[nucleus]) for nucleus in NUCLEI)]
        for id_, by in migration.verdicts.items()
    ]
    some, left_out = first(cells, MOST, "functions")
    columns = ["function", "component", *NUCLEI]
    return Table(caption="The result for each function", columns=columns, rows=some, headers=2, left_out=left_out)


def _verdicts(boards: Mapping[str, FunctionVerdict]) -> Cell:
    words = list(dict.fromkeys(verdict.words for verdict in boards.values()))
    worst = max(boards.values(), key=lambda verdict: ("lambda", "generic", "nothing").index(verdict.becomes))
    return Cell(text=" or ".join(words), state=_BECOMES[worst.becomes], detail=because(worst))


def _access(migration: Migration) -> list[Table]:
    tables = []
    for board, rows in migration.access.items():
        cells = [
            [
                Cell(text=row.function),
                Cell(text=row.resource + ("" if row.attached else " (not attached)")),
                Cell(text=rights(row.before)),
                *(_cell(row.cells[nucleus]) for nucleus in NUCLEI),
            ]
            for row in rows
            if row.changed
        ]
        some, left_out = first(cells, MOST, "rows")
        columns = ["function", "resource", "could (V1)", *(f"can ({nucleus})" for nucleus in NUCLEI)]
        caption = f"{board}: {len(cells)} of {len(rows)} rows differ"
        tables.append(Table(caption=caption, columns=columns, rows=some, headers=2, left_out=left_out))
    return tables


def _cell(cell: AccessCell) -> Cell:
    why, label = WHY[cell.reason]
    restores = f" · restore: {cell.restores}" if cell.restores else ""
    state: State = "plain" if cell.reason == "same" else "open"
    return Cell(text=rights(cell.rights), state=state, detail=f"{cell.doubt or why} [{label}]{restores}")


def _models(migration: Migration) -> list[Block]:
    rows = [
        [
            Cell(text=placement.function.id),
            Cell(text=placement.resource.id),
            Cell(text=placement.way),
            Cell(text=placement.seen, code=True),
        ]
        for placement in placements(migration.strictest)
    ]
    some, left_out = first(rows, MOST, "models")
    columns = ["function", "model", "way", "opened at"]
    caption = "Where each function finds its models (ours)"
    return [Table(caption=caption, columns=columns, rows=some, headers=2, left_out=left_out)] if rows else []


def _mapping(migration: Migration) -> Table:
    states: Mapping[str, State] = {"same": "good", "changed": "open", "lost": "bad"}
    rows = [
        [
            Cell(text=f"{row.where} {row.member}", code=True),
            Cell(text=row.v2),
            Cell(text=row.fate, state=states[row.fate]),
            Cell(text=f"{row.label}: {row.source}"),
        ]
        for row in mapping_rows(migration.strictest)
    ]
    return Table(caption="V1's members and V2's", columns=["V1", "V2", "carries over", "label and source"], rows=rows)


def _lines(lines: Sequence[str]) -> list[Block]:
    return [Lines(lines=lines)] if lines else []
