"""The agent's clocks jump in the middle of an update: an hour and a day forward, and back to 1970.

``python -m tests.faults.clock [COUNT [SEED [WORD …]]]``; see ``trials.draw``. It is the agent's own clock that is
moved, at each crash point: the wall clock by so much, and where that is forward the monotonic one too, as on a board
that was suspended. No deadline may end an update for it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.board import Update, board, check
from tests.faults.points import UPDATES, points_of
from tests.faults.trials import carry_out, draw, end, failed
from tests.waiting import until

COUNT = 66
"""One at each point of each update."""
HOUR_S, DAY_S = 3600, 86_400
JUMPS = {"an hour forward": HOUR_S, "a day forward": DAY_S, "to 1970": -int(time.time())}


@dataclass(frozen=True, kw_only=True)
class Jump:
    """``jump`` is a key of JUMPS."""

    update: Update
    point: str
    jump: str

    def __str__(self) -> str:
        return f"{self.update}, {self.point}, {self.jump}"


def leap(trial: Jump, folder: Path) -> str:
    """Carry out one trial and return the job's status."""
    with board(folder, trial.update) as found:
        agent = found.start(point=trial.point, action="jump", amount=JUMPS[trial.jump])
        until(found.fired, lambda: f"the point was not passed: {found.passed()}; {found.story()}")
        return check(found, found.run_to_the_end(agent), [trial.update.end])


def jumps(update: Update, points: list[str]) -> list[Jump]:
    """Return the trials of an update: a bad build's way is the good one's until its core, or its agent, is started."""
    own = [point for point in points if update.good or point.split(" ")[1] >= "P16"]
    return [Jump(update=update, point=point, jump=jump) for point in own for jump in JUMPS]


def main() -> None:
    """Carry out the trials and print the counts."""
    started = time.monotonic()
    wholes = carry_out(points_of, UPDATES)
    every = [trial for whole in wholes for trial in jumps(whole.trial, whole.value or [])]
    results = carry_out(leap, draw(every, sys.argv[1:], COUNT, kind=lambda jump: (jump.update, jump.point)))
    which = Counter(result.trial.jump for result in results)
    ends = Counter(result.value or "bad" for result in results)
    places = len({(result.trial.update, result.trial.point) for result in results})
    text = f"{len(results)} of {len(every)} jumps at {places} points, {dict(which)}, {dict(ends)}"
    end("clock", text, failed(wholes) + failed(results), started)


if __name__ == "__main__":
    main()
