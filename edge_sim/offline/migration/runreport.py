"""What a run saw of a group's messages and writes, from the report that ``edge-sim run --format json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_sim.documents import read_bytes
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.greengrass.subscriptions import untaken
from edge_sim.strictjson import loads

_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What a run saw; nothing where there was none.

    ``published`` are topics, by function ARN, of messages that no subscription took. ``written`` are the paths in
    models that an invocation left created, changed or removed, by function Id and resource Id.
    """

    published: Mapping[str, frozenset[str]] = field(default_factory=dict)
    written: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


def observations(file: Path) -> Observations:
    """Raises InvalidDefinitionError where the file is no run's report."""
    try:
        report = loads(read_bytes(file, _MAX_BYTES), exact=False)
    except ValueError as error:
        raise _foreign(file, f": {error}") from error
    boards = report.get("boards") if isinstance(report, Mapping) and "scenario" in report else None
    if not isinstance(boards, list):
        raise _foreign(file, "")
    topics: dict[str, frozenset[str]] = {}
    written: dict[tuple[str, str], frozenset[str]] = {}
    for row in _rows(boards):
        for source, topic in filter(None, map(untaken, _texts(row.get("notes")))):
            topics[source] = topics.get(source, frozenset()) | {topic}
        for write in _objects(row.get("writes")):
            key = str(row.get("function")), str(write.get("resource"))
            written[key] = written.get(key, frozenset()) | {str(write.get("path"))}
    return Observations(published=topics, written=written)


def _rows(boards: list[object]) -> Iterator[Mapping[str, object]]:
    return (row for board in _objects(boards) for row in _objects(board.get("functions")))


def _objects(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _foreign(file: Path, why: str) -> InvalidDefinitionError:
    return InvalidDefinitionError(
        f"not a run's report{why}", place=Position(file=file), hint="edge-sim run SCENARIO --format json >FILE"
    )
