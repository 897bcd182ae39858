"""The last lines that were added to log files, for the reason of a failed update."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 4096
LINES = 3


class LogTail:
    """The lines that ``files`` get from now on. One that cannot be read says nothing."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._sizes = {file: _size(file) for file in files}

    def last_words(self) -> str:
        """Return the last lines that were added, those of the first file first; empty when there are none."""
        lines = [line for file, before in self._sizes.items() for line in _added(file, before)[-LINES:]]
        return " | ".join(lines)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _added(file: Path, before: int) -> list[str]:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            start = before if size >= before else 0  # set aside meanwhile
            stream.seek(max(start, size - MAX_BYTES))
            text = stream.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
