"""A device for tests: plain paho-mqtt, nothing of edge_sim, and every wait has a limit."""

from __future__ import annotations

import json
import queue
import threading
import uuid
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho

LIMIT_S = 60.0


class Device:
    """Connected as ``thing``, subscribed to everything below its jobs and deployment topics."""

    def __init__(self, url: str, thing: str, *, client_id: str | None = None) -> None:
        self.thing = thing
        self.inbox: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.lost = threading.Event()
        ready = threading.Event()
        self._client = _client(client_id or f"{thing}-{uuid.uuid4().hex[:6]}")
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *args: ready.set()
        self._client.on_disconnect = lambda *args: self.lost.set()
        where = urlsplit(url)
        assert where.hostname is not None
        assert where.port is not None
        self._client.connect(where.hostname, where.port, 30)
        self._client.loop_start()
        base = f"$aws/things/{thing}"
        self._client.subscribe(
            [
                (f"{base}/jobs/notify", 1),
                (f"{base}/jobs/notify-next", 1),
                (f"{base}/jobs/get/+", 1),
                (f"{base}/jobs/start-next/+", 1),
                (f"{base}/jobs/+/get/+", 1),
                (f"{base}/jobs/+/update/+", 1),
                (f"{base}-gda/shadow/update/delta", 1),
                (f"{base}-gda/shadow/get/accepted", 1),
            ]
        )
        assert ready.wait(LIMIT_S), "no SUBACK"

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, topic: str, body: Any = None, *, raw: bytes | None = None, retain: bool = False) -> None:
        """Publish below the thing's jobs topics, or to a whole topic when it begins with a ``$``."""
        payload = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        whole = topic if topic.startswith("$aws") else f"$aws/things/{self.thing}/jobs/{topic}"
        self._client.publish(whole, payload, qos=1, retain=retain)

    def next(self) -> tuple[str, Any]:
        """Return the next message: its topic below the thing, and its body."""
        return self.inbox.get(timeout=LIMIT_S)

    def ask(self, topic: str, body: Any = None, *, raw: bytes | None = None) -> tuple[str, Any]:
        """Send a request and return what comes next: ``accepted`` or ``rejected``, and the body."""
        self.send(topic, body, raw=raw)
        found, answer = self.next()
        base, _, verdict = found.rpartition("/")
        assert base == f"jobs/{topic}", f"{found} came instead of an answer to {topic}: {answer}"
        return verdict, answer

    def quiet(self) -> bool:
        """Tell that nothing more has come: one more call is answered, and first of all."""
        verdict, answer = self.ask("get", {"clientToken": "quiet"})
        return (verdict, answer["clientToken"]) == ("accepted", "quiet")

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        topic = message.topic.removeprefix(f"$aws/things/{self.thing}").removeprefix("/")
        self.inbox.put((topic, json.loads(message.payload)))


def _client(client_id: str) -> Any:
    module: Any = paho
    if hasattr(module, "CallbackAPIVersion"):  # paho 2
        return module.Client(module.CallbackAPIVersion.VERSION2, client_id=client_id)
    return module.Client(client_id=client_id)
