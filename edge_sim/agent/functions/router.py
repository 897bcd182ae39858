"""Sends messages along the group's subscriptions: to functions, to the cloud, to the shadow service.

A message that no subscription takes goes nowhere, as on a real core, which told nobody; here runtime.log and the notes
of the call say so. Greengrass devices are not simulated, so a message to one is lost, and said to be.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence

from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.shadows import Shadows
from edge_sim.errors import EdgeSimError
from edge_sim.greengrass.subscriptions import (
    CLOUD,
    MAX_MESSAGE_BYTES,
    SHADOW_SERVICE,
    Subscription,
    lost_on,
    not_taken,
    topic_problem,
)
from edge_sim.greengrass.subscriptions import targets as targets_of

Submit = Callable[[str, bytes, str], str | None]
"""(function ARN, payload, client context) → why the function does not get it, or None."""
ToCloud = Callable[[str, bytes], None]
"""Publishes on the core's connection; raises EdgeSimError when that fails."""


class Router:
    """The core's message router."""

    def __init__(
        self, table: Sequence[Subscription], submit: Submit, to_cloud: ToCloud | None, shadows: Shadows, log: LogFile
    ) -> None:
        self._table = table
        self._submit = submit
        self._to_cloud = to_cloud
        self._shadows = shadows
        self._log = log

    def publish(self, source: str, topic: str, payload: bytes) -> list[str]:
        """Send a message from ``source``; return one sentence for each place that it did not reach.

        Raises ValueError when no core takes such a message.
        """
        problem = topic_problem(topic)
        if problem is None and len(payload) > MAX_MESSAGE_BYTES:
            problem = f"a message of {len(payload)} bytes is larger than {MAX_MESSAGE_BYTES}"
        if problem is not None:
            raise ValueError(problem)
        targets = targets_of(self._table, source, topic)
        lost = [why for target in targets if (why := self._deliver(target, topic, payload)) is not None]
        if not targets:
            lost = [not_taken(source)]
        for why in lost:
            self._log.write("WARN", "A message was not delivered.", source=source, topic=topic, reason=why)
        return [lost_on(topic, why) for why in lost]

    def _deliver(self, target: str, topic: str, payload: bytes) -> str | None:
        """Send to one target; return why it does not arrive, or None."""
        if target == CLOUD:
            return self._send_to_cloud(topic, payload)
        if target == SHADOW_SERVICE:
            self._shadows.request(topic, payload)
            return None
        if ":lambda:" in target:
            return self._submit(target, payload, context(topic))
        return f"{target} is a device, and devices of the group are not simulated"

    def _send_to_cloud(self, topic: str, payload: bytes) -> str | None:
        if self._to_cloud is None:
            return "not sent to the cloud: this core has no connection (it runs beside the agent)"
        try:
            self._to_cloud(topic, payload)
        except EdgeSimError as error:
            return f"not sent to the cloud: {error.brief}"
        return None


def context(topic: str) -> str:
    """Return the client context with which a function learns the topic that called it."""
    return base64.b64encode(json.dumps({"custom": {"subject": topic}}).encode()).decode("ascii")
