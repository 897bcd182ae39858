"""What a generic component runs: a V1 handler called as V1 would, and its messages sent where V1 let them go."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_sim.greengrass import subscriptions
from edge_sim.offline.migration.entry_point import Context, Sender, decoded, load, local, matches

ROUTES = [
    {"operation": "PublishToIoTCore", "topic": "up/#"},
    {"operation": "SubscribeToIoTCore", "topic": "down"},
    {"operation": "PublishToTopic", "topic": "local/+"},
]


class Ipc:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, bytes]] = []

    def publish_to_iot_core(self, *, topic_name: str, qos: str, payload: bytes) -> None:
        self.sent.append((f"cloud {qos}", topic_name, payload))

    def publish_to_topic(self, *, topic: str, publish_message: Any) -> None:
        self.sent.append(("local", topic, publish_message.binary_message.message))


def test_a_message_goes_where_a_subscription_let_it_and_nowhere_else() -> None:
    ipc = Ipc()
    sender = Sender(ipc, ROUTES)
    sender.publish(topic="up/a/b", payload="x")
    sender.publish(topic="local/a", payload=b"y")
    assert ipc.sent == [("cloud 1", "up/a/b", b"x"), ("local", "local/a", b"y")]
    for topic in ("down", "local/a/b", "elsewhere"):
        with pytest.raises(RuntimeError, match=topic):
            sender.publish(topic=topic)


def test_a_handler_gets_what_v1_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def handle(event, context):\n    return [event, context.function_name]\n")
    monkeypatch.setenv("EDGE_SIM_HANDLER", "mine.handle")
    monkeypatch.setenv("MY_FUNCTION_ARN", "arn:aws:lambda:eu-west-1:123456789012:function:reader:7")
    monkeypatch.setattr(sys, "path", [*sys.path])
    context = Context("a/b")
    assert load(str(tmp_path))({"x": 1}, context) == [{"x": 1}, "reader"]
    assert (context.function_version, context.client_context.custom["subject"]) == ("7", "a/b")


def test_a_message_is_json_or_what_came() -> None:
    assert decoded(b'{"a": 1}') == {"a": 1}
    assert decoded(b"\xff") == b"\xff"
    assert local(SimpleNamespace(binary_message=SimpleNamespace(message=b"x"))) == b"x"
    told = local(SimpleNamespace(binary_message=None, json_message=SimpleNamespace(message={"a": 1})))
    assert json.loads(told) == {"a": 1}


def test_topics_are_matched_as_v1s_router_matches_them() -> None:
    filters = ("a", "a/b", "+", "#", "+/b", "a/#", "a/+/c", "$aws/#", "$aws/+")
    topics = ("a", "a/b", "a/b/c", "", "/", "$aws", "$aws/b", "$SYS/x")
    pairs = [(topic_filter, topic) for topic_filter in filters for topic in topics]
    assert [matches(*pair) for pair in pairs] == [subscriptions.matches(*pair) for pair in pairs]
