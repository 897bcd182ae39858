"""A fleet's report as text and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edge_sim.fleet.account import ENDS, STATES, counts
from edge_sim.fleet.rollout import FleetReport

SHOWN = 20


def as_json(report: FleetReport) -> dict[str, Any]:
    """Return the JSON document of a fleet's report."""
    return {
        "ok": report.exit_status == 0,
        "scenario": report.scenario,
        "parts": report.parts,
        "seed": report.options.seed,
        "rollout_minute_s": report.options.minute_s,
        "seconds": seconds(report),
        "jobs": [
            {"job": job.job_id, "things": job.things, **(vars(end) if (end := report.ends.get(job.job_id)) else {})}
            for job in report.jobs
        ],
        "states": dict(counts(report.accounts)),
        "statuses": dict(Counter(execution.status for execution in report.executions)),
        "profiles": {name: dict(states) for name, states in by_profile(report).items()},
        "cores": [
            {
                "thing": account.model.thing,
                "profile": account.model.profile,
                "fault": account.model.fault,
                "state": account.state,
                "reason": account.reason or None,
                "ends": [vars(end) for end in account.ends],
                "changes": account.changes,
            }
            for account in report.accounts
        ],
        "differences": [difference.as_json() for difference in report.differences],
        "trouble": report.trouble,
        "interrupted": report.interrupted,
    }


def as_text(report: FleetReport) -> str:
    """Return a fleet's report for people."""
    return "\n".join(_lines(report)) + "\n"


def by_profile(report: FleetReport) -> dict[str, Counter[str]]:
    """Return how many cores of each profile are in each state."""
    profiles: dict[str, Counter[str]] = {}
    for account in report.accounts:
        profiles.setdefault(account.model.profile, Counter())[account.state] += 1
    return dict(sorted(profiles.items()))


def seconds(report: FleetReport) -> float | None:
    """Return how long it took from CreateJob to the last end."""
    if report.created_at is None:
        return None
    last = max((at for account in report.accounts for at, state in account.changes if state in ENDS), default=None)
    return None if last is None else round(last - report.created_at, 3)


def _lines(report: FleetReport) -> list[str]:
    took = seconds(report)
    lines = [f"fleet {report.scenario}: {len(report.accounts):,} cores, core {report.fleet.version}"]
    lines.append(f"a minute of the rate lasted {report.options.minute_s:g} s; seed {report.options.seed}")
    for job in report.jobs:
        end = report.ends.get(job.job_id)
        if end is not None:
            lines.append(
                f"job {job.job_id} ({job.things:,} things): {end.status}{f'. {end.comment}' * bool(end.comment)}"
            )
    if took is not None:
        lines.append(f"from CreateJob to the last end: {took:.1f} s")
    for name, states in by_profile(report).items():
        shown = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
        lines.append(f"  {name}: {shown}")
    lines += [f"trouble: {text}" for text in report.trouble]
    if report.created_at is not None:
        lines += _comparison(report)
    return lines


def _comparison(report: FleetReport) -> list[str]:
    if not report.differences:
        return [f"the cores' account equals the Jobs API's, core by core ({len(report.executions):,} executions)"]
    lines = [f"{len(report.differences):,} differences between the cores' account and the Jobs API's:"]
    lines += [f"  {row.thing}: {row.text} ({row.job}, execution {row.execution})" for row in report.differences[:SHOWN]]
    more = len(report.differences) - SHOWN
    return [*lines, f"  and {more:,} more: --format json has them all"] if more > 0 else lines
