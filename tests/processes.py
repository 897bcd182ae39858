"""Whether processes that a test has started still run."""

from __future__ import annotations

import psutil


def is_alive(process: psutil.Process | int) -> bool:
    """Tell whether a process, or one of this id, runs. One that has ended and that nobody has collected does not."""
    try:
        found = psutil.Process(process) if isinstance(process, int) else process
        return bool(found.is_running() and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
