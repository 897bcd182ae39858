"""The eight verbs of every family of definitions and of groups, and tags, through unmodified boto3.

Where moto has the operation, whose texts were copied from the service, its answer is the oracle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from moto import mock_aws

from edge_sim.cloud.greengrass.api import VERBS
from edge_sim.cloud.greengrass.definitions import MAX_TAGS, PAGE
from edge_sim.cloud.greengrass.kinds import FAMILY_KINDS, GROUP, KINDS, Kind
from edge_sim.cloud.protocol import load_model
from edge_sim.cloud.server import Cloud
from tests.integration.cloud_client import ACCOUNT, CERTIFICATE, FUNCTION, THING, built, client, group, register_code

pytestmark = pytest.mark.network
NOBODY = "00000000-0000-4000-8000-000000000000"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CONNECTOR = "arn:aws:greengrass:us-east-1::/connectors/SNS/versions/1"
ITEMS: dict[str, dict[str, Any]] = {
    "Core": {"Id": "c", "ThingArn": THING, "CertificateArn": CERTIFICATE, "SyncShadow": True},
    "Device": {"Id": "d", "ThingArn": THING, "CertificateArn": CERTIFICATE, "SyncShadow": False},
    "Resource": {
        "Id": "r",
        "Name": "r",
        "ResourceDataContainer": {"LocalDeviceResourceData": {"SourcePath": "/dev/video0"}},
    },
    "Function": {"Id": "f", "FunctionArn": FUNCTION, "FunctionConfiguration": {"MemorySize": 16384, "Pinned": True}},
    "Logger": {"Id": "l", "Component": "Lambda", "Level": "INFO", "Space": 1024, "Type": "FileSystem"},
    "Subscription": {"Id": "s", "Source": "cloud", "Subject": "a/#", "Target": FUNCTION},
    "Connector": {"Id": "n", "ConnectorArn": CONNECTOR, "Parameters": {"DefaultSNSArn": "arn:x"}},
}
IN_MOTO = [kind for kind in KINDS if not kind.name.startswith(("Logger", "Connector"))]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud() as running:
        register_code(running, tmp_path_factory.mktemp("code"))
        yield running


@pytest.fixture(scope="module")
def gg(cloud: Cloud) -> Any:
    return client(cloud, "greengrass")


def version(kind: Kind) -> dict[str, Any]:
    """Return the content of a version with one item; a group's refers to nothing."""
    return {} if kind is GROUP else {kind.members[-1]: [ITEMS[kind.name.removesuffix("Definition")]]}


def call(client_: Any, verb: str, kind: Kind, **params: Any) -> dict[str, Any]:
    """Carry out a verb of ``VERBS`` and return the answer, without what HTTP adds."""
    answer: dict[str, Any] = getattr(client_, xform_name(verb.format(kind.name)))(**params)
    answer.pop("ResponseMetadata")
    return answer


