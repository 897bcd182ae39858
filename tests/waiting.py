"""Waiting for what other processes and threads do: for the condition, never for a time that is thought to do."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 60.0
"""Far beyond what anything takes on a busy machine: only what never comes to pass reaches it."""


def until(
    condition: Callable[[], object],
    what: str | Callable[[], str] = "it does not come to pass",
    *,
    limit_s: float = LIMIT_S,
    every_s: float = 0.01,
) -> None:
    """Return once ``condition`` holds; fail, saying ``what`` (as it is then), when it does not for ``limit_s``.

    ``every_s``: how long to wait between two looks, for a condition that costs much to look at.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(every_s)
