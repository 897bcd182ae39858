"""Who hears of a job and when, and what follows when an execution ends: the rules of ``jobs.rollout``, carried out.

A rollout's state is in the store (the things that wait, when the next ones hear of it), so a restart changes nothing.
Every method is called inside a transaction.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from edge_sim.cloud.jobs.records import Job, Records
from edge_sim.jobs import execution as rules
from edge_sim.jobs import rollout
from edge_sim.jobs.execution import JobExecution
from edge_sim.jobs.requests import PENDING

_log = logging.getLogger(__name__)

MINUTE_S = 60.0
ABORT_REASON = "ABORT_CANCEL"
"""The ``reasonCode`` of a job that an abort criterion canceled (a third party's capture)."""


class Rollouts:
    """``changing(things)`` notifies things of what its block does to them; ``now`` gives epoch seconds.

    ``minute_s``: how many seconds a minute of a rollout's rate lasts. Only rates go by it, no timer does.
    """

    def __init__(
        self,
        records: Records,
        changing: Callable[[Sequence[str]], AbstractContextManager[None]],
        now: Callable[[], float],
        minute_s: float,
    ) -> None:
        self._records = records
        self._changing = changing
        self._now = now
        self._minute_s = minute_s

    def begin(self, job: Job, things: Sequence[str]) -> None:
        """Write a new job, and let the first of its things hear of it."""
        reached = rollout.rate(rollout.rollout(job.rollout), notified=0, succeeded=0)
        for thing in things[reached:]:
            self._records.wait(job.job_id, thing)
        next_batch_at = self._now() + self._minute_s if things[reached:] else None
        self._records.put_job(replace(job, next_batch_at=next_batch_at))
        self.queue(job, things[:reached])
        self.settle(job.job_id)  # an empty group: nothing to wait for

    def advance(self) -> None:
        """Let those things hear of their jobs whose minute has come."""
        now = self._now()
        for job_id in self._records.due_jobs(now):
            job = self._records.job(job_id)
            if job is None:
                continue
            succeeded = self._records.counts(job_id)["SUCCEEDED"]
            limit = rollout.rate(
                rollout.rollout(job.rollout), notified=self._records.reached(job_id), succeeded=succeeded
            )
            things = self._records.waiting(job_id, limit + 1)
            next_batch_at = now + self._minute_s if things[limit:] else None
            self._records.put_job(replace(job, next_batch_at=next_batch_at))
            for thing in things[:limit]:
                self._records.reach(job_id, thing)
            self.queue(job, things[:limit])
            self.settle(job_id)

    def queue(self, job: Job, things: Sequence[str]) -> None:
        """Queue a job on things, and notify them."""
        now = self._now()
        with self._changing(things):
            for thing in things:
                self._records.add_execution(_queued(job, thing, now))

    def conclude(self, execution: JobExecution) -> None:
        """Draw the consequences of an execution that has ended: the job's end or abort, or another try."""
        job = self._records.job(execution.job_id)
        if job is None or job.status != "IN_PROGRESS":
            return
        counts = self._records.counts(job.job_id)
        criterion = rollout.breach(rollout.abort_criteria(job.abort), counts)
        if criterion is not None:
            comment = rollout.abort_comment(criterion, counts)
            _log.warning("job %s is canceled. %s", job.job_id, comment)
            self.cancel(job, force=False, reason_code=ABORT_REASON, comment=comment)
            return
        if self._may_retry(job, execution):
            with self._changing([execution.thing_name]):
                self._records.add_execution(rules.again(execution, self._now(), retry=True))
        else:
            self._settle(job, counts)

    def _may_retry(self, job: Job, execution: JobExecution) -> bool:
        if execution.status not in rollout.RETRYABLE:
            return False
        criteria = rollout.retry_criteria(job.retry, with_timeout=True)
        return bool(criteria) and rollout.may_retry(criteria, self._records.tries(execution))

    def cancel(self, job: Job, *, force: bool, reason_code: str | None, comment: str | None) -> Job:
        """Cancel what is queued or waits, with ``force`` also what runs; the job is CANCELED at once."""
        now = self._now()
        canceled = replace(
            job,
            status="CANCELED",
            next_batch_at=None,
            force_canceled=job.force_canceled or force,
            reason_code=reason_code or job.reason_code,
            comment=comment or job.comment,
            completed_at=job.completed_at or now,
            last_updated_at=now,
        )
        self._records.put_job(canceled)
        self._records.forget_waiting(job.job_id)
        concerned = [
            execution
            for execution in self._records.executions(job.job_id)
            if execution.status == "QUEUED" or (force and execution.pending)
        ]
        with self._changing([execution.thing_name for execution in concerned]):
            for execution in concerned:
                self._records.put_execution(rules.cancel(execution, now, force=force))
        return canceled

    def join(self, job: Job, things: Iterable[str]) -> None:
        """Queue a CONTINUOUS job at once on things that have become its targets, whatever its rate."""
        for thing in things:
            last = self._records.execution(thing, job.job_id)
            if last is None:
                self.queue(job, [thing])
            elif not last.pending:
                with self._changing([thing]):
                    self._records.add_execution(rules.again(last, self._now(), retry=False))

    def leave(self, job: Job, thing: str) -> None:
        """Take a CONTINUOUS job from a thing that is no target any more, unless it has started."""
        if self._records.reach(job.job_id, thing) and not self._records.waiting(job.job_id, 1):
            self._records.put_job(replace(job, next_batch_at=None))
        last = self._records.execution(thing, job.job_id)
        if last is not None and last.status == "QUEUED":
            with self._changing([thing]):
                self._records.put_execution(rules.remove(last, self._now()))

    def settle(self, job_id: str) -> None:
        """Let a job be COMPLETED when it is a SNAPSHOT, nothing waits and all of its executions are final."""
        job = self._records.job(job_id)
        if job is not None and job.status == "IN_PROGRESS":
            self._settle(job, self._records.counts(job_id))

    def _settle(self, job: Job, counts: Counter[str]) -> None:
        if job.continuous or job.next_batch_at is not None or any(counts[status] for status in PENDING):
            return
        now = self._now()
        self._records.put_job(replace(job, status="COMPLETED", completed_at=now, last_updated_at=now))


def _queued(job: Job, thing: str, now: float) -> JobExecution:
    return JobExecution(
        job_id=job.job_id,
        thing_name=thing,
        queued_at=now,
        last_updated_at=now,
        timeout_minutes=job.timeout_minutes,
    )
