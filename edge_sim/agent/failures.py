"""What goes wrong with the agent's tasks, kind by kind: how often in a row, and said once until it changes."""

from __future__ import annotations

from collections import Counter

from edge_sim.agent.events import Emit, LogFile
from edge_sim.agent.mqtt import OfflineError
from edge_sim.errors import EdgeSimError


class Failures:
    """The failures of each kind of task since it last went well."""

    def __init__(self, emit: Emit, log: LogFile) -> None:
        self._emit = emit
        self._log = log
        self._count: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def most(self) -> int:
        """Return how often the kind that fails most did so in a row."""
        return max(self._count.values(), default=0)

    def over(self, kind: str) -> None:
        """Forget those of one kind; another kind's stay: its report would wait for the idle time."""
        self._count.pop(kind, None)
        self._last.pop(kind, None)

    def count(self, kind: str, error: EdgeSimError | OSError) -> None:
        """Note one, and say it."""
        self._count[kind] += 1
        self.say(kind, error)

    def say(self, kind: str, error: EdgeSimError | OSError) -> None:
        """Say what went wrong; the same again and again is said once."""
        brief = error.brief if isinstance(error, EdgeSimError) else str(error)
        if self._last.get(kind) == brief:
            return
        self._last[kind] = brief
        if isinstance(error, OfflineError):
            self._log.write("WARN", "The cloud did not answer.", task=kind, error=brief)
            return
        self._emit("error", task=kind, error=brief)
        self._log.write("ERROR", "A task failed.", task=kind, error=brief)
