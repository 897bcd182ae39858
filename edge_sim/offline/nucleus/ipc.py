"""The Greengrass IPC of generic components: publish, subscribe, secrets, configuration, as accessControl allows.

The clients are awsiotsdk's. IoT Core is this process: what goes there is kept, and given to whoever subscribed to it.
Shapes: awsiotsdk's ``greengrasscoreipc`` model. Sources of the authorisation: the V2 guide's ipc-* pages.
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sim.greengrass.subscriptions import matches
from edge_sim.offline.nucleus.eventstream import Frame, encode, read
from edge_sim.offline.nucleus.recipes import pointer

MESSAGE, ERROR, PING, PONG, CONNECT, CONNECTED = 0, 1, 2, 3, 4, 5
ACCEPTED, END = 1, 2
"""Flags of messages: the connection is accepted, the stream ends."""
PUBSUB, MQTT, SECRETS = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy", "aws.greengrass.SecretManager"


@dataclass(frozen=True, kw_only=True)
class IpcClient:
    """A component as the IPC knows it: by the token in its environment, with its configuration."""

    name: str
    configuration: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that a component sent: locally, or to IoT Core."""

    component: str
    cloud: bool
    topic: str
    payload: bytes


class Refused(Exception):  # noqa: N818 - an answer, no fault of ours
    """What the IPC answers instead: ``kind`` is the error's name in the model."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class _Subscriber:
    connection: _Connection
    stream: int
    cloud: bool
    topic: str


@dataclass
class Hub:
    """Who is subscribed to what, and what was sent. ``secrets`` are values by ARN; None: the nucleus has none."""

    secrets: Mapping[str, str] | None
    clients: dict[str, IpcClient] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _subscribers: list[_Subscriber] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, done: Callable[[Hub], bool], seconds: float) -> bool:
        """Wait until something has come about, and return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: done(self), seconds)

    def subscribed(self, topic: str, *, cloud: bool) -> bool:
        """Return whether somebody hears a topic."""
        with self._lock:
            return any(
                subscriber.cloud == cloud and matches(subscriber.topic, topic) for subscriber in self._subscribers
            )

    def deliver(self, topic: str, payload: bytes, *, cloud: bool) -> None:
        """Give a message to its subscribers."""
        with self._lock:
            subscribers = [
                subscriber
                for subscriber in self._subscribers
                if subscriber.cloud == cloud and matches(subscriber.topic, topic)
            ]
        for subscriber in subscribers:
            subscriber.connection.event(subscriber.stream, topic, payload, cloud=cloud)

    def subscribe(self, subscriber: _Subscriber) -> None:
        with self._lock:
            self._subscribers.append(subscriber)
        self.tell()

    def forget(self, connection: _Connection) -> None:
        with self._lock:
            self._subscribers = [
                subscriber for subscriber in self._subscribers if subscriber.connection is not connection
            ]

    def tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def allowed(client: IpcClient, service: str, operation: str, resource: str) -> bool:
    """Return whether a component's accessControl lets it: ``*`` stands for anything, for the cloud MQTT's wildcards."""
    policies = pointer(client.configuration, f"accessControl/{service}")
    for policy in policies.values() if isinstance(policies, Mapping) else ():
        operations, resources = policy.get("operations") or [], policy.get("resources") or []
        named = any(name in ("*", f"aws.greengrass#{operation}") for name in operations)
        if named and any(_covers(str(pattern), resource, mqtt=service == MQTT) for pattern in resources):
            return True
    return False


def _covers(policy: str, resource: str, *, mqtt: bool) -> bool:
    literal = policy.replace("[", "[[]").replace("?", "[?]")
    return fnmatch.fnmatchcase(resource, literal) or (mqtt and (policy == resource or matches(policy, resource)))


