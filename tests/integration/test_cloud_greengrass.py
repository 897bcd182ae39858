"""Definitions, groups, deployments and update jobs through unmodified boto3."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from botocore.exceptions import ClientError

from edge_sim.arch import UPDATE_TARGETS
from edge_sim.cloud import store
from edge_sim.cloud.brokers.broker import start_embedded
from edge_sim.cloud.server import Cloud
from tests.integration.cloud_client import (
    ACCOUNT,
    CERTIFICATE,
    FUNCTION,
    THING,
    WAIT_S,
    built,
    client,
    deploy,
    group,
    register_code,
    s3_model,
    send,
)
from tests.integration.jobs_device import Device

pytestmark = pytest.mark.network
NOBODY = "00000000-0000-4000-8000-000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/signer"
EVERY_KIND = [
    {
        "Id": "device",
        "Name": "device",
        "ResourceDataContainer": {
            "LocalDeviceResourceData": {
                "SourcePath": "/dev/video0",
                "GroupOwnerSetting": {"AutoAddGroupOwner": False, "GroupOwner": "video"},
            }
        },
    },
    {
        "Id": "volume",
        "Name": "volume",
        "ResourceDataContainer": {
            "LocalVolumeResourceData": {
                "SourcePath": "/srv/data",
                "DestinationPath": "/data",
                "GroupOwnerSetting": {"AutoAddGroupOwner": True, "GroupOwner": ""},
            }
        },
    },
    s3_model("s3://greengrass-models/model.tar.gz", "s3"),
    {
        "Id": "sagemaker",
        "Name": "sagemaker",
        "ResourceDataContainer": {
            "SageMakerMachineLearningModelResourceData": {
                "SageMakerJobArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/job",
                "DestinationPath": "/models/job",
                "OwnerSetting": {"GroupOwner": "video", "GroupPermission": "rw"},
            }
        },
    },
    {
        "Id": "secret",
        "Name": "secret",
        "ResourceDataContainer": {
            "SecretsManagerSecretResourceData": {
                "ARN": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:greengrass-a-AbCdEf",
                "AdditionalStagingLabelsToDownload": ["OLD"],
            }
        },
    },
]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud() as running:
        register_code(running, tmp_path_factory.mktemp("code"))
        client(running, "iot").create_thing(thingName="core1")
        yield running


@pytest.fixture(scope="module")
def gg(cloud: Cloud) -> Any:
    return client(cloud, "greengrass")


def refused(call: Any, **params: Any) -> tuple[int, str, str]:
    """Return status, code and message of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def test_a_definition_of_every_kind_comes_back_as_it_went_in(gg: Any) -> None:
    made = gg.create_resource_definition(
        Name="all", InitialVersion={"Resources": EVERY_KIND}, tags={"team": "vision"}, AmznClientToken="first"
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 200
    arn = f"arn:aws:greengrass:us-east-1:{ACCOUNT}:/greengrass/definition/resources/{made['Id']}"
    assert made["Arn"] == arn
    assert made["LatestVersionArn"] == f"{arn}/versions/{made['LatestVersion']}"
    version = gg.get_resource_definition_version(
        ResourceDefinitionId=made["Id"], ResourceDefinitionVersionId=made["LatestVersion"]
    )
    assert version["Definition"] == {"Resources": EVERY_KIND}
    assert (version["Id"], version["Version"]) == (made["Id"], made["LatestVersion"])


def test_a_definition_without_a_version_has_none_until_one_is_made(gg: Any) -> None:
    made = gg.create_resource_definition(Name="empty")
    assert "LatestVersion" not in made
    version = gg.create_resource_definition_version(ResourceDefinitionId=made["Id"], Resources=EVERY_KIND[:1])
    assert version["Arn"] == f"{made['Arn']}/versions/{version['Version']}"
    bare = gg.create_resource_definition_version(ResourceDefinitionId=made["Id"])
    found = gg.get_resource_definition_version(
        ResourceDefinitionId=made["Id"], ResourceDefinitionVersionId=bare["Version"]
    )
    assert found["Definition"] == {"Resources": []}


def test_a_client_token_makes_a_create_safe_to_repeat(gg: Any) -> None:
    once = gg.create_resource_definition(Name="n", AmznClientToken="again")
    twice = gg.create_resource_definition(Name="n", AmznClientToken="again")
    assert once["Id"] == twice["Id"]
    assert gg.create_resource_definition(Name="n")["Id"] != once["Id"]
    status, code, text = refused(gg.create_resource_definition, Name="other", AmznClientToken="again")
    assert (status, code) == (400, "BadRequestException")
    assert "token" in text
    assert gg.create_group(Name="n", AmznClientToken="again")["Id"] != once["Id"]


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("LocalVolume", {"SourcePath": "/sys/class", "DestinationPath": "/s"}, "Accessing /sys is prohibited"),
        ("LocalVolume", {"SourcePath": "/sys", "DestinationPath": "/s"}, "Accessing /sys is prohibited"),
        ("LocalDevice", {"SourcePath": "/tmp/x"}, "Device resource path should begin with /dev, but got: /tmp/x"),
    ],
)
def test_what_aws_refused_at_create_is_refused_with_its_words(
    gg: Any, kind: str, data: dict[str, str], text: str
) -> None:
    resource = {"Id": "r", "Name": "r", "ResourceDataContainer": {f"{kind}ResourceData": data}}
    whole = f"The resources definition is invalid. (ErrorDetails: [{text}])"
    refusal = refused(gg.create_resource_definition, InitialVersion={"Resources": [resource]})
    assert refusal == (400, "400", whole)
    made = gg.create_resource_definition()
    refusal = refused(gg.create_resource_definition_version, ResourceDefinitionId=made["Id"], Resources=[resource])
    assert refusal == (400, "400", whole)


