"""What a run does with the threads of its boards when it is interrupted."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from edge_sim import interrupts
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.runs import runner


class Part:
    """A board's part that interrupts the run as it begins, and needs a while to end."""

    def __init__(self, under_way: list[Part], *, interrupts: bool) -> None:
        self._under_way = under_way
        self._interrupts = interrupts
        self._stopped = threading.Event()

    def run(self) -> None:
        self._under_way.append(self)
        if self._interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        self._stopped.wait(5)
        time.sleep(0.02)
        self._under_way.remove(self)

    def stop(self) -> None:
        self._stopped.set()


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """What started the tests may have SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("boards", [1, 2, 3])
def test_an_interrupted_run_waits_for_every_board_that_it_began(boards: int) -> None:
    for _ in range(10):
        under_way: list[Part] = []
        parts: Any = [Part(under_way, interrupts=number == 0) for number in range(boards)]
        with pytest.raises(KeyboardInterrupt):
            runner._all(parts, 3)
        assert under_way == []


def test_a_board_that_cannot_be_stopped_keeps_no_other_from_it() -> None:
    class Stuck(Part):
        def stop(self) -> None:
            super().stop()
            raise UnsupportedEnvironmentError("the volume was left")

    under_way: list[Part] = []
    parts: Any = [
        Stuck(under_way, interrupts=True),
        Part(under_way, interrupts=False),
        Part(under_way, interrupts=False),
    ]
    with pytest.raises(UnsupportedEnvironmentError):
        runner._all(parts, 3)
    assert all(part._stopped.is_set() for part in parts)


def test_a_signal_that_another_thread_was_given_is_heard() -> None:
    entries: queue.SimpleQueue[str] = queue.SimpleQueue()
    before = signal.signal(signal.SIGUSR1, lambda *_: entries.put("came"))
    sender = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    sender.start()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # of this thread only
    try:
        assert interrupts.awaited(entries) == "came"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_that_is_held_comes_after_the_block() -> None:
    steps = []

    def block() -> None:
        with interrupts.hold():
            signal.raise_signal(signal.SIGINT)
            steps.append("the block went on")
        steps.append("nothing was held")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert steps == ["the block went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