def refused(client_: Any, verb: str, kind: Kind, **params: Any) -> tuple[int, str, str]:
    """Return status, code and message of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(client_, verb, kind, **params)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def items(client_: Any, verb: str, kind: Kind, **params: Any) -> list[dict[str, Any]]:
    """Return all items of a list, page by page."""
    pages = client_.get_paginator(xform_name(verb.format(kind.name))).paginate(**params)
    member = kind.listed if verb == "List{}s" else "Versions"
    return [item for page in pages for item in page[member]]


def test_all_56_operations_of_the_families_are_there() -> None:
    names = {verb.format(kind.name) for kind in FAMILY_KINDS.values() for verb in VERBS}
    assert len(names) == 56
    model = load_model("greengrass")
    api = {name for name in model.operation_names if re.search(r"Definition(Version)?s?$", name)}
    assert names == api
    assert {verb.format("Group") for verb in VERBS} <= set(model.operation_names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_verb(gg: Any, kind: Kind) -> None:
    content = version(kind)
    made = call(gg, "Create{}", kind, Name="first", InitialVersion=content, tags={"team": "vision"})
    id_ = {kind.id: made["Id"]}
    assert made["Arn"] == f"arn:aws:greengrass:us-east-1:{ACCOUNT}:/greengrass/{kind.path}/{made['Id']}"
    assert made["LatestVersionArn"] == f"{made['Arn']}/versions/{made['LatestVersion']}"
    assert TIME.fullmatch(made["CreationTimestamp"])
    assert call(gg, "Get{}", kind, **id_) == {**made, "tags": {"team": "vision"}}
    initial = call(gg, "Get{}Version", kind, **id_, **{kind.version_id: made["LatestVersion"]})
    assert initial["Definition"] == content
    second = call(gg, "Create{}Version", kind, **id_, **content)
    latest = call(gg, "Get{}", kind, **id_)
    assert (latest["LatestVersion"], latest["LatestVersionArn"]) == (second["Version"], second["Arn"])
    assert latest["LastUpdatedTimestamp"] == second["CreationTimestamp"] >= made["LastUpdatedTimestamp"]
    both = items(gg, "List{}Versions", kind, **id_)
    assert [one["Version"] for one in both] == [made["LatestVersion"], second["Version"]]
    assert both[1] == second
    assert call(gg, "Update{}", kind, Name="second", **id_) == {}
    (found,) = [one for one in items(gg, "List{}s", kind) if one["Id"] == made["Id"]]
    assert (found["Name"], found["LatestVersion"]) == ("second", second["Version"])
    assert found.get("Tags", {"team": "vision"}) == {"team": "vision"}
    assert call(gg, "Delete{}", kind, **id_) == {}
    assert refused(gg, "Get{}", kind, **id_)[:2] == (404, "IdNotFoundException")
    assert refused(gg, "Get{}Version", kind, **id_, **{kind.version_id: second["Version"]})[0] == 404
    assert made["Id"] not in [one["Id"] for one in items(gg, "List{}s", kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_list_comes_in_pages(gg: Any, kind: Kind) -> None:
    id_ = {kind.id: call(gg, "Create{}", kind, Name="n")["Id"]}
    made = [call(gg, "Create{}Version", kind, **id_)["Version"] for _ in range(5)]
    seen: list[str] = []
    token: dict[str, str] = {}
    for length in (2, 2, 1):
        page = call(gg, "List{}Versions", kind, MaxResults="2", **id_, **token)
        assert len(page["Versions"]) == length
        seen += [one["Version"] for one in page["Versions"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert seen == made
    assert not token
    for params in ({"MaxResults": "0"}, {"MaxResults": "many"}, {"NextToken": "mine"}):
        assert refused(gg, "List{}Versions", kind, **id_, **params)[:2] == (400, "BadRequestException")
        assert refused(gg, "List{}s", kind, **params)[:2] == (400, "BadRequestException")


def test_a_page_ends_somewhere_though_nobody_says_where(gg: Any) -> None:
    id_ = {GROUP.id: call(gg, "Create{}", GROUP, Name="n")["Id"]}
    made = [call(gg, "Create{}Version", GROUP, **id_)["Version"] for _ in range(PAGE + 1)]
    assert len(call(gg, "List{}Versions", GROUP, **id_)["Versions"]) == PAGE
    assert [one["Version"] for one in items(gg, "List{}Versions", GROUP, **id_)] == made


def test_what_is_deleted_between_two_pages_hides_nothing(gg: Any) -> None:
    kind = FAMILY_KINDS["loggers"]
    made = [call(gg, "Create{}", kind, Name="n")["Id"] for _ in range(4)]
    before = call(gg, "List{}s", kind, MaxResults="2")
    call(gg, "Delete{}", kind, **{kind.id: before["Definitions"][0]["Id"]})
    after = items(gg, "List{}s", kind, PaginationConfig={"StartingToken": before["NextToken"]})
    seen = [one["Id"] for one in (*before["Definitions"], *after)]
    assert [id_ for id_ in seen if id_ in made] == made


@pytest.mark.parametrize("kind", IN_MOTO, ids=lambda kind: kind.name)
def test_what_does_not_exist_has_the_service_s_words(gg: Any, kind: Kind) -> None:
    """moto looks for no parent of a core's version, and has no period after its text of GetCoreDefinition."""
    with mock_aws():
        moto = boto3.client("greengrass", "us-east-1", aws_access_key_id="a", aws_secret_access_key="a")
        mine = {kind.id: call(gg, "Create{}", kind, Name="n", InitialVersion={})["Id"]}
        theirs = {kind.id: call(moto, "Create{}", kind, Name="n", InitialVersion=version(kind))["Id"]}
        nobody, no_version = {kind.id: NOBODY}, {kind.version_id: NOBODY}
        for verb, more in (
            ("Get{}", {}),
            ("Update{}", {"Name": "x"}),
            ("Update{}", {"Name": ""}),
            ("Delete{}", {}),
            ("List{}Versions", {}),
            ("Get{}Version", no_version),
            ("Create{}Version", version(kind)),
        ):
            if (verb, kind.name) != ("Create{}Version", "CoreDefinition"):
                expected = refused(moto, verb, kind, **nobody, **more)
                status, code, text = refused(gg, verb, kind, **nobody, **more)
                assert (status, code, text.rstrip(".")) == (*expected[:2], expected[2].rstrip(".")), verb
        status, code, text = refused(moto, "Get{}Version", kind, **theirs, **no_version)
        text = text.replace(theirs[kind.id], mine[kind.id])
        assert refused(gg, "Get{}Version", kind, **mine, **no_version) == (status, code, text)
        assert refused(gg, "Update{}", kind, Name="", **mine) == refused(moto, "Update{}", kind, Name="", **theirs)


