"""A board on a disk of its own, ext4 on a loop device: power cuts that lose what was not synced, and disks that fail.

``python -m tests.faults.disk [COUNT [SEED [WORD …]]]``, as root; see ``trials.draw``. At every crash
point of every update the board goes down and the disk keeps only what was brought to it (ext4's shutdown without a
flush of its log); the disk turns read-only, or fills up but for some random bytes, and the board is restarted while
it is so. Then the disk is well again, the board's init starts its agent, and the oracle looks.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent import linux
from tests.faults.armed.actions import FILLER
from tests.faults.board import Update, board, check
from tests.faults.points import UPDATES, points_of
from tests.faults.trials import carry_out, draw, end, failed
from tests.waiting import until

SIZE = 48 << 20
MOST_LEFT = 96 << 10
SEED = 1
ACTIONS = ("lose", "turn_read_only", "fill")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """``point`` begins with the version of the agent that passes it; ``left``: the bytes a full disk has free."""

    update: Update
    point: str
    action: str
    left: int = 0

    def __str__(self) -> str:
        return f"{self.update}, {self.point}, {self.action}{f' but for {self.left} bytes' if self.left else ''}"


class Disk:
    """An ext4 file system in ``image``, mounted at ``place``."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.place))

    def unmount(self) -> None:
        until(lambda: _succeeds("umount", str(self.place)), lambda: f"{self.place} is busy")

    def sync(self) -> None:
        _run("sync", "-f", str(self.place))

    def repair(self) -> None:
        """As at a boot: unmounted, checked, mounted again."""
        self.unmount()
        checked = subprocess.run(["e2fsck", "-f", "-y", str(self.image)], capture_output=True, text=True)
        assert checked.returncode in (0, 1), checked.stdout
        self.mount()


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A disk for the length of a block."""
    found = Disk(folder / "image", folder / "disk")
    try:
        yield found
    finally:
        _succeeds("umount", "--lazy", str(found.place))


def fail(trial: Trial, folder: Path) -> str:
    """Carry out one trial and return the job's status."""
    with disk(folder) as its, board(folder, trial.update, its.place) as found:
        its.sync()
        agent = found.start(point=trial.point, action=trial.action, amount=trial.left)
        until(found.fired, lambda: f"the point was not passed: {found.passed()}; {found.story()}")
        if trial.action == "lose":
            until(lambda: agent.process.poll() is not None, "the board is not down")
            found.down()
            its.repair()
            return check(found, found.run_to_the_end(agent), [trial.update.end])
        found.wait_for_trouble(agent)
        found.down()
        agent = found.start()
        found.check_core()
        found.down()
        if trial.action == "turn_read_only":
            its.repair()
        else:
            (its.place / FILLER).unlink()
        return check(found, found.run_to_the_end(agent), ["SUCCEEDED", "FAILED"], tidy=False)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, (argv, done.stderr)


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True).returncode == 0


def trials(update: Update, points: list[str], chance: random.Random) -> list[Trial]:
    """Return the trials of an update: a bad build's way is the good one's until its core, or its agent, is started."""
    own = [point for point in points if update.good or point.split(" ")[1] >= "P16"]
    return [
        Trial(update=update, point=point, action=action, left=chance.randrange(MOST_LEFT) if action == "fill" else 0)
        for point in own
        for action in ACTIONS
    ]


def main() -> None:
    """Carry out all trials and print the counts."""
    started, chance = time.monotonic(), random.Random(SEED)
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", Path("/"), flags=linux.MS_REC | linux.MS_PRIVATE)
    wholes = carry_out(points_of, UPDATES)
    every = [trial for whole in wholes for trial in trials(whole.trial, whole.value or [], chance)]
    results = carry_out(fail, draw(every, sys.argv[1:]))
    for action in ACTIONS:
        ends = Counter(result.value or "bad" for result in results if result.trial.action == action)
        print(f"{action}: {sum(ends.values())} times, {dict(ends)}")
    failures = failed(wholes) + failed(results)
    end("disk", f"{len(results)} of {len(every)} faults of the disk", failures, started)


if __name__ == "__main__":
    main()
