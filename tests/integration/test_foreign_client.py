"""AWS's own device SDK as a device of the local cloud: a client that shares no line of code with the server."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from edge_sim.cloud.server import REGION, Cloud

awscrt_mqtt = pytest.importorskip("awscrt.mqtt", reason="awsiotsdk is not installed (make test installs it)")
iotjobs = pytest.importorskip("awsiot.iotjobs")

pytestmark = pytest.mark.network
LIMIT_S = 60
THING = "foreign-core"


@pytest.fixture(params=["embedded", "mosquitto"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    if request.param == "mosquitto" and shutil.which("mosquitto") is None:
        pytest.skip("only the embedded broker was tried: apt-get install mosquitto")
    if request.param == "embedded":
        monkeypatch.setattr("edge_sim.cloud.brokers.broker.daemon", lambda _: None)
    with Cloud() as running:
        yield running


@pytest.fixture
def iot(cloud: Cloud) -> Any:
    keys = {"aws_access_key_id": "edge-sim", "aws_secret_access_key": "edge-sim"}
    client = boto3.client("iot", endpoint_url=cloud.http_url, region_name=REGION, **keys)
    thing = client.create_thing(thingName=THING)["thingArn"]
    client.create_job(jobId="first", targets=[thing], document=json.dumps({"do": "this"}))
    return client


@pytest.fixture
def jobs(cloud: Cloud) -> Iterator[Any]:
    host, port = cloud.mqtt_url.removeprefix("mqtt://").split(":")
    connection = awscrt_mqtt.Connection(
        client=awscrt_mqtt.Client(), host_name=host, port=int(port), client_id=THING, clean_session=True
    )
    connection.connect().result(LIMIT_S)
    yield iotjobs.IotJobsClient(connection)
    connection.disconnect().result(LIMIT_S)


class Answer:
    """The next answer on a subscription."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._value: Any = None

    def __call__(self, value: Any) -> None:
        self._value = value
        self._came.set()

    def get(self) -> Any:
        assert self._came.wait(LIMIT_S), "no answer"
        return self._value


def test_awss_sdk_starts_a_job_and_reports_it_done(iot: Any, jobs: Any) -> None:
    qos = awscrt_mqtt.QoS.AT_LEAST_ONCE
    started, updated, refused = Answer(), Answer(), Answer()
    start = iotjobs.StartNextPendingJobExecutionSubscriptionRequest(thing_name=THING)
    jobs.subscribe_to_start_next_pending_job_execution_accepted(start, qos, started)[0].result(LIMIT_S)
    update = iotjobs.UpdateJobExecutionSubscriptionRequest(thing_name=THING, job_id="first")
    jobs.subscribe_to_update_job_execution_accepted(update, qos, updated)[0].result(LIMIT_S)
    jobs.subscribe_to_update_job_execution_rejected(update, qos, refused)[0].result(LIMIT_S)

    jobs.publish_start_next_pending_job_execution(
        iotjobs.StartNextPendingJobExecutionRequest(thing_name=THING), qos
    ).result(LIMIT_S)
    execution = started.get().execution
    assert (execution.job_id, execution.status, execution.version_number) == ("first", "IN_PROGRESS", 2)
    assert execution.job_document == {"do": "this"}

    stale = iotjobs.UpdateJobExecutionRequest(thing_name=THING, job_id="first", status="SUCCEEDED", expected_version=1)
    jobs.publish_update_job_execution(stale, qos).result(LIMIT_S)
    assert refused.get().code == "VersionMismatch"

    done = iotjobs.UpdateJobExecutionRequest(thing_name=THING, job_id="first", status="SUCCEEDED", expected_version=2)
    jobs.publish_update_job_execution(done, qos).result(LIMIT_S)
    assert updated.get().timestamp is not None
    assert iot.describe_job_execution(jobId="first", thingName=THING)["execution"]["status"] == "SUCCEEDED"
    assert iot.describe_job(jobId="first")["job"]["status"] == "COMPLETED"


def test_awss_sdk_hears_of_a_new_job_and_of_an_empty_queue(iot: Any, jobs: Any) -> None:
    qos = awscrt_mqtt.QoS.AT_LEAST_ONCE
    heard = Answer()
    request = iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=THING)
    jobs.subscribe_to_next_job_execution_changed_events(request, qos, heard)[0].result(LIMIT_S)
    iot.cancel_job(jobId="first")
    assert heard.get().execution is None
