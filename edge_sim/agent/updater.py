"""The over-the-air update: drives one job at a time through ``jobs.update.TRANSITIONS``.

    resolve   without the cloud: finish or undo what a restart cut off
    work      with the cloud: send what is unreported, then carry out update jobs until none is pending

Before each phase its intent goes to the journal. ``confirmed`` in the journal is the commit point: before it every
surprise leads back to the old version, after it the new one stays. What the phases do to the board is in
``installation``, how the end reaches the cloud in ``outbox``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from edge_sim.agent import releases
from edge_sim.agent.crashpoints import point
from edge_sim.agent.events import Emit, Log
from edge_sim.agent.installation import ExpiredError, Installation
from edge_sim.agent.jobclient import ATTEMPTS, JobEndedError, Jobs, RefusedError
from edge_sim.agent.journal import Journal, Record
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.outbox import Outbox, details
from edge_sim.agent.preflight import BoardIdentity, objection
from edge_sim.errors import EdgeSimError, UpdateError
from edge_sim.jobs.messages import JobExecutionData
from edge_sim.jobs.update import (
    ENDS,
    TRANSITIONS,
    Event,
    Phase,
    UpdateDocument,
    is_software_update,
    parse_document,
)

FRESH_URLS = 5
"""How often an expired URL is replaced by asking for the job document again."""
PROGRESS_EVERY_S = 5.0
"""How often a download tells the cloud how far it is, and so hears whether the job was cancelled meanwhile."""


class StoppingError(Exception):
    """The agent is stopping; the journal holds what the next start has to do."""


@dataclass
class Task:
    """An update under way. ``started``: it was IN_PROGRESS already when it was handed over."""

    update: UpdateDocument
    record: Record
    url: str
    started: bool
    canceled: bool = False


class Updater:
    """Carries out software update jobs on one board. All of it is called from one thread."""

    def __init__(
        self,
        installation: Installation,
        jobs: Jobs,
        journal: Journal,
        board: BoardIdentity,
        *,
        emit: Emit,
        log: Log,
        stop: threading.Event,
        new_token: Callable[[], str] = lambda: uuid4().hex,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._installation = installation
        self._gg = installation.gg
        self._jobs = jobs
        self._journal = journal
        self._board = board
        self._log = log
        self._stop = stop
        self._monotonic = monotonic
        self._outbox = Outbox(jobs, journal, self._gg, emit=emit, log=log, new_token=new_token)
        self._steps: dict[Phase, Callable[[Task], None]] = {
            Phase.PREFLIGHT: self._preflight,
            Phase.STAGE: self._stage,
            Phase.VERIFY: self._verify,
            Phase.ACTIVATE: self._activate,
            Phase.CONFIRM: self._confirm,
            Phase.ROLL_BACK: self._roll_back,
        }

    def resolve(self) -> None:
        """Bring the board to one whole version, whatever cut an update off; the report follows in ``work``."""
        record = self._journal.read()
        self._repair_link(record)
        if record is None or (record.report is None and not self._touched(record)):
            # The cloud hands the job over again, and it starts from the beginning.
            releases.sweep(self._gg)
            self._journal.close()
        elif record.report is None and record.confirmed:
            self._outbox.put(record, Phase.SUCCEEDED)
        elif record.report is None:
            self._undo(record)

    def work(self) -> None:
        """Send what is unreported, then carry out software updates until none is pending.

        Raises OfflineError when the cloud does not answer: call again later. RefusedError: the cloud will not have
        it. StoppingError: ``stop`` was set.
        """
        done: tuple[str, int] | None = None
        while not self._stop.is_set():
            self.resolve()
            self._outbox.send()
            execution = self._jobs.next()
            if execution is None or not is_software_update(execution.job_id, execution.document):
                return
            if (execution.job_id, execution.execution_number) == done:
                return  # over, but handed out again: not in a circle without a pause
            self._carry_out(execution)
            done = (execution.job_id, execution.execution_number)

    def _carry_out(self, execution: JobExecutionData) -> None:
        record = Record(
            job=execution.job_id,
            execution=execution.execution_number,
            version_number=execution.version_number,
            phase=Phase.PREFLIGHT,
            old=releases.current(self._gg),
            new="",
        )
        started = execution.status == "IN_PROGRESS"
        try:
            update = parse_document(execution.document)
        except UpdateError as error:
            self._outbox.put(record, _refusal(started=started), error.brief)
            return
        self._log.threshold = update.log_level
        record = replace(record, new=update.version)
        if update.software == "core" and update.version == record.old:
            self._already_there(record)
        else:
            self._drive(Task(update=update, record=record, url=update.url, started=started))

    def _already_there(self, record: Record) -> None:
        wrong = self._installation.unhealthy(record.new)
        if wrong is None:
            self._outbox.put(record, Phase.SUCCEEDED, "already-installed")
        else:
            self._outbox.put(record, Phase.FAILED, f"version {record.new} is already installed, but {wrong}")

    def _drive(self, task: Task) -> None:
        phase = task.record.phase
        while phase not in ENDS:
            phase = TRANSITIONS[phase, self._pass(task, phase)]
        if task.canceled:
            self._outbox.drop(task.record)
        elif phase is Phase.REJECTED:
            self._outbox.put(task.record, _refusal(started=task.started), task.record.reason)
        else:
            self._outbox.put(task.record, phase, task.record.reason)

    def _pass(self, task: Task, phase: Phase) -> Event:
        """Go through one phase and return how it ended; the record's ``reason`` says why."""
        try:
            self._enter(task, phase)
            self._stop_if_asked()
            self._steps[phase](task)
        except JobEndedError as error:
            task.canceled = True
            task.record = replace(task.record, reason=f"canceled in {phase.name}: {error.brief}")
            return Event.CANCELED
        except OfflineError:
            raise  # only while nothing is touched: it is started again when the cloud can be asked
        except (EdgeSimError, OSError) as error:
            self._stop_if_asked()
            task.record = replace(task.record, reason=_reason(task.record, phase, error))
            return Event.BROKEN
        return Event.DONE

    def _enter(self, task: Task, phase: Phase) -> None:
        """Write down what comes next, then say it."""
        self._stop_if_asked()
        activated = task.record.activated or phase is Phase.ACTIVATE
        task.record = replace(task.record, phase=phase, activated=activated)
        try:
            self._journal.write(task.record)
        except UpdateError as error:
            if phase is not Phase.ROLL_BACK:
                raise
            self._log.write("ERROR", "Rolling back without a journal.", error=error.brief)
        self._outbox.tell(task.record, phase, task.record.reason)
        if phase is Phase.STAGE:
            point("P04 start-sent")
            self._report(task, phase.name)  # nothing is done before the cloud has agreed
            point("P05 in-progress-acked")
        elif phase not in (Phase.PREFLIGHT, Phase.ROLL_BACK):
            self._progress(task, phase.name)

    def _preflight(self, task: Task) -> None:
        point("P03 journal-created")
        against = objection(task.update, self._board, task.record.old)
        if against is not None:
            raise UpdateError(against)
        point("P06 preflight")

    def _stage(self, task: Task) -> None:
        self._installation.prepare()
        for attempt in range(FRESH_URLS + 1):
            try:
                self._installation.stage(task.update, task.url, self._download_progress(task))
                return
            except ExpiredError as error:
                if attempt == FRESH_URLS:
                    raise UpdateError(f"{error.brief} (also with {FRESH_URLS} fresh URLs)") from error
                task.url = self._fresh_url(task)

    def _download_progress(self, task: Task) -> Callable[[int], None]:
        last = self._monotonic()

        def on_progress(received: int) -> None:
            nonlocal last
            self._stop_if_asked()
            if self._monotonic() - last >= PROGRESS_EVERY_S:
                last = self._monotonic()
                self._progress(task, f"STAGE {100 * received // task.update.size}%")

        return on_progress

    def _fresh_url(self, task: Task) -> str:
        """Ask for the job document again: each time it is handed out its URL is signed anew."""
        execution = self._jobs.next()
        if execution is None or execution.job_id != task.record.job:
            raise JobEndedError(task.record.job, "no longer pending")
        fresh = parse_document(execution.document)
        if replace(fresh, url="") != replace(task.update, url=""):
            raise UpdateError("the job document changed while the build was downloaded")
        return fresh.url

    def _verify(self, task: Task) -> None:
        self._installation.verify(task.update)

    def _activate(self, task: Task) -> None:
        point("P16 staged-recorded")
        self._installation.activate(task.update.version)

    def _confirm(self, task: Task) -> None:
        def on_pass() -> None:
            point("P22 health-pass")
            self._stop_if_asked()

        self._installation.confirm(task.update.version, on_pass)
        self._progress(task, "CONFIRM healthy")  # the last moment to hear of a cancellation
        confirmed = replace(task.record, confirmed=True)
        self._journal.write(confirmed)
        point("P23 confirmed-recorded")
        task.record = confirmed

    def _roll_back(self, task: Task) -> None:
        point("R02 recorded")
        self._installation.roll_back(task.record.old)

    def _undo(self, record: Record) -> None:
        """Roll back an update that was cut off after the old core was (about to be) stopped."""
        reason = record.reason or f"interrupted in {record.phase.name}"
        record = replace(record, phase=Phase.ROLL_BACK, activated=True, reason=reason)
        self._journal.write(record)
        self._outbox.tell(record, Phase.ROLL_BACK, reason)
        point("R02 recorded")
        try:
            self._installation.roll_back(record.old)
        except (EdgeSimError, OSError) as error:
            self._stop_if_asked()
            reason = _reason(record, Phase.ROLL_BACK, error)
        self._outbox.put(record, Phase.FAILED, reason)

    def _touched(self, record: Record) -> bool:
        """Whether the switch may have begun. The link is asked too: the journal may be an older copy."""
        return record.activated or (record.new != record.old and releases.current(self._gg) == record.new)

    def _repair_link(self, record: Record | None) -> None:
        """Point a missing or dangling ``core`` link at a version that ran."""
        if releases.current(self._gg) is not None:
            return
        good = record.new if record and record.confirmed else releases.last_known_good(self._gg)
        if good is not None:
            releases.switch(self._gg, good)
            self._log.write("ERROR", "The core link was broken and has been repaired.", version=good)

    def _progress(self, task: Task, text: str) -> None:
        """Tell the cloud how far it is. No answer is no reason to stop; a cancelled job is (JobEndedError)."""
        try:
            self._report(task, text, attempts=1)
        except (OfflineError, RefusedError) as error:
            self._log.write("WARN", "Progress was not reported.", job=task.record.job, error=error.brief)

    def _report(self, task: Task, progress: str, *, attempts: int = ATTEMPTS) -> None:
        record = task.record
        told = details(record, record.phase.name, progress=progress)
        version = self._jobs.update(record.job, "IN_PROGRESS", told, version=record.version_number, attempts=attempts)
        task.record = replace(record, version_number=version)

    def _stop_if_asked(self) -> None:
        if self._stop.is_set():
            raise StoppingError


def _refusal(*, started: bool) -> Phase:
    """IN_PROGRESS may not become REJECTED any more (AWS's embedded OTA library)."""
    return Phase.FAILED if started else Phase.REJECTED


def _reason(record: Record, phase: Phase, error: EdgeSimError | OSError) -> str:
    text = error.brief if isinstance(error, EdgeSimError) else (error.strerror or str(error))
    return f"{record.reason}; ROLLBACK_FAILED: {text}" if phase is Phase.ROLL_BACK else f"{phase.name}: {text}"
