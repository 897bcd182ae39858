from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.validate import ParamValidator

from edge_sim.cloud import shapes
from edge_sim.cloud.protocol import ApiError, Request, Service
from edge_sim.cloud.shapes import Reader, to_json
from tests.models import service_model

RESOURCES = "/greengrass/definition/resources"


def echo(model: str, operation: str, result: dict[str, Any] | None = None) -> tuple[Service, list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []

    def handle(params: dict[str, Any]) -> dict[str, Any]:
        seen.append(params)
        return result or {}

    return Service(model, {operation: handle}), seen


def ask(
    service: Service, method: str, path: str, body: object = None, **more: Any
) -> tuple[int, dict[str, Any], dict[str, str]]:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = service.answer(Request(method=method, path=path, body=data, **more))
    return answer.status, json.loads(answer.body or b"{}"), dict(answer.headers)


@pytest.mark.parametrize("name", ["greengrass", "iot", "iot-jobs-data"])
def test_every_shape_that_a_request_can_have_is_read(name: str) -> None:
    model = service_model(name)
    waiting = [model.operation_model(operation).input_shape for operation in model.operation_names]
    seen: set[str] = set()
    while waiting:
        shape = waiting.pop()
        if shape is None or shape.name in seen:
            continue
        seen.add(shape.name)
        Reader().value(shape, None, "it")  # complains at most
        waiting += [*getattr(shape, "members", {}).values()]
        waiting += [getattr(shape, part, None) for part in ("member", "key", "value")]
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"Name": 5}, "Name"),
        ({"Nmae": "x"}, "Nmae"),
        ({"InitialVersion": {"Resources": {}}}, "InitialVersion.Resources"),
        ({"InitialVersion": {"Resources": [{"Id": "a", "Name": "a"}]}}, "Resources[0].ResourceDataContainer"),
        ({"tags": {"a": 1}}, "tags.a"),
        ([], "not an object"),
    ],
)
def test_a_wrong_request_is_a_bad_request_that_names_the_place(body: object, place: str) -> None:
    service, seen = echo("greengrass", "CreateResourceDefinition")
    status, answer, headers = ask(service, "POST", RESOURCES, body)
    assert (status, headers["x-amzn-ErrorType"], seen) == (400, "BadRequestException", [])
    assert place in answer["Message"]


def test_all_faults_come_in_one_answer() -> None:
    service, _ = echo("greengrass", "CreateSoftwareUpdateJob")
    status, answer, _ = ask(service, "POST", "/greengrass/updates", {"SoftwareToUpdate": "kernel"})
    assert status == 400
    assert "5 validation errors detected" in answer["Message"]
    assert "[core, ota_agent]" in answer["Message"]


def test_a_null_member_is_an_absent_one() -> None:
    service, seen = echo("greengrass", "CreateResourceDefinition")
    assert ask(service, "POST", RESOURCES, {"Name": None, "tags": {"a": "b"}})[0] == 200
    assert seen == [{"tags": {"a": "b"}}]


def test_parameters_come_from_path_query_header_and_body() -> None:
    service, seen = echo("iot-jobs-data", "DescribeJobExecution")
    ask(service, "GET", "/things/core%3A1/jobs/%24next", query="includeJobDocument=false&executionNumber=3")
    assert seen == [{"thingName": "core:1", "jobId": "$next", "includeJobDocument": False, "executionNumber": 3}]
    service, seen = echo("greengrass", "CreateGroup")
    ask(service, "POST", "/greengrass/groups", {"Name": "g"}, headers={"x-amzn-client-token": "t"})
    assert seen == [{"Name": "g", "AmznClientToken": "t"}]


def test_a_literal_segment_beats_a_parameter() -> None:
    service = Service("greengrass")
    found = service.find("POST", "/greengrass/groups/g/deployments/$reset")
    assert found is not None
    assert found[0].name == "ResetDeployments"
    jobs = Service("iot-jobs-data").find("PUT", "/things/t/jobs/$next")
    assert jobs is not None
    assert jobs[0].name == "StartNextPendingJobExecution"


@pytest.mark.parametrize(
    "path",
    ["/", "/greengrass/nothing", "/greengrass/definition/resources/", "//greengrass/groups", "/greengrass/%ff/x", ""],
)
def test_an_unknown_path_is_404_in_json(path: str) -> None:
    status, answer, headers = ask(Service("greengrass"), "GET", path)
    assert (status, headers["x-amzn-ErrorType"]) == (404, "UnknownOperationException")
    assert answer["Message"]


