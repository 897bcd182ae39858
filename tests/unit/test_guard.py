"""The guard: what it starts, when, and that it never gives up, with a clock that a test moves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.events import LogFile
from edge_sim.agent.update.guard import EVENTS_KEPT, LONGEST_PAUSE_S, LOOK_EVERY_S, Guard
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.runner import Running
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.supervisor import CoreError, Supervisor
from edge_sim.errors import UpdateError
from tests.factory import install_core

OLD, NEW = "1.10.0", "1.11.6"


class Cores(Supervisor):
    """A supervisor of cores that need no process; ``broken`` versions do not start."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.up: Running | None = None
        self.broken: set[str] = set()
        self.started: list[str] = []

    def start(self, version: str) -> Running:
        self.started.append(version)
        if version in self.broken:
            raise CoreError("greengrassd start: no space left on device")
        self.up = Running(version=version, pid=len(self.started))
        return self.up

    def stop(self, *, limit_s: float | None = None) -> None:
        self.up = None

    def running(self) -> Running | None:
        return self.up


class Board:
    def __init__(self, root: Path) -> None:
        install_core(root, "/greengrass", OLD)
        self.cores = Cores(root)
        self.releases = Releases(root, root / "greengrass", CORE)
        self.events: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.versions = [OLD]
        self.log = root / "log"
        self.guard = Guard(
            self.cores,
            self.releases,
            lambda: self.versions,
            emit=lambda event, /, **fields: self.events.append({"event": event, **fields}),
            log=LogFile(self.log),
            stable_s=60,
            now=lambda: self.seconds,
            sleep=self._sleep,
        )
        self.pauses: list[float] = []

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def pass_time(self, seconds: float) -> list[float]:
        """Let time pass, with a look whenever the guard wants one; return when it started a core."""
        end, starts = self.seconds + seconds, []
        while self.seconds < end:
            before = len(self.cores.started)
            wait = self.guard.look()
            if len(self.cores.started) > before:
                starts.append(self.seconds)
            self.seconds += max(wait, 0.1)
        return starts


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_the_core_is_started_and_left_alone_while_it_runs(board: Board) -> None:
    assert board.pass_time(3600) == [0.0]
    assert [event["status"] for event in board.events] == ["running"]


def test_a_core_that_dies_after_a_good_while_is_started_again_at_once(board: Board) -> None:
    board.pass_time(100)
    board.cores.up, now = None, board.seconds
    assert board.pass_time(100) == [now]
    assert [event["status"] for event in board.events] == ["running", "died", "running"]
    assert "[ERROR]-The core is no longer running." in board.log.read_text()


def test_a_core_that_never_starts_is_tried_ever_more_rarely_and_for_ever(board: Board) -> None:
    board.cores.broken = {OLD}
    starts = board.pass_time(20_000)
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert pauses == sorted(pauses)
    assert pauses[0] < LOOK_EVERY_S * 2
    assert max(pauses) < LONGEST_PAUSE_S + LOOK_EVERY_S
    assert starts[-1] > 20_000 - LONGEST_PAUSE_S - LOOK_EVERY_S, "it never gives up"
    assert board.events[-1]["error"] == "greengrassd start: no space left on device"
    assert board.events[-1]["next_try_s"] == LONGEST_PAUSE_S
    assert "[ERROR]-The core did not start." in board.log.read_text()

    board.cores.broken = set()
    assert len(board.pass_time(LONGEST_PAUSE_S + LOOK_EVERY_S)) == 1
    assert board.cores.up is not None


def test_a_core_that_dies_early_again_and_again_is_not_started_in_a_tight_loop(board: Board) -> None:
    starts = 0
    for _ in range(1000):
        starts += len(board.pass_time(LOOK_EVERY_S))
        board.cores.up = None
    assert 5 < starts < 20


def test_a_version_that_does_not_start_gives_way_to_the_next_one_and_has_its_turn_again(board: Board) -> None:
    install_core(board.cores.root, "/greengrass", NEW)
    assert board.releases.current() == NEW
    board.versions = [NEW, OLD]
    board.cores.broken = {NEW, OLD}
    board.pass_time(3600)
    assert board.cores.started[:7] == [NEW] * 3 + [OLD] * 3 + [NEW]
    board.cores.broken = {NEW}
    board.pass_time(3600)
    assert board.cores.up is not None
    assert (board.cores.up.version, board.releases.current()) == (OLD, OLD)
    before = len(board.cores.started)
    board.pass_time(3600)
    assert len(board.cores.started) == before, "what runs is left alone"


def test_nothing_is_started_while_an_update_has_the_core_in_hand(board: Board) -> None:
    board.cores.broken = {OLD}
    board.pass_time(10_000)
    board.cores.broken = set()
    with board.guard.held():
        board.cores.start(NEW)
        board.versions = [NEW]
    before = list(board.cores.started)
    board.pass_time(100)
    assert board.cores.started == before
    board.cores.up, now = None, board.seconds
    assert board.pass_time(1) == [now], "an update wipes the slate clean"


def test_a_board_without_any_version_says_so_once(board: Board) -> None:
    board.versions = []
    board.pass_time(100)
    assert board.events == [{"event": "core", "status": "missing"}]


def test_an_update_that_ends_in_an_error_gives_the_core_back(board: Board) -> None:
    def fail() -> None:
        with board.guard.held():
            board.cores.stop()
            raise CoreError("the old version cannot be started")

    board.pass_time(10)
    with pytest.raises(CoreError):
        fail()
    assert board.cores.up is not None, "without a gap until the next look"
    assert board.pass_time(100) == []


def test_a_roll_back_tries_the_old_version_then_the_last_good_one_with_growing_pauses(board: Board) -> None:
    install_core(board.cores.root, "/greengrass", NEW)
    board.cores.broken = {NEW}
    board.guard.forget_events()
    with board.guard.held():
        assert board.guard.bring_up([NEW, OLD], lambda _: None) == OLD
    assert board.cores.started == [NEW] * 3 + [OLD]
    assert board.pauses == [1, 2, 4]
    assert board.guard.events == (
        f"{NEW} failed (greengrassd start: no space left on device), next try in 1 s; "
        f"{NEW} failed (greengrassd start: no space left on device), next try in 2 s; "
        f"{NEW} failed (greengrassd start: no space left on device), next try in 4 s; {OLD} running"
    )
    assert board.releases.current() == OLD


def test_a_version_that_starts_and_is_not_well_is_no_end_of_a_roll_back(board: Board) -> None:
    wrong = iter(["the core is not running", None])
    with board.guard.held():
        assert board.guard.bring_up([OLD], lambda _: next(wrong)) == OLD
    assert [event["status"] for event in board.events] == ["running", "died", "running"]


def test_a_roll_back_that_gave_up_goes_on_with_the_guards_pauses(board: Board) -> None:
    board.cores.broken = {OLD}
    with board.guard.held(), pytest.raises(UpdateError, match="no space left on device"):
        board.guard.bring_up([OLD], lambda _: None)
    assert board.pauses == [1, 2]
    starts = board.pass_time(10_000)
    assert starts[0] == 7, "4 s after the third start"
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert pauses == sorted(pauses)
    board.cores.broken = set()
    board.pass_time(LONGEST_PAUSE_S + LOOK_EVERY_S)
    assert board.cores.up is not None


def test_the_last_events_are_kept_and_no_more(board: Board) -> None:
    board.cores.broken = {OLD}
    board.pass_time(10_000)
    assert board.guard.events.count("failed") == EVENTS_KEPT
    board.guard.forget_events()
    assert board.guard.events == ""
