"""A sample of the fault tests with a real agent; ``make faults`` has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import needs
from tests.faults import calls, points, strace
from tests.faults.board import Update, board, check
from tests.faults.strace import Call

pytestmark = [pytest.mark.network, pytest.mark.slow]

CORE, AGENT = Update(), Update(software="ota_agent")


@pytest.mark.parametrize(
    ("update", "point", "powered"),
    [
        (CORE, f"{AGENT.old} P19 link-renamed", False),
        (Update(good=False), f"{AGENT.old} R04 link-back", True),
        (AGENT, f"{AGENT.new} P22 health-pass", True),
    ],
    ids=["core", "bad core", "OTA agent"],
)
def test_an_update_that_is_cut_off_ends_on_one_whole_version(
    tmp_path: Path, update: Update, point: str, powered: bool
) -> None:
    trial = points.Cut(update=update, point=point, powered=powered)
    assert points.cut(trial, tmp_path / "trial") == trial.end


@needs.program("strace")
@pytest.mark.parametrize("fault", ["SIGKILL", "EIO"])
def test_a_system_call_of_an_update_that_is_its_last_or_fails_leaves_one_whole_version(
    tmp_path: Path, fault: str
) -> None:
    call = Call(name="rename", path="greengrass/ggc/.core.new", number=1, ours=True)
    trial = calls.Injection(update=CORE, call=call, fault=fault, whole=fault == "SIGKILL")
    assert calls.inject(trial, tmp_path / "trial") == ("SUCCEEDED" if fault == "SIGKILL" else "FAILED")


@needs.program("strace")
def test_what_an_update_renames_was_brought_to_the_disk_and_the_new_name_after_it(tmp_path: Path) -> None:
    log = tmp_path / "strace"
    with board(tmp_path / "trial", CORE) as found:
        agent = found.run_to_the_end(found.start(wrapper=strace.recorder(log)))
        renames, unsynced = strace.unsynced(log, found.root)
        check(found, agent, ["SUCCEEDED"])
    assert unsynced == []
    assert renames > 10
