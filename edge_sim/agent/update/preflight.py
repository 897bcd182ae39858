"""May this update be installed on this board? Decided before the job is started, where REJECTED still means "no".

What only goes wrong on the way (no room, hook scripts wanted) is looked at after the start and ends in FAILED.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent.update.releases import version_key
from edge_sim.errors import UpdateError
from edge_sim.greengrass.tree import BELOW
from edge_sim.jobs.update import UpdateDocument

FREE_BYTES_NEEDED = 400 * 1024 * 1024
"""AWS: "at least 400 MB of free disk space" for an over-the-air update (core-ota-update.md)."""
MAX_CONFIG_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BoardIdentity:
    """What a build must be made for, in the words of the API: ``armv7l``, ``raspbian``."""

    architecture: str
    operating_system: str


def objection(update: UpdateDocument, board: BoardIdentity, current: str | None) -> str | None:
    """Return why the job is to be rejected, or None. An equal version is no objection (there is nothing to do)."""
    if update.software != "core":
        return f"software {update.software}: updates of the OTA agent are not simulated yet"
    if update.architecture != board.architecture:
        return f"the build is for {update.architecture}, this board is {board.architecture}"
    if update.operating_system != board.operating_system:
        return f"the build is for {update.operating_system}, this board runs {board.operating_system}"
    if current is None:
        return "no core software is installed, so there is nothing to update"
    if version_key(update.version) < version_key(current):
        return f"version {update.version} is older than {current}, which is installed"
    return None


def check_board(gg: Path, *, needed: int = FREE_BYTES_NEEDED) -> None:
    """Check that an update can be carried out now. Raises UpdateError."""
    free = shutil.disk_usage(gg).free
    if free < needed:
        raise UpdateError(f"NO_SPACE: {free:,} bytes are free, an update needs {needed:,}")
    if _managed_respawn(gg / BELOW.config):
        raise UpdateError("managedRespawn is true, and its hook scripts are not simulated yet")


def _managed_respawn(config: Path) -> bool:
    try:
        with config.open("rb") as file:
            found = json.loads(file.read(MAX_CONFIG_BYTES))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError) as error:
        # V1's own words for a broken file
        raise UpdateError(f"Failed to parse {config}.") from error
    return isinstance(found, dict) and found.get("managedRespawn") is True