def test_a_function_s_environment_is_refused_with_awss_words(gg: Any) -> None:
    """aws-greengrass-provisioner issue 637."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f:1"
    configuration = {"MemorySize": 16384, "Environment": {"Variables": {"meter-port": "1"}}}
    entry = {"Id": "f", "FunctionArn": arn, "FunctionConfiguration": configuration}
    text = "The functions definition is invalid or corrupted. (ErrorDetails: [Invalid environment key name])"
    assert refused(gg.create_function_definition, InitialVersion={"Functions": [entry]}) == (400, "400", text)


def test_what_aws_refused_only_at_deployment_can_be_created(gg: Any) -> None:
    model = s3_model("s3://bucket/model.tar.gz", "same")
    gg.create_resource_definition(InitialVersion={"Resources": [model, model]})
    half = s3_model("s3://bucket/model.tar.gz")
    half["ResourceDataContainer"]["S3MachineLearningModelResourceData"]["OwnerSetting"] = {"GroupOwner": "1"}
    body = json.dumps({"InitialVersion": {"Resources": [half]}}).encode()  # boto3 itself would not send it
    assert send(f"{gg.meta.endpoint_url}/greengrass/definition/resources", "POST", body)[0] == 200


def test_an_enum_that_boto3_does_not_check_is_checked_here(gg: Any) -> None:
    model = s3_model("s3://bucket/model.tar.gz")
    data = model["ResourceDataContainer"]["S3MachineLearningModelResourceData"]
    data["OwnerSetting"]["GroupPermission"] = "rwx"
    status, code, text = refused(gg.create_resource_definition, InitialVersion={"Resources": [model]})
    assert (status, code) == (400, "BadRequestException")
    assert "GroupPermission" in text
    assert "[ro, rw]" in text


def test_unknown_definitions_and_versions_have_aws_texts(gg: Any) -> None:
    refusal = refused(gg.create_resource_definition_version, ResourceDefinitionId=NOBODY)
    assert refusal == (404, "IdNotFoundException", "That resource definition does not exist.")
    get = gg.get_resource_definition_version
    refusal = refused(get, ResourceDefinitionId=NOBODY, ResourceDefinitionVersionId=NOBODY)
    assert refusal == (404, "IdNotFoundException", "That resources definition does not exist.")
    id_ = gg.create_resource_definition()["Id"]
    refusal = refused(get, ResourceDefinitionId=id_, ResourceDefinitionVersionId=NOBODY)
    text = f"Version {NOBODY} of Resource List Definition {id_} does not exist."
    assert refusal == (404, "VersionNotFoundException", text)


def test_a_version_is_found_only_below_its_own_definition(gg: Any) -> None:
    made = gg.create_resource_definition(InitialVersion={"Resources": []})
    other = gg.create_resource_definition()["Id"]
    get = gg.get_resource_definition_version
    refusal = refused(get, ResourceDefinitionId=other, ResourceDefinitionVersionId=made["LatestVersion"])
    assert refusal[:2] == (404, "VersionNotFoundException")


def test_a_group_cannot_refer_to_what_does_not_exist(gg: Any) -> None:
    made = gg.create_resource_definition(InitialVersion={"Resources": []})
    wrong_kind = made["LatestVersionArn"]
    refusal = refused(
        gg.create_group,
        Name="g",
        InitialVersion={"CoreDefinitionVersionArn": wrong_kind, "ResourceDefinitionVersionArn": "arn:nothing"},
    )
    details = "Cores definition reference does not exist, Resource definition reference does not exist"
    assert refusal == (400, "400", f"The group is invalid or corrupted. (ErrorDetails: [{details}])")
    refusal = refused(gg.create_group_version, GroupId=NOBODY)
    assert refusal == (404, "IdNotFoundException", "That group does not exist.")


def test_motos_form_of_an_arn_is_read_as_well(gg: Any) -> None:
    made = gg.create_resource_definition(InitialVersion={"Resources": []})
    without_slash = made["LatestVersionArn"].replace(":/greengrass", ":greengrass")
    group_id = gg.create_group(Name="g")["Id"]
    version = gg.create_group_version(GroupId=group_id, ResourceDefinitionVersionArn=without_slash)
    assert version["Id"] == group_id
    elsewhere = made["LatestVersionArn"].replace("us-east-1", "eu-west-1")
    assert refused(gg.create_group_version, GroupId=group_id, ResourceDefinitionVersionArn=elsewhere)[0] == 400


def test_deployment_requests_that_aws_refused(gg: Any) -> None:
    made = gg.create_group(Name="no core", InitialVersion={})
    group_id, version = made["Id"], made["LatestVersion"]
    create = gg.create_deployment
    refusal = refused(create, GroupId=group_id, GroupVersionId=version, DeploymentType="Fast")
    types = "NewDeployment,Redeployment,ResetDeployment,ForceResetDeployment"
    text = f"That deployment type is not valid.  Please specify one of the following types: {{{types}}}."
    assert refusal == (400, "InvalidInputException", text)
    status, code, text = refused(create, GroupId=group_id, GroupVersionId=version, DeploymentType="NewDeployment")
    assert (status, code) == (400, "MissingCoreException")
    assert json.loads(text)["ErrorDetails"][0] == {
        "DetailedErrorCode": "GG-303",
        "DetailedErrorMessage": "You need a Greengrass Core in this Group before you can deploy.",
    }
    refusal = refused(create, GroupId=NOBODY, GroupVersionId=version, DeploymentType="NewDeployment")
    assert refusal == (404, "ResourceNotFoundException", "That group definition does not exist.")
    refusal = refused(create, GroupId=group_id, GroupVersionId=NOBODY, DeploymentType="NewDeployment")
    text = f"Version {NOBODY} of Group Definition {group_id} does not exist."
    assert refusal == (404, "ResourceNotFoundException", text)
    refusal = refused(create, GroupId=group_id, DeploymentType="Redeployment")
    text = "Your request is missing the following required parameter(s): {DeploymentId}."
    assert refusal == (400, "InvalidInputException", text)
    refusal = refused(create, GroupId=group_id, DeploymentId=NOBODY, DeploymentType="Redeployment")
    assert refusal == (400, "InvalidInputException", f"Deployment ID '{NOBODY}' is invalid.")
    refusal = refused(create, GroupId=group_id, DeploymentType="ResetDeployment")
    text = f"Group id: {group_id} has not been deployed or has already been reset."
    assert refusal == (404, "ResourceNotFoundException", text)
    refusal = refused(gg.get_deployment_status, GroupId=group_id, DeploymentId=NOBODY)
    assert refusal == (400, "InvalidInputException", f"Deployment '{NOBODY}' does not exist.")


def report(cloud: Cloud, status: str, **more: object) -> int:
    desired = cloud.parts.deployments.desired("core1")
    assert desired is not None
    body = json.dumps({"DeploymentStatus": status, **more}).encode()
    return send(desired["StatusUrl"], "PUT", body)[0]


def test_a_deployment_goes_from_building_to_the_cores_word(cloud: Cloud, gg: Any) -> None:
    group_id, version = group(cloud, [])
    status = deploy(cloud, group_id, version)
    assert status["DeploymentStatus"] == "InProgress", status
    desired = cloud.parts.deployments.desired("core1")
    assert desired is not None
    document = json.loads(send(desired["DocumentUrl"])[2])
    (arn,) = document["Artifacts"]
    assert f":/greengrass/groups/{group_id}/deployments/{status['DeploymentId']}/artifacts/lambda/" in arn
    file = document["Artifacts"][arn]
    code, headers, content = send(file["Url"])
    assert (code, len(content), headers["etag"]) == (200, file["Size"], f'"{file["Sha256"]}"')
    refusal = refused(gg.create_deployment, GroupId=group_id, GroupVersionId=version, DeploymentType="NewDeployment")
    assert refusal[1] == "ConcurrentDeployment"
    assert report(cloud, "InProgress") == 200
    details = [{"DetailedErrorCode": "E", "DetailedErrorMessage": "no group"}]
    assert report(cloud, "Failure", NotProven="no list") == 400
    more = {"Hint": "mend it", "Cause": "package", "NotProven": ["an owner"]}
    assert report(cloud, "Failure", ErrorMessage="it broke", ErrorDetails=details, **more) == 200
    ended = gg.get_deployment_status(GroupId=group_id, DeploymentId=status["DeploymentId"])
    assert (ended["DeploymentStatus"], ended["ErrorMessage"]) == ("Failure", "it broke")
    assert ended["ErrorDetails"] == details
    assert not {"Hint", "Cause", "NotProven"} & ended.keys(), "the API has no such members"
    advice = send(f"{cloud.http_url}/edge-sim/deployments/{status['DeploymentId']}")[2]
    assert json.loads(advice) == {"cause": "package", "hint": "mend it", "not_proven": ["an owner"]}
    assert cloud.parts.deployments.desired("core1") is None
    body = b'{"DeploymentStatus": "Success"}'
    assert send(desired["StatusUrl"], "PUT", body)[0] == 409
    assert send(desired["StatusUrl"], "PUT", b'{"DeploymentStatus": "Failure"}')[0] == 200
    assert send(desired["StatusUrl"], "PUT", b'{"DeploymentStatus": "Done"}')[0] == 400


def test_a_core_hears_of_its_deployment_over_mqtt(cloud: Cloud) -> None:
    prefix, parts = "$aws/things/core1-gda/shadow", urlsplit(cloud.mqtt_url)
    heard: queue.Queue[tuple[str, Any]] = queue.Queue()
    subscribed = threading.Event()
    module: Any = paho
    version = (module.CallbackAPIVersion.VERSION2,) if hasattr(module, "CallbackAPIVersion") else ()  # paho 2
    core = module.Client(*version, client_id="core1")
    core.on_subscribe = lambda *_: subscribed.set()
    core.on_message = lambda _c, _u, m: heard.put((m.topic, json.loads(m.payload)))
    core.connect(parts.hostname or "", parts.port or 0)
    core.subscribe([(f"{prefix}/update/delta", 1), (f"{prefix}/get/accepted", 1)])
    core.loop_start()
    try:
        assert subscribed.wait(WAIT_S)
        status = deploy(cloud, *group(cloud, []))
        topic, payload = heard.get(timeout=WAIT_S)
        assert topic == f"{prefix}/update/delta"
        assert payload["state"]["deployment"]["DeploymentId"] == status["DeploymentId"]
        core.publish(f"{prefix}/get", b"{}", qos=1)
        topic, payload = heard.get(timeout=WAIT_S)
        assert topic == f"{prefix}/get/accepted"
        deployment = payload["state"]["desired"]["deployment"]
        assert send(deployment["StatusUrl"], "PUT", b'{"DeploymentStatus": "Success"}')[0] == 200
        core.publish(f"{prefix}/get", b"{}", qos=1)
        assert heard.get(timeout=WAIT_S)[1]["state"]["desired"] == {}
    finally:
        core.disconnect()
        core.loop_stop()


def test_a_cloud_that_starts_again_tells_a_core_that_stayed_connected_what_to_do(tmp_path: Path) -> None:
    with start_embedded() as broker, Device(broker.url, "core1") as core:
        with Cloud(tmp_path / "state.db", broker=broker.url) as cloud:
            register_code(cloud, tmp_path)
            client(cloud, "iot").create_thing(thingName="core1")
            client(cloud, "iot").create_job(jobId="j", targets=[THING], document="{}")
            status = deploy(cloud, *group(cloud, []))
            before = [core.next()[0] for _ in range(3)]
        with Cloud(tmp_path / "state.db", broker=broker.url):
            after: dict[str, Any] = {}
            while not {"-gda/shadow/update/delta", "jobs/notify-next"} <= after.keys():
                topic, body = core.next()
                after[topic] = body
    assert sorted(before) == ["-gda/shadow/update/delta", "jobs/notify", "jobs/notify-next"]
    assert after["-gda/shadow/update/delta"]["state"]["deployment"]["DeploymentId"] == status["DeploymentId"]
    assert after["jobs/notify-next"]["execution"]["jobId"] == "j"


def test_a_deployment_costs_the_same_however_many_there_were(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(text: str) -> dict[str, Any]:
        read.append(text)
        body: dict[str, Any] = json.loads(text)
        return body

    group_id, version = group(cloud, [])
    with cloud.parts.store.transaction():
        for number in range(500):
            body = {"DeploymentId": f"d{number}", "DeploymentStatus": "Success", "DeploymentType": "NewDeployment"}
            more = {"GroupId": group_id, "GroupVersionId": version, "ThingName": "core1"}
            cloud.parts.store.put("deployments", f"{group_id}/{number}", body | more, parent=group_id)
    with monkeypatch.context() as counted:
        counted.setattr(store, "load", counting)
        deploy(cloud, group_id, version)
    assert 0 < len(read) < 100


def test_redeployment_and_both_resets(cloud: Cloud, gg: Any) -> None:
    group_id, version = group(cloud, [])
    first = deploy(cloud, group_id, version)
    assert report(cloud, "Success") == 200
    again = gg.create_deployment(GroupId=group_id, DeploymentId=first["DeploymentId"], DeploymentType="Redeployment")
    assert built(gg, group_id, again["DeploymentId"])["DeploymentStatus"] == "InProgress"
    assert report(cloud, "Success") == 200
    reset = gg.create_deployment(GroupId=group_id, DeploymentType="ResetDeployment")
    assert built(gg, group_id, reset["DeploymentId"])["DeploymentStatus"] == "InProgress"
    desired = cloud.parts.deployments.desired("core1")
    assert desired is not None
    document = json.loads(send(desired["DocumentUrl"])[2])
    assert document["Group"]["GroupDefinitions"]["Lambdas"]["Content"] == []
    forced = gg.create_deployment(GroupId=group_id, DeploymentType="ForceResetDeployment")
    assert built(gg, group_id, forced["DeploymentId"])["DeploymentStatus"] == "Success"
    stuck = gg.get_deployment_status(GroupId=group_id, DeploymentId=reset["DeploymentId"])
    assert stuck["DeploymentStatus"] == "Failure"
    assert report(cloud, "Success") == 200
    assert refused(gg.create_deployment, GroupId=group_id, DeploymentType="ResetDeployment")[0] == 404


def test_rules_of_the_deployment_fail_it_in_the_wrapper_of_aws(cloud: Cloud, gg: Any) -> None:
    device = EVERY_KIND[0]
    group_id, version = group(cloud, [device])
    status = deploy(cloud, group_id, version)
    assert status["DeploymentStatus"] == "Failure"
    assert status["ErrorMessage"] == (
        "We cannot deploy because the group definition is invalid or corrupted for the following reasons: "
        "{ErrorSet(errorSet=[ErrorModel(errorCode=RESOURCE_TYPE_UNEXPECTED_ERROR, errorMsg="
        f"Function {FUNCTION} refers to resource of type Local.Device that is not allowed in "
        "IsolationMode=NoContainer.)])}"
    )
    assert status["ErrorDetails"][0]["DetailedErrorCode"] == "RESOURCE_TYPE_UNEXPECTED_ERROR"
    hint = json.loads(send(f"{cloud.http_url}/edge-sim/deployments/{status['DeploymentId']}")[2])["hint"]
    assert hint == "Open the board's path directly, or run the function in a container."


def test_a_wrong_isolation_mode_is_the_deployments_affair(cloud: Cloud, gg: Any) -> None:
    default = {"Execution": {"IsolationMode": "Jail"}}
    functions = gg.create_function_definition(InitialVersion={"DefaultConfig": default, "Functions": []})
    core = {"Id": "core", "ThingArn": THING, "CertificateArn": CERTIFICATE}
    cores = gg.create_core_definition(InitialVersion={"Cores": [core]})
    arns = {
        "FunctionDefinitionVersionArn": functions["LatestVersionArn"],
        "CoreDefinitionVersionArn": cores["LatestVersionArn"],
    }
    made = gg.create_group(Name="g", InitialVersion=arns)
    status = deploy(cloud, made["Id"], made["LatestVersion"])
    assert status["DeploymentStatus"] == "Failure"
    assert "Your 'IsolationMode' configuration for the group is invalid." in status["ErrorMessage"]


def test_a_function_without_code_fails_the_deployment_by_name(cloud: Cloud) -> None:
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:unknown:7"
    status = deploy(cloud, *group(cloud, [], code=arn))
    assert status["DeploymentStatus"] == "Failure"
    assert f"Function {arn} has no code" in status["ErrorMessage"]


def update(gg: Any, **changes: Any) -> dict[str, Any]:
    given = {
        "S3UrlSignerRole": ROLE,
        "SoftwareToUpdate": "core",
        "UpdateTargets": [THING],
        "UpdateTargetsArchitecture": "armv6l",
        "UpdateTargetsOperatingSystem": "raspbian",
    }
    answer: dict[str, Any] = gg.create_software_update_job(**{**given, **changes})
    return answer


def put_build(cloud: Cloud, pair: str, version: str, content: bytes = b"build") -> tuple[int, str]:
    status, _, body = send(f"{cloud.http_url}/edge-sim/builds/core/{pair}/{version}", "PUT", content)
    return status, body.decode()


@pytest.mark.parametrize("system", ["ubuntu", "raspbian", "amazon_linux", "openwrt"])
@pytest.mark.parametrize("architecture", ["armv6l", "armv7l", "x86_64", "aarch64"])
def test_the_sixteen_pairs(cloud: Cloud, gg: Any, system: str, architecture: str) -> None:
    pair = {"UpdateTargetsArchitecture": architecture, "UpdateTargetsOperatingSystem": system}
    if (system, architecture) in UPDATE_TARGETS:
        assert put_build(cloud, f"{system}/{architecture}", "1.11.6")[0] == 200
        assert update(gg, **pair)["PlatformSoftwareVersion"] == "1.11.6"
    else:
        status, code, text = refused(update, gg=gg, **pair)
        assert (status, code) == (400, "BadRequestException")
        assert f"There is no Greengrass core software for {system} on {architecture}." in text
        assert put_build(cloud, f"{system}/{architecture}", "1.11.6")[0] == 400


def test_an_update_job_is_an_iot_job_with_a_presigned_build(cloud: Cloud, gg: Any) -> None:
    assert put_build(cloud, "raspbian/armv6l", "1.11.5", b"older")[0] == 200
    assert put_build(cloud, "raspbian/armv6l", "1.11.7", b"newer")[0] == 200
    made = update(gg, UpdateAgentLogLevel="DEBUG", AmznClientToken="update-once")
    assert update(gg, UpdateAgentLogLevel="DEBUG", AmznClientToken="update-once")["IotJobId"] == made["IotJobId"]
    assert made["PlatformSoftwareVersion"] == "1.11.7"
    job = client(cloud, "iot").describe_job(jobId=made["IotJobId"])["job"]
    assert (job["jobArn"], job["targetSelection"]) == (made["IotJobArn"], "SNAPSHOT")
    assert job["presignedUrlConfig"] == {"roleArn": ROLE, "expiresInSec": 3600}
    assert job["description"] == (
        "This job was created by Greengrass to update the Greengrass Cores in the targets with version 1.11.7 of the "
        "core software running on armv6l architecture."
    )
    data = client(cloud, "iot-jobs-data")
    execution = data.describe_job_execution(thingName="core1", jobId=made["IotJobId"])["execution"]
    document = json.loads(execution["jobDocument"])
    assert document["logLevel"] == "DEBUG"
    assert send(document["file"]["url"])[2] == b"newer"


def test_update_jobs_that_cannot_be(cloud: Cloud, gg: Any) -> None:
    status, code, text = refused(update, gg=gg, SoftwareToUpdate="ota_agent")
    assert (status, code) == (400, "BadRequestException")
    assert "no build of ota_agent for raspbian on armv6l" in text
    changes: tuple[dict[str, Any], ...] = (
        {"S3UrlSignerRole": "signer"},
        {"UpdateTargets": []},
        {"UpdateTargets": ["core1"]},
        {"UpdateTargets": [THING.replace("us-east-1", "eu-west-1")]},
        {"UpdateTargetsArchitecture": "mips"},
        {"UpdateAgentLogLevel": "LOUD"},
    )
    for change in changes:
        assert refused(update, gg=gg, **change)[:2] == (400, "BadRequestException"), change


def test_one_address_never_stands_for_two_builds(cloud: Cloud) -> None:
    assert put_build(cloud, "ubuntu/x86_64", "1.10.5", b"one")[0] == 200
    status, text = put_build(cloud, "amazon_linux/x86_64", "1.10.5", b"two")
    assert status == 400
    assert "registered for ubuntu with different content" in text
    assert put_build(cloud, "amazon_linux/x86_64", "1.10.5", b"one")[0] == 200


def test_the_exports_name_every_endpoint(cloud: Cloud) -> None:
    exports = cloud.exports()
    assert exports["AWS_ENDPOINT_URL_GREENGRASS"] == cloud.http_url
    assert exports["AWS_ENDPOINT_URL_S3"].startswith("http://127.0.0.1:")
    assert exports["AWS_DEFAULT_REGION"] == exports["AWS_REGION"] == "us-east-1"


def test_code_is_taken_when_it_is_registered(cloud: Cloud, tmp_path: Path) -> None:
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:frozen:1"
    (tmp_path / "a.py").write_text("A = 1\n")
    cloud.parts.functions.register({arn: {"path": str(tmp_path), "handler": "a.h", "runtime": "python3.8"}})
    before = cloud.parts.functions.get(arn)
    (tmp_path / "a.py").write_text("A = 2\n")
    assert cloud.parts.functions.get(arn) == before
