"""What an IoT policy says: wildcards, variables, conditions, and what is refused rather than enforced differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_sim.cloud.iot.statements import MAX_SIZE, MalformedPolicyError, allows, parse, unsupported

ARN = "arn:aws:iot:us-east-1:123456789012:"
THING = "${iot:Connection.Thing.ThingName}"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


def says(*statements: dict[str, Any], action: str = "iot:Publish", resource: str, **context: str) -> bool:
    known = {f"iot:{name.replace('__', '.')}": value for name, value in context.items()}
    return allows(parse(document(*statements)), known, action, ARN + resource)


@pytest.mark.parametrize(
    ("pattern", "topic", "allowed"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/*", "a/b/c", True),
        ("a/*", "a", False),
        ("a/*", "a/", True),
        ("a/?", "a/bb", False),
        ("*/x", "a/b/x", True),
        ("a/+", "a/b", False),
        ("a/#", "a/b", False),
        ("a.b", "aXb", False),
        ("${*}/x", "*/x", True),
        ("${*}/x", "a/x", False),
        ("${iot:ClientId}/x", "me/x", True),
        ("${iot:ClientId}/x", "you/x", False),
        (f"{THING}/x", "me/x", False),
    ],
)
def test_a_resource_matches_as_a_policy_does_not_as_mqtt_does(pattern: str, topic: str, allowed: bool) -> None:
    statement = {"Action": "iot:Publish", "Resource": f"{ARN}topic/{pattern}"}
    assert says(statement, resource=f"topic/{topic}", ClientId="me") is allowed


def test_what_a_variable_stands_for_is_no_pattern() -> None:
    statement = {"Action": "iot:Publish", "Resource": f"{ARN}topic/${{iot:ClientId}}/x"}
    assert not says(statement, resource="topic/other/x", ClientId="*")
    assert says(statement, resource="topic/*/x", ClientId="*")


@pytest.mark.parametrize(
    ("action", "allowed"),
    [("iot:Publish", True), ("iot:*", True), ("iot:Pub*", True), ("IOT:publish", True), ("*", True), ("iot:P", False)],
)
def test_actions_have_wildcards_and_no_case(action: str, allowed: bool) -> None:
    assert says({"Action": [action, "iot:Other"], "Resource": "*"}, resource="topic/a") is allowed


def test_a_deny_wins_and_silence_denies() -> None:
    everything = {"Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "iot:Publish", "Resource": [f"{ARN}topic/a/*"]}
    assert says(everything, deny, resource="topic/b")
    assert not says(everything, deny, resource="topic/a/b")
    assert not says(deny, resource="topic/b")


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"Bool": {"iot:Connection.Thing.IsAttached": "true"}}, True),
        ({"Bool": {"iot:Connection.Thing.IsAttached": [False]}}, False),
        ({"StringEquals": {"iot:Connection.Thing.Attributes[room]": "cellar"}}, True),
        ({"StringEquals": {"iot:Connection.Thing.Attributes[room]": "cell*"}}, False),
        ({"StringLike": {"iot:Connection.Thing.Attributes[room]": "cell*"}}, True),
        ({"StringNotEquals": {"iot:Connection.Thing.Attributes[room]": ["attic", "cellar"]}}, False),
        ({"StringNotLike": {"iot:Connection.Thing.Attributes[floor]": "1"}}, True),
        ({"StringLike": {"iot:Connection.Thing.Attributes[floor]": "*"}}, False),
        ({"StringEquals": {"iot:ClientId": "${iot:Connection.Thing.ThingName}"}}, True),
    ],
)
def test_conditions(condition: dict[str, Any], met: bool) -> None:
    context = {
        "iot:ClientId": "me",
        "iot:Connection.Thing.ThingName": "me",
        "iot:Connection.Thing.IsAttached": "true",
        "iot:Connection.Thing.Attributes[room]": "cellar",
    }
    found = parse(document({"Action": "*", "Resource": "*", "Condition": condition}))
    assert unsupported(found) is None
    assert allows(found, context, "iot:Connect", ARN + "client/me") is met


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, "the condition IpAddress"),
        ({"Condition": {"StringEquals": {"aws:SourceIp": "10.0.0.1"}}}, "a condition on aws:SourceIp"),
        ({"Condition": {"ForAllValues:StringLike": {"iot:ClientId": "a"}}}, "the condition ForAllValues:StringLike"),
        ({"Resource": f"{ARN}client/${{iot:Certificate.Subject.CommonName}}"}, "the policy variable ${iot:Certificate"),
        ({"Resource": f"{ARN}client/${{iot:Connection.Thing.Name}}"}, "the policy variable ${iot:Connection.Thing.Na"),
    ],
)
def test_what_cannot_be_evaluated_is_named(statement: dict[str, Any], why: str) -> None:
    found = unsupported(parse(document({"Action": "*", "Resource": "*", **statement})))
    assert found is not None
    assert found.startswith(why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"Version": "2013-01-01", "Statement": []}', "Version is none of"),
        ('{"Statement": []}', "no statement"),
        ('{"Statement": [1]}', "not an object"),
        (document({"Effect": "allow", "Action": "*", "Resource": "*"}), "neither Allow nor Deny"),
        (document({"Action": [], "Resource": "*"}), "Action is neither"),
        (document({"Action": "*"}), "Resource is neither"),
        (document({"Action": "*", "NotResource": "*"}), "NotResource"),
        (document({"Action": "*", "Resource": "*", "Condition": []}), "Condition is not"),
        (document({"Action": "*", "Resource": "x" * MAX_SIZE}), "more than 2048 characters"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, why: str) -> None:
    with pytest.raises(MalformedPolicyError, match=why):
        parse(text)
