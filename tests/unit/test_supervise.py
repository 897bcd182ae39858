"""The OTA agent's supervisor, with releases that are small shell programs: what it starts, and when it goes back."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_sim.agent import supervise
from tests.waiting import until

pytestmark = pytest.mark.process

OLD, NEW = "1.3.0", "1.4.0"


class Board:
    def __init__(self, gg: Path) -> None:
        self.gg = gg
        (gg / "ota").mkdir()
        self.release(OLD, "exit 0")
        self.link(OLD)

    def release(self, version: str, body: str) -> None:
        """Install a release that notes its start and does ``body``."""
        program = self.gg / f"ota/ota_agent_v{version}/ggc-ota"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho {version} "$@" >>{self.gg}/started\n{body}\n')
        program.chmod(0o755)

    def link(self, version: str) -> None:
        (self.gg / "ota/ota_agent").unlink(missing_ok=True)
        (self.gg / "ota/ota_agent").symlink_to(f"ota_agent_v{version}")

    def try_out(self, body: str, old: str = OLD) -> None:
        """What an update does before it hands over."""
        self.release(NEW, body)
        supervise.write_trial(str(self.gg), supervise.new_trial(old, NEW))
        self.link(NEW)

    def command(self, trial_s: float) -> Sequence[str]:
        return [sys.executable, "-I", "-S", supervise.__file__, str(self.gg), str(trial_s), "/", "agent.json"]

    def run(self, trial_s: float = 60) -> int:
        return subprocess.run(self.command(trial_s), check=False, timeout=60, stderr=subprocess.DEVNULL).returncode

    def started(self) -> list[str]:
        path = self.gg / "started"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_the_agent_that_the_link_names_is_started_and_its_status_is_the_supervisors(board: Board) -> None:
    board.release(NEW, "exit 3")
    board.link(NEW)
    assert board.run() == 3
    assert board.started() == [f"{NEW} / agent.json"]


def test_an_agent_that_hands_over_is_followed_by_what_the_link_names_then(board: Board) -> None:
    board.release(NEW, f"ln -sfn ota_agent_v{OLD} {board.gg}/ota/ota_agent; exit {supervise.HAND_OVER}")
    board.link(NEW)
    assert board.run() == 0
    assert [line.split()[0] for line in board.started()] == [NEW, OLD]


def test_an_agent_that_would_go_back_and_cannot_move_the_link_is_given_up(board: Board) -> None:
    """On a disk that had turned read-only it was started again and again, without a pause."""
    board.try_out(f"exit {supervise.HAND_OVER}")
    assert board.run() == 0
    assert [line.split()[0] for line in board.started()] == [NEW, OLD]
    trial = supervise.read_trial(str(board.gg))
    assert trial is not None
    assert trial["failed"] == f"the OTA agent {NEW} should be rolled back, but the link still points to it"


@pytest.mark.parametrize(
    ("body", "trial_s", "reason"),
    [
        ("exit 1", 60.0, f"the OTA agent {NEW} ended with status 1"),
        ("kill -9 $$", 60.0, f"the OTA agent {NEW} ended with status -9"),
        ("exec sleep 1000", 0.3, f"the OTA agent {NEW} did not prove itself within 0.3 s"),
        ("exit 0", 60.0, f"the OTA agent {NEW} ended with status 0"),
    ],
)
def test_a_new_agent_that_does_not_prove_itself_is_given_up(
    board: Board, body: str, trial_s: float, reason: str
) -> None:
    board.try_out(body)
    assert board.run(trial_s) == 0
    assert [line.split()[0] for line in board.started()] == [NEW, OLD]
    assert (board.gg / "ota/ota_agent").readlink() == Path(f"ota_agent_v{OLD}")
    trial = supervise.read_trial(str(board.gg))
    assert trial is not None
    assert (trial["old"], trial["new"], trial["starts"], trial["failed"]) == (OLD, NEW, 1, reason)


def test_a_version_that_was_given_up_can_be_tried_again_by_another_update(board: Board) -> None:
    """The old agent, started by the same supervisor, brings a mended build of the same version."""
    mended = f"printf '#!/bin/sh\necho mended >>{board.gg}/started; exit 4\n' >{board.gg}/ota/ota_agent_v{NEW}/ggc-ota"
    trial = f"""sed -i 's/"token": "[^"]*"/"token": "2"/; s/, "failed": "[^"]*"//' {board.gg}/ota/trial.json"""
    link = f"ln -sfn ota_agent_v{NEW} {board.gg}/ota/ota_agent"
    (board.gg / f"ota/ota_agent_v{OLD}/ggc-ota").write_text(
        f"#!/bin/sh\necho {OLD} >>{board.gg}/started\n"
        f"grep -q mended {board.gg}/started && exit 0\n{mended}\n{trial}\n{link}\nexit {supervise.HAND_OVER}\n"
    )
    board.try_out("exit 1")
    assert board.run() == 0
    assert [line.split()[0] for line in board.started()] == [NEW, OLD, "mended", OLD]


def test_a_new_agent_that_has_proven_itself_stays_whatever_it_does_then(board: Board) -> None:
    board.try_out(f"rm {board.gg}/ota/trial.json; exit 1")
    assert board.run() == 1
    assert (board.gg / "ota/ota_agent").readlink() == Path(f"ota_agent_v{NEW}")


def test_a_new_agent_that_takes_the_board_down_is_given_up_after_three_starts(board: Board) -> None:
    board.try_out("kill -9 $PPID")
    for _ in range(supervise.MAX_STARTS):
        assert board.run() == -9
    assert board.run() == 0
    assert [line.split()[0] for line in board.started()] == [NEW] * supervise.MAX_STARTS + [OLD]
    trial = supervise.read_trial(str(board.gg))
    assert trial is not None
    assert trial["failed"] == f"the OTA agent {NEW} was interrupted 3 times"


def test_the_way_back_needs_no_disk_that_can_be_written(board: Board) -> None:
    """The link stays where it is then; the old agent runs all the same."""
    board.try_out(f"rm -r {board.gg}/ota/.trial.json.new {board.gg}/ota/.ota_agent.new; mkdir -p "
                  f"{board.gg}/ota/.trial.json.new/x {board.gg}/ota/.ota_agent.new/x; exit 1")  # fmt: skip
    assert board.run() == 0
    assert [line.split()[0] for line in board.started()] == [NEW, OLD]


def test_the_way_back_needs_nobody_who_takes_a_message(board: Board) -> None:
    """Its error output may lie on the disk that is full: it ended with a traceback, and went back on nothing."""
    board.try_out("exit 1")
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(board.command(60), check=False, timeout=60, stderr=full).returncode == 0
    assert [line.split()[0] for line in board.started()] == [NEW, OLD]


def test_sigterm_ends_the_agent_and_goes_back_on_nothing(board: Board) -> None:
    board.try_out("trap 'exit 0' TERM; while :; do sleep 0.1; done")
    with subprocess.Popen(board.command(60)) as running:
        until(board.started)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert (board.gg / "ota/ota_agent").readlink() == Path(f"ota_agent_v{NEW}")
    assert [line.split()[0] for line in board.started()] == [NEW]
