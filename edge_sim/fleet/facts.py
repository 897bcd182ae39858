"""What a fleet's report adds up to: counts, times, what an abort criterion let through; and all of it as JSON."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from edge_sim.fleet.account import ENDS, WAITING, CoreAccount, counts
from edge_sim.fleet.rollout import FleetReport

_FAILED = ("failed", "rolled back", "rejected")


@dataclass(frozen=True, kw_only=True)
class Abort:
    """A job that a criterion stopped. ``at``: epoch seconds; the rest are numbers of its cores.

    ``begun`` had heard of the job when it stopped, ``ended`` of these had ended, ``failed`` of those badly; ``later``
    failed after it, and ``spared`` never heard of it.
    """

    job_id: str
    at: float
    after_s: float
    things: int
    begun: int
    ended: int
    failed: int
    later: int
    spared: int

    def __str__(self) -> str:
        return (
            f"{self.job_id}: stopped {self.after_s:.1f} s after CreateJob, when {self.begun:,} of {self.things:,} "
            f"cores had begun and {self.failed:,} of {self.ended:,} ended cores had failed; {self.later:,} more "
            f"failed afterwards, and {self.spared:,} never began"
        )


def aborts(report: FleetReport) -> list[Abort]:
    """Return the jobs that a criterion stopped, and how many cores they reached before."""
    return [
        _abort(report, job.job_id, end.stopped_at)
        for job in report.jobs
        if (end := report.ends.get(job.job_id)) is not None and end.stopped_at is not None
    ]


def _abort(report: FleetReport, job_id: str, at: float) -> Abort:
    pair = next(job.pair for job in report.jobs if job.job_id == job_id)
    cores = [account for account in report.accounts if account.model.pair == pair]
    begun = [account for account in cores if account.changes and account.changes[0][0] <= at]
    ended = [state for account in begun for when, state in account.changes if when <= at and state in ENDS]
    failed = sum(state in _FAILED for state in ended)
    every = sum(state in _FAILED for account in cores for _, state in account.changes)
    return Abort(
        job_id=job_id,
        at=at,
        after_s=at - (report.created_at or at),
        things=len(cores),
        begun=len(begun),
        ended=len(ended),
        failed=failed,
        later=every - failed,
        spared=sum(account.state == WAITING for account in cores),
    )


def by_profile(report: FleetReport) -> dict[str, Counter[str]]:
    """Return how many cores of each profile are in each state."""
    profiles: dict[str, Counter[str]] = {}
    for account in report.accounts:
        profiles.setdefault(account.model.profile, Counter())[account.state] += 1
    return dict(sorted(profiles.items()))


def failures(report: FleetReport) -> list[CoreAccount]:
    """Return the cores whose update has failed, wherever that was."""
    return [account for account in report.accounts if account.state in _FAILED]


def first_ends(report: FleetReport) -> dict[int, float]:
    """Return when each core came to an end, in seconds from CreateJob."""
    start = report.created_at or 0.0
    return {
        account.model.number: next(at for at, state in account.changes if state in ENDS) - start
        for account in report.accounts
        if any(state in ENDS for _, state in account.changes)
    }


def seconds(report: FleetReport) -> float | None:
    """Return how long it took from CreateJob to the last end."""
    if report.created_at is None:
        return None
    last = max((at for account in report.accounts for at, state in account.changes if state in ENDS), default=None)
    return None if last is None else round(last - report.created_at, 3)


def verdict(report: FleetReport) -> str:
    """Return the outcome in a sentence."""
    if report.trouble:
        return f"The rollout did not finish: {report.trouble[0]}"
    if report.interrupted:
        return "The rollout was interrupted"
    if report.differences:
        return differing(report)
    stopped = [end for end in report.ends.values() if end.stopped_at is not None]
    what = "An abort criterion stopped the rollout" if stopped else "The rollout is complete"
    failed = len(failures(report))
    how_many = f": {failed:,} of {len(report.accounts):,} cores failed" if failed else ""
    return f"{what}{how_many}; the cores' account matches the Jobs API's, core by core"


def differing(report: FleetReport) -> str:
    """Return how many differences there are, one or more, and between what."""
    count = len(report.differences)
    return f"{count:,} difference{'s' if count > 1 else ''} between the cores' account and the Jobs API's"


def control(report: FleetReport) -> list[str]:
    """Return how the real agents of the fleet ended, and where they differ from the simulated cores, line by line."""
    states = counts(account for account in report.accounts if account.real)
    if not states:
        return []
    shown = ", ".join(f"{number:,} {state}" for state, number in states.items())
    lines = [f"finding: {text}" for text in report.findings] or ["nothing differs from the simulated cores"]
    agents = sum(states.values())
    return [f"{agents:,} real agent{'s' * (agents > 1)} beside the simulated cores: {shown}", *lines]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Sessions that were lost from a storm on until the next one. ``last_back_s``: seconds from the storm."""

    lost: int
    back: int
    last_back_s: float | None

    def __str__(self) -> str:
        if not self.lost:
            return "no session was lost"
        last = "" if self.last_back_s is None else f", the last was back {self.last_back_s:.1f} s after it"
        away = f", {self.lost - self.back:,} of them not back at the end" if self.back < self.lost else ""
        return f"{self.lost:,} session{'s' if self.lost > 1 else ''} lost{last}{away}"


