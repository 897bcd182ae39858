"""The shadow service's rules, from AWS's documented examples and error table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_sim.greengrass import shadow

NOW = 1_600_000_000


def updated(document: dict[str, Any] | None, **request: Any) -> shadow.ShadowResult:
    return shadow.update(document, json.dumps(request).encode(), NOW)


def test_an_update_merges_counts_and_tells() -> None:
    first = updated(None, state={"desired": {"color": {"r": 1, "g": 2}, "on": True}}, clientToken="t")
    assert first.answer == {
        "state": {"desired": {"color": {"r": 1, "g": 2}, "on": True}},
        "metadata": {
            "desired": {"color": {"r": {"timestamp": NOW}, "g": {"timestamp": NOW}}, "on": {"timestamp": NOW}}
        },
        "version": 1,
        "timestamp": NOW,
        "clientToken": "t",
    }
    second = updated(first.document, state={"reported": {"color": {"r": 1}, "list": [1, 2]}})
    assert second.document["version"] == 2
    assert second.messages["update/delta"]["state"] == {"color": {"g": 2}, "on": True}
    assert second.messages["update/delta"]["metadata"] == {
        "color": {"g": {"timestamp": NOW}},
        "on": {"timestamp": NOW},
    }
    documents = second.messages["update/documents"]
    assert (documents["previous"]["version"], documents["current"]["version"]) == (1, 2)
    got = shadow.get("core", second.document)
    assert got["state"]["delta"] == {"color": {"g": 2}, "on": True}
    assert got["metadata"]["reported"]["list"] == [{"timestamp": NOW}, {"timestamp": NOW}]


def test_null_removes_keys_and_sections() -> None:
    document = updated(None, state={"desired": {"a": 1, "b": {"c": 2, "d": 3}}, "reported": {"x": 1}}).document
    after = updated(document, state={"desired": {"a": None, "b": {"c": None}}, "reported": None}).document
    assert after["state"] == {"desired": {"b": {"d": 3}}}
    assert after["metadata"] == {"desired": {"b": {"d": {"timestamp": NOW}}}}


def test_equal_states_have_no_delta_and_a_missing_one_is_not_null() -> None:
    same = updated(None, state={"desired": {"a": 1}, "reported": {"a": 1}})
    assert "update/delta" not in same.messages
    assert shadow.delta({"desired": {"a": 0}, "reported": {}}) == {"a": 0}


def test_versions_go_on_after_a_delete() -> None:
    document = updated(None, state={"desired": {}}).document
    gone = shadow.delete("core", document, NOW)
    assert (gone.answer, gone.document) == ({"version": 1, "timestamp": NOW}, {"version": 1})
    for ask in (lambda: shadow.get("core", gone.document), lambda: shadow.delete("core", None, NOW)):
        with pytest.raises(shadow.ShadowError) as raised:
            ask()
        assert raised.value.body == {"code": 404, "message": "No shadow exists with name: 'core'"}
    assert updated(gone.document, state={}).document["version"] == 2


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b"[" * 10_000, 400, "Invalid JSON"),
        (b"{}", 400, "Missing required node: state"),
        (b'{"state": 1}', 400, "State node must be an object"),
        (b'{"state": {"desired": 1}}', 400, "Desired node must be an object"),
        (b'{"state": {"reported": []}}', 400, "Reported node must be an object"),
        (b'{"state": {"wish": {}}}', 400, "State contains an invalid node: 'wish'"),
        (b'{"state": {}, "x": 1}', 400, "Payload contains an invalid node: 'x'"),
        (b'{"state": {}, "version": "1"}', 400, "Invalid version"),
        (b'{"state": {}, "clientToken": 1}', 400, "Invalid clientToken"),
        (b'{"state": {}, "version": 7}', 409, "Version conflict"),
        (b'{"state": {"desired": ' + b'{"a":' * 9 + b"1" + b"}" * 9 + b"}}", 400, "too many levels"),
        (json.dumps({"state": {"desired": {"a": "x" * 9000}}}).encode(), 413, "exceeds the maximum size"),
        (b" " * 20_000, 413, "exceeds the maximum size"),
    ],
)
def test_what_is_rejected(payload: bytes, code: int, message: str) -> None:
    with pytest.raises(shadow.ShadowError) as raised:
        shadow.update({"state": {}, "version": 3}, payload, NOW)
    assert raised.value.body["code"] == code
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ('{"state": {"reported": {"x": NaN}}}', "Invalid JSON"),
        ('{"state": {"reported": {"x": ' + "[" * 10_000, "Invalid JSON"),
        ('{"state": {}, "state": {"reported": {"x": 1}}}', 'Invalid JSON: the key "state" is repeated'),
    ],
)
def test_what_readers_of_json_disagree_about_is_no_update(request_: str, why: str) -> None:
    with pytest.raises(shadow.ShadowError) as refusal:
        shadow.update(None, request_.encode(), NOW)
    assert (refusal.value.body["code"], refusal.value.body["message"]) == (400, why)


def test_a_large_integer_is_kept_to_its_last_digit() -> None:
    assert updated(None, state={"reported": {"at_ns": 2**60 + 1}}).document["state"]["reported"] == {"at_ns": 2**60 + 1}
