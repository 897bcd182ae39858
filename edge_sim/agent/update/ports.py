"""What an update needs of the board that it is carried out on: its disk and processes, or a model of them in a fleet.

The rules of an update (``updater``, ``phases``, ``outbox``) know a board by these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from edge_sim.jobs.update import UpdateDocument

if TYPE_CHECKING:
    from edge_sim.agent.events import Level
    from edge_sim.agent.update.installation import BringUp, Saw, UpdateSettings
    from edge_sim.agent.update.journal import Record
    from edge_sim.agent.update.preflight import BoardIdentity


class Versions(Protocol):
    """The versions of a software on a board; ``releases.Releases`` on a disk."""

    def current(self) -> str | None:
        """Return the version that is to run, or None."""

    def whole(self, version: str) -> bool:
        """Tell whether ``version`` is installed and can be run."""

    def last_known_good(self) -> str | None:
        """Return the version that was last seen healthy, or None."""

    def remember_good(self, version: str) -> None:
        """Note that ``version`` was healthy. Raises OSError."""

    def switch(self, version: str) -> None:
        """Make ``version`` the current one. Raises UpdateError, OSError."""

    def sync(self) -> None:
        """Bring to the disk which version is the current one. Raises OSError."""

    def sweep(self) -> None:
        """Remove everything staged. Raises OSError."""

    def prune(self, keep: Collection[str]) -> list[str]:
        """Remove versions that are neither kept, current nor last known good; return them. Raises OSError."""


class Steps(Protocol):
    """What each phase does to a board; ``installation.Installation`` on a disk. Each raises EdgeSimError or OSError."""

    @property
    def settings(self) -> UpdateSettings:
        """How long the board waits, and how often it looks."""

    @property
    def releases(self) -> Versions:
        """The installed versions."""

    def respawns(self) -> bool:
        """Tell whether the owner's scripts stop and start the software."""

    def prepare(self) -> None:
        """Make room for the download."""

    def stage(self, update: UpdateDocument, on_progress: Callable[[int], None]) -> None:
        """Download the build; ``on_progress`` hears of the bytes so far. Raises ExpiredError for an old URL."""

    def verify(self, update: UpdateDocument, board: BoardIdentity) -> None:
        """Check the build and put it beside the other versions."""

    def activate(self, old: str, version: str, saw: Saw) -> None:
        """Stop ``old`` and start ``version``."""

    def confirm(self, version: str, on_pass: Callable[[], None], saw: Saw) -> None:
        """Watch ``version`` for its stable window; ``on_pass`` hears of each look that found it well."""

    def roll_back(self, version: str | None, bring_up: BringUp) -> str:
        """Have an older version running again and return which one does."""

    def unhealthy(self, version: str) -> str | None:
        """Return what is wrong with the version that should be running, or None."""

    def took_over(self, version: str) -> bool:
        """Tell whether this process is ``version``, at its first start."""

    def given_up(self, version: str) -> str | None:
        """Return why another process gave ``version`` up, or None."""

    def settle(self) -> None:
        """Forget what only an update under way needs."""


class Memory(Protocol):
    """What a board still knows of its update after a power cut; ``journal.Journal`` on a disk."""

    def write(self, record: Record) -> None:
        """Keep ``record`` ahead of what it says. Raises UpdateError."""

    def read(self) -> Record | None:
        """Return the open record, or None. Raises UpdateError."""

    def holder(self, job: str, execution: int) -> str:
        """Return what this board calls itself as the one that has a job's execution; empty when it has not."""

    def close(self) -> None:
        """Forget the update: it is over and the cloud knows. Raises OSError."""

    def discard(self) -> None:
        """Forget the record alone. Raises OSError."""


class Watch(Protocol):
    """Who looks after a software while no update does."""

    def held(self) -> AbstractContextManager[None]:
        """Leave the software to the caller while the block lasts."""

    def bring_up(self, versions: Sequence[str], unhealthy: Callable[[str], str | None]) -> str:
        """Start ``versions``, the best one first, until one runs well, and return it. Raises UpdateError."""

    def saw(self, version: str, trouble: str | None) -> None:
        """Note that a version runs, or why it does not, while the software is held."""


class Watchman(Protocol):
    """Who looks after the core between updates; ``guard.Guard`` on a board."""

    @property
    def events(self) -> str:
        """What happened to the core since ``forget_events``."""

    def forget_events(self) -> None:
        """Begin a new list of events: a job begins."""


class UpdateLog(Protocol):
    """Where an update says what it does; ``events.LogFile`` in a file."""

    threshold: str

    def forget(self) -> None:
        """Begin a new list of recent lines: a job begins."""

    def recent(self, most: int) -> str:
        """Return the last lines in at most ``most`` characters."""

    def write(self, level: Level, message: str, /, **context: object) -> None:
        """Add a line."""
