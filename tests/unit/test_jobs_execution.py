"""The state machine of a job execution, with a clock of our own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_sim.jobs import execution as rules
from edge_sim.jobs.execution import JobExecution, Notices
from edge_sim.jobs.requests import StartNext, Update
from edge_sim.jobs.wire import JobsError

NOW = 1_000_000.0
QUEUED = JobExecution(job_id="j", thing_name="t", queued_at=NOW, last_updated_at=NOW)
RUNNING = rules.start(QUEUED, StartNext(), NOW + 1)
FINAL = ["SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"]


def minutes(count: float) -> float:
    return count * 60


def test_the_documented_life_queued_started_done_has_versions_1_2_3() -> None:
    done = rules.update(RUNNING, Update(status="SUCCEEDED"), NOW + 5)
    assert [e.version for e in (QUEUED, RUNNING, done)] == [1, 2, 3]
    assert (done.queued_at, done.started_at, done.last_updated_at) == (NOW, NOW + 1, NOW + 5)


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_first_report_that_is_the_last_starts_the_execution(status: str) -> None:
    done = rules.update(QUEUED, Update(status=status), NOW + 3)
    assert (done.version, done.started_at, done.last_updated_at) == (2, NOW + 3, NOW + 3)


def test_a_job_turned_down_from_the_queue_never_started() -> None:
    assert rules.update(QUEUED, Update(status="REJECTED"), NOW).started_at is None


def test_start_next_of_a_running_one_changes_nothing() -> None:
    assert rules.start(RUNNING, StartNext(status_details={"a": "b"}, step_timeout_minutes=5), NOW + 9) is RUNNING


@pytest.mark.parametrize("was", FINAL)
@pytest.mark.parametrize("to", ["IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"])
def test_nothing_leaves_a_final_status(was: str, to: str) -> None:
    with pytest.raises(JobsError) as refused:
        rules.update(replace(RUNNING, status=was), Update(status=to), NOW)
    assert refused.value.code == "InvalidStateTransition"
    assert refused.value.state == {"status": was, "versionNumber": 2}


@pytest.mark.parametrize("to", ["QUEUED", "CANCELED", "TIMED_OUT", "REMOVED"])
@pytest.mark.parametrize("was", [QUEUED, RUNNING])
def test_a_device_cannot_set_what_is_the_services(was: JobExecution, to: str) -> None:
    with pytest.raises(JobsError) as refused:
        rules.update(was, Update(status=to, expected_version=99), NOW)
    assert (refused.value.code, refused.value.state) == ("InvalidStateTransition", None)


def test_a_wrong_version_is_told_with_the_state_before_the_state_itself_is_judged() -> None:
    final = replace(RUNNING, status="FAILED", version=7, status_details={"r": "x"})
    with pytest.raises(JobsError) as refused:
        rules.update(final, Update(status="SUCCEEDED", expected_version=6), NOW)
    assert refused.value.code == "VersionMismatch"
    assert refused.value.state == {"status": "FAILED", "statusDetails": {"r": "x"}, "versionNumber": 7}


def test_another_execution_number_is_not_found() -> None:
    with pytest.raises(JobsError) as refused:
        rules.update(RUNNING, Update(status="SUCCEEDED", execution_number=2), NOW)
    assert refused.value.code == "ResourceNotFound"


def test_rejected_after_start_is_accepted() -> None:
    assert rules.update(RUNNING, Update(status="REJECTED"), NOW).status == "REJECTED"


def test_details_stay_unless_given_and_are_then_replaced_whole() -> None:
    first = rules.update(RUNNING, Update(status="IN_PROGRESS", status_details={"a": "1", "b": "2"}), NOW)
    kept = rules.update(first, Update(status="IN_PROGRESS"), NOW)
    other = rules.update(kept, Update(status="IN_PROGRESS", status_details={"c": "3"}), NOW)
    assert kept.status_details == {"a": "1", "b": "2"}
    assert other.status_details == {"c": "3"}


def test_the_documented_example_of_the_two_timers() -> None:
    """A 20-minute job started 12:00; step 7 at 12:05, step 5 at 12:10, step 9 at 12:13 (capped at 12:20)."""
    queued = replace(QUEUED, timeout_minutes=20)
    running = rules.start(queued, StartNext(), NOW)
    assert running.deadline == NOW + minutes(20)
    ends = []
    for at, step in ((5, 7), (10, 5), (13, 9)):
        update = Update(status="IN_PROGRESS", step_timeout_minutes=step)
        running = rules.update(running, update, NOW + minutes(at))
        ends.append(running.deadline)
    assert ends == [NOW + minutes(m) for m in (12, 15, 20)]
    discarded = rules.update(running, Update(status="IN_PROGRESS", step_timeout_minutes=-1), NOW + minutes(14))
    assert (discarded.step_deadline, discarded.deadline) == (None, NOW + minutes(20))
    assert rules.seconds_left(discarded, NOW + minutes(19)) == 60


def test_an_execution_times_out_when_its_timer_ends_and_not_before() -> None:
    running = rules.start(QUEUED, StartNext(step_timeout_minutes=1), NOW)
    assert rules.expire(running, NOW + 59.9) is running
    out = rules.expire(running, NOW + 60)
    assert (out.status, out.version, out.deadline) == ("TIMED_OUT", 3, None)
    assert rules.seconds_left(out, NOW) is None
    assert rules.expire(QUEUED, NOW * 2) is QUEUED


def test_cancel_takes_the_queued_and_only_by_force_the_running() -> None:
    assert rules.cancel(QUEUED, NOW).status == "CANCELED"
    with pytest.raises(JobsError):
        rules.cancel(RUNNING, NOW)
    forced = rules.cancel(RUNNING, NOW, force=True)
    assert (forced.status, forced.version, forced.force_canceled) == ("CANCELED", 3, True)
    with pytest.raises(JobsError):
        rules.cancel(forced, NOW, force=True)


def job(name: str, status: str = "QUEUED", queued_at: float = NOW) -> JobExecution:
    return replace(QUEUED, job_id=name, status=status, queued_at=queued_at)


def test_running_ones_come_before_queued_ones_each_by_queue_time() -> None:
    """The developer guide's example: job3, in progress, comes before job2, which was queued earlier."""
    found = rules.pending(
        [
            job("done", "SUCCEEDED", 0),
            job("job2", queued_at=2),
            job("job1", queued_at=2),
            job("job3", "IN_PROGRESS", 3),
        ]
    )
    assert [e.job_id for e in found] == ["job3", "job2", "job1"]


