"""What ``edge-sim run --verbose`` adds: why access is as it is, what functions logged, what an update exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from edge_sim.greengrass.rows import AccessRow
from edge_sim.printing import printable
from edge_sim.runs.rows import FunctionRow, UpdateRow


def access(rows: Sequence[AccessRow]) -> Iterator[Text]:
    """Yield each row's reasons; where the access is not as defined, the way to its path as well, step by step."""
    for row in rows:
        chain = row.chain if row.ok is False or row.agree is False else ()
        lines = [*row.reasons, *([row.unknown] if row.unknown else []), *chain]
        if lines:
            yield _lines(row.name, lines)


def log(row: FunctionRow) -> Iterator[Text]:
    """Yield what the function logged."""
    lines = row.log.splitlines()
    if lines:
        yield _lines(f"log of {row.function}", lines)


def exchange(row: UpdateRow) -> Iterator[Text]:
    """Yield the messages and journal entries of an update, in the order of their times."""
    heard = [(message.seconds, f"{message.way} {message.topic} {message.status or ''}") for message in row.messages]
    written = [
        (entry.seconds, f"journal {entry.phase}{', confirmed' if entry.confirmed else ''}{_report(entry.report)}")
        for entry in row.journal
    ]
    lines = [f"{seconds:7.2f} s  {text}".rstrip() for seconds, text in sorted(heard + written)]
    if lines:
        yield _lines(f"messages and journal of {row.name}", lines)


def _report(text: str | None) -> str:
    return f", to report: {text}" if text else ""


def _lines(title: str, lines: Sequence[str]) -> Text:
    return Text("\n".join([f"  {title}", *(f"    {printable(line)}" for line in lines)]), style="dim")
