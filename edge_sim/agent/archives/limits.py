"""The account of what one archive has taken of its limits so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_sim.agent.archives.errors import ArchiveError, Code, raising
from edge_sim.limits import Limits


class Budget:
    """What one archive of ``archive_bytes`` has used of its limits; every method raises when a limit is passed."""

    def __init__(self, limits: Limits, archive_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.archive_bytes = max(archive_bytes, 1)
        self._now = now
        self._deadline = now() + limits.seconds
        self._beside = self._names = 0
        self.entries = self.bytes = 0
        """Headers read and directories implied, and bytes produced from the archive, so far."""

    def entry(self) -> None:
        """Account for one more header, or one more directory that only stands in other names."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise _passed("LIMIT_ENTRIES", f"it has more than {self.limits.entries:,} entries", "entries")

    def name(self, raw: bytes) -> None:
        """Account for the name of one more member, or of a directory that is implied; they are all held at once."""
        self._names += len(raw)
        if self._names > self.limits.names_bytes:
            brief = f"its names add up to more than {self.limits.names_bytes:,} bytes"
            raise _passed("LIMIT_SIZE", brief, "names_bytes")

    def file(self, size: int, label: str) -> None:
        """Check the declared size of one file, before any of it is written."""
        if size > self.limits.file_bytes:
            raise _passed("LIMIT_SIZE", f"{label} is larger than {self.limits.file_bytes:,} bytes", "file_bytes", label)

    def produced(self, count: int) -> None:
        """Account for ``count`` more bytes that came out of the archive (in whatever thread inflates it)."""
        self.bytes += count
        ratio = self.bytes / self.archive_bytes
        if self.bytes > self.limits.ratio_from_bytes and ratio > self.limits.ratio:
            brief = f"it unpacks to more than {self.limits.ratio} times its size (a bomb?)"
            raise _passed("LIMIT_RATIO", brief, "ratio")
        self._check_total()

    def copied(self, count: int) -> None:
        """Account for ``count`` more bytes that the copy for a link takes."""
        self._beside += count
        self._check_total()

    def header(self, count: int) -> None:
        """Account for ``count`` more bytes of a zip's headers, names and extra fields; a tar's are inflated with it."""
        self._beside += count
        self._check_total()

    def _check_total(self) -> None:
        if self.bytes + self._beside > self.limits.total_bytes:
            raise _passed("LIMIT_SIZE", f"it unpacks to more than {self.limits.total_bytes:,} bytes", "total_bytes")
        if self._now() > self._deadline:
            raise _passed("LIMIT_TIME", f"unpacking takes longer than {self.limits.seconds} s", "seconds")


def _passed(code: Code, brief: str, limit: str, member: str | None = None) -> ArchiveError:
    return ArchiveError(code, brief, member=member, hint=f"make the package smaller, or {raising(limit)}")