def losses(report: FleetReport) -> list[Losses]:
    """Return for each storm what became of the cores' sessions."""
    begun = [at for at, _ in report.storms]
    return [_losses(report, at, until) for at, until in zip(begun, [*begun[1:], math.inf], strict=False)]


def _losses(report: FleetReport, begun: float, until: float) -> Losses:
    links = [account.links for account in report.accounts]
    gone = [next((at for at, there in each if not there and begun <= at < until), None) for each in links]
    back = [
        next((at for at, there in each if there and at >= lost), None)
        for each, lost in zip(links, gone, strict=True)
        if lost is not None
    ]
    times = [at for at in back if at is not None]
    return Losses(lost=len(back), back=len(times), last_back_s=max(times) - begun if times else None)


def storms(report: FleetReport) -> list[str]:
    """Return what befell the fleet, line by line."""
    start = report.created_at or 0.0
    rows = zip(report.storms, losses(report), strict=True)
    return [f"{at - start:.1f} s after CreateJob: {storm}; {lost}" for (at, storm), lost in rows]


def as_json(report: FleetReport) -> dict[str, Any]:
    """Return the JSON document of a fleet's report."""
    return {
        "ok": report.exit_status == 0,
        "scenario": report.scenario,
        "verdict": verdict(report),
        "parts": report.parts,
        "seed": report.options.seed,
        "rollout_minute_s": report.options.minute_s,
        "seconds": seconds(report),
        "jobs": [
            {"job": job.job_id, "things": job.things, **(vars(end) if (end := report.ends.get(job.job_id)) else {})}
            for job in report.jobs
        ],
        "aborts": [vars(abort) for abort in aborts(report)],
        "states": dict(counts(report.accounts)),
        "statuses": dict(Counter(execution.status for execution in report.executions)),
        "profiles": {name: dict(states) for name, states in by_profile(report).items()},
        "cores": [
            {
                "thing": account.model.thing,
                "profile": account.model.profile,
                "real": account.real,
                "container": account.container or None,
                "fault": account.model.fault,
                "state": account.state,
                "reason": account.reason or None,
                "ends": [vars(end) for end in account.ends],
                "changes": account.changes,
            }
            for account in report.accounts
        ],
        "differences": [difference.as_json() for difference in report.differences],
        "storms": [
            {"at": at, **vars(storm), "sessions": vars(lost)}
            for (at, storm), lost in zip(report.storms, losses(report), strict=True)
        ],
        "findings": report.findings,
        "trouble": report.trouble,
        "notes": report.notes,
        "interrupted": report.interrupted,
    }
