"""The subscription table: which messages go where, and how the table comes and goes in group.json."""

from __future__ import annotations

import pytest

from edge_sim.greengrass import groupfile, parse
from edge_sim.greengrass.subscriptions import Subscription, matches, targets, topic_problem


@pytest.mark.parametrize(
    ("topic_filter", "topic", "answer"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+/c", "a/b/c", True),
        ("+", "a/b", False),
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$aws/things/x", False),
        ("+/things/x", "$aws/things/x", False),
        ("$aws/things/+/shadow/#", "$aws/things/x/shadow/update/delta", True),
    ],
)
def test_filters(topic_filter: str, topic: str, answer: bool) -> None:
    assert matches(topic_filter, topic) is answer


def test_a_message_goes_where_its_source_may_send_it_once() -> None:
    table = [
        Subscription(id="1", source="f", subject="a/#", target="cloud"),
        Subscription(id="2", source="f", subject="a/b", target="g"),
        Subscription(id="3", source="f", subject="a/+", target="cloud"),
        Subscription(id="4", source="other", subject="#", target="h"),
    ]
    assert targets(table, "f", "a/b") == ("cloud", "g")
    assert targets(table, "f", "b") == ()
    assert targets(table, "cloud", "a/b") == ()


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "x" * 257, "a/b/c/d/e/f/g/h/i", "a\0b"])
def test_topics_that_nobody_can_publish_on(topic: str) -> None:
    assert topic_problem(topic) is not None
    assert topic_problem("a/b/c/d/e/f/g/h") is None


def test_the_table_survives_group_json() -> None:
    api = {"Subscriptions": [{"Id": "s", "Source": "cloud", "Subject": "a/#", "Target": "arn:aws:lambda:x"}]}
    made, faults = parse.group({"subscriptions": api})
    assert not any(faults.values())
    document = groupfile.encode(made, region="eu-west-1")
    assert groupfile.decode(document).subscriptions == made.subscriptions
    _, faults = parse.group({"subscriptions": {"Subscriptions": [{"Id": "s", "Source": "cloud"}]}})
    paths = [fault.path for fault in faults["subscriptions"]]
    assert paths == [
        "$.Subscriptions[0].Subject",
        "$.Subscriptions[0].Target",
    ]
