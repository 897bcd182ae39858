"""What the cloud's tests share: a running cloud, unmodified boto3 clients, raw HTTP, a group to deploy."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from edge_sim.cloud.server import REGION, Cloud

ACCOUNT = "123456789012"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:greengrass-db-AbCdEf"
THING = f"arn:aws:iot:us-east-1:{ACCOUNT}:thing/core1"
CERTIFICATE = f"arn:aws:iot:us-east-1:{ACCOUNT}:cert/{'a' * 64}"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:classify:1"
WAIT_S = 60.0


def client(cloud: Cloud, service: str) -> Any:
    """Return a boto3 client as a user has one: only the endpoint is ours."""
    return _client(cloud.http_url, REGION, service)


@lru_cache(maxsize=64)
def _client(url: str, region: str, service: str) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def s3_model(uri: str, id_: str = "model") -> dict[str, Any]:
    owner = {"GroupOwner": "1001", "GroupPermission": "ro"}
    data = {"S3Uri": uri, "DestinationPath": f"/models/{id_}", "OwnerSetting": owner}
    return {"Id": id_, "Name": id_, "ResourceDataContainer": {"S3MachineLearningModelResourceData": data}}


def group(cloud: Cloud, resources: list[dict[str, Any]], *, code: str = FUNCTION) -> tuple[str, str]:
    """Create a group with one core and one No-container function attached to every resource."""
    gg = client(cloud, "greengrass")
    made = gg.create_resource_definition(InitialVersion={"Resources": resources})
    policies = [
        {"ResourceId": r["Id"], **({"Permission": "ro"} if "Secret" in str(r["ResourceDataContainer"]) else {})}
        for r in resources
    ]
    environment = {"Execution": {"IsolationMode": "NoContainer"}, "ResourceAccessPolicies": policies}
    function = {"Id": "f", "FunctionArn": code, "FunctionConfiguration": {"Timeout": 3, "Environment": environment}}
    functions = gg.create_function_definition(InitialVersion={"Functions": [function]})
    core = {"Id": "core", "ThingArn": THING, "CertificateArn": CERTIFICATE}
    cores = gg.create_core_definition(InitialVersion={"Cores": [core]})
    version = {
        "ResourceDefinitionVersionArn": made["LatestVersionArn"],
        "FunctionDefinitionVersionArn": functions["LatestVersionArn"],
        "CoreDefinitionVersionArn": cores["LatestVersionArn"],
    }
    found = gg.create_group(Name="g", InitialVersion=version)
    return found["Id"], found["LatestVersion"]


def deploy(cloud: Cloud, group_id: str, version: str, type_: str = "NewDeployment") -> dict[str, Any]:
    """Deploy and return the status once Building is over, with the deployment's id added."""
    gg = client(cloud, "greengrass")
    made = gg.create_deployment(GroupId=group_id, GroupVersionId=version, DeploymentType=type_)
    return {**built(gg, group_id, made["DeploymentId"]), "DeploymentId": made["DeploymentId"]}


def built(gg: Any, group_id: str, deployment_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        status: dict[str, Any] = gg.get_deployment_status(GroupId=group_id, DeploymentId=deployment_id)
        if status["DeploymentStatus"] != "Building":
            return status
        time.sleep(0.02)
    raise AssertionError(f"deployment {deployment_id} is still Building")


def register_code(cloud: Cloud, folder: Path) -> None:
    (folder / "handler.py").write_text("def handler(event, context):\n    return 1\n")
    code = {"path": str(folder), "handler": "handler.handler", "runtime": "python3.8"}
    cloud.parts.functions.register({FUNCTION: code})


def send(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send one raw request; return status, headers (lower case) and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=WAIT_S)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    given = {"Content-Type": "application/json", **(headers or {})} if body is not None else dict(headers or {})
    try:
        connection.request(method, target, body=body, headers=given)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def message(body: bytes) -> str:
    """Return the message of a JSON error."""
    parsed = json.loads(body)
    return str(parsed.get("Message") or parsed.get("message"))


def secret(arn: str = SECRET, labels: tuple[str, ...] = ()) -> dict[str, Any]:
    data = {"ARN": arn, "AdditionalStagingLabelsToDownload": list(labels)}
    return {"Id": "secret", "Name": "secret", "ResourceDataContainer": {"SecretsManagerSecretResourceData": data}}


def finish(cloud: Cloud) -> dict[str, Any]:
    """Return the deployment document as the core would get it, and let the deployment end."""
    desired = cloud.parts.deployments.desired("core1")
    assert desired is not None
    document: dict[str, Any] = json.loads(send(desired["DocumentUrl"])[2])
    assert send(desired["StatusUrl"], "PUT", b'{"DeploymentStatus": "Success"}')[0] == 200
    return document
