"""AWS IoT Jobs as this project serves it, in memory: no broker, and as many channels as a test wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from edge_sim.jobs.update import JOB_ID_PREFIX, MARK
from tests.fakes_mqtt import LoopbackChannel

THING = "board"


class Received:
    """A message that has arrived."""

    def is_published(self) -> bool:
        return True


class MemoryCloud:
    """One thing, ``board``, and its jobs."""

    def __init__(self) -> None:
        self.device = DevicePlane(Store(), presign=lambda url, *_: url, publish=self._publish)
        self.jobs = JobsService(self.device, region="eu-west-1", account="123456789012")
        self.jobs.things.create(THING)
        self._channels: list[LoopbackChannel] = []

    def channel(self) -> LoopbackChannel:
        """Return a connection; what is published on it is answered before ``publish`` returns."""
        made = LoopbackChannel(self._take)
        self._channels.append(made)
        return made

    def queue(self, job: str, document: Mapping[str, Any] | None = None) -> str:
        """Create a job of somebody else's, or with a document, and return its id."""
        text = "{}" if document is None else json.dumps(document)
        self.jobs.create_job(job, [self.jobs.things.arn(THING)], text)
        return job

    def queue_update(self, name: str) -> str:
        return self.queue(f"{JOB_ID_PREFIX}{name}", {MARK: 1})

    def _take(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        self.device.take([(topic, payload)])
        return []

    def _publish(self, topic: str, payload: bytes) -> Received:
        for channel in self._channels:
            channel.receive(topic, payload)
        return Received()
