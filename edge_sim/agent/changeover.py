"""Replaces several paths of a deployment together: all of them or none, whatever happens in between.

Everything new waits in ``<gg>/ggc/.deploying/new``; what it replaces moves to ``old``. A journal on the disk lists
the moves before the first one is made. The last move is group.json's: before it everything can be taken back, after
it the deployment stands. ``recover`` does the one or the other after a killed run. ``gg`` is the Greengrass root.
"""

from __future__ import annotations

import fcntl
import json
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from edge_sim.agent import durable
from edge_sim.agent.archives.tree import empty
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError

STAGING = "ggc/.deploying"
GROUP = "ggc/deployment/group/group.json"
_JOURNAL, _STAGED_GROUP = "journal.json", "group.json"

Passed = Callable[[str], None]
"""Told the name of every point where a killed run can leave things."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Replaces ``target`` (relative to ``gg``) by what waits in ``new/<number>``, or removes it.

    A ``directory`` step makes an empty directory with ``mode`` where there is none.
    """

    number: int
    target: str
    kind: Literal["replace", "remove", "directory"]
    mode: int = 0


@contextmanager
def exclusive(gg: Path) -> Iterator[None]:
    """Keep every other deployer away from this board; raises UnsupportedEnvironmentError when one is at work."""
    top = gg / "ggc"
    top.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UnsupportedEnvironmentError(f"{top}: another deployment is at work here") from error
    finally:
        os.close(descriptor)


class Changeover:
    """The steps of one deployment. Making it recovers what a killed run left, and starts a fresh staging directory."""

    def __init__(self, gg: Path, passed: Passed) -> None:
        recover(gg)
        self.gg = gg
        self._passed = passed
        self._steps: list[Step] = []
        self.staging = gg / STAGING
        for directory in (self.staging, self.staging / "new", self.staging / "old"):
            directory.mkdir(mode=0o700)

    def directory(self, target: str, mode: int) -> None:
        """Have a directory made, unless it is there."""
        if not (self.gg / target).is_dir():
            self._add(target, "directory", mode)

    def replace(self, target: str) -> Path:
        """Have ``target`` replaced, and return where the new thing is to be prepared."""
        return self.staging / "new" / str(self._add(target, "replace").number)

    def remove(self, target: str) -> None:
        """Have ``target`` removed."""
        if os.path.lexists(self.gg / target):
            self._add(target, "remove")

    def run(self, group: bytes, sync: Callable[[str], None]) -> None:
        """Take the steps and put ``group`` in place as group.json; on a failure everything is as before.

        ``sync`` brings the names in a directory (relative to ``gg``) to the disk; the caller does it for group.json's.
        """
        staged = self.staging / _STAGED_GROUP
        durable.write(staged, group)
        durable.write(self.staging / _JOURNAL, json.dumps([asdict(step) for step in self._steps]).encode())
        self._passed("journal")
        try:
            for step in self._steps:
                _take(self.gg, step, self._passed)
            for parent in sorted({posixpath.dirname(step.target) for step in self._steps}):
                sync(parent)
            self._passed("synced")
            staged.replace(self.gg / GROUP)
        except BaseException:
            recover(self.gg)
            raise
        self._passed("committed")

    def close(self) -> None:
        """Remove the staging directory; what was not committed is taken back."""
        recover(self.gg)

    def _add(self, target: str, kind: Literal["replace", "remove", "directory"], mode: int = 0) -> Step:
        step = Step(number=len(self._steps), target=target, kind=kind, mode=mode)
        self._steps.append(step)
        return step


def recover(gg: Path) -> None:
    """Finish or take back what a killed run left, and remove its staging. Touches nothing else."""
    staging = gg / STAGING
    if not os.path.lexists(staging):
        return
    journal = staging / _JOURNAL
    if journal.exists() and (staging / _STAGED_GROUP).exists():
        for raw in reversed(json.loads(journal.read_bytes())):
            _take_back(gg, Step(**raw))
    journal.unlink(missing_ok=True)
    _remove(staging)


def _take(gg: Path, step: Step, passed: Passed) -> None:
    target, staging = gg / step.target, gg / STAGING
    if step.kind == "directory":
        target.mkdir(mode=0o700)
        target.chmod(step.mode)
        passed(f"{step.number} made")
        return
    if os.path.lexists(target):
        move(target, staging / "old" / str(step.number))
        passed(f"{step.number} aside")
    if step.kind == "replace":
        move(staging / "new" / str(step.number), target)
        passed(f"{step.number} in place")


def _take_back(gg: Path, step: Step) -> None:
    """Undo a step. Doing it twice, or for a step that was taken by half or not at all, does no harm."""
    target = gg / step.target
    new, old = (gg / STAGING / name / str(step.number) for name in ("new", "old"))
    if step.kind == "directory":
        with suppress(OSError):  # not made yet, or not empty: then it is not only ours
            target.rmdir()
        return
    if step.kind == "replace" and not os.path.lexists(new) and os.path.lexists(target):
        move(target, new)
    if os.path.lexists(old):
        move(old, target)


def move(source: Path, target: Path) -> None:
    """Rename, also where a plain user moves a directory that even its owner may not write to."""
    try:
        source.rename(target)
    except PermissionError:
        status = source.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise
        mode = stat.S_IMODE(status.st_mode)
        source.chmod(mode | 0o700)
        source.rename(target)
        target.chmod(mode)
    except OSError as error:
        raise EdgeSimError(f"{target}: cannot be put in place: {error.strerror}") from error


def _remove(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        empty(descriptor)
    finally:
        os.close(descriptor)
    directory.rmdir()
