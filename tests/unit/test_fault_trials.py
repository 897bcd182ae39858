"""Which trials of a part of the fault tests are drawn, how they end when they are interrupted, and what strace saw."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults import strace
from tests.faults.trials import draw
from tests.waiting import until

PROJECT = Path(__file__).parents[2]

TRIALS = [f"{kind} {number}" for kind, count in (("rare", 1), ("usual", 3), ("much", 100)) for number in range(count)]


def kind(trial: str) -> str:
    return trial.split()[0]


@pytest.mark.parametrize("seed", range(20))
def test_one_of_each_kind_is_drawn_before_a_second_one(seed: int) -> None:
    drawn = [kind(trial) for trial in draw(TRIALS, ["5", str(seed)], kind=kind)]
    assert sorted(drawn[:3]) == ["much", "rare", "usual"]
    assert sorted(drawn[3:]) == ["much", "usual"]


def test_a_draw_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    draws = [tuple(draw(TRIALS, ["9", str(seed)], kind=kind)) for seed in (1, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4
    assert all(len(set(drawn)) == 9 for drawn in draws)


def test_without_a_count_and_with_words_all_that_hold_them_are_drawn() -> None:
    assert draw(TRIALS, []) == TRIALS
    assert draw(TRIALS, ["0", "1", "much", " 99"]) == ["much 99"]
    assert len(draw(TRIALS, [], 7)) == 7


RECORDED = """\
10<python> fsync(3</b/greengrass/other>) = 0
12<python> fsync(7</b/greengrass/trial>) = 0
10<python> +++ superseded by execve in pid 12 +++
10<python> fsync(3</b/greengrass/trial>) = 0
11<python> fsync(3</b/greengrass/trial>) = 0
10<python> fsync(3</b/greengrass/trial>{}
"""


def test_a_thread_that_becomes_another_program_keeps_its_count_of_calls_as_strace_has_it(tmp_path: Path) -> None:
    """A supervisor was killed at its first call, which strace counted as the second, and the trial waited for that."""
    log = tmp_path / "log"
    log.write_text(RECORDED.format(") = 0"))
    found = strace.calls(log, Path("/b"))
    assert [str(call) for call in found if "trial" in call.path] == [
        f"fsync greengrass/trial ({number})" for number in (1, 2, 3)
    ]
    log.write_text(RECORDED.format(" <unfinished ...>\n10<python> +++ killed by SIGKILL +++"))
    assert [strace.fired(log, call, "SIGKILL") for call in found] == [True, True, True, True]
    log.write_text("\n".join(RECORDED.splitlines()[:3]) + "\n12<python> +++ killed by SIGKILL +++\n")
    assert not strace.fired(log, found[-1], "SIGKILL")


def wait_to_be_interrupted(said: str, _: Path) -> None:
    """Say ``begun`` until this is interrupted, then ``ending`` until it may end: a trial of another process."""
    place = Path(said)
    own = place / f"begun {os.getpid()}"
    own.touch()
    try:
        while True:
            time.sleep(0.01)
    finally:
        own.rename(place / f"ending {os.getpid()}")
        while not (place / "go on").exists():
            time.sleep(0.01)
        (place / f"ended {os.getpid()}").touch()


@pytest.mark.process
def test_an_interrupted_run_ends_with_the_trials_under_way_each_to_its_end(tmp_path: Path) -> None:
    def pids(what: str) -> list[int]:
        return sorted(int(path.name.split()[1]) for path in tmp_path.glob(f"{what} *"))

    program = (
        "from tests.faults.trials import carry_out; from tests.unit.test_fault_trials import wait_to_be_interrupted; "
        f"carry_out(wait_to_be_interrupted, [{str(tmp_path)!r}] * 9, workers=2)"
    )
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, cwd=PROJECT, stderr=subprocess.DEVNULL, start_new_session=True) as run:
        try:
            until(lambda: len(pids("begun")) == 2)
            workers = pids("begun")
            run.send_signal(signal.SIGINT)
            until(lambda: pids("ending") == workers)
            for worker in workers:  # a terminal's Ctrl-C, and the pool when it hears of the first end
                os.kill(worker, signal.SIGINT)
                os.kill(worker, signal.SIGTERM)
            (tmp_path / "go on").touch()
            until(lambda: run.poll() is not None)
        finally:
            (tmp_path / "go on").touch()
            run.kill()
    assert run.returncode == -signal.SIGINT
    assert pids("ended") == workers
    assert not pids("begun")
