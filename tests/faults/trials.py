"""Many trials of one part, beside each other; what they found is counted, and a failure is shown with its trial."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar

from edge_sim.agent import linux

T = TypeVar("T")
R = TypeVar("R")
WORKERS = 3 * (os.cpu_count() or 1)
"""A trial waits more than it computes."""
TOLD_EVERY = 25
BLOCK = 100
"""So many seeds are played by one worker, one after the other."""


@dataclass(frozen=True)
class Result(Generic[T, R]):
    """What came of one trial: its ``value``, or why it failed."""

    trial: T
    value: R | None
    failure: str | None = None


def carry_out(work: Callable[[T, Path], R], trials: Sequence[T], *, workers: int = WORKERS) -> list[Result[T, R]]:
    """Do ``work`` on each trial in a folder of its own; return the results in the order of the trials.

    ``work`` runs in other processes, which end with this one, unless there is one worker only. An interrupted run ends
    once the trials under way have removed what they made.
    """
    if workers == 1:
        return [_tried(work, trial) for trial in trials]
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent, (os.getpid(),)) as pool:
        futures = {pool.submit(partial(_tried_in_worker, work), trial): number for number, trial in enumerate(trials)}
        results: dict[int, Result[T, R]] = {}
        try:
            for future in as_completed(futures):
                results[futures[future]] = result = future.result()
                _tell(result, len(results), len(trials))
        except KeyboardInterrupt:  # may be of this process alone, and the pool would wait for all trials
            for worker in active_children():
                os.kill(worker.pid or 0, signal.SIGINT)
            raise
    return [results[number] for number in sorted(results)]


def _tell(result: Result[T, R], done: int, count: int) -> None:
    if done % TOLD_EVERY == 0:
        print(f"{done} of {count}", file=sys.stderr, flush=True)
    if result.failure is not None:
        print(f"FAILED {result.trial}\n{result.failure}", file=sys.stderr, flush=True)


def summed(play: Callable[[Sequence[int], Path], Counter[str]], count: int, first: int) -> tuple[Counter[str], int]:
    """Play ``count`` seeds from ``first`` on, in blocks; return what happened in all, and how many blocks failed.

    They compute and do not wait: no more at once than there are processors.
    """
    blocks = [range(start, min(start + BLOCK, first + count)) for start in range(first, first + count, BLOCK)]
    results = carry_out(play, blocks, workers=os.cpu_count() or 1)
    return sum((result.value for result in results if result.value is not None), Counter()), failed(results)


def _end_with_parent(parent: int) -> None:
    """Have this worker end its trial, and all that it has made, with its parent; a shell's ``&`` has SIGINT ignored.

    Its pool sends it SIGTERM when another worker has ended: it would cut the trial's end off.
    """
    signal.signal(signal.SIGINT, _interrupt_once)
    signal.signal(signal.SIGTERM, lambda *_: None)  # ignored, it would be so in what a trial starts as well
    linux.die_with_parent(signal.SIGINT, lambda: os.getppid() == parent)


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C reaches a worker from the terminal, and from its parent."""
    signal.signal(signal.SIGINT, lambda *_: None)
    raise KeyboardInterrupt


def _tried_in_worker(work: Callable[[T, Path], R], trial: T) -> Result[T, R]:
    try:
        return _tried(work, trial)
    except KeyboardInterrupt:  # the pool would take it for a result, and begin the next trial
        os._exit(130)


def _tried(work: Callable[[T, Path], R], trial: T) -> Result[T, R]:
    with tempfile.TemporaryDirectory(prefix="edge-sim-faults-", ignore_cleanup_errors=True) as folder:
        try:
            return Result(trial, work(trial, Path(folder)))
        except Exception:
            return Result(trial, None, traceback.format_exc())


def draw(
    every: Sequence[T], arguments: Sequence[str], count: int = 0, *, kind: Callable[[T], object] = lambda _: None
) -> Sequence[T]:
    """Return the trials that a command line ``[COUNT [SEED [WORD …]]]`` asks for; COUNT 0, or none to draw: all.

    ``count`` is the COUNT of a line without one; a trial's text must hold every WORD. One of each ``kind`` is drawn
    before a second one of any.
    """
    number, seed = [*map(int, arguments[:2]), *(count, 1)[len(arguments[:2]) :]]
    chosen = [trial for trial in every if all(word in str(trial) for word in arguments[2:])]
    if not 0 < number < len(chosen):
        return chosen
    before: Counter[object] = Counter()
    turns: list[int] = []
    shuffled = random.Random(seed).sample(chosen, len(chosen))
    for trial in shuffled:
        turns.append(before[kind(trial)])
        before[kind(trial)] += 1
    return [shuffled[index] for index in sorted(range(len(shuffled)), key=turns.__getitem__)[:number]]


def failed(results: Sequence[Result[T, R]]) -> int:
    """Return how many trials failed."""
    return sum(result.failure is not None for result in results)


def end(part: str, counts: str, failures: int, started: float) -> None:
    """Print a part's last line and end with 1 when anything failed.

    The processors' time is that of all processes that were waited for: not of what a trial killed and init collected.
    """
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    worked = sum(each.ru_utime + each.ru_stime for each in used)
    took = f"{time.monotonic() - started:.0f} s, {worked:.0f} s of processor time"
    print(f"{part}: {counts}; {failures} failed ({took})", flush=True)
    sys.exit(1 if failures else 0)
