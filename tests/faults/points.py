"""An update cut off at every crash point, of core and OTA agent, with a good and a bad build.

``python -m tests.faults.points [COUNT [SEED [WORD …]]]``: see ``trials.draw``; without them all. Each is cut in two
ways: the agent that passes it is killed and the core is kept, or the whole board goes down. Then the board's init
starts it again, and the oracle looks. A first run of each update, without a fault, says which points there are; one
that is on the list and was passed by none, or did not fire, fails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent.crashpoints import UPDATE_POINTS
from tests.faults.board import Board, Update, board, check
from tests.faults.trials import carry_out, draw, end, failed
from tests.waiting import until

UPDATES = tuple(Update(software=software, good=good) for software in ("core", "ota_agent") for good in (True, False))
NOT_PASSED = frozenset({"P21 new-started", "R03 new-stopped", "R04 link-back", "R06 old-started", "R07 old-healthy"})
"""By updates of the OTA agent: its supervisor does this, and has no points."""
PROVING = ("P16", "P22", "P23")
"""Where a new OTA agent has not proven itself yet: when it alone dies there its supervisor gives it up."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """``point`` begins with the version of the agent that passes it. ``powered``: the core is kept."""

    update: Update
    point: str
    powered: bool

    @property
    def end(self) -> str:
        version, name = self.point.split(" ", 1)
        proving = self.update.software == "ota_agent" and version == self.update.new and name.startswith(PROVING)
        return "FAILED" if self.powered and proving else self.update.end

    def __str__(self) -> str:
        return f"{self.update}, {self.point}, {'agent killed' if self.powered else 'power cut'}"


def points_of(update: Update, folder: Path) -> list[str]:
    """Carry out an update without a fault and return the points that it passes, each once."""
    with board(folder, update) as found:
        agent = found.run_to_the_end(found.start())
        agent.wait_for(event="reported", job=found.job)
        points = list(dict.fromkeys(found.passed()))
        check(found, agent, [update.end])
    return points


def cut(trial: Cut, folder: Path) -> str:
    """Carry out one cut and return the job's status."""
    with board(folder, trial.update) as found:
        agent = found.start(point=trial.point, action="die" if trial.powered else "down")
        until(found.fired, lambda: f"the point was not passed: {found.passed()}; {found.story()}")
        found.wait_for_death()
        if not trial.powered:
            _down(found)
        return check(found, found.run_to_the_end(agent), [trial.end])


def _down(found: Board) -> None:
    """Wait until the whole board is down."""
    until(lambda: found.agents[0].process.poll() is not None, "the board is not down")


def cuts(passed: Iterable[tuple[Update, list[str]]]) -> list[Cut]:
    """Return the cuts: a bad build's way is the good one's until its core, or its agent, is started."""
    return [
        Cut(update=update, point=point, powered=powered)
        for update, points in passed
        for point in points
        if update.good or point.split(" ")[1] >= "P16"
        for powered in (True, False)
    ]


def main() -> None:
    """Cut at all points and print the counts."""
    started = time.monotonic()
    wholes = carry_out(points_of, UPDATES)
    passed = [(result.trial, result.value or []) for result in wholes]
    results = carry_out(cut, draw(cuts(passed), sys.argv[1:]))
    failures = failed(wholes) + failed(results)
    for software in ("core", "ota_agent"):
        fired = {
            r.trial.point.split(" ", 1)[1] for r in results if r.trial.update.software == software and r.failure is None
        }
        listed = set(UPDATE_POINTS) - (NOT_PASSED if software == "ota_agent" else set())
        missing = sorted(listed - fired)
        print(f"{software}: {len(listed & fired)} of {len(listed)} points fired{missing and f'; missing {missing}'}")
        failures += 0 if sys.argv[1:] else len(missing)
    ends = {status: sum(result.value == status for result in results) for status in ("SUCCEEDED", "FAILED")}
    text = ", ".join(f"{number} {status}" for status, number in ends.items())
    well = sum(result.failure is None for result in results)
    end(
        "points",
        f"{len(results)} cuts, {well} ended well, {text}",
        failures,
        started,
    )


if __name__ == "__main__":
    main()
