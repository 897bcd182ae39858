"""IoT's certificates and policies as boto3 uses them, and what they do to connections and to HTTPS."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.x509.oid import NameOID

from edge_sim.cloud.brokers import packets
from tests import needs
from tests.integration.cloud_client import FUNCTION, SECRET, built, s3_model, secret
from tests.integration.tls_cloud import LIMIT_S, Credentials, World, tls_cloud

pytestmark = [pytest.mark.network, pytest.mark.process, needs.program("mosquitto"), needs.program("openssl")]
ARN = "arn:aws:iot:us-east-1:123456789012:"
CONNECT = {"Action": "iot:Connect", "Resource": "*"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with tls_cloud(tmp_path_factory.mktemp("tls")) as found:
        yield found


def refusal(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failed:
        call(**params)
    error = failed.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_certificate_lives_from_creation_to_deletion(world: World) -> None:
    iot = world.iot
    made = iot.create_keys_and_certificate()
    found = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert (found["status"], found["certificatePem"]) == ("INACTIVE", made["certificatePem"])
    assert found["certificateArn"] == f"{ARN}cert/{made['certificateId']}"
    assert found["validity"]["notAfter"].year == 2049
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert common_name(certificate) == made["certificateId"]
    ids = [
        one["certificateId"]
        for page in iot.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 1})
        for one in page["certificates"]
    ]
    assert ids.count(made["certificateId"]) == 1
    iot.update_certificate(certificateId=made["certificateId"], newStatus="ACTIVE")
    assert refusal(iot.delete_certificate, certificateId=made["certificateId"])[0] == "CertificateStateException"
    iot.update_certificate(certificateId=made["certificateId"], newStatus="REVOKED")
    again = {"certificateId": made["certificateId"], "newStatus": "ACTIVE"}
    assert refusal(iot.update_certificate, **again)[0] == "CertificateStateException"
    iot.create_thing(thingName="owner")
    iot.attach_thing_principal(thingName="owner", principal=made["certificateArn"])
    assert iot.list_principal_things(principal=made["certificateArn"])["things"] == ["owner"]
    assert iot.list_thing_principals(thingName="owner")["principals"] == [made["certificateArn"]]
    assert refusal(iot.delete_certificate, certificateId=made["certificateId"])[0] == "DeleteConflictException"
    iot.detach_thing_principal(thingName="owner", principal=made["certificateArn"])
    iot.delete_certificate(certificateId=made["certificateId"])
    assert refusal(iot.describe_certificate, certificateId=made["certificateId"])[0] == "ResourceNotFoundException"


def test_a_signing_request_gives_its_key_and_nothing_else(world: World, tmp_path: Path) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(tmp_path / "key")]
    argv = ["openssl", "req", "-new", *key, "-subj", "/CN=another-thing", "-out", str(tmp_path / "csr")]
    argv += ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "subjectAltName=DNS:cloud"]
    subprocess.run(argv, check=True, capture_output=True, timeout=LIMIT_S)
    request = (tmp_path / "csr").read_text()
    made = world.iot.create_certificate_from_csr(certificateSigningRequest=request, setAsActive=True)
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert common_name(certificate) == made["certificateId"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    lines = request.splitlines()
    lines[3] = lines[3][::-1]
    for wrong in ("no PEM", "\n".join(lines)):
        code, text = refusal(world.iot.create_certificate_from_csr, certificateSigningRequest=wrong)
        assert (code, text[:48]) == ("InvalidRequestException", "The certificate signing request cannot be signed")


def test_policies_have_versions_and_targets(world: World) -> None:
    iot, document = world.iot, json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **CONNECT}]})
    iot.create_policy(policyName="p", policyDocument=document)
    assert refusal(iot.create_policy, policyName="p", policyDocument=document)[0] == "ResourceAlreadyExistsException"
    assert refusal(iot.create_policy, policyName="q", policyDocument="{}")[0] == "MalformedPolicyException"
    for number in "2345":
        made = iot.create_policy_version(policyName="p", policyDocument=document, setAsDefault=number == "3")
        assert (made["policyVersionId"], made["isDefaultVersion"]) == (number, number == "3")
    call = {"policyName": "p", "policyDocument": document}
    assert refusal(iot.create_policy_version, **call)[0] == "VersionsLimitExceededException"
    assert iot.get_policy(policyName="p")["defaultVersionId"] == "3"
    listed = {
        one["versionId"]: one["isDefaultVersion"] for one in iot.list_policy_versions(policyName="p")["policyVersions"]
    }
    assert listed == {"5": False, "4": False, "3": True, "2": False, "1": False}
    assert refusal(iot.delete_policy_version, policyName="p", policyVersionId="3")[0] == "DeleteConflictException"
    assert iot.get_policy_version(policyName="p", policyVersionId="5")["policyDocument"] == document
    target = iot.create_keys_and_certificate()
    iot.attach_policy(policyName="p", target=target["certificateArn"])
    assert iot.list_targets_for_policy(policyName="p")["targets"] == [target["certificateArn"]]
    assert iot.list_policy_principals(policyName="p")["principals"] == [target["certificateArn"]]
    assert [
        one["policyName"] for one in iot.list_principal_policies(principal=target["certificateArn"])["policies"]
    ] == ["p"]
    assert refusal(iot.delete_policy, policyName="p")[0] == "DeleteConflictException"
    assert refusal(iot.delete_certificate, certificateId=target["certificateId"])[0] == "DeleteConflictException"
    iot.delete_certificate(certificateId=target["certificateId"], forceDelete=True)
    for number in "1245":
        iot.delete_policy_version(policyName="p", policyVersionId=number)
    iot.delete_policy(policyName="p")
    assert "p" not in [one["policyName"] for one in iot.list_policies()["policies"]]


def test_what_cannot_be_enforced_is_not_attached(world: World) -> None:
    world.policy("by-address", {**CONNECT, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
    target = world.iot.create_keys_and_certificate()["certificateArn"]
    code, text = refusal(world.iot.attach_policy, policyName="by-address", target=target)
    assert code == "InvalidRequestException"
    assert "cannot enforce the condition IpAddress of the policy by-address (version 1)" in text
    assert world.iot.list_attached_policies(target=target)["policies"] == []
    world.policy("plain", CONNECT)
    world.iot.attach_policy(policyName="plain", target=target)
    wrong = world.iot.get_policy(policyName="by-address")["policyDocument"]
    call = {"policyName": "plain", "policyDocument": wrong, "setAsDefault": True}
    assert refusal(world.iot.create_policy_version, **call)[0] == "InvalidRequestException"
    assert len(world.iot.list_policy_versions(policyName="plain")["policyVersions"]) == 1


def test_a_change_acts_at_once(world: World) -> None:
    topic = {"Action": ["iot:Publish", "iot:Receive"], "Resource": f"{ARN}topic/room/${{iot:ClientId}}/*"}
    names = [
        world.policy("connect", {"Action": "iot:Connect", "Resource": f"{ARN}client/sensor-*"}),
        world.policy("talk", topic, {"Action": "iot:Subscribe", "Resource": f"{ARN}topicfilter/room/*"}),
    ]
    shown = world.certificate("sensor", *names)
    with world.raw(shown, "other") as raw:
        assert raw.read() == (packets.CONNACK, b"\0\5")
    with world.raw(shown, "sensor-1") as one, world.raw(shown, "sensor-2") as two:
        assert one.connected()
        assert two.connected()
        one.subscribe("room/#")
        assert one.read() == (packets.SUBACK, b"\0\1\1")
        two.publish("room/sensor-2/t", b"20")  # one is subscribed, and may not receive it
        assert two.read() == (packets.PUBACK, b"\0\1")
        one.publish("room/sensor-1/t", b"21")
        came = [one.read(), one.read()]
        assert (packets.PUBACK, b"\0\1") in came
        assert any(found and found[1].endswith(b"21") for found in came)
        world.iot.detach_policy(policyName="talk", target=shown.arn)
        one.publish("room/sensor-1/t", b"22")
        assert one.read() is None
        world.iot.detach_policy(policyName="connect", target=shown.arn)
        assert two.read() is None
    world.iot.attach_policy(policyName="connect", target=shown.arn)
    with world.raw(shown, "sensor-1") as one:
        assert one.connected()
        world.iot.update_certificate(certificateId=shown.id, newStatus="INACTIVE")
        assert one.read() is None
    with world.raw(shown, "sensor-1") as one:
        assert one.read() == (packets.CONNACK, b"\0\5")
    world.iot.update_certificate(certificateId=shown.id, newStatus="ACTIVE")
    with world.raw(shown, "sensor-1") as one:
        assert one.connected()


def test_another_things_jobs_documents_artifacts_and_secrets_are_refused(world: World) -> None:
    mine, other = world.thing("core1"), world.thing("core2")
    job_arn = world.iot.describe_thing(thingName="core1")["thingArn"]
    world.iot.create_job(jobId="j", targets=[job_arn], document="{}")
    base = world.cloud.http_url
    for shown, status in ((mine, 200), (other, 403), (None, 403)):
        assert ask(world, shown, "GET", f"{base}/things/core1/jobs")[0] == status
        assert ask(world, shown, "GET", f"{base}/things/core1/jobs/%24next")[0] == status
        assert ask(world, shown, "POST", f"{base}/things/core1/jobs/j", b'{"status":"IN_PROGRESS"}')[0] == status
        assert ask(world, shown, "PUT", f"{base}/things/core1/jobs/$next", b"{}")[0] == status
        assert ask(world, shown, "GET", f"{base}/edge-sim/health")[0] == 403
        assert ask(world, shown, "GET", f"{base}/greengrass/groups")[0] == 403
    group_id, deployment = deploy(world)
    desired = world.cloud.parts.deployments.desired("core1")
    assert desired is not None
    status, body = ask(world, mine, "GET", desired["DocumentUrl"])
    assert status == 200
    document = json.loads(body)
    (secret_url,) = [one["Url"] for one in document["Secrets"].values()]
    artifact_urls = [one["Url"] for one in document["Artifacts"].values()]
    assert len(artifact_urls) == 2
    report = b'{"DeploymentStatus":"Success"}'
    for url in (desired["DocumentUrl"], secret_url, *artifact_urls):
        assert [ask(world, shown, "GET", url)[0] for shown in (mine, other, None)] == [200, 403, 403]
        renamed = url.replace("/core1?", "/core2?")
        assert renamed == url or ask(world, other, "GET", renamed)[0] == 403  # the signature covers the thing
    assert [ask(world, shown, "PUT", desired["StatusUrl"], report)[0] for shown in (other, None, mine)] == [
        403,
        403,
        200,
    ]
    gg = world.client("greengrass")
    assert gg.get_deployment_status(GroupId=group_id, DeploymentId=deployment)["DeploymentStatus"] == "Success"
    with world.raw(mine, "core1") as raw:  # its group's subscriptions, and nothing beyond
        assert raw.connected()
        raw.subscribe("city/+/lights")
        assert raw.read() == (packets.SUBACK, b"\0\1\1")
        raw.publish("city/hall/level", b"1")
        assert raw.read() == (packets.PUBACK, b"\0\1")
        raw.publish("city/hall/lights", b"1")
        assert raw.read() is None
    with world.raw(other, "core2") as raw:
        assert raw.connected()
        raw.subscribe("city/+/lights")
        assert raw.read() is None


def test_an_object_that_a_job_names_is_the_things_alone(world: World) -> None:
    mine, other = world.thing("camera1"), world.thing("camera2")
    (world.folder / "update").write_bytes(b"an update")
    world.cloud.load_sources([{"uri": "s3://updates/new/a ü+1%2F.tar.gz", "path": str(world.folder / "update")}])
    names = {"there": "new/a%20%C3%BC%2B1%252F.tar.gz", "missing": "new/missing"}
    marks = {
        key: f"${{aws:iot:s3-presigned-url:https://updates.s3.amazonaws.com/{key_}}}" for key, key_ in names.items()
    }
    world.iot.create_job(
        jobId="of-an-object",
        targets=[world.iot.describe_thing(thingName="camera1")["thingArn"]],
        document=json.dumps(marks),
        presignedUrlConfig={"roleArn": "arn:aws:iam::123456789012:role/r", "expiresInSec": 60},
    )
    body = ask(world, mine, "GET", f"{world.cloud.http_url}/things/camera1/jobs/$next")[1]
    urls = json.loads(json.loads(body)["execution"]["jobDocument"])
    assert urls["there"].startswith(f"{world.cloud.http_url}/artifacts/s3/camera1/updates/new/a%20")
    answers = [ask(world, shown, "GET", urls["there"]) for shown in (mine, other, None)]
    assert [status for status, _ in answers] == [200, 403, 403]
    assert answers[0][1] == b"an update"
    assert ask(world, other, "GET", urls["there"].replace("/camera1/", "/camera2/"))[0] == 403
    assert ask(world, mine, "GET", urls["missing"])[0] == 404


def deploy(world: World) -> tuple[str, str]:
    """Deploy a group with a model, a secret and subscriptions to core1; return the ids of group and deployment."""
    (world.folder / "weights").write_text("w")
    with tarfile.open(world.folder / "m.tar.gz", "w:gz") as archive:
        archive.add(world.folder / "weights", "weights")
    (world.folder / "code").mkdir()
    (world.folder / "code" / "handler.py").write_text("def handler(event, context):\n    return 1\n")
    world.cloud.load_sources(
        [
            {"uri": "s3://models/m.tar.gz", "path": str(world.folder / "m.tar.gz")},
            {"uri": SECRET, "secret": {"SecretString": "hush"}},
        ]
    )
    code = {"path": str(world.folder / "code"), "handler": "handler.handler", "runtime": "python3.8"}
    world.cloud.parts.functions.register({FUNCTION: code})
    gg = world.client("greengrass")
    resources = [s3_model("s3://models/m.tar.gz"), secret()]
    access = [{"ResourceId": "model"}, {"ResourceId": "secret", "Permission": "ro"}]
    environment = {"Execution": {"IsolationMode": "NoContainer"}, "ResourceAccessPolicies": access}
    function = {"Id": "f", "FunctionArn": FUNCTION, "FunctionConfiguration": {"Timeout": 3, "Environment": environment}}
    core = {"Id": "c", "ThingArn": f"{ARN}thing/core1", "CertificateArn": f"{ARN}cert/{'a' * 64}"}
    subscriptions = [
        {"Id": "s1", "Source": "cloud", "Subject": "city/+/lights", "Target": FUNCTION},
        {"Id": "s2", "Source": FUNCTION, "Subject": "city/+/level", "Target": "cloud"},
    ]
    made = {
        "Resource": gg.create_resource_definition(InitialVersion={"Resources": resources}),
        "Function": gg.create_function_definition(InitialVersion={"Functions": [function]}),
        "Core": gg.create_core_definition(InitialVersion={"Cores": [core]}),
        "Subscription": gg.create_subscription_definition(InitialVersion={"Subscriptions": subscriptions}),
    }
    version = {f"{family}DefinitionVersionArn": one["LatestVersionArn"] for family, one in made.items()}
    group = gg.create_group(Name="g", InitialVersion=version)
    call = {"GroupId": group["Id"], "GroupVersionId": group["LatestVersion"], "DeploymentType": "NewDeployment"}
    deployment: str = gg.create_deployment(**call)["DeploymentId"]
    status = built(gg, group["Id"], deployment)
    assert status["DeploymentStatus"] == "InProgress", status
    return group["Id"], deployment


def ask(world: World, shown: Credentials | None, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request with a client certificate; return status and body."""
    parts = urlsplit(url)
    context: ssl.SSLContext = world.context(shown)
    connection = http.client.HTTPSConnection(parts.netloc, context=context, timeout=LIMIT_S)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def common_name(certificate: x509.Certificate) -> str:
    (found,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found.value)
