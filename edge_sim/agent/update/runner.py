"""What an update needs of the software that it replaces, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_sim.agent.update.software import Software

HEALTH_CHECKS = 3
HEALTH_INTERVAL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """A software that says it runs, and whose process exists."""

    version: str
    pid: int


class Runner(Protocol):
    """Starts, stops and watches one software of a board."""

    root: Path
    gg: Path
    board_path: str
    """The Greengrass root as a path of the board."""
    software: Software
    hands_over: bool = False
    """Whether ``start`` ends this process: what it starts is the agent itself."""

    def expect(self, old: str, new: str) -> None:
        """Prepare for ``new`` in place of ``old``, before the link is moved. Raises OSError."""

    def start(self, version: str) -> object:
        """Start ``version``. Raises UpdateError."""

    def stop(self) -> None:
        """Stop what runs. Raises UpdateError."""

    def running(self) -> Running | None:
        """Return what runs, or None."""

    def trouble(self, version: str) -> str | None:
        """Look once: return None when ``version`` runs, else what is wrong."""

    def not_ready(self) -> str | None:
        """Wait until what was started does its work; return why it does not, or None."""
        return None

    def took_over(self, version: str) -> bool:
        """Tell whether this process is ``version``, which the one before it has handed over to, at its first start."""
        return False

    def given_up(self, version: str) -> str | None:
        """Return why another process gave ``version`` up and went back, or None."""
        return None

    def settle(self) -> None:
        """Forget what was expected: the update has ended. Raises OSError."""

    def run_script(self, path: str, limit_s: float) -> None:
        """Run a program of the board's owner below the Greengrass root. Raises UpdateError unless it ends well."""

    def sleep(self, seconds: float) -> object:
        """Let time pass."""

    def unhealthy(
        self,
        version: str,
        *,
        checks: int = HEALTH_CHECKS,
        interval_s: float = HEALTH_INTERVAL_S,
        on_pass: Callable[[], None] = lambda: None,
    ) -> str | None:
        """Look ``checks`` times in a row: None when ``version`` ran, as one process, each time; else what was wrong.

        ``on_pass`` is called after each good look; what it raises ends the checks.
        """
        first = self.running()
        for number in range(checks):
            if number:
                self.sleep(interval_s)
            wrong = self.trouble(version)
            if wrong is None and self.running() != first:
                wrong = f"version {version} was restarted while it was watched"
            if wrong is not None:
                return f"{wrong} (health check {number + 1} of {checks})"
            on_pass()
        return None
