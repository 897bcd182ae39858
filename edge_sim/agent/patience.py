"""How long the board's HTTP client waits for a server, and what looks at these limits while it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_sim.agent.http_error import HttpError

TICK_S = 0.5
"""How often a wait looks at the limits, at ``stop`` and at what else the caller has to do."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits of one exchange with all its tries."""

    timeout_s: float = 30.0
    """For connecting, and for each silence; an answer's header may take twice as long."""
    least_bytes_per_s: int = 1024
    """Slower than this over ``pace_window_s`` seconds counts as a stall; 0 turns the check off."""
    pace_window_s: float = 30.0
    total_s: float = 6 * 3600.0
    """For everything together, tries and pauses included."""
    tries: int = 5
    """In a row, without progress."""
    first_pause_s: float = 1.0
    """Doubled after each failed try, up to ``longest_pause_s``; half of it is left to chance."""
    longest_pause_s: float = 30.0
    redirects: int = 3


MESSAGE = Patience(pace_window_s=10.0, total_s=300.0)
"""Of a document, a secret or a status: small, and a board's only work thread waits for it."""


class RequestWatch:
    """The limits of one request: ``look`` is called at least every TICK_S while anything is waited for.

    ``on_wait`` is called as often; what it raises ends the request. ``deadline`` and ``now`` are a monotonic clock's.
    """

    def __init__(
        self,
        where: str,
        patience: Patience,
        deadline: float,
        *,
        now: Callable[[], float] = time.monotonic,
        stop: threading.Event,
        on_wait: Callable[[], object],
    ) -> None:
        self._where = where
        self._patience = patience
        self._deadline = deadline
        self._now = now
        self._stop = stop
        self._on_wait = on_wait
        self._header_end: float | None = None
        self._window_start: float | None = None
        self._window_bytes = 0
        self._waited_at = self._quiet_since = now()

    def begin_header(self) -> None:
        """A request was sent: the wait for its answer's header begins."""
        self._quiet_since = self._now()
        self._header_end = self._quiet_since + 2 * self._patience.timeout_s

    def begin_body(self) -> None:
        """The header has arrived: check the pace from now on."""
        self._header_end = None
        self._window_start, self._window_bytes = self._now(), 0

    def received(self, count: int) -> None:
        self._window_bytes += count
        self._quiet_since = self._now()

    def look(self) -> None:
        """Raise HttpError when a limit is reached or the agent stops, TimeoutError when it is quiet for too long."""
        now, patience = self._now(), self._patience
        if now - self._waited_at >= TICK_S:
            self._waited_at = now
            self._on_wait()
        if self._stop.is_set():
            raise HttpError(f"{self._where}: not finished, because the agent is stopping", retryable=True)
        if now >= self._deadline:
            raise HttpError(f"{self._where}: not finished after {patience.total_s:g} s", retryable=True)
        if self._header_end is not None and now >= self._header_end:
            brief = f"{self._where}: no complete response header after {2 * patience.timeout_s:g} s"
            raise HttpError(brief, retryable=True)
        if now - self._quiet_since >= patience.timeout_s:
            raise TimeoutError
        if self._window_start is not None and now - self._window_start >= patience.pace_window_s:
            if self._window_bytes < patience.least_bytes_per_s * (now - self._window_start):
                raise HttpError(f"{self._where}: slower than {patience.least_bytes_per_s} bytes/s", retryable=True)
            self._window_start, self._window_bytes = now, 0
