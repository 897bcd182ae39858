"""The report of a migration: as text, JSON and SARIF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

from edge_sim.greengrass.rules import by_id, reading
from edge_sim.greengrass.rules.rule import Labels, Rule
from edge_sim.offline.migration.moves import Migration
from edge_sim.printing import printable
from edge_sim.report import Severity
from edge_sim.v2.access import WHY, AccessCell, AccessDifference
from edge_sim.v2.checks import CHECKS
from edge_sim.v2.designs import Placement, placements
from edge_sim.v2.mapping import Row
from edge_sim.v2.mapping import rows as mapping_rows
from edge_sim.v2.names import component_names
from edge_sim.v2.verdicts import FunctionVerdict
from edge_sim.validation.formats import finding_json
from edge_sim.validation.sarif import to_sarif
from edge_sim.validation.text import place
from edge_sim.validation.verdict import LocatedFinding

TITLES: Mapping[Severity, str] = {
    "error": "Blocks",
    "warning": "Changes without an error",
    "unknown": "Not known",
    "note": "Worth knowing",
}
BY_ID: Mapping[str, Rule] = {rule.id: rule for rule in CHECKS}
LABELS = "sourced: from a page or source code; inferred: follows from several sources; ours: no source says"


def lines(migration: Migration) -> Iterator[str]:
    """Yield the lines of the report: what becomes of each function, what blocks, what changes, what to know."""
    return map(printable, _lines(migration))


def as_json(migration: Migration) -> dict[str, Any]:
    """Return the report as an object: the contract of ``edge-sim migrate --format json``."""
    judgement = migration.judgement
    return {
        "ok": judgement.ok,
        "unknown": len(judgement.unknowns),
        "name": migration.name,
        "from": migration.from_board,
        "to": list(migration.moves),
        "nucleus": migration.nucleus,
        "chosen": migration.chosen,
        "functions": [
            {"id": id_, **{nucleus: {b: _verdict_json(v) for b, v in boards.items()} for nucleus, boards in by.items()}}
            for id_, by in migration.verdicts.items()
        ],
        "models": [_placement_json(placement) for placement in placements(migration.strictest)],
        "access": {board: [_difference_json(row) for row in rows] for board, rows in migration.access.items()},
        "mapping": [_row_json(row) for row in mapping_rows(migration.strictest)],
        "findings": [{**finding_json(result), "labels": _labels_json(result)} for result in judgement.findings],
        "ignored": [
            {**finding_json(result), "reason": result.ignored.reason if result.ignored else ""}
            for result in judgement.ignored
        ],
        "notes": [*judgement.notes, *migration.notes],
    }


def as_sarif(migration: Migration) -> dict[str, Any]:
    """Return the findings as a SARIF log."""
    return to_sarif(migration.judgement, (*reading.RULES, *CHECKS))


def _lines(migration: Migration) -> Iterator[str]:
    to = ", ".join(migration.moves)
    yield f"{migration.name}: from {migration.from_board} to {to}, nucleus {migration.nucleus} ({migration.chosen})"
    yield from _functions(migration)
    yield from _models(migration)
    ordered = sorted(migration.judgement.findings, key=lambda result: [*TITLES].index(result.finding.severity))
    for severity, group in groupby(ordered, key=lambda result: result.finding.severity):
        findings = list(group)
        yield from ("", f"{TITLES[severity]} ({len(findings)})")
        for result in findings:
            yield from _finding(result, migration)
    for result in migration.judgement.ignored:
        reason = (result.ignored.reason if result.ignored else "") or "no reason given"
        yield f"{place(result.position)}  ignored {result.finding.id}: {reason}"
    yield from _access(migration)
    yield from ("", "Mapping")
    for row in mapping_rows(migration.strictest):
        yield f"  {row.fate:<8}{row.where} {row.member} → {row.v2} [{row.label}: {row.source}]"
    yield from (f"note: {note}" for note in (*migration.judgement.notes, *migration.notes))
    yield from ("", _summary(migration), LABELS)


def _summary(migration: Migration) -> str:
    counts = [sum(result.finding.severity == s for result in migration.judgement.findings) for s in TITLES]
    blocked = "blocked" if counts[0] else "nothing blocks"
    return f"{blocked}: {counts[0]} block, {counts[1]} change without an error, {counts[2]} unknown, {counts[3]} notes"


def _functions(migration: Migration) -> Iterator[str]:
    yield from ("", "Functions")
    names = component_names(migration.strictest)
    for id_, by in migration.verdicts.items():
        yield f"  {id_} (component {names[id_]})"
        for nucleus, boards in by.items():
            for words, same in groupby(boards.items(), key=lambda pair: verdict_line(pair[1])):
                on = [board for board, _ in same]
                where = f" on {', '.join(on)}" if len(on) < len(boards) else ""
                yield f"    {nucleus}{where}: {words}"


def verdict_line(verdict: FunctionVerdict) -> str:
    """Return a verdict in one line, with its reason."""
    return f"{verdict.words}: {because(verdict)}"


def because(verdict: FunctionVerdict) -> str:
    """Return why a verdict is what it is, with its label."""
    doubt = f"; not known: {verdict.doubt}" if verdict.doubt else ""
    return f"{verdict.reason} [{verdict.label}]{doubt}"


def _models(migration: Migration) -> Iterator[str]:
    placed = placements(migration.strictest)
    if placed:
        yield from ("", "Models")
    for placement in placed:
        pair = f"{placement.function.id} × {placement.resource.id}"
        yield f"  {pair}: way {placement.way}, opened at {placement.seen} [ours]"


def _access(migration: Migration) -> Iterator[str]:
    """Yield what each function could and can open, where that differs."""
    for board, rows in migration.access.items():
        changed = [row for row in rows if row.changed]
        yield from ("", f"Access on {board}: {len(changed)} of {len(rows)} rows differ")
        for row in changed:
            attached = "" if row.attached else ", not attached"
            yield f"  {row.function} × {row.resource}{attached}: could {rights(row.before)} (V1)"
            for nucleus, cell in row.cells.items():
                why, label = WHY[cell.reason]
                yield f"    can {rights(cell.rights)} ({nucleus}): {cell.doubt or why} [{label}]"
                if cell.restores:
                    yield f"      restore: {cell.restores}"


def rights(names: tuple[str, ...] | None) -> str:
    """Return rights in words."""
    return "?" if names is None else ", ".join(names) or "nothing"


def _difference_json(row: AccessDifference) -> dict[str, object]:
    return {
        "function": row.function,
        "resource": row.resource,
        "attached": row.attached,
        "v1": None if row.before is None else list(row.before),
        **{nucleus: _cell_json(cell) for nucleus, cell in row.cells.items()},
    }


def _cell_json(cell: AccessCell) -> dict[str, object]:
    return {
        "rights": None if cell.rights is None else list(cell.rights),
        "path": cell.path,
        "reason": cell.reason,
        "label": WHY[cell.reason][1],
        "doubt": cell.doubt,
        "restores": cell.restores,
    }


def _finding(result: LocatedFinding, migration: Migration) -> Iterator[str]:
    finding, rule = result.finding, BY_ID.get(result.finding.id) or by_id(result.finding.id)
    some = f"  [{', '.join(result.boards)}]" if result.boards and result.boards != migration.judgement.boards else ""
    yield f"{place(result.position)}  {finding.id}: {finding.message}{some}"
    if finding.hint:
        yield f"    hint: {finding.hint}"
    label = f" [{rule.labels.condition}]" if rule else ""
    yield f"    source: {finding.source}{label}"


def _verdict_json(verdict: FunctionVerdict) -> dict[str, object]:
    members = {"becomes": verdict.becomes, "reason": verdict.reason, "label": verdict.label, "doubt": verdict.doubt}
    return {**members, "words": verdict.words}


def _row_json(row: Row) -> dict[str, object]:
    return {
        "v1": f"{row.where} {row.member}",
        "v2": row.v2,
        "fate": row.fate,
        "label": row.label,
        "source": row.source,
    }


def _placement_json(placement: Placement) -> dict[str, object]:
    return {
        "function": placement.function.id,
        "resource": placement.resource.id,
        "way": placement.way,
        "component": placement.component,
        "version": placement.version,
        "archive": placement.archive,
        "path": placement.path,
        "seen": placement.seen,
        "label": "ours",
    }


def _labels_json(result: LocatedFinding) -> dict[str, object] | None:
    rule = BY_ID.get(result.finding.id) or by_id(result.finding.id)
    labels: Labels | None = rule.labels if rule else None
    return asdict(labels) if labels else None
