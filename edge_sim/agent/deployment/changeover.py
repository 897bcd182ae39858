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
from typing import Any, Literal

from edge_sim.agent import durable
from edge_sim.agent.archives.tree import empty
from edge_sim.agent.crashpoints import point
from edge_sim.agent.rooted import ACL, ACL_TO_COME, acl_bytes, drop_acl
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.greengrass.tree import BELOW

_JOURNAL, _STAGED_GROUP = "journal.json", "group.json"

Kind = Literal["replace", "remove", "directory", "attributes", "carry"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step; ``target`` is relative to ``gg``.

    ``replace``: what waits in ``new/<number>`` takes its place. ``remove``: it goes. ``directory``: an empty one is
    made with ``owner`` and ``mode``. ``attributes``: a directory gets them, and had those in ``before`` and the ACL
    ``acl`` (the attribute's bytes in hexadecimal), which it loses. ``carry``:
    what is not ours moves from ``origin``, in the staging directory, to where it was. An id of -1 stays as it is.
    """

    number: int
    target: str
    kind: Kind
    mode: int = 0
    owner: tuple[int, int] = (-1, -1)
    before: tuple[int, int, int] = (-1, -1, 0)
    acl: str = ""
    origin: str = ""


@contextmanager
def exclusive(gg: Path) -> Iterator[None]:
    """Keep every other deployer away from this board; raises UnsupportedEnvironmentError when one is at work.

    Directories that had to be made for it go again when nothing came into them.
    """
    top = gg / BELOW.ggc
    if top.is_symlink():
        raise UnsupportedEnvironmentError(f"{top}: is a symbolic link; deployments do not follow links")
    new = [path for path in (top, *top.parents) if not path.exists()]
    for path in reversed(new):
        path.mkdir(mode=0o755)
        path.chmod(0o755)
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UnsupportedEnvironmentError(f"{top}: another deployment is running here") from error
    finally:
        os.close(descriptor)
        for path in new:
            with suppress(OSError):  # not empty: the deployment stands
                path.rmdir()


class Changeover:
    """The steps of one deployment. Making it recovers what a killed run left, and starts a fresh staging directory."""

    def __init__(self, gg: Path) -> None:
        recover(gg)
        self.gg = gg
        self._steps: list[Step] = []
        self._own: dict[int, Callable[[str], bool]] = {}
        self.staging = gg / BELOW.staging
        try:
            for directory in (self.staging, self.staging / "new", self.staging / "old"):
                directory.mkdir(mode=0o700)
                drop_acl(directory, ACL_TO_COME)
        except BaseException:
            self.close()
            raise

    @property
    def empty(self) -> bool:
        """Tell whether there is no step to take."""
        return not self._steps

    def directory(self, target: str, mode: int, owner: tuple[int, int]) -> None:
        """Have a directory made, or its owner and mode changed, unless it is there as it should be."""
        place = self.gg / target
        if not os.path.lexists(place):
            self._add(target, "directory", mode=mode, owner=owner)
            return
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise UnsupportedEnvironmentError(
                f"{place}: is not a directory", hint="Deployments do not follow links; move it away."
            )
        before = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        goal = tuple(new if new != -1 else old for new, old in zip(owner, before, strict=False))
        acl = acl_bytes(place).hex()
        if (*goal, mode) != before or acl:
            self._add(target, "attributes", mode=mode, owner=owner, before=before, acl=acl)

    def replace(self, target: str, own: Callable[[str], bool] = lambda _: True) -> Path:
        """Have ``target`` replaced, and return where the new thing is to be prepared.

        ``own`` tells of a path in the old one, relative to it, whether it may go.
        """
        step = self._add(target, "replace")
        self._own[step.number] = own
        return self.staging / "new" / str(step.number)

    def carry(self, target: str, new: Path, relative: str) -> None:
        """Have ``relative`` of the old ``target``, which is not ours, stay where it is; ``new`` is what replaces it."""
        self._add(f"{target}/{relative}", "carry", origin=f"old/{new.name}/{relative}")

    def remove(self, target: str, own: Callable[[str], bool] = lambda _: True) -> None:
        """Have ``target`` removed; ``own`` as for ``replace``."""
        if os.path.lexists(self.gg / target):
            self._own[self._add(target, "remove").number] = own

    def stage_group(self, group: bytes) -> Path:
        """Bring ``group`` to the disk beside group.json, and return where."""
        staged = self.staging / _STAGED_GROUP
        durable.write(staged, group)
        return staged

    def run(self, sync: Callable[[str], None]) -> None:
        """Take the steps and put the staged group.json in place; on a failure everything is as before.

        ``sync`` brings the names in a directory (relative to ``gg``) to the disk; the caller does it for group.json's.
        """
        durable.write(self.staging / _JOURNAL, json.dumps([asdict(step) for step in self._steps]).encode())
        point("journal")
        try:
            for step in self._steps:
                _take(self.gg, step)
            self._look_what_goes()
            for parent in sorted({posixpath.dirname(step.target) for step in self._steps}):
                sync(parent)
            point("synced")
            (self.staging / _STAGED_GROUP).replace(self.gg / BELOW.group_file)
        except BaseException:
            recover(self.gg)
            raise
        point("committed")

    def _look_what_goes(self) -> None:
        """Raise UnsupportedEnvironmentError when somebody else made something in what was moved aside meanwhile."""
        for step in self._steps:
            aside = self.staging / "old" / str(step.number)
            for path in _below(aside) if step.number in self._own else ():
                if not self._own[step.number](path):
                    raise UnsupportedEnvironmentError(
                        f"{self.gg / step.target}/{path}: was created while this deployment was being prepared",
                        hint="It was not touched. Try again: it will be kept.",
                    )

    def close(self) -> None:
        """Remove the staging directory; what was not committed is taken back."""
        recover(self.gg)

    def tidy(self) -> list[str]:
        """Close after the commit: the deployment stands, so a failure is only said. The next deployment tidies up."""
        try:
            self.close()
        except OSError as error:
            return [f"{self.staging}: could not be removed: {error.strerror}"]
        return []

    def _add(self, target: str, kind: Kind, **more: Any) -> Step:
        step = Step(number=len(self._steps), target=target, kind=kind, **more)
        self._steps.append(step)
        return step


def recover_alone(gg: Path) -> None:
    """Recover while no other deployment is at work; what cannot be removed afterwards may stay.

    Raises UnsupportedEnvironmentError when another one is at work, OSError when nothing whole can be made.
    """
    with exclusive(gg):
        try:
            recover(gg)
        except OSError:
            if (gg / BELOW.staging / _JOURNAL).exists():
                raise


def recover(gg: Path) -> None:
    """Finish or take back what a killed run left, and remove its staging. Touches nothing else."""
    staging = gg / BELOW.staging
    if not os.path.lexists(staging):
        return
    journal = staging / _JOURNAL
    if journal.exists() and (staging / _STAGED_GROUP).exists():
        for raw in reversed(json.loads(journal.read_bytes())):
            _take_back(gg, Step(**raw))
    journal.unlink(missing_ok=True)
    _remove(staging)


def _take(gg: Path, step: Step) -> None:
    target, staging = gg / step.target, gg / BELOW.staging
    if step.kind == "carry":
        move(staging / step.origin, target)
        point(f"{step.number} carried")
        return
    if step.kind in ("directory", "attributes"):
        if step.kind == "directory":
            target.mkdir(mode=0o700)
            drop_acl(target, ACL_TO_COME)
            point(f"{step.number} made")
        _settle(target, *step.owner, step.mode)
        point(f"{step.number} settled")
        return
    if os.path.lexists(target):
        move(target, staging / "old" / str(step.number))
        point(f"{step.number} aside")
    if step.kind == "replace":
        move(staging / "new" / str(step.number), target)
        point(f"{step.number} in place")


def _take_back(gg: Path, step: Step) -> None:
    """Undo a step. Doing it twice, or for a step that was taken by half or not at all, does no harm."""
    target, staging = gg / step.target, gg / BELOW.staging
    if step.kind == "directory":
        with suppress(OSError):  # not made yet, or not empty: then it is not only ours
            target.rmdir()
    elif step.kind == "attributes":
        _settle(target, *step.before, acl=bytes.fromhex(step.acl))
    elif step.kind == "carry":
        origin = staging / step.origin
        replaced = os.path.lexists(staging.joinpath(*Path(step.origin).parts[:2]))
        if replaced and os.path.lexists(target) and not os.path.lexists(origin):
            move(target, origin)
    else:
        new, old = (staging / name / str(step.number) for name in ("new", "old"))
        if step.kind == "replace" and not os.path.lexists(new) and os.path.lexists(target):
            move(target, new)
        if os.path.lexists(old):
            move(old, target)


def _below(directory: Path) -> Iterator[str]:
    """Yield what is in a directory, relative to it; nothing when it is none."""
    waiting = [""]
    for here in waiting:  # grows while it is read
        for entry in os.scandir(directory / here) if (directory / here).is_dir() else ():
            yield here + entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{here}{entry.name}/")


def _settle(directory: Path, uid: int, gid: int, mode: int, *, acl: bytes = b"") -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, uid, gid)
        drop_acl(descriptor)
        os.fchmod(descriptor, mode)
        if acl:
            os.setxattr(descriptor, ACL, acl)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        raise UnsupportedEnvironmentError(f"{target}: cannot be put in place: {error.strerror}") from error


def _remove(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        empty(descriptor)
    finally:
        os.close(descriptor)
    directory.rmdir()