@pytest.mark.parametrize("kind", IN_MOTO, ids=lambda kind: kind.name)
def test_answers_have_the_members_that_the_service_s_had(gg: Any, kind: Kind) -> None:
    """moto has no tags."""

    def shapes(client_: Any) -> list[list[str]]:
        made = call(client_, "Create{}", kind, Name="n", InitialVersion=version(kind))
        id_ = {kind.id: made["Id"]}
        got = call(client_, "Get{}", kind, **id_)
        got.pop("tags", None)
        listed = next(one for one in items(client_, "List{}s", kind) if one["Id"] == made["Id"])
        answers = [
            made,
            got,
            listed,
            call(client_, "Create{}Version", kind, **id_, **version(kind)),
            call(client_, "Get{}Version", kind, **id_, **{kind.version_id: made["LatestVersion"]}),
            call(client_, "List{}Versions", kind, **id_)["Versions"][0],
            call(client_, "Update{}", kind, Name="x", **id_),
            call(client_, "Delete{}", kind, **id_),
        ]
        return [sorted(answer) for answer in answers]

    with mock_aws():
        moto = boto3.client("greengrass", "us-east-1", aws_access_key_id="a", aws_secret_access_key="a")
        assert shapes(gg) == shapes(moto)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_tags_are_set_changed_and_removed(gg: Any, kind: Kind) -> None:
    made = call(gg, "Create{}", kind, Name="n", tags={"a": "1", "b": "2"})
    arn = made["Arn"]
    answer = gg.tag_resource(ResourceArn=arn, tags={"b": "3", "c": ""})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert gg.list_tags_for_resource(ResourceArn=arn)["tags"] == {"a": "1", "b": "3", "c": ""}
    assert gg.untag_resource(ResourceArn=arn, TagKeys=["a", "gone"])["ResponseMetadata"]["HTTPStatusCode"] == 204
    found = call(gg, "Get{}", kind, **{kind.id: made["Id"]})
    assert found["tags"] == {"b": "3", "c": ""}
    assert found["LastUpdatedTimestamp"] == made["LastUpdatedTimestamp"]


def tag_refusal(gg: Any, arn: str, tags: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        gg.tag_resource(ResourceArn=arn, tags=tags)
    error = caught.value.response["Error"]
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], error["Code"]


def test_tags_that_cannot_be(gg: Any) -> None:
    made = gg.create_group(Name="n", tags={str(n): "" for n in range(MAX_TAGS)})
    arn = made["Arn"]
    gg.tag_resource(ResourceArn=arn, tags={"0": "again", "1": "v" * 256})
    refusals: tuple[dict[str, str], ...] = (
        {"one more": ""},
        {"aws:x": "1"},
        {"AWS:x": "1"},
        {"": "1"},
        {"k" * 129: "1"},
        {"0": "v" * 257},
        {"0": "a;b"},
    )
    for tags in refusals:
        assert tag_refusal(gg, arn, tags) == (400, "BadRequestException"), tags
        with pytest.raises(ClientError):
            gg.create_group(Name="n", tags={**{str(n): "" for n in range(MAX_TAGS)}, **tags})
    assert len(gg.list_tags_for_resource(ResourceArn=arn)["tags"]) == MAX_TAGS
    assert tag_refusal(gg, arn.replace(made["Id"], NOBODY), {"a": "1"}) == (404, "IdNotFoundException")
    for other in (f"{arn}/versions/{NOBODY}", arn.replace("us-east-1", "eu-west-1"), "arn:nothing"):
        assert tag_refusal(gg, other, {"a": "1"}) == (400, "BadRequestException"), other


def test_a_client_token_makes_every_create_safe_to_repeat(gg: Any) -> None:
    for kind in KINDS:
        once = call(gg, "Create{}", kind, Name="n", AmznClientToken="t")
        assert call(gg, "Create{}", kind, Name="n", AmznClientToken="t") == once
        added = call(gg, "Create{}Version", kind, AmznClientToken="t", **{kind.id: once["Id"]})
        assert call(gg, "Create{}Version", kind, AmznClientToken="t", **{kind.id: once["Id"]}) == added
        assert len(items(gg, "List{}Versions", kind, **{kind.id: once["Id"]})) == 1


