"""A client of the Greengrass IPC in Python alone, ours, for simulated boards that awsiotsdk has no wheel for.

It has awsiotsdk's names (``GreengrassCoreIPCClientV2``, shapes of ``greengrasscoreipc.model``) for what the entry point
of a migrated function uses. The stand-in's server is held to awsiotsdk's own client, and this client to that server.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_sim.offline.nucleus.eventstream import Frame, encode, read
from edge_sim.offline.nucleus.ipc import ACCEPTED, CONNECT, CONNECTED, ERROR, MESSAGE

ANSWER_LIMIT_S = 60.0
"""Ours: awsiotsdk waits for ever; a board under QEMU takes seconds."""
_Event = Callable[[Any], None]


class IpcError(Exception):
    """What the core answered instead; the message begins with the error's name in the model."""


@dataclass(frozen=True, kw_only=True)
class BinaryMessage:
    message: bytes


@dataclass(frozen=True, kw_only=True)
class JsonMessage:
    message: Any


@dataclass(frozen=True, kw_only=True)
class PublishMessage:
    json_message: JsonMessage | None = None
    binary_message: BinaryMessage | None = None


@dataclass(frozen=True, kw_only=True)
class SecretValue:
    secret_string: str | None = None
    secret_binary: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class GetSecretValueResponse:
    secret_value: SecretValue


@dataclass(frozen=True, kw_only=True)
class MQTTMessage:
    topic_name: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class IoTCoreMessage:
    message: MQTTMessage


class GreengrassCoreIPCClientV2:
    """Connected to the core's socket with the component's token, both from its environment."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(os.environ["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"])
        self._file = self._socket.makefile("rb")
        self._writing = threading.Lock()
        self._streams = 0
        self._answers: dict[int, queue.Queue[Frame]] = {}
        self._listeners: dict[int, _Event] = {}
        self._events: queue.Queue[tuple[_Event, Any]] = queue.Queue()
        token = json.dumps({"authToken": os.environ["SVCUID"]}).encode()
        headers: dict[str, int | str] = {":message-type": CONNECT, ":message-flags": 0, ":stream-id": 0}
        self._write({**headers, ":version": "0.1.0"}, token)
        answer = read(self._file.read)
        if answer is None or (answer.number(":message-type"), answer.number(":message-flags")) != (CONNECTED, ACCEPTED):
            raise IpcError("the core did not accept the connection")
        for work in (self._receive, self._hand_on):
            threading.Thread(target=work, daemon=True).start()

    def publish_to_topic(self, *, topic: str, publish_message: PublishMessage) -> None:
        binary, text = publish_message.binary_message, publish_message.json_message
        content = (
            {"binaryMessage": {"message": base64.b64encode(binary.message).decode()}}
            if binary
            else {"jsonMessage": {"message": text.message if text else None}}
        )
        self._ask("PublishToTopic", {"topic": topic, "publishMessage": content})

    def publish_to_iot_core(self, *, topic_name: str, qos: str, payload: bytes) -> None:
        content = {"topicName": topic_name, "qos": qos, "payload": base64.b64encode(payload).decode()}
        self._ask("PublishToIoTCore", content)

    def get_secret_value(self, *, secret_id: str, version_stage: str | None = None) -> GetSecretValueResponse:
        value = self._ask("GetSecretValue", {"secretId": secret_id, "versionStage": version_stage})["secretValue"]
        binary = value.get("secretBinary")
        secret_binary = base64.b64decode(binary) if binary else None
        return GetSecretValueResponse(
            secret_value=SecretValue(secret_string=value.get("secretString"), secret_binary=secret_binary)
        )

    def subscribe_to_topic(self, *, topic: str, on_stream_event: _Event) -> None:
        self._ask("SubscribeToTopic", {"topic": topic}, on_stream_event)

    def subscribe_to_iot_core(self, *, topic_name: str, qos: str, on_stream_event: _Event) -> None:
        self._ask("SubscribeToIoTCore", {"topicName": topic_name, "qos": qos}, on_stream_event)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _ask(self, operation: str, content: Mapping[str, object], on_event: _Event | None = None) -> Any:
        """Return the answer; what follows on the stream goes to ``on_event``. Raises IpcError for an error."""
        answers: queue.Queue[Frame] = queue.Queue()
        with self._writing:
            self._streams += 1
            stream = self._streams
        self._answers[stream] = answers
        if on_event:
            self._listeners[stream] = on_event
        headers: dict[str, int | str] = {
            ":message-type": MESSAGE,
            ":message-flags": 0,
            ":stream-id": stream,
            ":content-type": "application/json",
            "operation": f"aws.greengrass#{operation}",
            "service-model-type": f"aws.greengrass#{operation}Request",
        }
        self._write(headers, json.dumps(content).encode())
        frame = answers.get(timeout=ANSWER_LIMIT_S)
        answer = json.loads(frame.payload or b"{}")
        if frame.number(":message-type") == ERROR:
            kind = frame.text("service-model-type").rpartition("#")[2]
            raise IpcError(f"{kind}: {answer.get('message')}")
        return answer

    def _receive(self) -> None:
        try:
            while (frame := read(self._file.read)) is not None:
                stream = frame.number(":stream-id")
                answers = self._answers.pop(stream, None)
                if answers:
                    answers.put(frame)
                elif stream in self._listeners:
                    self._events.put((self._listeners[stream], _event(json.loads(frame.payload))))
        except (OSError, ValueError):  # it was closed
            return

    def _hand_on(self) -> None:
        """Call listeners apart from the reader, for they ask in turn."""
        while True:
            listener, event = self._events.get()
            listener(event)

    def _write(self, headers: Mapping[str, int | str], payload: bytes) -> None:
        with self._writing:
            self._socket.sendall(encode(Frame(headers=headers, payload=payload)))


def _event(content: Mapping[str, Any]) -> IoTCoreMessage | PublishMessage:
    cloud, binary = content.get("message"), content.get("binaryMessage")
    if cloud:
        payload = base64.b64decode(cloud.get("payload") or "")
        return IoTCoreMessage(message=MQTTMessage(topic_name=cloud["topicName"], payload=payload))
    if binary:
        return PublishMessage(binary_message=BinaryMessage(message=base64.b64decode(binary["message"])))
    return PublishMessage(json_message=JsonMessage(message=content["jsonMessage"]["message"]))
