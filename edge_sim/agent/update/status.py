"""What a board's disk says of its software and of the update that is under way. Nothing is changed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from edge_sim.agent.update.journal import Journal, Record
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.errors import UpdateError, UsageError
from edge_sim.greengrass.tree import BELOW


def status(root: Path, greengrass_root: str) -> dict[str, Any]:
    """Return the versions of the core, which one runs, whether the agent does, and the open update or None.

    Raises UsageError where there is no Greengrass root: of a board without one there is nothing to say.
    """
    supervisor = Supervisor(root, greengrass_root)
    if not supervisor.gg.is_dir():
        raise UsageError(
            f"{root}: it has no directory {greengrass_root}, so no core was installed there",
            hint="Name the board's root directory with --root, and another Greengrass root with --greengrass-root.",
        )
    releases = Releases(supervisor.root, supervisor.gg, CORE)
    running = supervisor.running()
    damaged: list[str] = []
    try:
        record = Journal(supervisor.gg / BELOW.state, on_trouble=damaged.append).read()
    except UpdateError as error:
        record = None
        damaged.append(error.brief)
    return {
        "current": releases.current(),
        "installed": releases.installed(),
        "last_good": releases.last_known_good(),
        "running": {"version": running.version, "pid": running.pid} if running else None,
        "agent": _is_locked(supervisor.gg / BELOW.agent_lock),
        "update": _update(record) if record else None,
        "journal": damaged,
    }


def _update(record: Record) -> dict[str, Any]:
    return {
        "job": record.job,
        "software": record.software,
        "phase": record.phase.name,
        "from": record.old,
        "to": record.new,
        "starts": record.starts,
        "confirmed": record.confirmed,
        "reason": record.reason,
        "unreported": record.report.status if record.report else None,
    }


def _is_locked(path: Path) -> bool | None:
    """Tell whether an agent holds the lock; None when that cannot be seen."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
