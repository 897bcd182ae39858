"""The process that runs a fleet's cores as Locust's users, or is the master of those that do.

Its first line of standard input says what it is; after that both ways carry lines (``lines``). Python's sockets and
threads are gevent's here, so nothing else may be in this process.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Do what the first line of standard input says, until standard input ends."""
    from gevent import config, monkey

    config.track_greenlet_tree = False  # who started which greenlet: half a kilobyte a core, for debuggers alone
    monkey.patch_all()
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not come between the lines
    setup = json.loads(sys.stdin.buffer.readline())
    from edge_sim.fleet import locustrun

    locustrun.run(setup, output)


if __name__ == "__main__":
    main()