@contextlib.contextmanager
def serving(path: Path, hub: Hub) -> Iterator[None]:
    """Serve the IPC on a Unix socket for as long as the block lasts."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        path.chmod(0o666)  # what a client may do is decided by its token
        listener.listen()
        thread = threading.Thread(target=_accept, args=(listener, hub), daemon=True)
        thread.start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _accept(listener: socket.socket, hub: Hub) -> None:
    with contextlib.suppress(OSError):  # it is closed at the end
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_Connection(client, hub).serve, daemon=True).start()


class _Connection:
    """One component's connection."""

    def __init__(self, client: socket.socket, hub: Hub) -> None:
        self._socket, self._hub = client, hub
        self._file = client.makefile("rb")
        self._writing = threading.Lock()
        self._client: IpcClient | None = None
        self._accepted: list[_Subscriber] = []
        """Subscriptions whose answer has not gone out yet: no message may come before it."""

    def serve(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._socket:
            while (frame := read(self._file.read)) is not None:
                self._take(frame)
        self._hub.forget(self)

    def event(self, stream: int, topic: str, payload: bytes, *, cloud: bool) -> None:
        """Send a message to a subscription's stream."""
        text = base64.b64encode(payload).decode()
        if cloud:
            self._send(stream, "IoTCoreMessage", {"message": {"topicName": topic, "payload": text}})
        else:
            content = {"binaryMessage": {"message": text, "context": {"topic": topic}}}
            self._send(stream, "SubscriptionResponseMessage", content)

    def _take(self, frame: Frame) -> None:
        kind = frame.number(":message-type")
        if kind == PING:
            self._write({":message-type": PONG, ":message-flags": 0, ":stream-id": 0}, b"")
        elif kind == CONNECT:
            token = json.loads(frame.payload or b"{}").get("authToken")
            self._client = self._hub.clients.get(str(token))
            flags = ACCEPTED if self._client else 0
            self._write({":message-type": CONNECTED, ":message-flags": flags, ":stream-id": 0}, b"")
        elif kind == MESSAGE and self._client and frame.text("operation"):
            self._answer(self._client, frame)

    def _answer(self, client: IpcClient, frame: Frame) -> None:
        operation, stream = frame.text("operation").rpartition("#")[2], frame.number(":stream-id")
        request = json.loads(frame.payload or b"{}")
        try:
            answer = _OPERATIONS[operation](self, client, request, stream) if operation in _OPERATIONS else None
            if answer is None:
                raise Refused("ServiceError", f"{operation} is not served here")
        except Refused as refused:
            self._hub.refused.append(f"{client.name}: {refused}")
            self._send(stream, refused.kind, {"message": str(refused)}, error=True, last=True)
            self._hub.tell()
            return
        self._send(stream, f"{operation}Response", answer, last=not operation.startswith("Subscribe"))
        while self._accepted:
            self._hub.subscribe(self._accepted.pop())
        self._hub.tell()

    def _authorise(self, client: IpcClient, service: str, operation: str, resource: str) -> None:
        if not allowed(client, service, operation, resource):
            action = f"{service}:aws.greengrass#{operation} on resource {resource}"
            raise Refused("UnauthorizedError", f"Principal {client.name} is not authorized to perform {action}")

    def publish(self, client: IpcClient, request: Mapping[str, Any], _stream: int) -> Mapping[str, Any]:
        topic, message = str(request.get("topic")), request.get("publishMessage") or {}
        self._authorise(client, PUBSUB, "PublishToTopic", topic)
        binary = message.get("binaryMessage")
        payload = (
            base64.b64decode(binary["message"]) if binary else json.dumps(message["jsonMessage"]["message"]).encode()
        )
        return self._sent(client, topic, payload, cloud=False)

    def publish_to_cloud(self, client: IpcClient, request: Mapping[str, Any], _stream: int) -> Mapping[str, Any]:
        topic = str(request.get("topicName"))
        self._authorise(client, MQTT, "PublishToIoTCore", topic)
        return self._sent(client, topic, base64.b64decode(request.get("payload") or ""), cloud=True)

    def _sent(self, client: IpcClient, topic: str, payload: bytes, *, cloud: bool) -> Mapping[str, Any]:
        self._hub.sent.append(Sent(component=client.name, cloud=cloud, topic=topic, payload=payload))
        self._hub.deliver(topic, payload, cloud=cloud)
        return {}

    def subscribe(self, client: IpcClient, request: Mapping[str, Any], stream: int) -> Mapping[str, Any]:
        topic = str(request.get("topic"))
        self._authorise(client, PUBSUB, "SubscribeToTopic", topic)
        self._accepted.append(_Subscriber(self, stream, cloud=False, topic=topic))
        return {"topicName": topic}

    def subscribe_to_cloud(self, client: IpcClient, request: Mapping[str, Any], stream: int) -> Mapping[str, Any]:
        topic = str(request.get("topicName"))
        self._authorise(client, MQTT, "SubscribeToIoTCore", topic)
        self._accepted.append(_Subscriber(self, stream, cloud=True, topic=topic))
        return {}

    def secret(self, client: IpcClient, request: Mapping[str, Any], _stream: int) -> Mapping[str, Any]:
        if self._hub.secrets is None:
            raise Refused("ServiceError", "nucleus lite has no GetSecretValue")
        secret_id = str(request.get("secretId"))
        arn = next((arn for arn in self._hub.secrets if secret_id in (arn, _secret_name(arn))), secret_id)
        self._authorise(client, SECRETS, "GetSecretValue", arn)
        if arn not in self._hub.secrets:
            raise Refused("ResourceNotFoundError", f"no secret {secret_id}")
        value = {"secretString": self._hub.secrets[arn]}
        return {"secretId": arn, "versionId": "1", "versionStage": ["AWSCURRENT"], "secretValue": value}

    def configuration(self, client: IpcClient, request: Mapping[str, Any], _stream: int) -> Mapping[str, Any]:
        value = pointer(client.configuration, "/".join(request.get("keyPath") or []))
        if value is None:
            raise Refused("ResourceNotFoundError", "Key not found")
        return {"componentName": client.name, "value": value if isinstance(value, Mapping) else {"value": value}}

    def _send(self, stream: int, shape: str, content: object, *, error: bool = False, last: bool = False) -> None:
        headers: dict[str, int | str] = {
            ":message-type": ERROR if error else MESSAGE,
            ":message-flags": END if last else 0,
            ":stream-id": stream,
            ":content-type": "application/json",
            "service-model-type": f"aws.greengrass#{shape}",
        }
        self._write(headers, json.dumps(content).encode())

    def _write(self, headers: Mapping[str, int | str], payload: bytes) -> None:
        with contextlib.suppress(OSError), self._writing:  # it went away
            self._socket.sendall(encode(Frame(headers=headers, payload=payload)))


def _secret_name(arn: str) -> str:
    return arn.rpartition(":")[2].rpartition("-")[0]


_Operation = Callable[[_Connection, IpcClient, Mapping[str, Any], int], Mapping[str, Any]]
_OPERATIONS: Mapping[str, _Operation] = {
    "PublishToTopic": _Connection.publish,
    "PublishToIoTCore": _Connection.publish_to_cloud,
    "SubscribeToTopic": _Connection.subscribe,
    "SubscribeToIoTCore": _Connection.subscribe_to_cloud,
    "GetSecretValue": _Connection.secret,
    "GetConfiguration": _Connection.configuration,
}
