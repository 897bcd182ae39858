"""A verdict for a terminal: a line a finding with file, line and column, then what helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from edge_sim.errors import Position
from edge_sim.printing import printable
from edge_sim.report import SEVERITIES
from edge_sim.validation.verdict import LocatedFinding, Verdict

NOT_LOOKED_AT = "no board was checked: groups, devices, paths and permissions need --profile NAME."


def lines(verdict: Verdict) -> Iterator[str]:
    """Yield the lines of the report: findings, the verdict, notes, and how much is unknown."""
    return map(printable, _lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    for result in verdict.findings:
        yield from finding_lines(result, verdict)
    for result in verdict.ignored:
        assert result.ignored is not None  # noqa: S101 - that is why it is here
        yield f"{place(result.position)}  ignored {result.finding.id}: {result.ignored.reason or 'no reason given'}"
    yield summary(verdict)
    yield from (f"note: {note}" for note in verdict.notes)
    if not verdict.boards:
        yield f"note: {NOT_LOOKED_AT}"
    if verdict.unknowns:
        yield f"{len(verdict.unknowns)} unknown; with --strict that is status 6"


def summary(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    counts = Counter(result.finding.severity for result in verdict.findings)
    parts = [_number(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    if verdict.ignored:
        parts.append(f"{len(verdict.ignored)} ignored")
    on = f" for {', '.join(verdict.boards)}" if verdict.boards else ""
    word = "not valid" if verdict.errors else "undecided" if verdict.unknowns else "ok"
    return f"{word}{on}: {', '.join(parts) or 'nothing found'}"


def place(position: Position | None) -> str:
    """Return a position with its file as seen from the current directory."""
    return f"{relative(position.file)}:{position.line}:{position.column}" if position else "-"


def relative(path: Path) -> str:
    """Return a file's name as seen from the current directory, where it is below it."""
    return _seen_from(Path.cwd(), path)


@lru_cache(maxsize=64)
def _seen_from(folder: Path, path: Path) -> str:
    """A table of 40,000 rows asks for the places of a few files."""
    try:
        return path.resolve().relative_to(folder).as_posix()
    except ValueError:
        return str(path)


def finding_lines(result: LocatedFinding, verdict: Verdict) -> Iterator[str]:
    """Yield the lines of one finding: where, what, the words of AWS, what helps."""
    finding = result.finding
    some = f"  [{', '.join(result.boards)}]" if result.boards and result.boards != verdict.boards else ""
    yield f"{place(result.position)}  {finding.severity} {finding.id}: {finding.message}{some}"
    if finding.aws_text and finding.aws_text != finding.message:
        yield f"    AWS: {finding.aws_text}"
    if finding.id.endswith("-disputed"):  # two of AWS's pages disagree: both are named
        yield f"    source: {finding.source}"
    if finding.hint:
        yield f"    hint: {finding.hint}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count > 1 and what != "unknown" else "")
