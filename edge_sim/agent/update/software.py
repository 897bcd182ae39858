"""What an update replaces: a software of the board, with the place of its versions and how it is started and stopped.

Releases, supervisor and journal work on any ``Software``; the core is the first one. All paths are relative to the
Greengrass root; the places are V1's, the state files are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_sim.greengrass.tree import BELOW

Command = tuple[str, ...]
"""A program below the software's link, and its arguments."""


@dataclass(frozen=True, kw_only=True)
class Software:
    """One software of a board.

    ``name`` is the one in jobs and in the journal. ``packages`` holds a directory for each version, ``link`` points
    to the current one, and ``executables`` are what a version must hold to be one. A running software says its
    ``version`` and ``pid`` in the file ``state``; ``last_good`` names the version that was last seen healthy.
    ``hooks`` are run before and after an update of it where ``managedRespawn`` is set.
    """

    name: str
    packages: str
    link: str
    executables: tuple[str, ...]
    start: Command
    stop: Command
    state: str
    last_good: str
    hooks: tuple[str, str]


CORE = Software(
    name="core",
    packages=BELOW.packages,
    link=BELOW.core,
    executables=("greengrassd", "bin/daemon"),
    start=("greengrassd", "start"),
    stop=("greengrassd", "stop"),
    state=BELOW.core_state,
    last_good=BELOW.last_good_core,
    hooks=("ggc_pre_update.sh", "ggc_post_update.sh"),
)
