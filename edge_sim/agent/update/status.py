"""What a board's disk says of its software and of the update that is under way. Nothing is changed."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_sim.agent import supervise
from edge_sim.agent.update.journal import Journal, Record
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.software import CORE, OTA_AGENT
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.errors import UpdateError, UsageError
from edge_sim.greengrass.tree import BELOW
from edge_sim.jobs.update import VERSION


def status(root: Path, greengrass_root: str) -> dict[str, Any]:
    """Return the versions of the core, which one runs, whether the agent does, its own versions, and the open update.

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
    lock = supervisor.gg / BELOW.agent_lock
    locked = _is_locked(lock)
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
        "agent": locked,
        "ota_agent": {
            **_agent(supervisor.root, supervisor.gg),
            "running": _holder(lock) if locked else None,
        },
        "update": _update(record) if record else None,
        "journal": damaged,
    }


def _agent(root: Path, gg: Path) -> dict[str, Any]:
    """Return the OTA agent's versions below ``ota/``; ``current`` None: the one that came with the board.

    ``trial``: the new version that has not proven itself yet, or with ``failed`` why it was given up.
    """
    releases = Releases(root, gg, replace(OTA_AGENT, factory=None))
    trial = supervise.read_trial(str(gg))
    return {
        "current": releases.current(),
        "installed": releases.installed(),
        "last_good": releases.last_known_good(),
        "trial": {name: trial.get(name) for name in ("old", "new", "starts", "failed")} if trial else None,
    }


def _holder(lock: Path) -> dict[str, Any] | None:
    """Return version and process of the agent that holds the lock; None where its disk did not take them."""
    try:
        version, pid = lock.read_text(encoding="ascii").split()
        os.kill(int(pid), 0)
    except PermissionError:  # somebody else's process, which lives
        pass
    except (OSError, ValueError):
        return None
    return {"version": version, "pid": int(pid)} if VERSION.fullmatch(version) else None


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
