"""Daemons of a core that break its limits, as shell scripts: whatever holds the limits, they end alike."""

from __future__ import annotations

import sys

from edge_sim.agent.update.supervisor import CoreError, Supervisor
from tests.waiting import until

READY = """printf '{"version": "1.10.0", "pid": %s}' $$ >"$GREENGRASS_ROOT/ggc/var/state/core.json" """
"""What a daemon of core 1.10.0 says when it runs."""
EATS_96_MIB = f"{sys.executable} -I -S -c 'import time; kept = bytearray(96 << 20); time.sleep(1000)'"
FORKS_120 = "i=0; while [ $i -lt 120 ]; do env -i setsid sleep 1000 & i=$((i + 1)); done 2>/dev/null"
"""They leave its session, and have none of its environment."""


def trouble_of_forks(core: Supervisor, version: str) -> str:
    """Start a core that forks on, and return what is wrong with it, before or after its start has ended."""
    try:
        core.start(version)
        until(lambda: core.trouble(version), "it forked on")
        return str(core.trouble(version))
    except CoreError as error:  # its own shell was what found no process any more
        return error.brief
