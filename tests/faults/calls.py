"""The mutating system calls of an update, each as the place of a kill and of an error: strace's fault injection.

``python -m tests.faults.calls [COUNT [SEED [WORD …]]]``. A first run of each update is recorded; then the board goes
down, or its agent alone is killed, right before a call, and a call fails with ENOSPC, EIO or EROFS, once or for good.
COUNT of these trials are drawn by SEED (``trials.draw``), one at each place before a second one at any: the files of a
build are unpacked one like the other, and are one place. A trial whose call was not made is counted as one that
did not fire; too many of those fail the part.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults import strace
from tests.faults.armed import power
from tests.faults.board import UPDATE_LIMIT_S, Board, Update, board, check
from tests.faults.points import UPDATES
from tests.faults.strace import Call
from tests.faults.trials import Result, carry_out, draw, end, failed
from tests.waiting import until

ERRORS = ("ENOSPC", "EIO", "EROFS")
COUNT = 600
FIRST_FILES = (".update-journal.json.new", ".update-holder.json.new", "ggc/var/state")
"""Are written, and their directory with them, before a job is begun: where that cannot be, it is refused."""
DEPTH = 5
"""As deep as a directory below which all files are alike."""
MOST_IDLE = 0.05
"""Which part of the trials may not fire: a call of another thread's turn, or of a race."""


@dataclass(frozen=True, kw_only=True)
class Injection:
    """``fault`` is an error's name, or SIGKILL. ``whole``: the kill takes the whole board; ``lasting``: see strace."""

    update: Update
    call: Call
    fault: str
    whole: bool = False
    lasting: bool = False

    def __str__(self) -> str:
        more = " for good" * self.lasting + " of the board" * self.whole
        return f"{self.update}, {self.fault}{more} at {self.call}"


def place(trial: Injection) -> tuple[object, ...]:
    """Return what makes a call another one: where it is made on a file of a build, that is no matter."""
    call, parts = trial.call, trial.call.path.split("/")
    if ".staging" in parts or "packages" in parts:
        return trial.update, call.name, *parts[:DEPTH], call.ours
    return trial.update, call


def calls_of(update: Update, folder: Path) -> list[Call]:
    """Carry out an update without a fault and return the calls that it makes."""
    log = folder / "strace"
    with board(folder, update) as found:
        agent = found.run_to_the_end(found.start(wrapper=strace.recorder(log)))
        recorded = strace.calls(log, found.root)
        check(found, agent, [update.end])
    return recorded


def inject(trial: Injection, folder: Path) -> str | None:
    """Carry out one trial; return the job's status, None when the fault did not fire."""
    log = folder / "strace"
    with board(folder, trial.update) as found:
        agent = found.start(wrapper=strace.injector(log, found.root, trial.call, trial.fault, lasting=trial.lasting))
        if trial.fault == "SIGKILL":
            until(
                lambda: found.settled() or strace.fired(log, trial.call, trial.fault),
                found.story,
                limit_s=UPDATE_LIMIT_S,
            )
        elif trial.lasting:
            found.wait_for_trouble(agent)
        else:
            found.wait(agent)
        if not strace.fired(log, trial.call, trial.fault):
            return None
        if trial.fault == "SIGKILL":
            allowed = _cut(found, trial)
        else:
            found.check_core()
            allowed = {"SUCCEEDED", "FAILED", *(("REJECTED",) if trial.call.path.endswith(FIRST_FILES) else ())}
            if trial.lasting:  # the disk is well again after a reboot
                found.down()
        return check(found, found.run_to_the_end(agent), allowed, tidy=trial.fault == "SIGKILL")


def _cut(found: Board, trial: Injection) -> set[str]:
    """Take the rest of the board down as well, or not; return how the job may end."""
    if trial.whole:
        found.down()
    else:
        _detach(found)
    # Its supervisor may give a new agent up before the rest of the board is down.
    unsure = not trial.call.ours or trial.update.software == "ota_agent"
    return {trial.update.end, "FAILED"} if unsure else {trial.update.end}


def _detach(found: Board) -> None:
    """End strace, and what it traced goes on.

    It would keep a dead agent's output open, and kill every core that is started later at the same call.
    """
    for pid in power.processes(str(found.root)):
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "strace":
                os.kill(pid, signal.SIGKILL)


def injections(update: Update, calls: list[Call]) -> list[Injection]:
    """Return all trials of an update."""
    kills = [
        Injection(update=update, call=call, fault="SIGKILL", whole=whole) for call in calls for whole in (True, False)
    ]
    errors = [
        Injection(update=update, call=call, fault=error, lasting=lasting)
        for call in calls
        for error in ERRORS
        for lasting in (False, True)
    ]
    return kills + errors


def _count(results: list[Result[Injection, str | None]]) -> None:
    """Print how many calls, and which, were covered."""
    for fault in ("SIGKILL", *ERRORS):
        those = [r for r in results if r.trial.fault == fault]
        fired = [r for r in those if r.value is not None or r.failure is not None]
        places = {(r.trial.update, r.trial.call) for r in fired}
        names = Counter(r.trial.call.name for r in fired)
        ends = Counter(r.value for r in fired)
        print(f"{fault}: {len(fired)} of {len(those)} fired, at {len(places)} calls: {dict(names)}; {dict(ends)}")


def main() -> None:
    """Draw the trials, carry them out and print the counts."""
    started = time.monotonic()
    recorded = carry_out(calls_of, UPDATES)
    every = [trial for r in recorded for trial in injections(r.trial, r.value or [])]
    results = carry_out(inject, draw(every, sys.argv[1:], COUNT, kind=place))
    _count(results)
    failures = failed(recorded) + failed(results)
    idle = [result for result in results if result.failure is None and result.value is None]
    for result in idle:
        print(f"did not fire: {result.trial}")
    failures += len(idle) if len(idle) > MOST_IDLE * len(results) else 0
    calls = sum(len(r.value or []) for r in recorded)
    places = len({place(r.trial) for r in results if r not in idle}), len(set(map(place, every)))
    text = f"{calls} calls of 4 updates at {places[1]} places, {places[0]} of them struck; "
    end("calls", f"{text}{len(results)} of {len(every)} trials, {len(idle)} did not fire", failures, started)


if __name__ == "__main__":
    main()
