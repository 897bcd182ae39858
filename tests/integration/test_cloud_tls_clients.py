"""Clients that share no line of code with the cloud, over its TLS: AWS's three SDKs, paho, boto3."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import needs
from tests.integration.tls_cloud import LIMIT_S, Credentials, World, tls_cloud

iotjobs = pytest.importorskip("awsiot.iotjobs", reason="awsiotsdk is not installed (make test installs it)")
connections = pytest.importorskip("awsiot.mqtt_connection_builder")
connections5 = pytest.importorskip("awsiot.mqtt5_client_builder")
request_response = pytest.importorskip("awscrt.mqtt_request_response")
mqtt = pytest.importorskip("awscrt.mqtt")

pytestmark = [pytest.mark.network, pytest.mark.process, needs.program("mosquitto")]
THING = "sdk-core"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with tls_cloud(tmp_path_factory.mktemp("tls")) as found:
        yield found


@pytest.fixture(scope="module")
def shown(world: World) -> Credentials:
    return world.thing(THING)


def job(world: World, job_id: str) -> None:
    arn = world.iot.describe_thing(thingName=THING)["thingArn"]
    world.iot.create_job(jobId=job_id, targets=[arn], document=json.dumps({"do": job_id}))


def succeeded(world: World, job_id: str) -> bool:
    found = world.iot.describe_job_execution(jobId=job_id, thingName=THING)
    return bool(found["execution"]["status"] == "SUCCEEDED")


def test_awsiotsdk_does_a_job_over_mqtt_3(world: World, shown: Credentials) -> None:
    job(world, "v1")
    connection = connections.mtls_from_path(
        endpoint="127.0.0.1",
        port=world.mqtt_port,
        cert_filepath=str(shown.certificate),
        pri_key_filepath=str(shown.key),
        ca_filepath=world.cafile,
        client_id=THING,
        clean_session=True,
        keep_alive_secs=60,
    )
    connection.connect().result(LIMIT_S)
    jobs, qos = iotjobs.IotJobsClient(connection), mqtt.QoS.AT_LEAST_ONCE
    started: queue.Queue[Any] = queue.Queue()
    updated: queue.Queue[Any] = queue.Queue()
    start = iotjobs.StartNextPendingJobExecutionSubscriptionRequest(thing_name=THING)
    jobs.subscribe_to_start_next_pending_job_execution_accepted(start, qos, started.put)[0].result(LIMIT_S)
    update = iotjobs.UpdateJobExecutionSubscriptionRequest(thing_name=THING, job_id="v1")
    jobs.subscribe_to_update_job_execution_accepted(update, qos, updated.put)[0].result(LIMIT_S)
    request = iotjobs.StartNextPendingJobExecutionRequest(thing_name=THING)
    jobs.publish_start_next_pending_job_execution(request, qos).result(LIMIT_S)
    assert started.get(timeout=LIMIT_S).execution.job_document == {"do": "v1"}
    done = iotjobs.UpdateJobExecutionRequest(thing_name=THING, job_id="v1", status="SUCCEEDED", expected_version=2)
    jobs.publish_update_job_execution(done, qos).result(LIMIT_S)
    updated.get(timeout=LIMIT_S)
    assert succeeded(world, "v1")
    connection.disconnect().result(LIMIT_S)


def test_awsiotsdk_does_a_job_over_mqtt_5(world: World, shown: Credentials) -> None:
    job(world, "v2")
    connected = threading.Event()
    client = connections5.mtls_from_path(
        endpoint="127.0.0.1",
        port=world.mqtt_port,
        cert_filepath=str(shown.certificate),
        pri_key_filepath=str(shown.key),
        ca_filepath=world.cafile,
        client_id=THING,
        on_lifecycle_connection_success=lambda _: connected.set(),
    )
    client.start()
    assert connected.wait(LIMIT_S)
    options = request_response.ClientOptions(
        max_request_response_subscriptions=2, max_streaming_subscriptions=2, operation_timeout_in_seconds=30
    )
    jobs = iotjobs.IotJobsClientV2(client, options)
    start = iotjobs.StartNextPendingJobExecutionRequest(thing_name=THING)
    execution = jobs.start_next_pending_job_execution(start).result(LIMIT_S).execution
    assert (execution.job_id, execution.job_document) == ("v2", {"do": "v2"})
    done = iotjobs.UpdateJobExecutionRequest(thing_name=THING, job_id="v2", status="SUCCEEDED", expected_version=2)
    jobs.update_job_execution(done).result(LIMIT_S)
    assert succeeded(world, "v2")
    client.stop()


def test_the_sdk_of_v1_cores_does_a_job(world: World, shown: Credentials) -> None:
    sdk = pytest.importorskip("AWSIoTPythonSDK.MQTTLib", reason="AWSIoTPythonSDK is not installed")
    types = pytest.importorskip("AWSIoTPythonSDK.core.jobs.thingJobManager")
    job(world, "old")
    client = sdk.AWSIoTMQTTThingJobsClient(THING, THING, QoS=1)
    client.configureEndpoint("127.0.0.1", world.mqtt_port)
    client.configureCredentials(world.cafile, str(shown.key), str(shown.certificate))
    client.configureMQTTOperationTimeout(30)
    client.configureConnectDisconnectTimeout(30)
    assert client.connect()
    came: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def take(_client: object, _userdata: object, message: Any) -> None:
        came.put((message.topic, message.payload))

    kinds, accepted = types.jobExecutionTopicType, types.jobExecutionTopicReplyType.JOB_ACCEPTED_REPLY_TYPE
    assert client.createJobSubscription(take, kinds.JOB_START_NEXT_TOPIC, accepted)
    assert client.createJobSubscription(take, kinds.JOB_UPDATE_TOPIC, accepted, "+")
    assert client.sendJobsStartNext()
    assert json.loads(came.get(timeout=LIMIT_S)[1])["execution"]["jobDocument"] == {"do": "old"}
    assert client.sendJobsUpdate("old", types.jobExecutionStatus.JOB_EXECUTION_SUCCEEDED, expectedVersion=2)
    assert came.get(timeout=LIMIT_S)[0].endswith("/jobs/old/update/accepted")
    assert succeeded(world, "old")
    client.disconnect()


def test_boto3_signs_with_the_key_of_this_cloud_or_is_refused(world: World) -> None:
    assert world.client("iot").list_policies()["policies"]
    with pytest.raises(ClientError, match="signature we calculated does not match"):
        world.client("iot", secret="another").list_policies()
    with pytest.raises(ClientError, match="signature we calculated does not match"):
        world.client("greengrass", secret="another").list_groups()
