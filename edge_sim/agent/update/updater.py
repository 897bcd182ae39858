"""The over-the-air update: takes software update jobs one after the other, and mends what a restart cut off.

    resolve   without the cloud: finish or undo what a restart cut off
    work      with the cloud: send what is unreported, then carry out update jobs until none is pending

How one update goes through its phases is in ``phases``, how its end reaches the cloud in ``outbox``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

from edge_sim.agent.events import Emit
from edge_sim.agent.update.jobclient import HOLDER, Jobs, JobTakenError
from edge_sim.agent.update.journal import Record
from edge_sim.agent.update.outbox import Outbox
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.task import Task, UpdateTarget
from edge_sim.errors import UpdateError
from edge_sim.jobs.messages import JobExecutionData
from edge_sim.jobs.update import (
    MAX_STARTS,
    PHASES,
    VERSION,
    Event,
    Phase,
    PhaseScope,
    is_software_update,
    parse_document,
)

if TYPE_CHECKING:
    from edge_sim.agent.update.phases import Phases
    from edge_sim.agent.update.ports import Memory, Steps, UpdateLog, Versions, Watchman


class Updater:
    """Carries out software update jobs on one board. All of it is called from one thread."""

    def __init__(
        self,
        targets: Mapping[str, UpdateTarget],
        jobs: Jobs,
        journal: Memory,
        board: BoardIdentity,
        *,
        guard: Watchman,
        emit: Emit,
        log: UpdateLog,
        stop: threading.Event,
    ) -> None:
        self._targets = targets
        self._jobs = jobs
        self._journal = journal
        self._board = board
        self._log = log
        self._stop = stop
        self._guard = guard
        self._emit = emit
        self._left: tuple[str, str] | None = None
        minutes = targets[CORE.name].installation.settings.step_minutes
        self._outbox = Outbox(
            jobs, journal, self._installation, lambda: guard.events, step_minutes=minutes, emit=emit, log=log
        )

    @cached_property
    def _phases(self) -> Phases:
        """What takes an update through its phases: a board without one spares the memory."""
        from edge_sim.agent.update.phases import Phases

        return Phases(
            self._targets, self._jobs, self._journal, self._board, self._outbox, log=self._log, stop=self._stop
        )

    def resolve(self) -> None:
        """Bring the board to one whole version, whatever cut an update off; the report follows in ``work``."""
        record = self._journal.read()
        if record is not None and (record.report is not None or self._outbox.has(record)):
            return
        if record is not None and self._committed(record):
            self._end(record, Phase.SUCCEEDED)
            return
        phase = self._resumed_at(record) if record is not None else Phase.PREFLIGHT
        if record is None:
            with suppress(OSError):  # what stays does no harm
                self._sweep()
                self._journal.discard()
        if record is None or phase is Phase.PREFLIGHT:  # the cloud hands the job over again
            return
        reason = record.reason or self._installation(record.software).given_up(record.new)
        if phase is Phase.ROLL_BACK and reason is None:
            reason = f"interrupted in {record.phase.name}" + (f" {record.starts} times" if record.starts > 1 else "")
        handed_over = phase is Phase.ACTIVATE and self._installation(record.software).took_over(record.new)
        entered = handed_over and record.phase is Phase.ACTIVATE
        self._drive(Task(record=replace(record, phase=phase, confirmed=False, reason=reason), entered=entered))

    def switching(self) -> bool:
        """Tell whether a switch to a new core is under way, as far as the journal can be read.

        Its next start counts and is written down ahead of it, so that a version that takes the board down with it is
        not started for ever: ``resolve`` does both.
        """
        try:
            record = self._journal.read()
        except UpdateError:
            return False
        under_way = record is not None and record.report is None and not record.confirmed
        core = record is not None and record.software == CORE.name
        return core and under_way and record is not None and PHASES[record.phase].scope is PhaseScope.RUNNING

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
                self._forget()
                return
            if (execution.job_id, execution.execution_number) == done:
                return  # over, but handed out again: not in a circle without a pause
            self._carry_out(execution)
            done = (execution.job_id, execution.execution_number)

    def _forget(self) -> None:
        """Remove the remains of an update that the cloud no longer asks for."""
        self._sweep()
        self._journal.close()

    def _sweep(self) -> None:
        for target in self._targets.values():
            target.installation.releases.sweep()

    def _holder(self, execution: JobExecutionData) -> tuple[str, bool]:
        """Return what this board called itself when it began the job, if it did, and whether its journal is lost."""
        begun = self._journal.read()
        if begun is not None and (begun.job, begun.execution) == (execution.job_id, execution.execution_number):
            return begun.holder, False
        holder = self._journal.holder(execution.job_id, execution.execution_number)
        with suppress(OSError):  # that nothing can be written is said soon enough
            if not holder:
                self._forget()
        return holder, bool(holder)

    def _carry_out(self, execution: JobExecutionData) -> None:
        holder, lost = self._holder(execution)
        details = execution.status_details or {}
        other = details.get(HOLDER, holder)
        if execution.status == "IN_PROGRESS" and other != holder:
            self._leave(execution.job_id, other)
            return
        record = Record(
            job=execution.job_id,
            execution=execution.execution_number,
            version_number=execution.version_number,
            phase=Phase.PREFLIGHT,
            old=self._releases(CORE.name).current(),
            new="",
            holder=holder or uuid4().hex[:12],
        )
        started = execution.status == "IN_PROGRESS"
        try:
            update = parse_document(execution.document)
        except UpdateError as error:
            self._outbox.put(record, _refusal(started=started), error.brief)
            return
        self._log.threshold = update.log_level
        self._log.forget()
        self._guard.forget_events()
        self._outbox.note = _found_behind(execution.passed_over)
        old = self._releases(update.software).current()
        record = replace(record, software=update.software, old=old, new=update.version)
        if lost and started and _touched(details):
            self._after_loss(record, details)
        elif update.software in self._targets and update.version == record.old:
            self._already_there(record)
        else:
            self._drive(Task(record=record, document=update, started=started))

    def _leave(self, job: str, other: str) -> None:
        """Leave a job to the other board that has it, and say so once."""
        self._forget()
        if self._left != (job, other):
            self._left = (job, other)
            text = JobTakenError(job).brief
            self._emit("error", task="jobs", job=job, error=text)
            self._log.write("ERROR", "A job was ignored.", job=job, reason=text, holder=other)

    def _after_loss(self, record: Record, details: Mapping[str, str]) -> None:
        """End an update whose journal was lost when the switch was under way, as the link says.

        The new version is watched as after a power cut, and this was its last start: how many there were is lost too.
        """
        releases, phase = self._releases(record.software), details["phase"]
        self._log.write("ERROR", "The update's journal was lost.", job=record.job, phase=phase, current=record.old)
        if record.old == record.new:
            before = details.get("from", "")
            old = before if VERSION.fullmatch(before) and releases.whole(before) else releases.last_known_good()
            starts = MAX_STARTS - 1
            self._drive(Task(record=replace(record, old=old, phase=Phase.ACTIVATE, starts=starts)))
            return
        reason = f"the update's journal was lost in {phase}, and the link leads to {record.old or 'no version'}"
        why = self._installation(record.software).given_up(record.new)
        self._end(replace(record, phase=Phase[phase], reason=why or reason), Phase.FAILED)

    def _already_there(self, record: Record) -> None:
        wrong = self._installation(record.software).unhealthy(record.new)
        if wrong is None:
            self._outbox.put(record, Phase.SUCCEEDED, "already-installed")
        else:
            self._outbox.put(record, Phase.FAILED, f"version {record.new} is already installed, but {wrong}")

    def _drive(self, task: Task) -> None:
        phase = self._phases.run(task)
        if task.canceled:
            self._outbox.drop(task.record)
        elif phase is Phase.REJECTED:
            self._outbox.put(task.record, _refusal(started=task.started), task.record.reason)
        else:
            self._end(task.record, phase)

    def _end(self, record: Record, phase: Phase) -> None:
        if phase is Phase.SUCCEEDED:
            self._installation(record.software).settle()
        self._outbox.put(record, phase, record.reason)

    def _installation(self, software: str) -> Steps:
        return self._targets.get(software, self._targets[CORE.name]).installation

    def _releases(self, software: str) -> Versions:
        return self._installation(software).releases

    def _committed(self, record: Record) -> bool:
        """Tell whether the new version stays. Neither journal nor link decides alone.

        A commit whose name reached the disk though the disk reported an error was rolled back: the link leads to the
        old version then, and the journal could not be written any more.
        """
        return record.confirmed and self._releases(record.software).current() != record.old

    def _resumed_at(self, record: Record) -> Phase:
        """Return where an update goes on that was cut off.

        The link is asked too: the journal may be an older copy, of a phase that did not touch the link yet.
        """
        if record.software not in self._targets:  # refused in PREFLIGHT, where nothing is touched
            return Phase.PREFLIGHT
        row = PHASES[record.phase]
        if record.confirmed or (row.ways[Event.CUT_OFF] is Phase.ACTIVATE and record.starts >= MAX_STARTS):
            return Phase.ROLL_BACK
        if self._installation(record.software).given_up(record.new) is not None:
            return Phase.ROLL_BACK
        new_is_current = record.new not in ("", record.old) and self._releases(record.software).current() == record.new
        if row.scope is not PhaseScope.RUNNING and new_is_current:
            return Phase.ROLL_BACK
        return row.ways[Event.CUT_OFF]


def _touched(details: Mapping[str, str]) -> bool:
    """Tell whether the cloud heard of a phase that touches what runs."""
    return any(phase.name == details.get("phase") and row.scope is PhaseScope.RUNNING for phase, row in PHASES.items())


def _found_behind(others: int) -> str:
    """Return what is to be said of an update that AWS would not have shown yet."""
    if not others:
        return ""
    return f"found behind {others} pending jobs with edgeSimSkip: on AWS IoT it waits until all but nine have ended"


def _refusal(*, started: bool) -> Phase:
    """IN_PROGRESS may not become REJECTED any more (AWS's embedded OTA library)."""
    return Phase.FAILED if started else Phase.REJECTED
