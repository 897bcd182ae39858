"""An in-memory broker with one client: what is published reaches the handlers that match, at once."""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import topic_matches_sub

from edge_sim.agent.mqtt import Handler, OfflineError

Service = Callable[[str, bytes], list[tuple[str, bytes]]]
"""Takes what was published, returns what the other side publishes in answer."""


class LoopbackChannel:
    """A Channel. Set ``offline`` to have it refuse; ``sent`` holds what was published."""

    def __init__(self, service: Service = lambda _topic, _payload: []) -> None:
        self.service = service
        self.offline = False
        self.sent: list[tuple[str, bytes]] = []
        self._handlers: dict[str, Handler] = {}

    def subscribe(self, topic_filter: str, handler: Handler, /) -> None:
        self._handlers[topic_filter] = handler

    def publish(self, topic: str, payload: bytes, /) -> None:
        if self.offline:
            raise OfflineError(f"message to {topic}: offline")
        self.sent.append((topic, payload))
        for answer in self.service(topic, payload):
            self.receive(*answer)

    def receive(self, topic: str, payload: bytes) -> None:
        """Deliver a message to whoever subscribed."""
        for topic_filter, handler in list(self._handlers.items()):
            if topic_matches_sub(topic_filter, topic):
                handler(topic, payload)

    def close(self) -> None:
        self.offline = True
