"""Rollout rates, abort criteria, retries and continuous jobs: the rules alone, and the service over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobSettings, JobsService
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Store
from edge_sim.jobs import rollout
from edge_sim.jobs.wire import JobsError
from tests.faults import rollouts
from tests.jobs_broker import Broker

EXPONENTIAL: dict[str, Any] = {
    "maximumPerMinute": 1000,
    "exponentialRate": {
        "baseRatePerMinute": 50,
        "incrementFactor": 2,
        "rateIncreaseCriteria": {"numberOfNotifiedThings": 1000},
    },
}


class Cloud:
    """A service with a clock of its own and twelve things, ``t00`` to ``t11``, in the group ``all``."""

    def __init__(self, path: Path | None = None, *, minute_s: float = 60.0) -> None:
        self.now = 1000.0
        self.broker = Broker()
        self.device = DevicePlane(
            Store(path),
            presign=lambda url, *_: url,
            publish=self.broker.publish,
            now=lambda: self.now,
            minute_s=minute_s,
        )
        self.service = JobsService(self.device, region="eu-west-1", account="123456789012")
        self.service.things.create_group("all")
        for number in range(12):
            self.service.things.create(f"t{number:02}")
            self.service.add_to_group("all", f"t{number:02}")

    def create(self, **settings: Any) -> None:
        self.service.create_job("j", [self.service.things.group_arn("all")], "{}", settings=JobSettings(**settings))

    def report(self, thing: str, status: str) -> None:
        self.device.take([(f"$aws/things/{thing}/jobs/j/update", json.dumps({"status": status}).encode())])

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.device.sweep()

    def queued(self) -> list[str]:
        return [e.thing_name for e in self.device.records.executions("j") if e.status == "QUEUED"]


@pytest.mark.parametrize(
    ("notified", "rate"), [(0, 50), (999, 50), (1000, 100), (2000, 200), (3000, 400), (9000, 1000)]
)
def test_the_rate_grows_as_in_the_guides_example(notified: int, rate: int) -> None:
    assert rollout.rate(rollout.rollout(EXPONENTIAL), notified=notified, succeeded=0) == rate


def test_a_rate_may_grow_with_what_succeeded() -> None:
    criteria = {"numberOfSucceededThings": 10}
    config = {**EXPONENTIAL, "exponentialRate": {**EXPONENTIAL["exponentialRate"], "rateIncreaseCriteria": criteria}}
    spread = rollout.rollout(config)
    assert [rollout.rate(spread, notified=5000, succeeded=n) for n in (0, 9, 10, 20, 10**9)] == [50, 50, 100, 200, 1000]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maximumPerMinute": None}, "needs maximumPerMinute"),
        ({"maximumPerMinute": 1001}, "between 1 and 1000"),
        ({"maximumPerMinute": 49}, "baseRatePerMinute"),
        ({"incrementFactor": 1.0}, "incrementFactor"),
        ({"incrementFactor": 1.25}, "one decimal"),
        ({"incrementFactor": 5.1}, "between 1.1 and 5"),
        ({"baseRatePerMinute": 0}, "baseRatePerMinute"),
        ({"rateIncreaseCriteria": {"numberOfNotifiedThings": 0}}, "at least 1"),
        ({"rateIncreaseCriteria": {}}, "either"),
        ({"rateIncreaseCriteria": {"numberOfNotifiedThings": 1, "numberOfSucceededThings": 1}}, "either"),
    ],
)
def test_a_rollout_that_aws_refuses_is_refused(change: dict[str, Any], words: str) -> None:
    outer = {"maximumPerMinute"} & change.keys()
    inner = {**EXPONENTIAL["exponentialRate"], **({} if outer else change)}
    with pytest.raises(JobsError, match=words):
        rollout.rollout({**EXPONENTIAL, **(change if outer else {}), "exponentialRate": inner})


def abort(kind: str, percent: float, minimum: int) -> dict[str, Any]:
    item = {"failureType": kind, "action": "CANCEL", "thresholdPercentage": percent}
    return {"criteriaList": [{**item, "minNumberOfExecutedThings": minimum}]}


def retry(**numbers: int) -> dict[str, Any]:
    return {"criteriaList": [{"failureType": kind, "numberOfRetries": n} for kind, n in numbers.items()]}


@pytest.mark.parametrize(
    ("counts", "met"),
    [
        ({"FAILED": 1, "SUCCEEDED": 8}, False),
        ({"FAILED": 1, "SUCCEEDED": 9}, True),
        ({"FAILED": 1, "SUCCEEDED": 10}, False),
        ({"REJECTED": 10}, False),
        ({"FAILED": 2, "CANCELED": 8, "REMOVED": 8, "QUEUED": 8}, False),
        ({"FAILED": 2, "TIMED_OUT": 8}, True),
    ],
)
def test_an_abort_criterion_asks_for_a_share_of_enough_ended_executions(counts: dict[str, int], met: bool) -> None:
    criteria = rollout.abort_criteria(abort("FAILED", 10, 10))
    assert (rollout.breach(criteria, counts) is not None) == met


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (abort("FAILED", 0, 1), "more than 0 and at most 100"),
        (abort("FAILED", 100.01, 1), "more than 0 and at most 100"),
        (abort("FAILED", 12.345, 1), "two decimals"),
        (abort("FAILED", 10, 0), "minNumberOfExecutedThings"),
        ({"criteriaList": [*abort("ALL", 10, 1)["criteriaList"]] * 2}, "two criteria for one failureType"),
    ],
)
def test_an_abort_criterion_that_aws_refuses_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(JobsError, match=words):
        rollout.abort_criteria(config)


def test_the_first_criterion_that_is_met_is_the_one_that_is_named() -> None:
    both = {"criteriaList": [*abort("ALL", 50, 2)["criteriaList"], *abort("FAILED", 10, 1)["criteriaList"]]}
    criteria = rollout.abort_criteria(both)
    met = [rollout.breach(criteria, counts) for counts in ({"FAILED": 1}, {"FAILED": 2}, {"REJECTED": 2})]
    assert [criterion and criterion.failure_type for criterion in met] == ["FAILED", "ALL", "ALL"]


@pytest.mark.parametrize(
    ("config", "timeout", "words"),
    [
        (retry(FAILED=-1), True, "at most 10"),
        ({"criteriaList": [*retry(FAILED=1)["criteriaList"]] * 2}, True, "two criteria for one failureType"),
        (retry(ALL=1, FAILED=1), True, "must be the only one"),
        (retry(TIMED_OUT=1), False, "needs a timeoutConfig"),
        (retry(FAILED=6, TIMED_OUT=5), True, "at most 10"),
    ],
)
def test_retries_that_aws_refuses_are_refused(config: dict[str, Any], timeout: bool, words: str) -> None:
    with pytest.raises(JobsError, match=words):
        rollout.retry_criteria(config, with_timeout=timeout)


def test_each_minute_reaches_as_many_things_as_the_rate_says(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "state.db")
    cloud.create(rollout={"maximumPerMinute": 5})
    assert len(cloud.queued()) == 5
    cloud.later(59)
    assert len(cloud.queued()) == 5
    cloud.later(1)
    assert len(cloud.queued()) == 10
    cloud.device.records._store.close()
    again = DevicePlane(Store(tmp_path / "state.db"), presign=lambda url, *_: url, now=lambda: 1121.0)
    again.sweep()
    assert len(again.records.executions("j")) == 12, "a restart changes nothing"
    job = again.records.job("j")
    assert job is not None
    assert (job.next_batch_at, job.status) == (None, "IN_PROGRESS")


def test_a_minute_of_a_rollout_may_be_shortened_and_no_timer_with_it() -> None:
    cloud = Cloud(minute_s=2.0)
    cloud.create(rollout={"maximumPerMinute": 6}, timeout_minutes=1)
    cloud.report("t00", "IN_PROGRESS")
    cloud.later(2)
    assert len(cloud.device.records.executions("j")) == 12
    cloud.later(57)
    assert cloud.service.execution("t00", "j").status == "IN_PROGRESS"


def test_an_abort_stops_the_rollout_and_leaves_what_runs() -> None:
    cloud = Cloud()
    cloud.create(rollout={"maximumPerMinute": 4}, abort=abort("FAILED", 50, 2), retry=retry(FAILED=3))
    cloud.report("t00", "IN_PROGRESS")
    cloud.report("t01", "FAILED")
    assert cloud.service.execution("t01", "j").number == 2, "tried again, as there was no abort yet"
    cloud.broker.messages.clear()
    cloud.report("t02", "FAILED")
    job = cloud.service.job("j")
    assert (job.status, job.reason_code, job.next_batch_at) == ("CANCELED", "ABORT_CANCEL", None)
    assert job.comment == "Abort criterion met: 2 of 2 ended executions FAILED; the threshold is 50 % of at least 2."
    assert cloud.broker.topics() == [
        "t02/j/update/accepted",
        "t02/notify",
        "t02/notify-next",
        "t03/notify",
        "t03/notify-next",
        "t01/notify",
        "t01/notify-next",
    ]
    cloud.later(600)
    assert cloud.service.counts(job) == {"IN_PROGRESS": 1, "FAILED": 2, "CANCELED": 2, "QUEUED": 0}
    cloud.report("t00", "SUCCEEDED")
    assert cloud.service.execution("t00", "j").status == "SUCCEEDED"


def test_a_failure_is_tried_again_under_the_next_number() -> None:
    cloud = Cloud()
    cloud.create(retry=retry(FAILED=1, TIMED_OUT=1), timeout_minutes=1)
    cloud.report("t00", "FAILED")
    cloud.report("t00", "IN_PROGRESS")
    cloud.later(60)
    cloud.report("t00", "FAILED")
    executions = [e for e in cloud.device.records.executions("j") if e.thing_name == "t00"]
    assert [(e.number, e.retry_attempt, e.status) for e in executions] == [
        (1, 0, "FAILED"),
        (2, 1, "TIMED_OUT"),
        (3, 2, "FAILED"),
    ]


def test_what_was_rejected_or_canceled_is_never_tried_again() -> None:
    cloud = Cloud()
    cloud.create(retry=retry(ALL=3))
    cloud.report("t00", "REJECTED")
    cloud.service.cancel_job_execution("t01", "j")
    assert [cloud.service.execution(thing, "j").number for thing in ("t00", "t01")] == [1, 1]


def test_a_continuous_job_goes_to_who_comes_and_is_taken_from_who_leaves() -> None:
    cloud = Cloud()
    things = cloud.service.things
    things.create_group("cellar", "all")
    cloud.create(continuous=True)
    for number in range(12):
        cloud.report(f"t{number:02}", "SUCCEEDED")
    assert cloud.service.job("j").status == "IN_PROGRESS"
    things.create("late")
    cloud.service.add_to_group("cellar", "late")
    assert cloud.queued() == ["late"]
    cloud.service.remove_from_group("cellar", "late")
    left = cloud.service.execution("late", "j")
    assert (left.status, left.version) == ("REMOVED", 1)
    cloud.service.add_to_group("cellar", "late")
    assert (cloud.service.execution("late", "j").status, cloud.service.execution("late", "j").number) == ("QUEUED", 2)
    cloud.service.add_to_group("all", "late")
    assert cloud.queued() == ["late"], "it was a target before"
    things.create_group("other")
    things.create("far")
    cloud.service.add_to_group("other", "far")
    cloud.service.associate("j", [things.group_arn("other")], None)
    assert cloud.queued() == ["late", "far"]
    with pytest.raises(ApiError, match="Only thing groups"):
        cloud.service.associate("j", [things.arn("far")], None)
    more = [things.create_group(f"g{number}").name for number in range(99)]
    with pytest.raises(ApiError, match="1 to 100 targets"):
        cloud.service.associate("j", [things.group_arn(name) for name in more], None)
    cloud.service.associate("j", [things.group_arn(name) for name in more[1:]], None)
    assert len(cloud.service.job("j").targets) == 100


def test_a_snapshot_keeps_its_things_and_takes_no_targets() -> None:
    cloud = Cloud()
    cloud.create()
    cloud.service.remove_from_group("all", "t00")
    cloud.service.things.create("late")
    cloud.service.add_to_group("all", "late")
    assert len(cloud.queued()) == 12
    assert "t00" in cloud.queued()
    with pytest.raises(ApiError, match="CONTINUOUS"):
        cloud.service.associate("j", [cloud.service.things.group_arn("all")], None)


def test_update_job_changes_what_has_not_begun() -> None:
    cloud = Cloud()
    cloud.create(timeout_minutes=1, retry=retry(FAILED=2))
    cloud.report("t00", "IN_PROGRESS")
    cloud.service.update_job("j", {"description": "new", "timeout_minutes": 9, "retry": retry(FAILED=0)})
    assert cloud.service.job("j").description == "new"
    assert [cloud.service.execution(thing, "j").timeout_minutes for thing in ("t00", "t01")] == [1, 9]
    cloud.report("t01", "FAILED")
    assert cloud.service.execution("t01", "j").number == 1
    with pytest.raises(ApiError, match="to 0"):
        cloud.service.update_job("j", {"retry": retry(FAILED=1)})
    cloud.service.cancel_job("j", force=True)
    with pytest.raises(ApiError, match="CANCELED and cannot be updated"):
        cloud.service.update_job("j", {"description": "newer"})


def test_update_job_changes_the_rate_and_the_criteria_of_a_rollout_under_way() -> None:
    cloud = Cloud()
    cloud.create(rollout={"maximumPerMinute": 2})
    cloud.report("t00", "FAILED")
    cloud.service.update_job("j", {"rollout": {"maximumPerMinute": 5}, "abort": abort("FAILED", 100, 2)})
    cloud.later(60)
    assert len(cloud.device.records.executions("j")) == 7
    assert cloud.service.job("j").status == "IN_PROGRESS"
    cloud.report("t01", "FAILED")
    assert cloud.service.job("j").reason_code == "ABORT_CANCEL"


def test_a_deleted_execution_counts_no_longer() -> None:
    cloud = Cloud()
    cloud.create()
    cloud.report("t00", "IN_PROGRESS")
    with pytest.raises(ApiError, match="IN_PROGRESS"):
        cloud.service.delete_execution("t00", "j", 1)
    cloud.service.delete_execution("t00", "j", 1, force=True)
    for number in range(1, 12):
        cloud.report(f"t{number:02}", "SUCCEEDED")
    job = cloud.service.job("j")
    assert (job.status, +cloud.service.counts(job)) == ("COMPLETED", {"SUCCEEDED": 11})
    with pytest.raises(ApiError, match="does not exist"):
        cloud.service.execution("t00", "j")


def test_groups_nest_seven_deep_and_each_has_one_parent() -> None:
    cloud = Cloud()
    parent = "all"
    for depth in range(2, 8):
        cloud.service.things.create_group(f"g{depth}", parent)
        parent = f"g{depth}"
    with pytest.raises(ApiError, match="7 deep"):
        cloud.service.things.create_group("g8", parent)
    with pytest.raises(ApiError, match="different parent"):
        cloud.service.things.create_group("g7", "all")
    cloud.service.things.create("deep")
    cloud.service.add_to_group("g7", "deep")
    assert cloud.service.things.members("all")[-1] == "deep"


@pytest.mark.parametrize("seed", range(40))
def test_the_service_does_as_a_small_model_of_the_rules(seed: int) -> None:
    rollouts.play(seed)
