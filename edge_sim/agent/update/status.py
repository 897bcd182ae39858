"""What a board's disk says of its software and of the update that is under way. Nothing is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sim.agent import supervise
from edge_sim.agent.update.journal import Journal, Record
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.runner import Running
from edge_sim.agent.update.software import CORE, OTA_AGENT, Software
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.errors import UpdateError, UsageError
from edge_sim.greengrass.tree import BELOW
from edge_sim.jobs.update import VERSION


@dataclass(frozen=True, kw_only=True)
class BoardVersions:
    """The versions of one software that a board has; ``current`` None: none, or the one that came with the board."""

    current: str | None
    installed: Sequence[str]
    last_good: str | None
    running: Running | None

    def as_json(self) -> dict[str, object]:
        return {"current": self.current, "installed": [*self.installed], "last_good": self.last_good}


@dataclass(frozen=True, kw_only=True)
class AgentTrial:
    """A new OTA agent that has not proven itself yet, or with ``failed`` why it was given up."""

    old: str
    new: str
    starts: int
    failed: str | None

    def as_json(self) -> dict[str, object]:
        return vars(self)


@dataclass(frozen=True, kw_only=True)
class OpenUpdate:
    """The update that a board's journal holds; ``unreported``: how it has ended, which the cloud does not know yet."""

    job: str
    software: str
    phase: str
    before: str | None
    to: str | None
    starts: int
    confirmed: bool
    reason: str | None
    unreported: str | None

    def as_json(self) -> dict[str, object]:
        names = {"before": "from"}
        return {names.get(name, name): value for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class BoardStatus:
    """What a board's disk says. ``agent``: whether one lives, None where nobody sees; ``journal``: what is damaged."""

    core: BoardVersions
    agent: bool | None
    ota_agent: BoardVersions
    trial: AgentTrial | None
    update: OpenUpdate | None
    journal: Sequence[str]

    def as_json(self) -> dict[str, object]:
        trial = self.trial.as_json() if self.trial else None
        return {
            **self.core.as_json(),
            "running": _running(self.core),
            "agent": self.agent,
            "ota_agent": {**self.ota_agent.as_json(), "trial": trial, "running": _running(self.ota_agent)},
            "update": self.update.as_json() if self.update else None,
            "journal": [*self.journal],
        }


def _running(versions: BoardVersions) -> dict[str, object] | None:
    return vars(versions.running) if versions.running else None


def status(root: Path, greengrass_root: str) -> BoardStatus:
    """Return the versions of the core, which one runs, whether the agent does, its own versions, and the open update.

    Raises UsageError where there is no Greengrass root: of a board without one there is nothing to say.
    """
    supervisor = Supervisor(root, greengrass_root)
    if not supervisor.gg.is_dir():
        raise UsageError(
            f"{root}: it has no directory {greengrass_root}, so no core was installed there",
            hint="Name the board's root directory with --root, and another Greengrass root with --greengrass-root.",
        )
    lock = supervisor.gg / BELOW.agent_lock
    locked = _is_locked(lock)
    damage: list[str] = []
    try:
        record = Journal(supervisor.gg / BELOW.state, on_trouble=damage.append).read()
    except UpdateError as error:
        record = None
        damage.append(error.brief)
    return BoardStatus(
        core=_versions(supervisor, CORE, supervisor.running()),
        agent=locked,
        ota_agent=_versions(supervisor, replace(OTA_AGENT, factory=None), _holder(lock) if locked else None),
        trial=_trial(supervisor.gg),
        update=_update(record) if record else None,
        journal=damage,
    )


def _versions(supervisor: Supervisor, software: Software, running: Running | None) -> BoardVersions:
    releases = Releases(supervisor.root, supervisor.gg, software)
    return BoardVersions(
        current=releases.current(),
        installed=releases.installed(),
        last_good=releases.last_known_good(),
        running=running,
    )


def _trial(gg: Path) -> AgentTrial | None:
    """Return the trial of the OTA agent as its supervisor, which imports nothing, keeps it."""
    trial = supervise.read_trial(str(gg))
    if trial is None:
        return None
    return AgentTrial(old=trial["old"], new=trial["new"], starts=trial["starts"], failed=trial.get("failed"))


def _holder(lock: Path) -> Running | None:
    """Return version and process of the agent that holds the lock; None where its disk did not take them."""
    try:
        version, pid = lock.read_text(encoding="ascii").split()
        os.kill(int(pid), 0)
    except PermissionError:  # somebody else's process, which lives
        pass
    except (OSError, ValueError):
        return None
    return Running(version=version, pid=int(pid)) if VERSION.fullmatch(version) else None


def _update(record: Record) -> OpenUpdate:
    return OpenUpdate(
        job=record.job,
        software=record.software,
        phase=record.phase.name,
        before=record.old,
        to=record.new,
        starts=record.starts,
        confirmed=record.confirmed,
        reason=record.reason,
        unreported=record.report.status if record.report else None,
    )


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
