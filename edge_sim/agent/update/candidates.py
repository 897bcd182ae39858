"""Which versions of a software this board may run, the best one first, whatever its disk has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_sim.errors import UpdateError
from edge_sim.jobs.update import Phase

if TYPE_CHECKING:
    from edge_sim.agent.update.journal import Journal, Record
    from edge_sim.agent.update.ports import Versions
    from edge_sim.agent.update.releases import Releases


def candidates(releases: Releases, journal: Journal) -> list[str]:
    """Return the versions that may be started, the best one first.

    The link decides; where it leads nowhere or its version does not start, what the journal says, then the last one
    that was healthy, then the only one there is. Once an update is being rolled back its new version has the last
    turn: the link may lead to it still, on a disk that cannot be written.
    """
    try:
        record = journal.read()
    except UpdateError:
        record = None
    if record is not None and record.software != releases.software.name:
        record = None
    current, last_good = releases.current(), releases.last_known_good()
    if record is not None and record.phase is Phase.ROLL_BACK and not record.confirmed:
        return _runnable(releases, [*after_roll_back(releases, record), current])
    by_record = None if record is None else record.new if record.confirmed else record.old
    installed = releases.installed()
    return _runnable(releases, [current, by_record, last_good, *(installed if len(installed) == 1 else ())])


def after_roll_back(releases: Versions, record: Record) -> list[str]:
    """Return what a roll-back may bring up: the old version, then the last one that was healthy."""
    versions = _runnable(releases, [record.old, releases.last_known_good()])
    return [version for version in versions if version != record.new]


def _runnable(releases: Versions, versions: list[str | None]) -> list[str]:
    return [version for version in dict.fromkeys(versions) if version is not None and releases.whole(version)]