def test_a_group_refers_to_definitions_of_every_family(gg: Any) -> None:
    made = {
        kind.reference: call(gg, "Create{}", kind, InitialVersion=version(kind))["LatestVersionArn"]
        for kind in FAMILY_KINDS.values()
    }
    group_ = gg.create_group(Name="g", InitialVersion=made)
    found = gg.get_group_version(GroupId=group_["Id"], GroupVersionId=group_["LatestVersion"])
    assert found["Definition"] == made
    wrong = dict.fromkeys(made, "arn:nothing")
    text = refused(gg, "Create{}", GROUP, Name="g", InitialVersion=wrong)[2]
    nouns = ("Cores", "Lambda", "Resource", "Devices", "Subscription", "Connector", "Logger")
    details = ", ".join(f"{noun} definition reference does not exist" for noun in nouns)
    assert text == f"The group is invalid or corrupted. (ErrorDetails: [{details}])"


@pytest.mark.parametrize(
    ("logs", "loggers"), [("AWSCloudWatch", ["the group's loggers are not simulated"]), ("FileSystem", [])]
)
def test_what_a_deployed_group_has_and_nobody_simulates_is_not_proven(
    cloud: Cloud, gg: Any, logs: str, loggers: list[str]
) -> None:
    """Nothing that a run shows depends on loggers for the board's own files."""
    group_id, version_id = group(cloud, [])
    definition = gg.get_group_version(GroupId=group_id, GroupVersionId=version_id)["Definition"]
    for word, changes in (("connectors", {}), ("loggers", {"Type": logs})):
        kind = FAMILY_KINDS[word]
        (member, (item,)) = next(iter(version(kind).items()))
        content = {member: [{**item, **changes}]}
        definition[kind.reference] = call(gg, "Create{}", kind, InitialVersion=content)["LatestVersionArn"]
    more = gg.create_group_version(GroupId=group_id, **definition)["Version"]
    made = gg.create_deployment(GroupId=group_id, GroupVersionId=more, DeploymentType="NewDeployment")["DeploymentId"]
    assert built(gg, group_id, made)["DeploymentStatus"] == "InProgress"
    deployments = cloud.parts.deployments
    deployments.report(made, {"DeploymentStatus": "Success", "NotProven": ["an owner"]})
    told = [*loggers, "the group's connectors are not simulated", "an owner"]
    assert deployments.advice(made)["not_proven"] == told


def test_a_deployment_says_what_was_deleted(cloud: Cloud, gg: Any) -> None:
    group_id, version_id = group(cloud, [])
    arn = gg.get_group_version(GroupId=group_id, GroupVersionId=version_id)["Definition"][
        "ResourceDefinitionVersionArn"
    ]
    gg.delete_resource_definition(ResourceDefinitionId=arn.split("/")[-3])
    made = gg.create_deployment(GroupId=group_id, GroupVersionId=version_id, DeploymentType="NewDeployment")
    status = built(gg, group_id, made["DeploymentId"])
    assert status["DeploymentStatus"] == "Failure"
    assert "Resource definition reference does not exist" in status["ErrorMessage"]


def test_a_deployed_group_is_reset_before_it_is_deleted(cloud: Cloud, gg: Any) -> None:
    group_id, version_id = group(cloud, [])
    made = gg.create_deployment(GroupId=group_id, GroupVersionId=version_id, DeploymentType="NewDeployment")
    built(gg, group_id, made["DeploymentId"])
    status, code, text = refused(gg, "Delete{}", GROUP, GroupId=group_id)
    assert (status, code) == (400, "BadRequestException")
    assert "reset" in text
    reset = gg.create_deployment(GroupId=group_id, DeploymentType="ForceResetDeployment")
    built(gg, group_id, reset["DeploymentId"])
    gg.delete_group(GroupId=group_id)
    assert refused(gg, "Get{}", GROUP, GroupId=group_id)[1] == "IdNotFoundException"


def test_what_is_there_outlives_a_restart(tmp_path: Any) -> None:
    kind = FAMILY_KINDS["connectors"]
    with Cloud(state=tmp_path / "state") as first:
        made = call(client(first, "greengrass"), "Create{}", kind, InitialVersion=version(kind), tags={"a": "1"})
    with Cloud(state=tmp_path / "state") as second:
        found = call(client(second, "greengrass"), "Get{}", kind, **{kind.id: made["Id"]})
        assert found == {**made, "tags": {"a": "1"}}
