"""The scripts that an owner may have run around an update: ``managedRespawn`` in config.json (core-ota-update.md).

Sourced: their names and place; that all four must be there, owned by root and executable by root only; that they must
return successfully; that the agent runs one before it starts the update, which stops the core, and one after it has
completed it, which starts the core. Ours: that "before the update" is after the job was accepted and before the
download, how long one may take and the core may be stopped for the download, and that a failed update and a roll-back
run none: the guide has the second run after a completed update only, and it may be what failed.
"""

from __future__ import annotations

import stat
from pathlib import Path

from edge_sim.agent.rooted import inside
from edge_sim.errors import UpdateError
from edge_sim.greengrass.tree import Tree

LIMIT_S = 60.0
RESPAWN_LIMIT_S = 900.0
"""How long an owner's script may leave the board without a core until the build has arrived."""
NAMES = ("ggc_pre_update.sh", "ggc_post_update.sh", "ota_pre_update.sh", "ota_post_update.sh")


def check(root: Path, greengrass_root: str) -> None:
    """Check that all scripts are as they must be. Raises UpdateError."""
    for name in NAMES:
        path = f"{Tree(greengrass_root).respawn_scripts}/{name}"
        wrong = _wrong(inside(root, path))
        if wrong is not None:
            raise UpdateError(f"managedRespawn is true, and {path} {wrong}")


def _wrong(path: Path) -> str | None:
    """Return what is wrong with a script, or None."""
    try:
        status = path.stat()
    except OSError as error:
        return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_uid != 0:
        return f"is owned by uid {status.st_uid}, not by root"
    if not status.st_mode & stat.S_IXUSR:
        return "is not executable by root"
    if status.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        return f"has mode {stat.S_IMODE(status.st_mode):04o}: it must be executable by root only"
    return None
