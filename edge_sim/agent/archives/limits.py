"""How much one archive may ask for, and the account of what it has taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_sim.agent.archives.errors import ArchiveError

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Budgets of one archive. They are ours: AWS names no limit for a model package."""

    entries: int = 100_000
    file_bytes: int = 2 * GIB
    """One file, unpacked."""
    total_bytes: int = 4 * GIB
    """Everything that comes out of the archive, counted as it is produced, headers included."""
    ratio: int = 200
    """Bytes produced for each byte of the archive, looked at once ``ratio_from_bytes`` have been produced."""
    ratio_from_bytes: int = 64 * MIB
    extension_bytes: int = MIB
    """One PAX or long-name header of a tar, the whole header of a gzip."""
    component_bytes: int = 255
    path_bytes: int = 1024
    depth: int = 32
    """Components of one path."""
    seconds: float = 1800.0


class Budget:
    """What one archive of ``archive_bytes`` has used of its limits; every method raises when a limit is passed."""

    def __init__(self, limits: Limits, archive_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._archive_bytes = max(archive_bytes, 1)
        self._now = now
        self._deadline = now() + limits.seconds
        self._entries = 0
        self._produced = 0

    def entry(self) -> None:
        """Account for one more header."""
        self._entries += 1
        if self._entries > self.limits.entries:
            raise ArchiveError("LIMIT_ENTRIES", f"it has more than {self.limits.entries:,} entries")

    def file(self, size: int, shown: str) -> None:
        """Check the declared size of one file, before any of it is written."""
        if size > self.limits.file_bytes:
            raise ArchiveError("LIMIT_SIZE", f"{shown} is larger than {self.limits.file_bytes:,} bytes", member=shown)

    def produced(self, count: int) -> None:
        """Account for ``count`` more bytes that came out of the archive."""
        self._produced += count
        if self._produced > self.limits.total_bytes:
            raise ArchiveError("LIMIT_SIZE", f"it unpacks to more than {self.limits.total_bytes:,} bytes")
        ratio = self._produced / self._archive_bytes
        if self._produced > self.limits.ratio_from_bytes and ratio > self.limits.ratio:
            raise ArchiveError("LIMIT_RATIO", f"it unpacks to more than {self.limits.ratio} times its size (a bomb?)")
        if self._now() > self._deadline:
            raise ArchiveError("LIMIT_TIME", f"it is not unpacked after {self.limits.seconds:g} s")