@pytest.mark.parametrize(
    ("event", "before", "after", "notify", "notify_next"),
    [
        ("queued, queue was empty", [], [job("a")], True, True),
        ("queued behind others", [job("a")], [job("a"), job("b")], True, False),
        ("head starts", [job("a")], [job("a", "IN_PROGRESS")], False, False),
        ("progress", [job("a", "IN_PROGRESS")], [job("a", "IN_PROGRESS")], False, False),
        ("another overtakes", [job("a"), job("b")], [job("a"), job("b", "IN_PROGRESS")], False, True),
        (
            "another starts behind a running one",
            [job("a", "IN_PROGRESS"), job("b")],
            [job("a", "IN_PROGRESS"), job("b", "IN_PROGRESS", NOW + 1)],
            False,
            False,
        ),
        ("head ends, one is left", [job("a", "IN_PROGRESS"), job("b")], [job("a", "FAILED"), job("b")], True, True),
        ("head ends, none is left", [job("a")], [job("a", "CANCELED")], True, True),
        ("another ends", [job("a"), job("b")], [job("a"), job("b", "REMOVED")], True, False),
    ],
)
def test_who_is_told_what(
    event: str, before: list[JobExecution], after: list[JobExecution], notify: bool, notify_next: bool
) -> None:
    due = rules.notices(rules.pending(before), rules.pending(after))
    assert due == Notices(notify=notify, notify_next=notify_next), event
