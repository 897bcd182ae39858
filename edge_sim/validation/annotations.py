"""Results as GitHub's workflow commands, which it shows in the file; worst first, for it shows ten of a kind.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_sim.validation.results import LEVELS, Level, Result
from edge_sim.validation.text import relative

_COMMANDS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


def github(results: Iterable[Result]) -> Iterator[str]:
    """Yield a workflow command for each result that nobody silenced."""
    shown = (result for result in results if result.justification is None)
    for result in sorted(shown, key=lambda result: LEVELS.index(result.level)):
        where = result.position
        properties = {"file": relative(where.file), "line": where.line, "col": where.column} if where else {}
        named = ",".join(f"{key}={_property(value)}" for key, value in {**properties, "title": result.check}.items())
        yield f"::{_COMMANDS[result.level]} {named}::{_data(result.text)}"


def github_error(text: str) -> str:
    """Return the workflow command for what is in no file."""
    return f"::error title=edge-sim::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
