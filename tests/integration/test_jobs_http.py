"""The jobs API as unmodified boto3 meets it, against the running cloud; devices take part over HTTP and MQTT."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from edge_sim.cloud.server import Cloud
from tests.integration.cloud_client import client
from tests.integration.jobs_device import Device

pytestmark = pytest.mark.network

ROLE = "arn:aws:iam::123456789012:role/signer"
PLACEHOLDER = "${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/b/k}"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as found:
        yield found


@pytest.fixture
def iot(cloud: Cloud) -> Any:
    return client(cloud, "iot")


@pytest.fixture
def data(cloud: Cloud) -> Any:
    return client(cloud, "iot-jobs-data")


@pytest.fixture
def thing(iot: Any) -> str:
    name = f"thing-{next(_numbers)}"
    iot.create_thing(thingName=name)
    return name


def make(iot: Any, thing: str, name: str = "job", **more: Any) -> str:
    job_id = f"{name}-{thing}"
    arn = iot.describe_thing(thingName=thing)["thingArn"]
    more.setdefault("document", '{"do": "it"}')
    iot.create_job(jobId=job_id, targets=[arn], **more)
    return job_id


def refused(call: Callable[..., Any], **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as found:
        call(**params)
    answer = found.value.response
    assert answer["Error"]["Message"]
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_things_are_made_once_and_described(iot: Any) -> None:
    made = iot.create_thing(thingName="core-1", attributePayload={"attributes": {"a": "b"}})
    assert made["thingArn"] == "arn:aws:iot:us-east-1:123456789012:thing/core-1"
    assert (
        iot.create_thing(thingName="core-1", attributePayload={"attributes": {"a": "b"}})["thingId"] == made["thingId"]
    )
    assert iot.describe_thing(thingName="core-1")["attributes"] == {"a": "b"}
    assert refused(iot.create_thing, thingName="core-1") == ("ResourceAlreadyExistsException", 409)
    assert refused(iot.describe_thing, thingName="nobody") == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize(
    "more",
    [
        {"tags": [{"Key": "team", "Value": "a"}]},
        {"thingGroupProperties": {"thingGroupDescription": "boards"}},
    ],
)
def test_what_a_thing_group_would_lose_is_refused(iot: Any, more: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match=f"edge-sim does not simulate {next(iter(more))}"):
        iot.create_thing_group(thingGroupName="boards", **more)
    assert refused(iot.list_things_in_thing_group, thingGroupName="boards") == ("ResourceNotFoundException", 404)


def test_a_job_from_creation_to_completion_over_http_alone(iot: Any, data: Any, thing: str) -> None:
    role = {"roleArn": ROLE, "expiresInSec": 90}
    job_id = make(iot, thing, description="d", presignedUrlConfig=role, timeoutConfig={"inProgressTimeoutInMinutes": 9})
    job = iot.describe_job(jobId=job_id)["job"]
    assert job["schedulingConfig"] == {}
    assert (job["status"], job["targetSelection"], job["description"]) == ("IN_PROGRESS", "SNAPSHOT", "d")
    assert job["presignedUrlConfig"] == role
    assert job["timeoutConfig"] == {"inProgressTimeoutInMinutes": 9}
    assert job["jobProcessDetails"]["numberOfQueuedThings"] == 1
    assert abs((datetime.now(timezone.utc) - job["createdAt"]).total_seconds()) < 60

    pending = data.get_pending_job_executions(thingName=thing)
    assert [s["jobId"] for s in pending["queuedJobs"]] == [job_id]
    assert pending["inProgressJobs"] == []
    started = data.start_next_pending_job_execution(thingName=thing, statusDetails={"p": "0"})["execution"]
    assert (started["jobId"], started["thingName"], started["versionNumber"]) == (job_id, thing, 2)
    assert json.loads(started["jobDocument"]) == {"do": "it"}
    assert isinstance(started["startedAt"], int)
    assert 530 < started["approximateSecondsBeforeTimedOut"] <= 540
    described = data.describe_job_execution(thingName=thing, jobId="$next", includeJobDocument=False)["execution"]
    assert described["status"] == "IN_PROGRESS"
    assert "jobDocument" not in described

    seen = iot.describe_job_execution(jobId=job_id, thingName=thing)["execution"]
    assert seen["statusDetails"] == {"detailsMap": {"p": "0"}}
    assert (seen["status"], seen["versionNumber"]) == ("IN_PROGRESS", 2)
    updated = data.update_job_execution(
        jobId=job_id, thingName=thing, status="SUCCEEDED", expectedVersion=2, includeJobExecutionState=True
    )
    assert updated["executionState"] == {"status": "SUCCEEDED", "statusDetails": {"p": "0"}, "versionNumber": 3}
    assert "jobDocument" not in updated
    job = iot.describe_job(jobId=job_id)["job"]
    assert job["schedulingConfig"] == {}
    assert job["status"] == "COMPLETED"
    assert job["completedAt"] >= job["createdAt"]
    assert job["jobProcessDetails"]["numberOfSucceededThings"] == 1
    assert "execution" not in data.start_next_pending_job_execution(thingName=thing)
    assert "execution" not in data.describe_job_execution(thingName=thing, jobId="$next")
    assert iot.describe_job_execution(jobId=job_id, thingName=thing)["execution"]["status"] == "SUCCEEDED"


def test_what_the_owner_does_over_http_the_device_hears_over_mqtt(cloud: Cloud, iot: Any, thing: str) -> None:
    with Device(cloud.mqtt_url, thing) as device:
        job_id = make(iot, thing)
        assert device.next()[0] == "jobs/notify"
        assert device.next()[1]["execution"]["jobDocument"] == {"do": "it"}
        assert device.ask("start-next")[1]["execution"]["status"] == "IN_PROGRESS"
        iot.cancel_job(jobId=job_id, force=True, reasonCode="WRONG", comment="no")
        assert device.next()[0] == "jobs/notify"
        topic, body = device.next()
        assert (topic, set(body)) == ("jobs/notify-next", {"timestamp"})
        verdict, answer = device.ask(f"{job_id}/update", {"status": "SUCCEEDED"})
        assert (verdict, answer["code"]) == ("rejected", "InvalidStateTransition")
        assert answer["executionState"] == {"status": "CANCELED", "versionNumber": 3}
    job = iot.describe_job(jobId=job_id)["job"]
    assert job["schedulingConfig"] == {}
    assert (job["status"], job["forceCanceled"], job["reasonCode"], job["comment"]) == ("CANCELED", True, "WRONG", "no")
    assert iot.describe_job_execution(jobId=job_id, thingName=thing)["execution"]["forceCanceled"] is True


def test_cancel_without_force_leaves_what_runs(iot: Any, data: Any, thing: str) -> None:
    job_id = make(iot, thing)
    data.start_next_pending_job_execution(thingName=thing)
    iot.cancel_job(jobId=job_id)
    assert iot.describe_job_execution(jobId=job_id, thingName=thing)["execution"]["status"] == "IN_PROGRESS"
    data.update_job_execution(jobId=job_id, thingName=thing, status="FAILED")
    assert iot.describe_job(jobId=job_id)["job"]["status"] == "CANCELED"


def test_canceling_one_execution(iot: Any, data: Any, thing: str) -> None:
    first, second = make(iot, thing, "a"), make(iot, thing, "b")
    data.start_next_pending_job_execution(thingName=thing)
    running = {"jobId": first, "thingName": thing}
    assert refused(iot.cancel_job_execution, **running) == ("InvalidStateTransitionException", 409)
    assert refused(iot.cancel_job_execution, **running, force=True, expectedVersion=1) == (
        "VersionConflictException",
        409,
    )
    iot.cancel_job_execution(**running, force=True, expectedVersion=2, statusDetails={"why": "x"})
    iot.cancel_job_execution(jobId=second, thingName=thing)
    assert refused(iot.cancel_job_execution, **running, force=True) == ("InvalidStateTransitionException", 409)
    details = iot.describe_job_execution(**running)["execution"]["statusDetails"]
    assert details == {"detailsMap": {"why": "x"}}
    assert iot.describe_job(jobId=second)["job"]["status"] == "COMPLETED"


def test_the_document_is_kept_as_it_was_given(iot: Any, data: Any, thing: str) -> None:
    text = json.dumps({"url": PLACEHOLDER}, indent=1)
    job_id = make(iot, thing, document=text, presignedUrlConfig={"roleArn": ROLE})
    assert iot.get_job_document(jobId=job_id)["document"] == text
    assert iot.describe_job(jobId=job_id)["job"]["presignedUrlConfig"]["expiresInSec"] == 3600


def test_lists_are_filtered_and_paged(iot: Any, data: Any, thing: str) -> None:
    names = [make(iot, thing, f"p{n}") for n in range(5)]
    data.update_job_execution(jobId=names[0], thingName=thing, status="FAILED")
    pages = iot.get_paginator("list_job_executions_for_thing").paginate(
        thingName=thing, PaginationConfig={"PageSize": 2}
    )
    shapes = [[s["jobId"] for s in page["executionSummaries"]] for page in pages]
    assert shapes == [[names[4], names[3]], [names[2], names[1]], [names[0]]]
    failed = iot.list_job_executions_for_thing(thingName=thing, status="FAILED")["executionSummaries"]
    assert [(s["jobId"], s["jobExecutionSummary"]["status"]) for s in failed] == [(names[0], "FAILED")]
    (only,) = iot.list_job_executions_for_job(jobId=names[1])["executionSummaries"]
    assert only["thingArn"].endswith(f"thing/{thing}")
    listed = {job["jobId"]: job["status"] for job in iot.list_jobs(maxResults=250)["jobs"]}
    assert (listed[names[0]], listed[names[1]]) == ("COMPLETED", "IN_PROGRESS")
    assert names[0] in {job["jobId"] for job in iot.list_jobs(status="COMPLETED")["jobs"]}
    assert refused(iot.list_jobs, nextToken="?") == ("InvalidRequestException", 400)


def test_a_thing_group_is_its_members_at_creation(iot: Any, thing: str) -> None:
    group = iot.create_thing_group(thingGroupName=f"g-{thing}")
    iot.create_thing(thingName=f"{thing}-later")
    iot.add_thing_to_thing_group(thingGroupName=f"g-{thing}", thingName=thing)
    arn = iot.describe_thing(thingName=thing)["thingArn"]
    iot.create_job(jobId=f"j-{thing}", targets=[group["thingGroupArn"], arn], document="{}")
    iot.add_thing_to_thing_group(thingGroupName=f"g-{thing}", thingName=f"{thing}-later")
    assert len(iot.list_job_executions_for_job(jobId=f"j-{thing}")["executionSummaries"]) == 1
    assert iot.list_things_in_thing_group(thingGroupName=f"g-{thing}")["things"] == [thing, f"{thing}-later"]


def test_a_job_is_deleted_when_it_is_over_or_by_force(iot: Any, data: Any, thing: str) -> None:
    job_id = make(iot, thing)
    assert refused(iot.delete_job, jobId=job_id) == ("InvalidStateTransitionException", 409)
    iot.delete_job(jobId=job_id, force=True)
    assert refused(iot.describe_job, jobId=job_id) == ("ResourceNotFoundException", 404)
    assert refused(data.update_job_execution, jobId=job_id, thingName=thing, status="FAILED") == (
        "ResourceNotFoundException",
        404,
    )


def test_errors_of_the_control_plane(iot: Any, thing: str) -> None:
    job_id = make(iot, thing)
    arn = iot.describe_thing(thingName=thing)["thingArn"]
    good = {"jobId": f"x-{thing}", "targets": [arn], "document": "{}"}
    bad = ("InvalidRequestException", 400)
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as found:
        iot.create_job(**{**good, "jobId": job_id})
    assert found.value.response["resourceId"] == job_id
    assert found.value.response["resourceArn"].endswith(f"job/{job_id}")
    assert refused(iot.create_job, **{**good, "targets": [f"{arn}-nobody"]}) == ("ResourceNotFoundException", 404)
    assert refused(iot.create_job, **{**good, "targets": ["arn:aws:s3:::x"]}) == bad
    assert refused(iot.create_job, **{**good, "document": "no json"}) == bad
    assert refused(iot.create_job, **{**good, "document": "[]"}) == bad
    assert refused(iot.create_job, **{**good, "document": '{"a":"' + "x" * 32768 + '"}'}) == bad
    assert refused(iot.create_job, **{**good, "document": json.dumps({"u": PLACEHOLDER})}) == bad
    for unknown in ({"namespaceId": "n"}, {"documentSource": "https://x/y"}):
        assert refused(iot.create_job, **good, **unknown) == bad
    with pytest.raises(ClientError, match="edge-sim does not simulate tags"):
        iot.create_job(**good, tags=[{"Key": "team", "Value": "a"}])
    assert refused(iot.create_job, **good, timeoutConfig={"inProgressTimeoutInMinutes": 10081}) == bad
    for call in (iot.describe_job, iot.get_job_document, iot.cancel_job, iot.list_job_executions_for_job):
        assert refused(call, jobId="nothing") == ("ResourceNotFoundException", 404)
    assert refused(iot.describe_job_execution, jobId=job_id, thingName=thing, executionNumber=2) == (
        "ResourceNotFoundException",
        404,
    )
    assert iot.list_jobs()["jobs"][0]["jobId"] == job_id  # none of these made a job


def test_errors_of_the_data_plane(iot: Any, data: Any, thing: str) -> None:
    job_id = make(iot, thing)
    at = {"jobId": job_id, "thingName": thing}
    clash = refused(data.update_job_execution, **at, status="FAILED", expectedVersion=7)
    assert clash == ("InvalidRequestException", 400)  # there is no shape for a version clash
    assert refused(data.update_job_execution, **at, status="QUEUED") == ("InvalidStateTransitionException", 409)
    assert refused(data.update_job_execution, **at, status="DONE") == ("InvalidRequestException", 400)
    data.update_job_execution(**at, status="FAILED")
    assert refused(data.update_job_execution, **at, status="FAILED") == ("InvalidStateTransitionException", 409)
    assert refused(data.describe_job_execution, **at) == ("TerminalStateException", 410)


def test_the_endpoints_are_this_clouds(cloud: Cloud, iot: Any) -> None:
    mqtt = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    http = iot.describe_endpoint(endpointType="iot:Jobs")["endpointAddress"]
    assert (mqtt, http) == (urlsplit(cloud.mqtt_url).netloc, urlsplit(cloud.http_url).netloc)
    assert refused(iot.describe_endpoint, endpointType="iot:CredentialProvider") == ("InvalidRequestException", 400)


def test_a_rollout_under_way_is_described_and_changed_over_http(iot: Any, thing: str) -> None:
    groups = {}
    for name in ("first", "second"):
        groups[name] = iot.create_thing_group(thingGroupName=f"{name}-{thing}")["thingGroupArn"]
        for number in range(2):
            iot.create_thing(thingName=f"{name}{number}-{thing}")
            iot.add_thing_to_thing_group(thingGroupName=f"{name}-{thing}", thingName=f"{name}{number}-{thing}")
    job_id = f"slow-{thing}"
    iot.create_job(
        jobId=job_id,
        targets=[groups["first"]],
        document="{}",
        targetSelection="CONTINUOUS",
        jobExecutionsRolloutConfig={"maximumPerMinute": 1},
    )
    job = iot.describe_job(jobId=job_id)["job"]
    assert (job["isConcurrent"], job["jobProcessDetails"]["processingTargets"]) == (True, [groups["first"]])
    assert job["jobProcessDetails"]["numberOfQueuedThings"] == 1
    changed = {
        "description": "slower",
        "jobExecutionsRolloutConfig": {"maximumPerMinute": 7},
        "timeoutConfig": {"inProgressTimeoutInMinutes": 3},
        "presignedUrlConfig": {"roleArn": ROLE, "expiresInSec": 60},
    }
    iot.update_job(jobId=job_id, **changed)
    joined = iot.associate_targets_with_job(jobId=job_id, targets=[groups["second"]], comment="the rest")
    assert (joined["jobId"], joined["description"]) == (job_id, "slower")
    job = iot.describe_job(jobId=job_id)["job"]
    assert {name: job[name] for name in changed} == changed
    assert (job["targets"], job["comment"]) == ([*groups.values()], "the rest")
    assert job["jobProcessDetails"]["numberOfQueuedThings"] == 3, "who joins later does not wait for the rate"
    assert refused(iot.associate_targets_with_job, jobId=job_id, targets=["arn:aws:s3:::x"])[1] == 400


def test_a_continuous_rollout_over_http_in_botocores_shapes(iot: Any, data: Any, thing: str) -> None:
    group, cellar = (f"{name}-{thing}" for name in ("group", "cellar"))
    arn = iot.create_thing_group(thingGroupName=group)["thingGroupArn"]
    iot.create_thing_group(thingGroupName=cellar, parentGroupName=group)
    metadata = iot.describe_thing_group(thingGroupName=cellar)["thingGroupMetadata"]
    assert metadata["rootToParentThingGroups"] == [{"groupName": group, "groupArn": arn}]
    iot.add_thing_to_thing_group(thingGroupName=cellar, thingName=thing)
    assert iot.list_things_in_thing_group(thingGroupName=group)["things"] == []
    assert iot.list_things_in_thing_group(thingGroupName=group, recursive=True)["things"] == [thing]
    rollout = {
        "maximumPerMinute": 50,
        "exponentialRate": {
            "baseRatePerMinute": 10,
            "incrementFactor": 1.5,
            "rateIncreaseCriteria": {"numberOfSucceededThings": 5},
        },
    }
    criterion = {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 33.33, "minNumberOfExecutedThings": 2}
    retries = {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}
    job_id = f"rollout-{thing}"
    iot.create_job(
        jobId=job_id,
        targets=[arn],
        document="{}",
        targetSelection="CONTINUOUS",
        jobExecutionsRolloutConfig=rollout,
        abortConfig={"criteriaList": [criterion]},
        jobExecutionsRetryConfig=retries,
    )
    job = iot.describe_job(jobId=job_id)["job"]
    assert (job["targetSelection"], job["isConcurrent"]) == ("CONTINUOUS", False)
    assert job["jobExecutionsRolloutConfig"] == rollout
    assert (job["abortConfig"], job["jobExecutionsRetryConfig"]) == ({"criteriaList": [criterion]}, retries)
    assert iot.list_jobs(targetSelection="CONTINUOUS")["jobs"][0]["jobId"] == job_id
    assert job_id not in {entry["jobId"] for entry in iot.list_jobs(targetSelection="SNAPSHOT")["jobs"]}
    data.update_job_execution(jobId=job_id, thingName=thing, status="FAILED")
    summaries = iot.list_job_executions_for_job(jobId=job_id)["executionSummaries"]
    assert [entry["jobExecutionSummary"].get("retryAttempt", 0) for entry in summaries] == [0, 1]
    first = iot.describe_job_execution(jobId=job_id, thingName=thing, executionNumber=1)["execution"]
    assert first["status"] == "FAILED"
    data.update_job_execution(jobId=job_id, thingName=thing, status="FAILED")
    job = iot.describe_job(jobId=job_id)["job"]
    assert (job["status"], job["reasonCode"]) == ("CANCELED", "ABORT_CANCEL")
    iot.delete_job_execution(jobId=job_id, thingName=thing, executionNumber=1)
    assert iot.describe_job(jobId=job_id)["job"]["jobProcessDetails"]["numberOfFailedThings"] == 1
    iot.remove_thing_from_thing_group(thingGroupName=cellar, thingName=thing)
    assert refused(iot.update_job, jobId=job_id, description="late") == ("InvalidRequestException", 400)
    bad = {"criteriaList": [{**criterion, "thresholdPercentage": 0.001}]}
    refusal = refused(iot.create_job, jobId=f"x{job_id}", targets=[arn], document="{}", abortConfig=bad)
    assert refusal == ("InvalidRequestException", 400)
