"""A fleet's report for people, as text."""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.fleet.account import STATES
from edge_sim.fleet.facts import aborts, by_profile, control, differing, seconds, storms, verdict
from edge_sim.fleet.rollout import FleetReport

SHOWN = 20


def as_text(report: FleetReport) -> str:
    """Return a fleet's report for people."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: FleetReport) -> Iterator[str]:
    took = seconds(report)
    if report.interrupted:
        yield f"{verdict(report)}: both accounts are compared as they were then"
    yield f"fleet {report.scenario}: {len(report.accounts):,} cores, core {report.fleet.version}"
    yield f"a minute of the rollout rate lasted {report.options.minute_s:g} s; seed {report.options.seed}"
    for job in report.jobs:
        end = report.ends.get(job.job_id)
        if end is not None:
            why = f". {end.comment}" if end.comment else ""
            yield f"job {job.job_id} ({job.things:,} things): {end.status}{why}"
    yield from map(str, aborts(report))
    if took is not None:
        yield f"from CreateJob to the last end: {took:.1f} s"
    for name, states in by_profile(report).items():
        shown = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
        yield f"  {name}: {shown}"
    yield from storms(report)
    yield from control(report)
    yield from (f"note: {text}" for text in report.notes)
    yield from (f"error: {text}" for text in report.trouble)
    if report.created_at is not None:
        yield from _comparison(report)


def _comparison(report: FleetReport) -> Iterator[str]:
    if not report.differences:
        yield f"the cores' account matches the Jobs API's, core by core ({len(report.executions):,} executions)"
        return
    yield f"{differing(report)}:"
    for row in report.differences[:SHOWN]:
        yield f"  {row.thing}: {row.text} ({row.job}, execution {row.execution})"
    if len(report.differences) > SHOWN:
        yield f"  and {len(report.differences) - SHOWN:,} more: --format json has them all"
