"""What one archive may ask for, and the account of what it has taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal

from edge_sim.agent.archives.errors import ArchiveError, Code
from edge_sim.errors import UsageError

MIB = 1024 * 1024
GIB = 1024 * MIB

Links = Literal["refuse", "copy"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Budgets of one archive, and what becomes of its links. They are ours: AWS names no limit for a model package."""

    entries: int = 100_000
    file_bytes: int = 2 * GIB
    """One file, unpacked."""
    total_bytes: int = 4 * GIB
    """Everything that comes out of the archive, counted as it is produced, headers and copied links included."""
    ratio: int = 200
    """Bytes produced for each byte of the archive, looked at once ``ratio_from_bytes`` have been produced."""
    ratio_from_bytes: int = 64 * MIB
    extension_bytes: int = MIB
    """One PAX or long-name header of a tar, the whole header of a gzip."""
    component_bytes: int = 255
    path_bytes: int = 1024
    depth: int = 32
    """Components of one path."""
    seconds: int = 1800
    links: Links = "refuse"
    """``copy`` turns a link to a file in the same archive into a copy of it."""

    def changed(self, settings: Iterable[str]) -> Limits:
        """Return these limits with each ``NAME=NUMBER`` applied. Raises UsageError."""
        numbers: dict[str, int] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            if name not in NAMES:
                raise UsageError(f"no limit is called {name!r}", hint=f"the limits are: {', '.join(NAMES)}")
            if not (value.isascii() and value.isdigit() and len(value) <= 18):
                raise UsageError(f"the limit {name} is {value!r}, not a whole number")
            numbers[name] = int(value)
        return replace(self, **numbers)  # type: ignore[arg-type]


NAMES = tuple(field.name for field in fields(Limits) if field.name != "links")
"""The limits by name; those in bytes and seconds say so."""


class Budget:
    """What one archive of ``archive_bytes`` has used of its limits; every method raises when a limit is passed."""

    def __init__(self, limits: Limits, archive_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.archive_bytes = max(archive_bytes, 1)
        self._now = now
        self._deadline = now() + limits.seconds
        self._copied = 0
        self.entries = self.bytes = 0
        """Headers read, and bytes produced from the archive, so far."""

    def entry(self) -> None:
        """Account for one more header."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise _passed("LIMIT_ENTRIES", f"it has more than {self.limits.entries:,} entries", "entries")

    def file(self, size: int, shown: str) -> None:
        """Check the declared size of one file, before any of it is written."""
        if size > self.limits.file_bytes:
            raise _passed("LIMIT_SIZE", f"{shown} is larger than {self.limits.file_bytes:,} bytes", "file_bytes", shown)

    def produced(self, count: int) -> None:
        """Account for ``count`` more bytes that came out of the archive (in whatever thread inflates it)."""
        self.bytes += count
        ratio = self.bytes / self.archive_bytes
        if self.bytes > self.limits.ratio_from_bytes and ratio > self.limits.ratio:
            brief = f"it unpacks to more than {self.limits.ratio} times its size (a bomb?)"
            raise _passed("LIMIT_RATIO", brief, "ratio")
        self._check_total()

    def copied(self, count: int) -> None:
        """Account for ``count`` more bytes that are there a second time, for a link."""
        self._copied += count
        self._check_total()

    def _check_total(self) -> None:
        if self.bytes + self._copied > self.limits.total_bytes:
            raise _passed("LIMIT_SIZE", f"it unpacks to more than {self.limits.total_bytes:,} bytes", "total_bytes")
        if self._now() > self._deadline:
            raise _passed("LIMIT_TIME", f"it is not unpacked after {self.limits.seconds} s", "seconds")


def _passed(code: Code, brief: str, limit: str, member: str | None = None) -> ArchiveError:
    return ArchiveError(code, brief, member=member, hint=f"make the package smaller, or raise the limit “{limit}”")
