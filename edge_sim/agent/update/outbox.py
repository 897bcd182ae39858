"""The end of an update, on its way to the cloud: kept in the journal until the cloud has acknowledged it.

paho keeps unsent messages in memory only, and a PUBACK says that the broker has it, not that the job is over. So the
report is sent, with the same client token, until ``update/accepted`` comes, or an answer that shows the job is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from edge_sim.agent.crashpoints import point
from edge_sim.agent.events import Emit, Log
from edge_sim.agent.update.jobclient import HOLDER, JobEndedError, Jobs, RefusedError
from edge_sim.agent.update.journal import Journal, Record, Report
from edge_sim.agent.update.releases import Releases
from edge_sim.errors import UpdateError
from edge_sim.jobs.requests import MAX_DETAIL_CHARS, Update
from edge_sim.jobs.update import Phase


class Outbox:
    """Tells how updates go and how they end.

    ``releases`` are those of a software, by its name; ``core_events`` is what happened to the core since the job began.
    """

    def __init__(
        self,
        jobs: Jobs,
        journal: Journal,
        releases: Callable[[str], Releases],
        core_events: Callable[[], str],
        *,
        emit: Emit,
        log: Log,
    ) -> None:
        self._jobs = jobs
        self._journal = journal
        self._releases = releases
        self._core_events = core_events
        self._emit = emit
        self._log = log
        self.note = ""
        """What else is to be said of the job under way."""
        self._unwritten: Record | None = None
        """A report that the disk did not take."""
        self._ended: tuple[str, int] | None = None
        """The job and execution of that report, and of one that was sent and is still on the disk."""

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

        Where it cannot be written down it is sent all the same: after a restart the journal, or the cloud, brings the
        update again, and its end is the same. Raises UpdateError where a restart would find another end.
        """
        more = {"reason": reason} if reason else {}
        report = Report(status=end.name, details=self.details(record, **more))
        if record.confirmed:
            with suppress(OSError):  # only a help for repairs; the update itself is committed already
                self._releases(record.software).remember_good(record.new)
        ended = replace(record, report=report, token=uuid4().hex)
        self._unwritten = None
        try:
            self._journal.write(ended)
        except UpdateError as error:
            if end is not Phase.SUCCEEDED and self._looks_committed(record):
                raise
            self._unwritten, self._ended = ended, (record.job, record.execution)
            self._emit("error", job=record.job, error=error.brief)
            self._log.write("ERROR", "The report is not written down.", job=record.job, error=error.brief)
        point("P24 report-queued" if end is Phase.SUCCEEDED else "R08 report-queued")
        self.tell(record, end, reason)

    def details(self, record: Record, **more: str) -> dict[str, str]:
        """Return statusDetails (the keys are ours): phase, versions, who has the job, note, core events, log, and more.

        At most ten pairs: AWS IoT's limit; ``jobclient.clean`` cuts the values.
        """
        versions = {"from": record.old or "none", "to": record.new or "unknown"}
        events = self._core_events()
        found = {"phase": record.phase.name, **versions, HOLDER: record.holder, **more}
        found |= {"note": self.note, "core": events, "log": self._log.recent(MAX_DETAIL_CHARS)}
        return {name: value for name, value in found.items() if value}

    def send(self) -> None:
        """Send what is queued and close the journal. Raises OfflineError when the cloud does not answer, OSError."""
        record = self._unwritten or self._journal.read()
        if record is None or record.report is None:
            return
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
        self._ended, self._unwritten = (record.job, record.execution), None
        try:
            self._tidy(record)
            point("P28 journal-closed")
        finally:
            self._emit("reported", job=record.job, status=status)

    def _looks_committed(self, record: Record) -> bool:
        """Tell whether journal and link say that the new version stays: the disk took the commit, not the way back."""
        try:
            found = self._journal.read()
        except UpdateError:
            return False
        return found is not None and found.confirmed and self._releases(record.software).current() == record.new

    def has(self, record: Record) -> bool:
        """Tell whether the report of this update is queued or sent already, whatever the disk says."""
        return self._ended == (record.job, record.execution)

    def drop(self, record: Record) -> None:
        """Clean up after a job that the cloud has ended: there is nothing to report."""
        self._tidy(record)
        self._emit("update", job=record.job, phase="CANCELED", detail=record.reason)
        self._log.write("WARN", "Software update was cancelled.", job=record.job, reason=record.reason)

    def _conflict(self, record: Record, text: str) -> None:
        self._log.write("ERROR", "The report was not taken.", job=record.job, reason=text)
        self._emit("error", job=record.job, error=f"the report was not taken: {text}")

    def _tidy(self, record: Record) -> None:
        """Remove what nobody needs any more; the version before stays."""
        releases = self._releases(record.software)
        releases.sweep()
        releases.prune((record.old or "",))
        point("P27 old-pruned")
        self._journal.close()
