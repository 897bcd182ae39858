"""The agent's questions to AWS IoT Jobs, answered by the service itself."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from edge_sim.agent.update.jobclient import HOLDER, JobClient, JobTakenError
from edge_sim.jobs.requests import GetPending, Update, decode, encode
from tests.fakes_cloud import THING, MemoryCloud


def client(cloud: MemoryCloud) -> JobClient:
    found = JobClient(THING, stop=threading.Event())
    channel = cloud.channel()
    found.attach(channel)
    for topic_filter in found.reply_filters:
        channel.subscribe(topic_filter, found.deliver)
    return found


def start(holder: str, version: int) -> Update:
    return Update(status="IN_PROGRESS", status_details={HOLDER: holder}, expected_version=version)


@pytest.mark.parametrize("others", [0, 9, 10, 11, 45])
def test_an_update_is_found_behind_any_number_of_other_jobs(others: int) -> None:
    """AWS IoT lists ten: behind eleven jobs of others an update was never found."""
    cloud = MemoryCloud()
    for number in range(others):
        cloud.queue(f"other-{number}")
    assert client(cloud).next() is None
    job = cloud.queue_update("late")
    found = client(cloud).next()
    assert found is not None
    assert (found.job_id, found.passed_over) == (job, others if others > 9 else 0)


def test_a_service_without_a_second_page_is_asked_no_further() -> None:
    cloud = MemoryCloud()
    for number in range(12):
        cloud.queue(f"other-{number}")
    cloud.queue_update("late")
    take, asked = cloud.device.take, []

    def without_skip(batch: list[tuple[str, bytes]]) -> None:
        [(topic, payload)] = batch
        if topic.endswith("jobs/get"):
            body = decode("get-pending", payload)
            assert isinstance(body, GetPending)
            asked.append(body.skip)
            payload = encode(replace(body, skip=0))
        take([(topic, payload)])

    cloud.device.take = without_skip  # type: ignore[method-assign,assignment]
    assert client(cloud).next() is None
    assert asked == [0, 10]


def test_of_two_boards_with_one_name_one_has_the_job() -> None:
    """Both did it: the second one took the version that the first one had made."""
    cloud = MemoryCloud()
    job = cloud.queue_update("both")
    first, second = client(cloud), client(cloud)
    assert first.update(job, start("first", 1)) == 2
    with pytest.raises(JobTakenError, match="another board with this thing's name"):
        second.update(job, start("second", 1))
    assert first.update(job, start("first", 1)) == 3, (
        "its own earlier attempt, whose answer was lost, is no other board"
    )
    end = Update(status="SUCCEEDED", status_details={HOLDER: "second"}, expected_version=2)
    with pytest.raises(JobTakenError):
        second.update(job, end)
    assert first.update(job, replace(end, status_details={HOLDER: "first"}, expected_version=3)) == 4
