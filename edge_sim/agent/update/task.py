"""An update under way, and what of a board can be updated: all that an agent has to know of updates until one comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_sim.errors import UpdateError

if TYPE_CHECKING:
    from edge_sim.agent.update.journal import Record
    from edge_sim.agent.update.ports import Steps, Watch
    from edge_sim.jobs.update import UpdateDocument


class StoppingError(Exception):
    """The agent is stopping; the journal holds what the next start has to do."""


@dataclass
class Task:
    """An update under way. ``document`` is the job's; one that is resumed after a restart has none.

    ``started``: it was IN_PROGRESS already when it was handed over.
    """

    record: Record
    document: UpdateDocument | None = None
    started: bool = True
    canceled: bool = False
    entered: bool = False
    """The process that handed over to this one has written the first phase down already."""
    unwritten: bool = False
    """Its phase is not in the journal yet: an owner's script makes the disk writable."""

    @property
    def update(self) -> UpdateDocument:
        """The job's document, for the phases that are never resumed."""
        if self.document is None:
            raise UpdateError(f"{self.record.phase.name} needs the job's document")
        return self.document


@dataclass(frozen=True, kw_only=True)
class UpdateTarget:
    """A software of this board that can be updated."""

    installation: Steps
    watch: Watch
