"""A Jobs service for tests, with things, and a broker's client that keeps what it is handed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store

LIMIT_S = 60.0


class Broker:
    """Takes and acknowledges messages, unless told otherwise. ``on_message`` is called with each, first of all."""

    def __init__(self, on_message: Callable[[str, bytes], None] = lambda *_: None, *, takes: bool = True) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.takes = takes
        self.acknowledges = True
        self._on_message = on_message

    def publish(self, topic: str, payload: bytes) -> Receipt | None:
        self._on_message(topic, payload)
        if not self.takes:
            return None
        self.messages.append((topic, payload))
        return Receipt(self.acknowledges)

    def topics(self) -> list[str]:
        """Return ``thing/…`` for every message so far."""
        return [topic.removeprefix("$aws/things/").replace("/jobs/", "/", 1) for topic, _ in list(self.messages)]

    def wait_for(self, topic: str) -> Any:
        """Return the body of the first message to a topic of ``topics()``."""
        until = time.monotonic() + LIMIT_S
        while topic not in self.topics():
            assert time.monotonic() < until, f"no {topic} among {self.topics()[:20]}"
            time.sleep(0.01)
        return json.loads(self.messages[self.topics().index(topic)][1])


class Receipt:
    def __init__(self, acknowledged: bool) -> None:
        self.acknowledged = acknowledged

    def is_published(self) -> bool:
        return self.acknowledged


class Things:
    """The service over the state at ``path``; it is always 1000 o'clock."""

    def __init__(self, path: Path | None, *, broker: Broker | None = None) -> None:
        self.store = Store(path)
        self.broker = broker or Broker()
        self.device = DevicePlane(
            self.store, presign=lambda url, *_: url, publish=self.broker.publish, now=lambda: 1000.0
        )
        self.service = JobsService(self.device, region="us-east-1", account="123456789012")

    @contextmanager
    def restarted(self) -> Iterator[Things]:
        """Run its threads, as a cloud does."""
        self.device.start()
        try:
            yield self
        finally:
            self.device.stop()
            self.store.close()

    def job(self, job_id: str, *things: str) -> None:
        """Queue a job on things, which are made when they are new; in a group of them when they are many."""
        for thing in things:
            self.service.things.create(thing)
        self.service.things.create_group(f"group-{job_id}")
        for thing in things:
            self.service.add_to_group(f"group-{job_id}", thing)
        group = f"arn:aws:iot:us-east-1:123456789012:thinggroup/group-{job_id}"
        self.service.create_job(job_id, [group], "{}")

    def message(self, thing: str, job_id: str, body: Mapping[str, Any]) -> tuple[str, bytes]:
        """Return an update as it arrives over MQTT."""
        return f"$aws/things/{thing}/jobs/{job_id}/update", json.dumps(body).encode()

    def update(self, thing: str, job_id: str, status: str) -> None:
        """Have a thing report a status."""
        self.device.take([self.message(thing, job_id, {"status": status})])