def test_an_operation_without_a_handler_says_so() -> None:
    status, answer, _ = ask(Service("greengrass"), "GET", "/greengrass/groups")
    assert (status, answer["Message"]) == (501, "edge-sim does not implement ListGroups yet.")


def test_a_bug_in_a_handler_shows_nothing_of_itself() -> None:
    def broken(_params: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("/secret/path")

    service = Service("greengrass", {"CreateGroup": broken})
    status, answer, headers = ask(service, "POST", "/greengrass/groups", {"Name": "g"})
    assert (status, headers["x-amzn-ErrorType"]) == (500, "InternalServerErrorException")
    assert "secret" not in json.dumps(answer)


def test_the_status_of_a_modelled_error_is_the_models() -> None:
    def refuse(_params: dict[str, Any]) -> dict[str, Any]:
        raise ApiError("ResourceNotFoundException", "no such job")

    service = Service("iot", {"DescribeJob": refuse})
    status, answer, headers = ask(service, "GET", "/jobs/j1")
    assert (status, headers["x-amzn-ErrorType"], answer) == (
        404,
        "ResourceNotFoundException",
        {"message": "no such job"},
    )


def test_patterns_and_lengths_of_the_model_hold() -> None:
    service, seen = echo("iot", "DescribeJob")
    status, answer, _ = ask(service, "GET", "/jobs/bad%20id!")
    assert (status, seen) == (400, [])
    assert "regular expression pattern: [a-zA-Z0-9_-]+" in answer["message"]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[^\p{C}]+", ["text", "Grüße 日本", " "], ["", "a\nb", "\0", "\u200b", "\ud800", "\ue000", "\U0010ffff"]),
        (r"[\p{Upper}\p{Digit}_]+", ["A_1"], ["a", "É", "٣"]),
        (r"[\p{Graph}\x20]*", ["", "a b!"], ["é", "a\tb"]),
        (r"[^\p{Cntrl}]*", ["é"], ["\x7f", "\r"]),
        (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", ["Größe 3: a=b", "٣\u2003x"], ["a!", "a\nb", "{}"]),
    ],
)
def test_a_pattern_with_properties_is_checked_as_java_does(pattern: str, good: list[str], bad: list[str]) -> None:
    compiled = shapes._pattern(pattern)
    assert compiled is not None
    assert [text for text in good if not compiled.fullmatch(text)] == []
    assert [text for text in bad if compiled.fullmatch(text)] == []


@pytest.mark.parametrize("name", ["iot", "iot-jobs-data", "greengrass"])
def test_every_pattern_of_the_models_is_checked(name: str) -> None:
    model = Service(name).model
    patterns = {model.shape_for(shape).metadata.get("pattern") for shape in model.shape_names}
    assert all(shapes._pattern(pattern) is not None for pattern in patterns - {None})


def test_a_description_with_a_control_character_is_refused() -> None:
    service, seen = echo("iot", "CreateJob")
    body = b'{"targets": ["t"], "description": "two\\nlines"}'
    status, answer, _ = ask(service, "PUT", "/jobs/j", body)
    assert (status, seen) == (400, [])
    assert "at 'description' failed to satisfy constraint" in answer["message"]


def test_a_result_is_written_as_the_model_says() -> None:
    model = Service("iot").model
    when = datetime(2026, 11, 23, tzinfo=timezone.utc)
    shape = model.operation_model("DescribeJob").output_shape
    assert to_json(shape, {"job": {"jobId": "j", "createdAt": when, "comment": None}}) == {
        "job": {"jobId": "j", "createdAt": when.timestamp()}
    }
    with pytest.raises(KeyError):
        to_json(shape, {"jbo": {}})


def test_a_handler_for_an_operation_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(ValueError, match="CreateGruop"):
        Service("greengrass", {"CreateGruop": lambda _: {}})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Resources": []},
        {"Resources": [{"Id": "a", "Name": "b", "ResourceDataContainer": {}}]},
        {
            "Resources": [
                {"Id": "a", "Name": "b", "ResourceDataContainer": {"LocalDeviceResourceData": {"SourcePath": 1}}}
            ]
        },
        {"Resources": [{"Id": "a", "ResourceDataContainer": {}}]},
        {"Resources": [{"Id": "a", "Name": "b", "ResourceDataContainer": {}, "X": 1}]},
        {"Resources": "x"},
    ],
)
def test_what_passes_here_is_what_botocore_lets_pass(body: dict[str, Any]) -> None:
    shape = Service("greengrass").model.shape_for("ResourceDefinitionVersion")
    reader = Reader()
    reader.value(shape, body, "body")
    assert bool(reader.problems) == ParamValidator().validate(body, shape).has_errors()
