"""What an update replaces: a software of the board, with the place of its versions and how it is started and stopped.

Releases, installation, phases and journal work on any ``Software``. All paths are relative to the Greengrass root; the
places are V1's, the state files are ours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from edge_sim.agent import supervise
from edge_sim.agent.version import VERSION
from edge_sim.greengrass.tree import BELOW

Command = tuple[str, ...]
"""A program below the software's link, and its arguments."""


@dataclass(frozen=True, kw_only=True)
class Software:
    """One software of a board.

    ``name`` is the one in jobs and in the journal. ``packages`` holds a directory for each version, ``link`` points
    to the current one, and ``executables`` are what a version must hold to be one. A running software says its
    ``version`` and ``pid`` in the file ``state``; ``last_good`` names the version that was last seen healthy.
    A version's directory is called ``prefix`` and the version, and lies below ``archive`` in a build. ``factory`` is
    the version that comes with the board, without directory or link; None where that is one like the others. ``hooks``
    are run before and after an update of it where ``managedRespawn`` is set. ``logs`` are what it writes
    before it dies, the most telling one first.
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
    archive: str
    prefix: str = ""
    factory: str | None = None
    logs: tuple[str, ...] = ()


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
    archive="packages",
    logs=(BELOW.crash_log, BELOW.runtime_log),
)
OTA_AGENT = Software(
    name="ota_agent",
    packages=BELOW.ota,
    link=BELOW.ota_agent,
    executables=("ggc-ota",),
    start=(),
    stop=(),
    state="",
    last_good=BELOW.last_good_agent,
    hooks=("ota_pre_update.sh", "ota_post_update.sh"),
    archive=BELOW.ota,
    prefix="ota_agent_v",
    factory=os.environ.get(supervise.SUPERVISED, VERSION),
)
"""The agent's own program; ``supervise`` starts it."""
