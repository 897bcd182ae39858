"""May this update be installed on this board? Decided before the job is started, where REJECTED still means "no".

What only goes wrong on the way (no room, a proxy, hook scripts) is looked at after the start and ends in FAILED. The
sentences that are AWS's are from core-ota-update.md and what-is-gg.md.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_sim import strictjson
from edge_sim.agent.rooted import file_bytes
from edge_sim.agent.update.releases import version_key
from edge_sim.errors import UpdateError
from edge_sim.facts import UPDATE_TOOLS
from edge_sim.greengrass.tree import BELOW
from edge_sim.jobs.update import UpdateDocument

FREE_BYTES_NEEDED = 400 * 1024 * 1024
DISK_SPACE = "The Greengrass core must have at least 400 MB of disk space available in local storage."
PROXY = "The Greengrass core can't be configured to use a network proxy."
TOOLS = "The following shell commands (not the BusyBox variants) are required by the over-the-air (OTA) update agent: "
MAX_CONFIG_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BoardIdentity:
    """What a build must be made for, in the words of the API: ``armv7l``, ``raspbian``."""

    architecture: str
    operating_system: str
    missing_tools: tuple[str, ...] = ()
    """Programs that AWS's agent calls and a real board lacks; a simulated board's are not the real one's."""


def objection(update: UpdateDocument, board: BoardIdentity, current: str | None) -> str | None:
    """Return why the job is to be rejected, or None. An equal version is no objection (there is nothing to do)."""
    if update.architecture != board.architecture:
        return f"the build is for {update.architecture}, but this board is {board.architecture}"
    if update.operating_system != board.operating_system:
        return f"the build is for {update.operating_system}, but this board runs {board.operating_system}"
    if board.missing_tools:
        return f"the board lacks {', '.join(board.missing_tools)}. {TOOLS}{', '.join(UPDATE_TOOLS)}"
    if current is None:
        return "no core software is installed, so there is nothing to update"
    if version_key(update.version) < version_key(current):
        return f"version {update.version} is older than {current}, which is installed"
    return None


def check_board(gg: Path, *, needed: int = FREE_BYTES_NEEDED) -> None:
    """Check that an update can be carried out now. Raises UpdateError."""
    free = shutil.disk_usage(gg).free
    if free < needed:
        raise UpdateError(f"NO_SPACE: {free:,} bytes are free, but an update needs {needed:,}. {DISK_SPACE}")
    core = _config(gg).get("coreThing")
    if isinstance(core, dict) and core.get("networkProxy"):
        raise UpdateError(f"config.json has a networkProxy. {PROXY}")


def managed_respawn(gg: Path) -> bool:
    """Tell whether the owner's scripts stop and start the software. Raises UpdateError."""
    return _config(gg).get("managedRespawn") is True


def _config(gg: Path) -> dict[str, object]:
    path = gg / BELOW.config
    try:
        return strictjson.members(file_bytes(path, MAX_CONFIG_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # V1's own words for a broken file
        raise UpdateError(f"Failed to parse {path}.") from error
