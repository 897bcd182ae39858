"""What Python loads before an agent of the fault tests: it looks at the core more often, and has a fault at a point.

In the environment: ``EDGE_SIM_FAULT`` is a folder; its file ``passed`` takes the points that were passed, each after
the version of the agent that passed it. At the one in ``EDGE_SIM_FAULT_POINT`` the action in
``EDGE_SIM_FAULT_ACTION`` is carried out on the board whose root directory is ``EDGE_SIM_FAULT_BOARD``, once in the
folder's life, and the file ``fired`` names the process; ``EDGE_SIM_FAULT_AMOUNT`` is a number for it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.armed.actions import act, move_clocks

if "EDGE_SIM_FAULT" in os.environ:
    move_clocks()

from edge_sim.agent import crashpoints
from edge_sim.agent.update import preflight, runner
from edge_sim.agent.version import VERSION

HEALTH_INTERVAL_S = 0.05


def arm(folder: Path) -> None:
    """Have each point that is passed written down, and the fault at its point."""

    def pass_by(name: str) -> None:
        passed = f"{VERSION} {name}"
        with (folder / "passed").open("a") as file:
            file.write(f"{passed}\n")
        if passed == os.environ.get("EDGE_SIM_FAULT_POINT") and not (folder / "fired").exists():
            (folder / "fired").write_text(str(os.getpid()))
            act(os.environ["EDGE_SIM_FAULT_ACTION"], Path(os.environ["EDGE_SIM_FAULT_BOARD"]))

    crashpoints._armed = pass_by


runner.HEALTH_INTERVAL_S = HEALTH_INTERVAL_S
preflight.FREE_BYTES_NEEDED = 1
if "EDGE_SIM_FAULT" in os.environ:
    arm(Path(os.environ["EDGE_SIM_FAULT"]))
