"""What a run saw of a group's messages, from the report that ``edge-sim run --format json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_sim.documents import read_bytes
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.greengrass.subscriptions import untaken
from edge_sim.strictjson import loads

_MAX_BYTES = 64 * 1024 * 1024


def published(file: Path) -> Mapping[str, frozenset[str]]:
    """Return the topics, by function ARN, of messages that no subscription took in a run.

    Raises InvalidDefinitionError where the file is no run's report.
    """
    try:
        report = loads(read_bytes(file, _MAX_BYTES))
    except ValueError as error:
        raise _foreign(file, f": {error}") from error
    boards = report.get("boards") if isinstance(report, Mapping) and "scenario" in report else None
    if not isinstance(boards, list):
        raise _foreign(file, "")
    topics: dict[str, frozenset[str]] = {}
    for note in _notes(boards):
        lost = untaken(note)
        if lost:
            source, topic = lost
            topics[source] = topics.get(source, frozenset()) | {topic}
    return topics


def _notes(boards: list[object]) -> Iterator[str]:
    for board in boards:
        rows = board.get("functions") if isinstance(board, Mapping) else None
        for row in rows if isinstance(rows, list) else ():
            notes = row.get("notes") if isinstance(row, Mapping) else None
            yield from (note for note in (notes if isinstance(notes, list) else ()) if isinstance(note, str))


def _foreign(file: Path, why: str) -> InvalidDefinitionError:
    return InvalidDefinitionError(
        f"not a run's report{why}", place=Position(file=file), hint="edge-sim run SCENARIO --format json >FILE"
    )
