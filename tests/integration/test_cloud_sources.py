"""Sources: what is copied, and what is missing."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cloud.server import Cloud
from edge_sim.cloud.sources import make_client
from edge_sim.errors import InvalidDefinitionError
from tests.integration.cloud_client import ACCOUNT, SECRET, deploy, finish, group, register_code, s3_model, secret, send

pytestmark = pytest.mark.network
URI = "s3://greengrass-models/digits/model.tar.gz"
JOB = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/digits"
CANARY = "canary-c0ffee-value"


def sagemaker_model(arn: str = JOB) -> dict[str, Any]:
    owner = {"GroupOwner": "video", "GroupPermission": "rw"}
    data = {"SageMakerJobArn": arn, "DestinationPath": "/models/job", "OwnerSetting": owner}
    return {"Id": "job", "Name": "job", "ResourceDataContainer": {"SageMakerMachineLearningModelResourceData": data}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "digits").mkdir()
    (folder / "digits" / "weights.json").write_text("[1, 2, 3]")
    return folder


@pytest.fixture(scope="module")
def cloud(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud() as running:
        register_code(running, tmp_path_factory.mktemp("code"))
        entries: list[dict[str, Any]] = [
            {"uri": URI, "path": str(model)},
            {"uri": JOB, "path": str(model), "format": "zip"},
            {"uri": SECRET, "secret": {"SecretString": CANARY, "Stages": {"OLD": f"{CANARY}-old"}}},
        ]
        body = json.dumps(entries).encode()
        assert send(f"{running.http_url}/edge-sim/sources", "PUT", body)[0] == 200
        yield running


def test_models_arrive_packed_as_asked_and_secrets_by_an_address_of_their_own(cloud: Cloud) -> None:
    group_id, version = group(cloud, [s3_model(URI), sagemaker_model(), secret(labels=("OLD",))])
    status = deploy(cloud, group_id, version)
    assert status["DeploymentStatus"] == "InProgress", status
    desired = cloud.parts.deployments.desired("core1")
    assert desired is not None
    url = json.loads(send(desired["DocumentUrl"])[2])["Secrets"]["secret"]["Url"]
    secret_ = json.loads(send(url)[2])
    assert (secret_["ARN"], secret_["Name"]) == (SECRET, "greengrass-db")
    values = {tuple(v["VersionStages"]): v["SecretString"] for v in secret_["Versions"]}
    assert values == {("AWSCURRENT",): CANARY, ("OLD",): f"{CANARY}-old"}
    assert send(url.replace("Signature=", "Signature=0"))[0] == 403
    assert send(url.replace("/secrets/0", "/secrets/1"))[0] == 403
    document = finish(cloud)
    assert CANARY not in json.dumps(document)
    assert send(url)[0] == 404, "once the deployment has ended there is nothing more to fetch"
    models = {r["Id"]: r for r in document["Group"]["GroupDefinitions"]["Resources"]["Content"]}
    tar = send(document["Artifacts"][models["model"]["ArtifactArn"]]["Url"])[2]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames() == ["digits", "digits/weights.json"]
    zipped = send(document["Artifacts"][models["job"]["ArtifactArn"]]["Url"])[2]
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive_:
        assert archive_.read("digits/weights.json") == b"[1, 2, 3]"
    again = deploy(cloud, group_id, version)
    assert again["DeploymentStatus"] == "InProgress"
    second = {r["Id"]: r for r in finish(cloud)["Group"]["GroupDefinitions"]["Resources"]["Content"]}
    ids = [found["model"]["ArtifactArn"].rsplit("/", 1)[-1] for found in (models, second)]
    assert ids[0] == ids[1]
    assert models["model"]["ArtifactArn"] != second["model"]["ArtifactArn"]


@pytest.mark.parametrize("key", ["model#2.tar.gz", "100%25?.tar.gz", "a b.tar.gz"])
def test_a_key_is_taken_as_it_is_written(cloud: Cloud, model: Path, key: str) -> None:
    uri = f"s3://greengrass-models/{key}"
    cloud.load_sources([{"uri": uri, "path": str(model)}])
    assert deploy(cloud, *group(cloud, [s3_model(uri)]))["DeploymentStatus"] == "InProgress"
    finish(cloud)


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (s3_model("s3://greengrass-models/none.tar.gz"), "refers to a resource model with nonexistent S3 object"),
        (s3_model("s3://no-such-bucket/m.tar.gz"), "refers to a resource model with nonexistent S3 object"),
        (sagemaker_model(JOB + "x"), "the training job"),
        (secret(SECRET.replace("db", "none")), "does not exist"),
        (secret(labels=("NEVER",)), "has no version labelled NEVER"),
    ],
)
def test_what_is_missing_fails_the_deployment_by_name(cloud: Cloud, resource: dict[str, Any], text: str) -> None:
    status = deploy(cloud, *group(cloud, [resource]))
    assert status["DeploymentStatus"] == "Failure"
    assert text in status["ErrorMessage"]
    assert status["ErrorMessage"].startswith("We cannot deploy because the group definition is invalid or corrupted")


def test_all_missing_sources_are_named_at_once(cloud: Cloud) -> None:
    status = deploy(cloud, *group(cloud, [s3_model("s3://no-such-bucket/m.tar.gz"), sagemaker_model(JOB + "x")]))
    assert len(status["ErrorDetails"]) == 2


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            {"uri": "s3://bucket/k.tar.gz", "path": "/no/such/place"},
            "s3://bucket/k.tar.gz: /no/such/place does not exist",
        ),
        ({"uri": "s3://bucket/k.zip", "path": "/dev/zero"}, "/dev/zero is neither a file nor a folder"),
        ({"uri": "s3://bucket/k.bin", "path": "/"}, "format must be tar.gz or zip"),
        ({"uri": "s3://bucket/k.zip", "path": "/", "format": "rar"}, "not rar"),
        ({"uri": SECRET}, "needs a secret"),
        ({"uri": SECRET, "secret": {"SecretString": 5}}, "needs a secret"),
        ({}, "not the address of a source"),
    ],
)
def test_a_source_that_cannot_be_loaded_is_named(cloud: Cloud, entry: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=text):
        cloud.load_sources([entry])


def test_a_deployment_has_the_versions_that_were_current_when_it_was_built(cloud: Cloud) -> None:
    arn = SECRET.replace("db", "rotated")
    cloud.load_sources([{"uri": arn, "secret": {"SecretString": "before"}}])
    assert deploy(cloud, *group(cloud, [secret(arn)]))["DeploymentStatus"] == "InProgress"
    url = cloud.parts.deployments.desired("core1")
    assert url is not None
    rotated = make_client("secretsmanager", "us-east-1", cloud.exports()["AWS_ENDPOINT_URL_S3"])
    rotated.put_secret_value(SecretId=arn, SecretString="after")
    place = json.loads(send(url["DocumentUrl"])[2])["Secrets"]["secret"]["Url"]
    assert [v["SecretString"] for v in json.loads(send(place)[2])["Versions"]] == ["before"]
    finish(cloud)


def test_another_endpoint_that_is_down_fails_the_deployment(tmp_path: Path) -> None:
    with Cloud(sources="http://127.0.0.1:9") as cloud:
        register_code(cloud, tmp_path)
        status = deploy(cloud, *group(cloud, [s3_model(URI)]))
        assert status["DeploymentStatus"] == "Failure"
        assert "Artifact download retry exceeded the max retries" in status["ErrorMessage"]
        with pytest.raises(InvalidDefinitionError, match="built-in server"):
            cloud.load_sources([])
        assert "AWS_ENDPOINT_URL_S3" not in cloud.exports()


def test_a_server_of_somebody_else_is_used_through_its_address(cloud: Cloud, tmp_path: Path) -> None:
    with Cloud(sources=cloud.exports()["AWS_ENDPOINT_URL_S3"]) as other:
        register_code(other, tmp_path)
        status = deploy(other, *group(other, [s3_model(URI), sagemaker_model(), secret()]))
        assert status["DeploymentStatus"] == "InProgress", status
