"""One update under way: taken through ``jobs.update.PHASES``, a journal entry ahead of each phase.

``confirmed`` in the journal is the commit point: before it every surprise leads back to the old version, after it the
new one stays. What the phases do to the board is in ``installation``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from edge_sim.agent.crashpoints import point
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.update.candidates import after_roll_back
from edge_sim.agent.update.installation import ExpiredError
from edge_sim.agent.update.jobclient import ATTEMPTS, JobEndedError, RefusedError
from edge_sim.agent.update.journal import Record
from edge_sim.agent.update.outbox import Outbox
from edge_sim.agent.update.preflight import BoardIdentity, objection
from edge_sim.agent.update.task import StoppingError, Task, UpdateTarget
from edge_sim.errors import EdgeSimError, UpdateError
from edge_sim.jobs.requests import Update
from edge_sim.jobs.update import MAX_STARTS, PHASES, Event, Phase, PhaseScope, Reporting, parse_document

if TYPE_CHECKING:
    from edge_sim.agent.update.jobclient import Jobs
    from edge_sim.agent.update.ports import Memory, UpdateLog

FRESH_URLS = 5
"""How often an expired URL is replaced by asking for the job document again."""
PROGRESS_EVERY_S = 3.0
"""How often the cloud hears how far a download or a stable window is. The answer also says whether the job was
cancelled, so that the board stops within 5 s of it."""


class Phases:
    """The phases of an update on one board."""

    def __init__(
        self,
        targets: Mapping[str, UpdateTarget],
        jobs: Jobs,
        journal: Memory,
        board: BoardIdentity,
        outbox: Outbox,
        *,
        log: UpdateLog,
        stop: threading.Event,
    ) -> None:
        self._targets = targets
        self._jobs = jobs
        self._journal = journal
        self._board = board
        self._outbox = outbox
        self._log = log
        self._stop = stop
        self._steps: dict[Phase, Callable[[Task], None]] = {
            Phase.PREFLIGHT: self._preflight,
            Phase.STAGE: self._stage,
            Phase.VERIFY: self._verify,
            Phase.ACTIVATE: self._activate,
            Phase.CONFIRM: self._confirm,
            Phase.ROLL_BACK: self._roll_back,
        }

    def run(self, task: Task) -> Phase:
        """Take ``task`` to its end and return which one; its record says why.

        Raises StoppingError when ``stop`` was set, OfflineError when the cloud does not answer before anything is done.
        """
        phase = task.record.phase
        with ExitStack() as stack:
            held = False
            while phase in PHASES:
                if not held and self._owns(task, phase):
                    stack.enter_context(self._target(task).watch.held())
                    held = True
                phase = PHASES[phase].ways[self._pass(task, phase)]
        return phase

    def _owns(self, task: Task, phase: Phase) -> bool:
        """Tell whether nobody else may start or stop the software: an owner's script stops it before the download."""
        if PHASES[phase].scope is PhaseScope.NOTHING:
            return False
        return PHASES[phase].scope is PhaseScope.RUNNING or self._target(task).installation.respawns()

    def _pass(self, task: Task, phase: Phase) -> Event:
        """Go through one phase and return how it ended; the record's ``reason`` says why."""
        entered, task.entered = task.entered, False
        try:
            if not entered:
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
            task.record = replace(task.record, reason=broken(task.record, phase, error))
            return Event.BROKEN
        return Event.DONE

    def _enter(self, task: Task, phase: Phase) -> None:
        """Write down what comes next, then say it."""
        self._stop_if_asked()
        starts = task.record.starts + (phase is Phase.ACTIVATE)
        task.record = replace(task.record, phase=phase, starts=starts)
        try:
            self._journal.write(task.record)
        except UpdateError as error:
            if not self._may_be_unwritten(task, phase):
                raise
            task.unwritten = True
            self._log.write("ERROR", f"{phase.name} without a journal.", error=error.brief)
        again = f"start {starts} of {MAX_STARTS}" if phase is Phase.ACTIVATE and starts > 1 else None
        note = self._outbox.note if phase is Phase.PREFLIGHT else None
        self._outbox.tell(task.record, phase, task.record.reason or again or note or None)
        reporting = PHASES[phase].reporting
        if reporting is Reporting.CONSENT:
            point("P04 start-sent")
            self._report(task, "started")
            point("P05 in-progress-acked")
        elif reporting is Reporting.PROGRESS:
            self._progress(task, "started")

    def _may_be_unwritten(self, task: Task, phase: Phase) -> bool:
        """Tell whether a phase may begin without a journal: before an owner's script, and on the way back."""
        target = self._targets.get(task.record.software)
        early = phase in (Phase.PREFLIGHT, Phase.STAGE) and target is not None and target.installation.respawns()
        return early or phase is Phase.ROLL_BACK

    def _preflight(self, task: Task) -> None:
        point("P03 journal-created")
        if task.update.software not in self._targets:
            raise UpdateError(f"this agent cannot replace the software {task.update.software}")
        against = objection(task.update, self._board, task.record.old)
        if against is not None:
            raise UpdateError(against)
        point("P06 preflight")

    def _stage(self, task: Task) -> None:
        installation = self._target(task).installation
        installation.prepare()
        if task.unwritten:
            self._journal.write(task.record)
            task.unwritten = False
        for attempt in range(FRESH_URLS + 1):
            try:
                installation.stage(task.update, self._download_progress(task))
                return
            except ExpiredError as error:
                if attempt == FRESH_URLS:
                    raise UpdateError(f"{error.brief} (also with {FRESH_URLS} fresh URLs)") from error
                task.document = replace(task.update, url=self._fresh_url(task))

    def _download_progress(self, task: Task) -> Callable[[int], None]:
        tell = self._every_while(task)
        size = task.update.size
        return lambda received: tell(f"{100 * received // size}% ({received:,} of {size:,} bytes)")

    def _every_while(self, task: Task) -> Callable[[str], None]:
        """Return what tells the cloud how far it is, when it has not heard for a while; it may be called often."""
        last = time.monotonic()

        def tell(text: str) -> None:
            nonlocal last
            self._stop_if_asked()
            if time.monotonic() - last >= PROGRESS_EVERY_S:
                last = time.monotonic()
                self._progress(task, text)

        return tell

    def _fresh_url(self, task: Task) -> str:
        """Ask for the job document again: each time it is handed out its URL is signed again."""
        execution = self._jobs.next()
        if execution is None or execution.job_id != task.record.job:
            raise JobEndedError(task.record.job, "no longer pending")
        fresh = parse_document(execution.document)
        if replace(fresh, url="") != replace(task.update, url=""):
            raise UpdateError("the job document changed while the build was downloaded")
        return fresh.url

    def _verify(self, task: Task) -> None:
        self._target(task).installation.verify(task.update, self._board)

    def _activate(self, task: Task) -> None:
        point("P16 staged-recorded")
        target, record = self._target(task), task.record
        target.installation.activate(record.old or "", record.new, partial(target.watch.saw, record.new))

    def _confirm(self, task: Task) -> None:
        tell, passes, target = self._every_while(task), count(1), self._target(task)
        checks = target.installation.settings.stable_checks

        def on_pass() -> None:
            point("P22 health-pass")
            tell(f"healthy {next(passes)} of {checks} times")

        target.installation.confirm(task.record.new, on_pass, partial(target.watch.saw, task.record.new))
        self._progress(task, "healthy for the whole stable window")  # the last moment to hear of a cancellation
        confirmed = replace(task.record, confirmed=True)
        self._journal.write(confirmed)
        point("P23 confirmed-recorded")
        task.record = confirmed

    def _roll_back(self, task: Task) -> None:
        point("R02 recorded")
        target = self._target(task)
        versions = after_roll_back(target.installation.releases, task.record)
        running = target.installation.roll_back(task.record.old, partial(target.watch.bring_up, versions))
        if running != task.record.old:
            raise UpdateError(f"{task.record.old} does not start; {running} runs instead")

    def _target(self, task: Task) -> UpdateTarget:
        return self._targets[task.record.software]

    def _progress(self, task: Task, text: str) -> None:
        """Tell the cloud how far it is. No answer is no reason to stop; a cancelled job is (JobEndedError)."""
        try:
            self._report(task, text, attempts=1)
        except (OfflineError, RefusedError) as error:
            self._log.write("WARN", "Progress was not reported.", job=task.record.job, error=error.brief)

    def _report(self, task: Task, progress: str, *, attempts: int = ATTEMPTS) -> None:
        record = task.record
        change = Update(
            status="IN_PROGRESS",
            status_details=self._outbox.details(record, progress=progress),
            expected_version=record.version_number,
            step_timeout_minutes=self._target(task).installation.settings.step_minutes,
        )
        task.record = replace(record, version_number=self._jobs.update(record.job, change, attempts=attempts))

    def _stop_if_asked(self) -> None:
        if self._stop.is_set():
            raise StoppingError


def broken(record: Record, phase: Phase, error: EdgeSimError | OSError) -> str:
    """Return the reason to report after ``error`` in ``phase``."""
    text = error.brief if isinstance(error, EdgeSimError) else (error.strerror or str(error))
    return f"{record.reason}; ROLLBACK_FAILED: {text}" if phase is Phase.ROLL_BACK else f"{phase.name}: {text}"
