"""Calls the handler of a former Greengrass V1 function in a generic component of Greengrass V2.

Written by edge-sim migrate; a starting point, not AWS's. Python 3.7 or newer. Without --once it needs awsiotsdk.

    entry_point.py CODE_FOLDER                 as the component's run script
    entry_point.py CODE_FOLDER --once EVENT    call the handler once with a JSON event, and print what it returns

EDGE_SIM_HANDLER is the handler (module.function), EDGE_SIM_ROUTES a JSON list of {"operation", "topic"}: what the
subscriptions of the V1 group let this function hear and send.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import types
from typing import Any


class Context:
    """What a V1 handler gets as its context."""

    def __init__(self, topic: str = "") -> None:
        arn = os.environ.get("MY_FUNCTION_ARN", "")
        self.invoked_function_arn = arn
        self.function_name = arn.split(":")[6] if arn.count(":") > 5 else arn
        self.function_version = arn.split(":")[7] if arn.count(":") > 6 else ""
        self.client_context = types.SimpleNamespace(custom={"subject": topic})


class Sender:
    """Stands in for ``greengrasssdk.client("iot-data")`` and ``client("secretsmanager")``."""

    def __init__(self, ipc: Any, routes: list[dict[str, str]]) -> None:
        self._ipc, self._routes = ipc, routes

    def publish(self, topic: str, payload: Any = b"", **_more: Any) -> None:
        """Send a message wherever a subscription of V1 let it go; nowhere is an error, as in V1's router."""
        data = payload if isinstance(payload, bytes) else str(payload).encode()
        sent = 0
        for route in self._routes:
            if matches(route["topic"], topic) and route["operation"] == "PublishToIoTCore":
                self._ipc.publish_to_iot_core(topic_name=topic, qos="1", payload=data)
                sent += 1
            elif matches(route["topic"], topic) and route["operation"] == "PublishToTopic":
                self._ipc.publish_to_topic(topic=topic, publish_message=binary(data))
                sent += 1
        if not sent:
            raise RuntimeError(f"no subscription of the V1 group lets this function publish on {topic}")

    def get_secret_value(self, SecretId: str, VersionStage: str = "AWSCURRENT", **_more: Any) -> dict[str, Any]:  # noqa: N803
        """Return a secret as V1's SDK did."""
        answer = self._ipc.get_secret_value(secret_id=SecretId, version_stage=VersionStage)
        value = answer.secret_value
        return {"SecretString": value.secret_string, "SecretBinary": value.secret_binary}


def binary(data: bytes) -> Any:
    from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage

    return PublishMessage(binary_message=BinaryMessage(message=data))


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether an MQTT filter takes a topic, as in V1's router; nothing of edge-sim is beside this file."""
    parts, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and parts[0] in ("+", "#"):
        return False
    for index, part in enumerate(parts):
        if part == "#":
            return True
        if index >= len(levels) or part not in ("+", levels[index]):
            return False
    return len(parts) == len(levels)


def load(folder: str) -> Any:
    """Return the handler; its folder is the working directory for imports, as it was in V1."""
    module, _, name = os.environ["EDGE_SIM_HANDLER"].rpartition(".")
    sys.path.insert(0, folder)
    return getattr(importlib.import_module(module.replace("/", ".")), name)


def stand_in(sender: Sender | None) -> None:
    """Make ``import greengrasssdk`` give the stand-in."""
    sdk: Any = types.ModuleType("greengrasssdk")
    sdk.client = lambda _service, **_more: sender
    sys.modules["greengrasssdk"] = sdk


def decoded(data: bytes) -> Any:
    """Return a message as V1 gave it to a handler: JSON, or what came where it is none."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def serve(folder: str) -> None:
    from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

    ipc = GreengrassCoreIPCClientV2()
    routes = json.loads(os.environ.get("EDGE_SIM_ROUTES", "[]"))
    stand_in(Sender(ipc, routes))
    handler = load(folder)
    one_at_a_time = threading.Lock()

    def call(topic: str, data: bytes) -> None:
        with one_at_a_time:
            handler(decoded(data), Context(topic))

    for route in routes:
        topic = route["topic"]
        if route["operation"] == "SubscribeToIoTCore":
            ipc.subscribe_to_iot_core(
                topic_name=topic, qos="1", on_stream_event=lambda e: call(e.message.topic_name, e.message.payload)
            )
        elif route["operation"] == "SubscribeToTopic":
            ipc.subscribe_to_topic(topic=topic, on_stream_event=lambda e, topic=topic: call(topic, local(e)))
    threading.Event().wait()


def local(event: Any) -> bytes:
    message = event.binary_message
    return message.message if message else json.dumps(event.json_message.message).encode()


def main() -> None:
    folder = sys.argv[1]
    if sys.argv[2:3] == ["--once"]:
        stand_in(None)
        print(json.dumps(load(folder)(json.loads(sys.argv[3]), Context())))
    else:
        serve(folder)


if __name__ == "__main__":
    main()
