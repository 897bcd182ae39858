"""A fleet's report as a page: the verdict, states over time, profiles, what an abort let through, differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_sim.fleet.account import STATES, CoreAccount
from edge_sim.fleet.facts import aborts, as_json, by_profile, control, failures, first_ends, storms, verdict
from edge_sim.fleet.rollout import FleetReport
from edge_sim.pages.page import Block, BoardVerdict, Cell, Chart, Lines, Page, Section, State, Table, first

MOMENTS = 160
"""Of a chart; more of them are no wider than a pixel."""
SHOWN = 200


def page(report: FleetReport) -> Page:
    """Return a fleet's report as a page."""
    state: State = "bad" if report.exit_status else "open" if aborts(report) or failures(report) else "good"
    return Page(
        command="fleet",
        subject=report.scenario,
        state=state,
        verdict=verdict(report),
        about={
            "cores": f"{len(report.accounts):,}",
            "version": report.fleet.version,
            "seed": str(report.options.seed),
            "minute of the rollout rate": f"{report.options.minute_s:g} s",
            **report.parts,
        },
        boards=list(_boards(report)),
        boards_are="How the cores of each profile ended",
        sections=[
            Section(title="States over time", blocks=[_chart(report)] if report.created_at is not None else []),
            Section(title="Jobs", blocks=[_jobs(report)], note=_MODEL),
            Section(title="What an abort criterion let through", blocks=_aborted(report)),
            Section(title="Storms", blocks=_lines(storms(report))),
            Section(title="Real agents beside the simulated cores", blocks=_lines(control(report))),
            Section(title="Cores that failed", blocks=_failed(report)),
            Section(title="Differences between the cores' account and the Jobs API", blocks=_differences(report)),
            Section(title="Notes on the run", blocks=_lines((*report.trouble, *report.notes))),
        ],
        data=as_json(report),
    )


_MODEL = (
    "The cores run the agent's own update code; their boards are a model: nothing is downloaded, unpacked or started, "
    "and what fails was drawn beforehand."
)


def _boards(report: FleetReport) -> Iterator[BoardVerdict]:
    for name, states in by_profile(report).items():
        bad = states["failed"] + states["rolled back"] + states["rejected"]
        shown = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
        yield BoardVerdict(
            name=name, state="bad" if bad else "good", verdict=shown, about=f"{sum(states.values()):,} cores"
        )


def _chart(report: FleetReport) -> Chart:
    start = report.created_at or 0.0
    end = max((at for account in report.accounts for at, _ in account.changes), default=start)
    moments = [(end - start) * step / MOMENTS for step in range(MOMENTS + 1)]
    series = {state: [0] * len(moments) for state in STATES}
    for account in report.accounts:
        for at, state in enumerate(_states(account, [start + moment for moment in moments])):
            series[state][at] += 1
    several = len(report.jobs) > 1
    marks = [(abort.at - start, f"abort criterion met{f': {abort.job_id}' * several}") for abort in aborts(report)]
    marks += [(at - start, storm.kind) for at, storm in report.storms]
    return Chart(
        caption=f"How many of the {len(report.accounts):,} cores were in each state, from CreateJob on",
        seconds=moments,
        series=list(series.items()),
        marks=marks,
    )


def _states(account: CoreAccount, moments: Sequence[float]) -> Iterator[str]:
    """Yield the state of a core at each of some moments."""
    changes = iter(account.changes)
    state, following = STATES[0], next(changes, None)
    for moment in moments:
        while following is not None and following[0] <= moment:
            state, following = following[1], next(changes, None)
        yield state


def _jobs(report: FleetReport) -> Table:
    commented = any(end.comment for end in report.ends.values())
    rows = []
    for job in report.jobs:
        end = report.ends.get(job.job_id)
        status = end.status if end else "not created"
        state: State = "good" if status == "COMPLETED" else "open"
        comment = (end.comment if end else None) or ""
        rows.append(
            [
                Cell(text=job.job_id, code=True),
                Cell(text=f"{job.things:,}"),
                Cell(text=status, state=state),
                *[Cell(text=comment)] * commented,
            ]
        )
    columns = ["job", "things", "status", *["comment"] * commented]
    return Table(caption="As DescribeJob shows them", columns=columns, rows=rows)


def _aborted(report: FleetReport) -> list[Block]:
    return _lines([str(abort) for abort in aborts(report)])


def _failed(report: FleetReport) -> list[Block]:
    failed = failures(report)
    if not failed:
        return []
    shown, left_out = first(failed, SHOWN, "cores")
    ends = first_ends(report)
    rows = [
        [
            Cell(text=account.model.thing, code=True),
            Cell(text=account.model.profile),
            Cell(text=account.state, state="bad"),
            Cell(text=f"{ends[account.model.number]:.1f} s"),
            Cell(text=account.reason),
        ]
        for account in shown
    ]
    columns = ["core", "profile", "state", "after", "reason"]
    caption = "When each of them first ended, counted from CreateJob, and why"
    return [Table(caption=caption, columns=columns, rows=rows, left_out=left_out)]


def _differences(report: FleetReport) -> list[Block]:
    if not report.differences:
        return []
    shown, left_out = first(report.differences, SHOWN, "differences")
    rows = [
        [
            Cell(text=difference.thing, code=True),
            Cell(text=f"{difference.job} {difference.execution}", code=True),
            Cell(text=difference.text, state="bad"),
        ]
        for difference in shown
    ]
    caption, columns = "What the cloud reports, and what the core reports", ["core", "execution", "difference"]
    return [Table(caption=caption, columns=columns, rows=rows, left_out=left_out)]


def _lines(lines: Sequence[str]) -> list[Block]:
    return [Lines(lines=lines)] if lines else []
