"""A sample of the fault tests with a real agent, some of it in ``make test``; ``make faults`` has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import needs, sweeps
from tests.faults import builds, calls, clock, cloud, downloads, points, strace
from tests.faults.board import Update, board, check
from tests.faults.strace import Call

pytestmark = [pytest.mark.network, pytest.mark.slow]

CORE, AGENT = Update(), Update(software="ota_agent")


CUTS = [
    pytest.param(CORE, f"{AGENT.old} P19 link-renamed", False, id="core"),
    pytest.param(CORE, f"{AGENT.old} P16 staged-recorded", True, id="core before its switch"),
    pytest.param(Update(good=False), f"{AGENT.old} R04 link-back", True, id="bad core"),
    pytest.param(AGENT, f"{AGENT.new} P22 health-pass", True, id="OTA agent"),
]
ILL_BUILDS = ["dies after 59 s", "forks", "leaves a child with a cleared environment and ends"]


@pytest.mark.sweep
@pytest.mark.parametrize(("update", "point", "powered"), sweeps.points(CUTS, every=4))
def test_an_update_that_is_cut_off_ends_on_one_whole_version(
    tmp_path: Path, update: Update, point: str, powered: bool
) -> None:
    trial = points.Cut(update=update, point=point, powered=powered)
    assert points.cut(trial, tmp_path / "trial") == trial.end


@needs.program("strace")
@pytest.mark.sweep
@pytest.mark.parametrize("fault", ["SIGKILL", "EIO"])
def test_a_system_call_of_an_update_that_is_its_last_or_fails_leaves_one_whole_version(
    tmp_path: Path, fault: str
) -> None:
    call = Call(name="rename", path="greengrass/ggc/.core.new", number=1, ours=True)
    trial = calls.Injection(update=CORE, call=call, fault=fault, whole=fault == "SIGKILL")
    assert calls.inject(trial, tmp_path / "trial") == ("SUCCEEDED" if fault == "SIGKILL" else "FAILED")


@needs.program("strace")
def test_the_trial_of_an_agent_that_was_given_up_is_forgotten_also_where_the_disk_refused_it_once(
    tmp_path: Path,
) -> None:
    """It stayed, and the next update to that version was rolled back with its reason when it was cut off."""
    call = Call(name="unlink", path="greengrass/ota/trial.json", number=1, ours=True)
    trial = calls.Injection(update=Update(software="ota_agent", good=False), call=call, fault="ENOSPC")
    assert calls.inject(trial, tmp_path / "trial") == "FAILED"


@needs.program("strace")
def test_what_an_update_renames_was_brought_to_the_disk_and_the_new_name_after_it(tmp_path: Path) -> None:
    log = tmp_path / "strace"
    with board(tmp_path / "trial", CORE) as found:
        agent = found.run_to_the_end(found.start(wrapper=strace.recorder(log)))
        renames, unsynced = strace.unsynced(log, found.root)
        check(found, agent, ["SUCCEEDED"])
    assert unsynced == []
    assert renames > 10


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["another file after a cut", "redirected to instance metadata"])
def test_an_ill_download_leaves_one_whole_version(tmp_path: Path, name: str) -> None:
    downloads.download(name, tmp_path / "trial")


@pytest.mark.sweep
@pytest.mark.parametrize("name", sweeps.points(ILL_BUILDS, every=3))
def test_an_ill_build_leaves_the_old_core_and_nothing_of_its_own(tmp_path: Path, name: str) -> None:
    (ill,) = (kind for kind in builds.KINDS if kind.name == name)
    assert builds.install(ill, tmp_path / "trial") == "FAILED"


def test_a_cloud_and_a_broker_that_are_killed_in_the_switch_hear_of_its_end(tmp_path: Path) -> None:
    trial = cloud.Loss(update=CORE, point=f"{AGENT.old} P19 link-renamed", who="broker and cloud", late=True)
    assert cloud.lose(trial, tmp_path / "trial") == "SUCCEEDED"


@pytest.mark.sweep
def test_a_clock_that_jumps_in_the_switch_ends_no_update(tmp_path: Path) -> None:
    trial = clock.Jump(update=CORE, point=f"{AGENT.old} P19 link-renamed", jump="a day forward")
    assert clock.leap(trial, tmp_path / "trial") == "SUCCEEDED"
