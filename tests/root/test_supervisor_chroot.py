"""The core in the chroot of a board that has a shell and a process namespace of its own."""

from __future__ import annotations

import json
import sys

import pytest

from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.profiles import load_profile
from tests import needs

pytestmark = [pytest.mark.root, needs.whole_board]

PROGRAM = """
import json, os, sys
from pathlib import Path
from edge_sim.agent.update.supervisor import Supervisor
root = Path(sys.argv[1])
core = Supervisor(root)
running = core.start("1.10.0")
seen = Path(f"/proc/{running.pid}/root").readlink()
healthy = core.unhealthy("1.10.0", interval_s=0)
pid_file = (root / "var/run/greengrassd.pid").read_text()
core.stop()
print(json.dumps({
    "chrooted": core.chrooted,
    "in the root": seen == root.resolve(),
    "healthy": healthy,
    "pid file": int(pid_file) == running.pid,
    "left": core.running() is not None,
    "log": (core.gg / "ggc/var/log/system/runtime.log").read_text(),
}))
"""


@pytest.mark.parametrize("linked", [False, True])
def test_a_core_runs_in_the_boards_chroot_and_is_found_there(linked: bool) -> None:
    with LocalBoard(BoardSpec(profile=load_profile("raspberry-pi-3"), core="1.10.0")) as board:
        if linked:
            move = "mkdir -p /mnt/data && mv /greengrass /mnt/data/gg && ln -s /mnt/data/gg /greengrass"
            assert board.exec(["sh", "-c", move], inside=True).returncode == 0
        done = board.exec([sys.executable, "-c", PROGRAM, str(board.root)], timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    log = told.pop("log")
    assert told == {"chrooted": True, "in the root": True, "healthy": None, "pid file": True, "left": False}
    assert "Greengrass Root: /greengrass\n" in log  # its own view of the path
