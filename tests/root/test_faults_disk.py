"""A sample of the fault tests of a board's disk, on a real one; ``make faults-disk`` has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.agent.version import VERSION
from tests import needs
from tests.faults import disk
from tests.faults.board import Update
from tests.root.functions_board import private_mounts

pytestmark = [needs.mounts, needs.loop_devices, pytest.mark.network, pytest.mark.slow]


@pytest.mark.parametrize("action", disk.ACTIONS)
def test_a_disk_that_fails_in_the_switch_leaves_one_whole_version(tmp_path: Path, action: str) -> None:
    trial = disk.Trial(update=Update(), point=f"{VERSION} P19 link-renamed", action=action)
    with private_mounts(tmp_path):
        status = disk.fail(trial, tmp_path)
    assert status == "SUCCEEDED" or action != "lose"
