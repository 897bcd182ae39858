"""A board's own verbs, recorded; what they do really happens."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edge_sim.agent.host import HostError, LinuxHost


class RecordingHost:
    """``calls`` holds (verb, path, …). ``fail_on`` names a verb, or a verb and the number of its call (from 1)."""

    def __init__(self, root: Path, *, fail_on: tuple[str, int] | str | None = None, error: int = errno.EIO) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._real = LinuxHost(root)
        self._fail_on = (fail_on, 0) if isinstance(fail_on, str) else fail_on
        self._error = error

    def count(self, verb: str) -> int:
        return sum(call[0] == verb for call in self.calls)

    def chown(self, path: str, uid: int, gid: int) -> None:
        self._record("chown", path, uid, gid)
        self._real.chown(path, uid, gid)

    def sync(self, path: str) -> None:
        self._record("sync", path)
        self._real.sync(path)

    def _record(self, verb: str, path: str, *more: object) -> None:
        self.calls.append((verb, path, *more))
        if self._fail_on and self._fail_on[0] == verb and self._fail_on[1] in (0, self.count(verb)):
            raise HostError(verb, path, OSError(self._error, os.strerror(self._error)))
