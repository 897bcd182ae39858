"""What the agent reports: events for the process that started it, and the log files of a core.

Events go to stdout, one JSON object a line, at once. Log files have the format of a real core's ``runtime.log``
(``[time][LEVEL]-message.<TAB>{json}``, a field capture); no line of AWS's ``ggc_ota.txt`` is known, so the same
format there is ours. A presigned URL is a key for as long as it lives: its query never reaches a log or an event.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from edge_sim.redaction import redact

Level = Literal["DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
THRESHOLDS = ("TRACE", "VERBOSE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
"""``UpdateAgentLogLevel``'s words, the most talkative first; that order is inferred."""

LOG_SPACE = 128 * 1024
"""Bytes in a log file before it is set aside: V1's default ``Space``. One older file is kept (ours)."""

RECENT_LINES = 20
_OUTPUT = threading.Lock()


class Emit(Protocol):
    """Takes an event: its name and its fields."""

    def __call__(self, event: str, /, **fields: object) -> None: ...


Progress = Callable[[str], object]
"""Hears what long work is doing, at every step and while a long one goes on."""


def emit(event: str, /, **fields: object) -> None:
    """Print one event line. That nothing takes it, a full disk or a reader that has gone away, stops no work."""
    text = redact(json.dumps({"event": event, **fields}))
    with _OUTPUT:
        try:
            print(text, flush=True)
        except BrokenPipeError:
            pass
        except OSError as error:
            complain(f"standard output: {error.strerror}; the agent works on")


@cache
def complain(text: str) -> None:
    """Say something once on standard error, which may lie on the disk that is full."""
    with suppress(OSError):
        if sys.stderr is not None:
            os.write(sys.stderr.fileno(), f"{text}\n".encode())  # nothing is left for the interpreter's last flush


def utc_now() -> datetime:
    """The wall clock, for log lines only: deadlines use monotonic time."""
    return datetime.now(timezone.utc)


class RecentLines:
    """The last lines of a log, which go with the reports of an update."""

    def __init__(self) -> None:
        self.threshold = "INFO"
        """The least level that is written, one of THRESHOLDS."""
        self._recent: list[str] = []  # a deque takes 600 bytes for each of a fleet's thousands

    def forget(self) -> None:
        """Begin a new list of recent lines: a job begins."""
        self._recent.clear()

    def recent(self, most: int) -> str:
        """Return the last lines in at most ``most`` characters, the newest last."""
        text = " | ".join(self._recent)
        return text if len(text) <= most else f"…{text[1 - most :]}"

    def write(self, level: Level, message: str, /, **context: object) -> None:
        """Take one line."""
        if self._hears(level):
            self._keep(_brief(level, message, context))

    def _keep(self, line: str) -> None:
        self._recent.append(line)
        del self._recent[:-RECENT_LINES]

    def _hears(self, level: Level) -> bool:
        return THRESHOLDS.index(level) >= THRESHOLDS.index(self.threshold)


class LogFile(RecentLines):
    """One log file of the core; made when the first line is written, readable by its owner only (as V1's)."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now, space: int = LOG_SPACE) -> None:
        super().__init__()
        self._path = path
        self._now = now
        self._space = space
        self._lock = threading.Lock()

    def write(self, level: Level, message: str, /, **context: object) -> None:
        """Append one line. A full or read-only disk must not stop an update, so a failure is dropped."""
        if not self._hears(level):
            return
        now = self._now()
        line = redact(_line(now, level, message, context))
        self._keep(f"{now:%H:%M:%S} {_brief(level, message, context)}")
        with self._lock, suppress(OSError):
            self._make_room()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _make_room(self) -> None:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        elif self._path.stat().st_size >= self._space:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._path.touch(mode=0o600)


def _brief(level: Level, message: str, context: dict[str, object]) -> str:
    """Return a line as one reads it, without what every line of a job has."""
    more = [f"{name}={value}" for name, value in context.items() if name != "job" and value is not None]
    return redact(" ".join([level, *message.split(), *more]))


def _line(now: datetime, level: Level, message: str, context: dict[str, object]) -> str:
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    text = " ".join(message.split())
    return f"[{stamp}][{level}]-{text}" + (f"\t{json.dumps(context)}\n" if context else "\n")
