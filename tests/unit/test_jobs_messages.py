"""Topics, strict JSON, and bytes ↔ values of everything on the jobs topics."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sim.jobs import messages, requests, shadow, topics, wire
from edge_sim.jobs.messages import (
    ExecutionReply,
    ExecutionsChanged,
    ExecutionState,
    JobExecutionData,
    PendingReply,
    Rejected,
    Summary,
    UpdateReply,
)
from edge_sim.jobs.requests import Describe, GetPending, StartNext, Update
from edge_sim.jobs.topics import Reply, Request
from edge_sim.jobs.wire import JobsError

P = "$aws/things/board-1/jobs"

TOPICS = [
    (f"{P}/get", Request(thing="board-1", call="get-pending")),
    (f"{P}/start-next", Request(thing="board-1", call="start-next")),
    (f"{P}/$next/get", Request(thing="board-1", call="describe", job_id="$next")),
    (f"{P}/job_1/get", Request(thing="board-1", call="describe", job_id="job_1")),
    (f"{P}/job_1/update", Request(thing="board-1", call="update", job_id="job_1")),
]


@pytest.mark.parametrize(("topic", "request_"), TOPICS)
def test_requests_and_replies_go_both_ways(topic: str, request_: Request) -> None:
    assert request_.topic == topic
    assert topics.request(topic) == request_
    assert topics.reply(request_.accepted) == Reply(request=request_, accepted=True)
    assert topics.reply(request_.rejected) == Reply(request=request_, accepted=False)
    assert topics.reply(topic) is None


@pytest.mark.parametrize(
    "topic",
    [
        f"{P}/get/accepted",
        f"{P}/notify",
        f"{P}/notify-next",
        f"{P}/$next/update",
        f"{P}/a b/get",
        f"{P}/{'j' * 65}/get",
        f"{P}/job/get/extra",
        f"{P}/",
        "$aws/things/a/b/jobs/get",
        "$aws/things//jobs/get",
        "x$aws/things/a/jobs/get",
        f"$aws/things/{'t' * 129}/jobs/get",
        f"{P}/get\n",
    ],
)
def test_every_other_topic_is_no_request(topic: str) -> None:
    assert topics.request(topic) is None


def test_only_a_core_that_asks_for_its_deployment_is_recognised() -> None:
    assert topics.deployment_asker("$aws/things/core-gda/shadow/get") == "core"
    assert topics.deployment_asker(topics.deployment_get("a-gda")) == "a-gda"
    assert topics.deployment_asker("$aws/things/core/shadow/get") is None
    assert topics.deployment_asker(topics.deployment_get_accepted("core")) is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", "InvalidJson"),
        (b"[]", "InvalidJson"),
        (b'"x"', "InvalidJson"),
        (b"\xff{}", "InvalidJson"),
        (b'{"a": NaN}', "InvalidJson"),
        (b'{"a": -Infinity}', "InvalidJson"),
        (b"[" * 100_000, "InvalidJson"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "InvalidRequest"),
        (b'{"a": 9007199254740993}', "InvalidRequest"),
        (b'{"a": 1e999}', "InvalidRequest"),
        (b'{"a": "\\ud800"}', "InvalidRequest"),
        (b'{"a": 1, "a": 2}', "InvalidRequest"),
        (b'{"a": {"b": 1, "b": 1}}', "InvalidRequest"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "InvalidRequest"),
        (b" " * (wire.MAX_PAYLOAD + 1), "InvalidRequest"),
    ],
)
def test_what_is_not_strict_json_is_refused(payload: bytes, code: str) -> None:
    with pytest.raises(JobsError) as refused:
        wire.decode(payload)
    assert refused.value.code == code


def test_no_bytes_mean_an_empty_object() -> None:
    assert requests.decode("describe", b"") == Describe()
    assert requests.decode("get-pending", b"") == GetPending()


CALLS: tuple[topics.Call, ...] = ("get-pending", "start-next", "describe", "update")


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode), st.sampled_from(CALLS))
def test_any_bytes_are_read_or_refused(payload: bytes, call: topics.Call) -> None:
    with suppress(JobsError):
        requests.decode(call, payload)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("get-pending", GetPending(client_token="t")),
        ("start-next", StartNext(status_details={"a": "b"}, step_timeout_minutes=5, client_token="t")),
        ("describe", Describe(execution_number=1, include_document=False)),
        (
            "update",
            Update(
                status="FAILED",
                status_details={},
                expected_version=2,
                execution_number=1,
                include_state=True,
                include_document=True,
                step_timeout_minutes=-1,
            ),
        ),
    ],
)
def test_a_request_survives_the_wire(call: topics.Call, body: requests.Body) -> None:
    assert requests.decode(call, requests.encode(body)) == body


def test_numbers_may_come_as_strings_as_two_of_awss_clients_send_them() -> None:
    body = requests.decode("update", b'{"status": "SUCCEEDED", "expectedVersion": "2", "executionNumber": "1"}')
    assert isinstance(body, Update)
    assert (body.expected_version, body.execution_number) == (2, 1)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "Value null at 'status' failed to satisfy constraint: Member must not be null"),
        ({"status": None}, "Member must not be null"),
        ({"status": "DONE"}, "enum value set"),
        ({"status": 1}, "'status' must be a string"),
        ({"status": "FAILED", "expectedVersion": "two"}, "expectedVersion"),
        ({"status": "FAILED", "expectedVersion": 1.5}, "expectedVersion"),
        ({"status": "FAILED", "expectedVersion": True}, "expectedVersion"),
        ({"status": "FAILED", "stepTimeoutInMinutes": 0}, "stepTimeoutInMinutes"),
        ({"status": "FAILED", "stepTimeoutInMinutes": 10081}, "stepTimeoutInMinutes"),
        ({"status": "FAILED", "statusDetails": []}, "statusDetails"),
        ({"status": "FAILED", "statusDetails": {"a": 1}}, "statusDetails.a"),
        ({"status": "FAILED", "statusDetails": {"a b": "1"}}, "key of 'statusDetails'"),
        ({"status": "FAILED", "statusDetails": {"a": "x" * 1025}}, "1 to 1024"),
        ({"status": "FAILED", "statusDetails": {str(n): "x" for n in range(11)}}, "more than 10"),
        ({"status": "FAILED", "includeJobDocument": "true"}, "includeJobDocument"),
    ],
)
def test_a_bad_update_is_refused_and_its_token_kept(fields: dict[str, object], part: str) -> None:
    with pytest.raises(JobsError, match=part) as refused:
        requests.decode("update", json.dumps({**fields, "clientToken": "abc"}).encode())
    assert (refused.value.code, refused.value.client_token) == ("InvalidRequest", "abc")


def test_minus_one_is_for_updates_only() -> None:
    with pytest.raises(JobsError):
        requests.decode("start-next", b'{"stepTimeoutInMinutes": -1}')


SUMMARY = Summary(job_id="j", queued_at=1, started_at=2, last_updated_at=3, version_number=4, execution_number=1)
EXECUTION = JobExecutionData(
    job_id="j",
    status="IN_PROGRESS",
    queued_at=1,
    started_at=2,
    last_updated_at=3,
    version_number=4,
    execution_number=1,
    status_details={"a": "ä"},
    seconds_left=9,
    document={"url": "http://x"},
)


def test_replies_and_notifications_survive_the_wire() -> None:
    pending = PendingReply(timestamp=1, in_progress=(SUMMARY,), queued=(), client_token="t")
    assert messages.decode_pending(messages.encode(pending)) == pending
    told = ExecutionReply(timestamp=1, execution=EXECUTION, client_token="t")
    assert messages.decode_execution(messages.encode(told)) == told
    state = ExecutionState(status="FAILED", version_number=3, status_details={"r": "x"})
    updated = UpdateReply(timestamp=1, state=state, document={"a": 1})
    assert messages.decode_update(messages.encode(updated)) == updated
    refused = Rejected(code="VersionMismatch", message="m", timestamp=1, client_token="t", state=state)
    assert messages.decode_rejected(messages.encode(refused)) == refused


def test_what_aws_leaves_out_is_left_out_and_what_its_samples_need_is_there() -> None:
    assert messages.encode(ExecutionReply(timestamp=1601468899)) == b'{"timestamp":1601468899}'
    assert json.loads(messages.encode(PendingReply(timestamp=1))) == {
        "timestamp": 1,
        "inProgressJobs": [],
        "queuedJobs": [],
    }
    changed = ExecutionsChanged(timestamp=1, jobs={"IN_PROGRESS": (), "QUEUED": ()})
    assert json.loads(messages.encode(changed)) == {"timestamp": 1, "jobs": {}}
    row = {"jobId": "j", "queuedAt": 1, "startedAt": 2, "lastUpdatedAt": 3, "versionNumber": 4, "executionNumber": 1}
    changed = ExecutionsChanged(timestamp=1, jobs={"QUEUED": (SUMMARY,)})
    assert json.loads(messages.encode(changed)) == {"timestamp": 1, "jobs": {"QUEUED": [row]}}


def test_the_fields_of_an_execution_are_awss() -> None:
    body = json.loads(messages.encode(ExecutionReply(timestamp=1, execution=EXECUTION)))
    assert body["execution"] == {
        "jobId": "j",
        "status": "IN_PROGRESS",
        "statusDetails": {"a": "ä"},
        "queuedAt": 1,
        "startedAt": 2,
        "lastUpdatedAt": 3,
        "versionNumber": 4,
        "executionNumber": 1,
        "approximateSecondsBeforeTimedOut": 9,
        "jobDocument": {"url": "http://x"},
    }


def test_a_reply_without_what_it_must_have_is_refused() -> None:
    with pytest.raises(JobsError, match="versionNumber"):
        messages.decode_execution(
            b'{"timestamp":1,"execution":{"jobId":"j","status":"QUEUED","queuedAt":1,"lastUpdatedAt":1}}'
        )


def test_deployments_survive_the_wire() -> None:
    deployment = {"DeploymentId": "d"}
    assert shadow.decode_delta(shadow.encode_delta(deployment, version=1, timestamp=2)) == deployment
    assert shadow.decode_accepted(shadow.encode_accepted(deployment, version=1, timestamp=2)) == deployment
    assert shadow.decode_accepted(shadow.encode_accepted(None, version=1, timestamp=2)) is None
