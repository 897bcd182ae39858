"""The end of an update, on its way to the cloud: kept in the journal until the cloud has acknowledged it.

paho keeps unsent messages in memory only, and a PUBACK says that the broker has it, not that the job is over. So the
report is sent, with the same client token, until ``update/accepted`` comes, or an answer that shows the job is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from edge_sim.agent.crashpoints import point
from edge_sim.agent.events import Emit
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.update.jobclient import HOLDER, JobEndedError, Jobs, RefusedError
from edge_sim.agent.update.journal import Record, Report
from edge_sim.errors import UpdateError
from edge_sim.jobs.requests import MAX_DETAIL_CHARS, Update
from edge_sim.jobs.update import PHASES, Event, Phase

if TYPE_CHECKING:
    from edge_sim.agent.update.ports import Memory, Steps, UpdateLog


class Outbox:
    """Tells how updates go and how they end.

    ``installation`` is a software's, by its name; ``core_events`` is what happened to the core since the job began.
    """

    def __init__(
        self,
        jobs: Jobs,
        journal: Memory,
        installation: Callable[[str], Steps],
        core_events: Callable[[], str],
        *,
        step_minutes: int,
        emit: Emit,
        log: UpdateLog,
    ) -> None:
        self._jobs = jobs
        self._step_minutes = step_minutes
        self._journal = journal
        self._installation = installation
        self._core_events = core_events
        self._emit = emit
        self._log = log
        self.note = ""
        """What else is to be said of the job under way."""
        self._unwritten: Record | None = None
        """A report that the disk did not take."""
        self._withheld = False
        """It is sent when it is written down, not before."""
        self._untidy: Record | None = None
        """An update that is over for the cloud, and not for the disk."""

    def tell(self, record: Record, phase: Phase, detail: str | None = None) -> None:
        """Say on the board where an update is."""
        more = {"detail": detail} if detail else {}
        versions = {"from": record.old, "to": record.new}
        self._emit("update", job=record.job, phase=phase.name, **versions, **more)
        bad = phase in (Phase.FAILED, Phase.REJECTED, Phase.ROLL_BACK)
        text = f"Software update: {phase.name}."
        self._log.write("ERROR" if bad else "INFO", text, job=record.job, **versions, **more)

    def put(self, record: Record, end: Phase, reason: str | None = None) -> None:
        """Queue the report of an update that is over.

        One that cannot be written down is sent all the same, but where a restart may find another end on the disk: then
        the cloud only hears why there is none yet.
        """
        more = {"reason": reason} if reason else {}
        report = Report(status=end.name, details=self.details(record, **more))
        if record.confirmed:
            with suppress(OSError):  # only a help for repairs; the update itself is committed already
                self._installation(record.software).releases.remember_good(record.new)
        ended = replace(record, report=report, token=uuid4().hex)
        self._unwritten, self._withheld = None, False
        try:
            self._journal.write(ended)
        except UpdateError as error:
            self._unwritten, self._withheld = ended, self._may_end_otherwise(record)
            self._emit("error", job=record.job, error=error.brief)
            self._log.write("ERROR", "The report could not be stored.", job=record.job, error=error.brief)
            if self._withheld:
                self._explain(record, f"{end.name}, which could not be stored: {error.brief}", **more)
        point("P24 report-queued" if end is Phase.SUCCEEDED else "R08 report-queued")
        self.tell(record, end, reason)

    def details(self, record: Record, **more: str) -> dict[str, str]:
        """Return statusDetails (the keys are ours): phase, versions, who has the job, note, core events, log, and more.

        At most ten pairs: AWS IoT's limit; ``jobclient.clean`` cuts the values.
        """
        versions = {"from": record.old or "none", "to": record.new or "unknown"}
        events = self._core_events()
        details = {"phase": record.phase.name, **versions, HOLDER: record.holder, **more}
        details |= {"note": self.note, "core": events, "log": self._log.recent(MAX_DETAIL_CHARS)}
        return {name: value for name, value in details.items() if value}

    def send(self) -> None:
        """Send what is queued and close the journal.

        Raises OfflineError when the cloud does not answer, and OSError or UpdateError for what the disk does not take.
        """
        if self._untidy is not None:
            self._close(self._untidy)
        record = self._unwritten or self._journal.read()
        if record is None or record.report is None:
            return
        if self._withheld:
            self._journal.write(record)
            self._unwritten, self._withheld = None, False
        status = record.report.status
        end = Update(
            status=status,
            status_details=record.report.details,
            expected_version=record.version_number,
            client_token=record.token,
        )
        try:
            self._jobs.update(record.job, end)
        except JobEndedError as error:
            if error.status != status:  # it ended otherwise meanwhile; the board stays as it is
                self._conflict(record, f"the cloud says {error.status}: {error.brief}")
        except RefusedError as error:
            self._conflict(record, error.brief)
        point("P26 report-acked")
        self._unwritten = None
        self._close(record)

    def _may_end_otherwise(self, record: Record) -> bool:
        """Tell whether a restart may find another end than a failure in journal and link."""
        try:
            latest = self._journal.read()
        except UpdateError:
            return True
        if latest is None or (latest.job, latest.execution) != (record.job, record.execution):
            return False
        if latest.confirmed:  # the disk took the commit: did it take the way back?
            return not record.confirmed and self._installation(record.software).releases.current() == record.new
        return PHASES[latest.phase].ways[Event.CUT_OFF] is Phase.ACTIVATE

    def _explain(self, record: Record, progress: str, **more: str) -> None:
        """Tell the cloud why an update does not end. No answer is no reason to wait."""
        details = self.details(record, progress=progress, **more)
        change = Update(
            status="IN_PROGRESS",
            status_details=details,
            expected_version=record.version_number,
            step_timeout_minutes=self._step_minutes,
        )
        with suppress(UpdateError, OfflineError):
            self._jobs.update(record.job, change, attempts=1)

    def has(self, record: Record) -> bool:
        """Tell whether the end of this update is known already, whatever the disk says."""
        ends = [(end.job, end.execution) for end in (self._unwritten, self._untidy) if end is not None]
        return (record.job, record.execution) in ends

    def drop(self, record: Record) -> None:
        """Clean up after a job that the cloud has ended: there is nothing to report."""
        self._tidy(record)
        self._emit("update", job=record.job, phase="CANCELED", detail=record.reason)
        self._log.write("WARN", "Software update was cancelled.", job=record.job, reason=record.reason)

    def _close(self, record: Record) -> None:
        self._tidy(record)
        point("P28 journal-closed")
        if record.report is not None:
            self._emit("reported", job=record.job, status=record.report.status)

    def _conflict(self, record: Record, text: str) -> None:
        self._log.write("ERROR", "The report was not accepted.", job=record.job, reason=text)
        status = record.report.status if record.report else None
        self._emit("error", job=record.job, status=status, error=f"the report was not accepted: {text}")

    def _tidy(self, record: Record) -> None:
        """Remove what nobody needs any more; the version before stays. Raises OSError, and is to be done again then.

        A link that could not be moved back is: else the next boot would start what has failed.
        """
        self._untidy = record
        installation = self._installation(record.software)
        releases = installation.releases
        succeeded = record.report is not None and record.report.status == Phase.SUCCEEDED.name
        old = record.old
        moved = old not in (None, record.new) and releases.current() == record.new
        if not succeeded and moved and old is not None and releases.whole(old):
            releases.switch(old)
        releases.sync()
        installation.settle()
        releases.sweep()
        releases.prune((record.old or "",))
        point("P27 old-pruned")
        self._journal.close()
        self._untidy = None
