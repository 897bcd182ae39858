"""The core's own functions, which the Core SDK calls by ARN: GGRouter, GGShadowService, GGSecretManager.

Answers have the form that the SDK expects (its source says which): a shadow's rejection is JSON with ``code`` and
``message``, a secret's with ``Status`` and ``Message``; both are results, not errors. The texts on secrets are ours.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from edge_sim import strictjson
from edge_sim.agent.deployment import secrets
from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.endpoint import Refusal
from edge_sim.agent.functions.invocations import Invocation
from edge_sim.agent.functions.router import Router, Submit, ToCloud
from edge_sim.agent.functions.shadows import Shadows
from edge_sim.errors import EdgeSimError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import system_functions
from edge_sim.greengrass.subscriptions import SHADOW_SERVICE


class System:
    """The system functions of one core. ``submit`` hands a message to a function of the group."""

    def __init__(
        self, group: Group, root: Path, facts: HostFacts, *, submit: Submit, to_cloud: ToCloud | None, log: LogFile
    ) -> None:
        self._group, self._root, self._gg = group, root, facts.greengrass.root
        self._log = log
        shadows = Shadows(root, self._gg, lambda topic, body: self._tell(topic, body))
        self.router = Router(group.subscriptions, submit, to_cloud, shadows, log)
        self._shadows = shadows
        router, shadow, manager = system_functions()
        self._steps = {router: self._publish, shadow: self._shadow, manager: self._secret}
        self.workers = {arn: str(uuid.uuid4()) for arn in (shadow, manager)}
        """Worker ids of those that V1's health check names (health-check.md); GGRouter is not among them."""

    def has(self, arn: str) -> bool:
        """Return whether an ARN is one of the core's own functions."""
        return arn in self._steps

    def carry_out(self, arn: str, caller: Function, payload: bytes, client_context: str) -> Invocation:
        """Return the call, ended. Raises Refusal."""
        invocation = Invocation(function_id="", payload=payload)
        try:
            self._steps[arn](invocation, caller, _custom(client_context))
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        except EdgeSimError as error:
            self._log.write("ERROR", "A request to the core failed.", function=arn, error=error.brief)
            raise Refusal(500, error.brief) from error
        return invocation

    def _publish(self, invocation: Invocation, caller: Function, custom: Mapping[str, object]) -> None:
        lost = self.router.publish(caller.arn, str(custom.get("subject", "")), invocation.payload)
        if lost and custom.get("queueFullPolicy") == "AllOrError":
            raise Refusal(503, "; ".join(lost))
        invocation.notes = tuple(lost)
        invocation.end(b"")

    def _shadow(self, invocation: Invocation, caller: Function, custom: Mapping[str, object]) -> None:
        invocation.end(self._shadows.request(str(custom.get("subject", "")), invocation.payload))

    def _secret(self, invocation: Invocation, caller: Function, custom: Mapping[str, object]) -> None:
        request = strictjson.loads(invocation.payload)
        if not isinstance(request, dict) or not isinstance(request.get("SecretId"), str):
            raise ValueError('the request must be {"SecretId": name or ARN, "VersionStage"?: label}')
        attached = self._group.attached(caller)
        allowed = [resource.secret.arn for resource, _ in attached if resource.secret]
        answer: dict[str, object]
        try:
            answer = secrets.value(self._root, self._gg, allowed, request["SecretId"], request.get("VersionStage"))
        except LookupError as error:
            answer = {"Status": 404, "Message": str(error.args[0])}
        invocation.end(json.dumps(answer).encode())

    def _tell(self, topic: str, message: bytes) -> None:
        """Publish what the shadow service has to say, where somebody has subscribed to it."""
        if any(s.source == SHADOW_SERVICE for s in self._group.subscriptions):
            self.router.publish(SHADOW_SERVICE, topic, message)


def _custom(client_context: str) -> Mapping[str, object]:
    """Return the ``custom`` part of a client context. Raises ValueError."""
    if not client_context:
        return {}
    context = strictjson.loads(base64.b64decode(client_context, validate=True), exact=False)
    custom = context.get("custom") if isinstance(context, dict) else None
    return custom if isinstance(custom, dict) else {}
