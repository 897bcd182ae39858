"""The places where an update or a deployment may be cut off, by name, so that a test can cut it off at each of them.

``point(name)`` does nothing unless a test has armed it. A test fails when an update's name is never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

UPDATE_POINTS = (
    "P03 journal-created",
    "P04 start-sent",
    "P05 in-progress-acked",
    "P06 preflight",
    "P07 download-open",
    "P09 download-fsync",
    "P10 hash-ok",
    "P13 unpack-start",
    "P15 unpack-fsync",
    "P16 staged-recorded",
    "P17 old-stopped",
    "P18 link-created",
    "P19 link-renamed",
    "P20 dir-fsynced",
    "P21 new-started",
    "P22 health-pass",
    "P23 confirmed-recorded",
    "P24 report-queued",
    "P26 report-acked",
    "P27 old-pruned",
    "P28 journal-closed",
    "R02 recorded",
    "R03 new-stopped",
    "R04 link-back",
    "R06 old-started",
    "R07 old-healthy",
    "R08 report-queued",
)
"""In the order they are passed: P-names on the way to the new version, R-names on the way back."""
DEPLOYMENT_POINTS = ("journal", "aside", "in place", "carried", "made", "settled", "synced", "committed")
"""What was just done. Those of a single step are passed with its number: ``"3 aside"``."""

_armed: Callable[[str], object] | None = None


def point(name: str) -> None:
    """Pass the point ``name``."""
    if _armed is not None:
        _armed(name)


@contextmanager
def armed(action: Callable[[str], object]) -> Iterator[None]:
    """Have ``action`` called with the name of every point that is passed in the block. For tests."""
    global _armed
    _armed = action
    try:
        yield
    finally:
        _armed = None
