"""Who may connect, publish, subscribe, receive and fetch: certificates, things and policies put together.

A client is who its certificate says. Its client id is a thing's name or anything else that a policy allows; variables
such as ``${iot:Connection.Thing.ThingName}`` have a value when that thing exists and the certificate is attached to it
(IoT developer guide, "Thing policy variables").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_sim.arns import arn
from edge_sim.cloud.iot.certificates import ACTIVE, Certificates
from edge_sim.cloud.iot.policies import Policies
from edge_sim.cloud.iot.statements import Context, Statement, allows
from edge_sim.greengrass.subscriptions import CLOUD, Subscription, matches

Attributes = Callable[[str], Mapping[str, str] | None]
"""Thing name → the thing's attributes, None when there is no such thing."""
Table = Callable[[str], Sequence[Subscription]]
"""Core thing name → the subscriptions of the group that it runs."""

DEVICE_POLICY = "edge-sim-device"
"""The policy of ``cloud certs``. Its certificates may also do what the group's subscriptions need (ours: a real core
needs a policy that allows its topics)."""
_WIDENING = re.compile(r"[+#*?]")


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What one client may do. ``base`` is ``arn:aws:iot:REGION:ACCOUNT:``."""

    statements: tuple[Statement, ...]
    context: Context
    base: str
    table: Sequence[Subscription] = field(default=())

    def connect(self, client_id: str) -> bool:
        return self.may("iot:Connect", f"{self.base}client/{client_id}")

    def publish(self, topic: str, retain: bool) -> bool:
        resource = f"{self.base}topic/{topic}"
        if retain:
            return self.may("iot:Publish", resource) and self.may("iot:RetainPublish", resource)
        return self.may("iot:Publish", resource) or any(
            s.target == CLOUD and matches(s.subject, topic) for s in self.table
        )

    def subscribe(self, topic_filter: str) -> bool:
        return self.may("iot:Subscribe", f"{self.base}topicfilter/{topic_filter}") or any(
            s.source == CLOUD and s.subject == topic_filter for s in self.table
        )

    def receive(self, topic: str) -> bool:
        return self.may("iot:Receive", f"{self.base}topic/{topic}") or any(
            s.source == CLOUD and matches(s.subject, topic) for s in self.table
        )

    def may(self, action: str, resource: str) -> bool:
        return allows(self.statements, self.context, action, resource)


class Gate:
    """Answers from what the store says now."""

    def __init__(
        self,
        certificates: Certificates,
        policies: Policies,
        *,
        attributes: Attributes,
        table: Table,
        region: str,
        account: str,
    ) -> None:
        self._certificates = certificates
        self._policies = policies
        self._attributes = attributes
        self._table = table
        self._base = arn("iot", "", f"{region}:{account}")

    def admit(self, certificate_id: str, client_id: str, /) -> Rights | str:
        """Return what a client may do over MQTT, or why it may not connect."""
        refusal = self._refusal(certificate_id)
        if refusal is not None:
            return refusal
        if _WIDENING.search(client_id):
            return "a client id with one of + # * ? would widen policies that use ${iot:ClientId}"
        rights = self._rights(certificate_id, client_id)
        if not rights.connect(client_id):
            return "no policy of its certificate allows this client id"
        return rights

    def thing_arn(self, name: str, /) -> str:
        return f"{self._base}thing/{name}"

    def refusal(
        self, certificate_id: str, thing: str, action: str | None, resource: str | None = None, /
    ) -> str | None:
        """Return why ``certificate_id`` may not do ``action`` for ``thing`` over HTTP, or None.

        Without an action it is enough to be attached to the thing. ``resource`` is an ARN, None for the thing's own.
        """
        why = self._refusal(certificate_id)
        if why is not None:
            return why
        if thing not in self._certificates.things(certificate_id):
            return f"the certificate is not attached to the thing {thing}"
        if action is not None and not self._rights(certificate_id, thing).may(
            action, resource or self.thing_arn(thing)
        ):
            return f"no policy of the certificate allows {action} for the thing {thing}"
        return None

    def _refusal(self, certificate_id: str) -> str | None:
        certificate = self._certificates.find(certificate_id)
        if certificate is None:
            return "its certificate is not registered"
        return None if certificate.status == ACTIVE else f"its certificate is {certificate.status}"

    def _rights(self, certificate_id: str, client_id: str) -> Rights:
        attributes = self._attributes(client_id)
        attached = attributes is not None and client_id in self._certificates.things(certificate_id)
        context = {"iot:ClientId": client_id, "iot:Connection.Thing.IsAttached": str(attached).lower()}
        if attached:
            context["iot:Connection.Thing.ThingName"] = client_id
            context.update(
                {f"iot:Connection.Thing.Attributes[{key}]": text for key, text in (attributes or {}).items()}
            )
        by_group = attached and DEVICE_POLICY in self._policies.names(certificate_id)
        return Rights(
            statements=self._policies.statements(certificate_id),
            context=context,
            base=self._base,
            table=self._table(client_id) if by_group else (),
        )


def device_policy() -> dict[str, object]:
    """Return the document of DEVICE_POLICY: a thing's own topics, and of them to publish only what a device may.

    Requests of IoT Jobs ("Jobs device MQTT API"), of shadows ("Device Shadow MQTT topics") and of the deployment
    agent's reserved thing; the answers on all of them.
    """
    thing = "$aws/things/${iot:Connection.Thing.ThingName}"
    requests = ["jobs/get", "jobs/start-next", "jobs/*/get", "jobs/*/update"]
    requests += [f"shadow/{name}{verb}" for name in ("", "name/*/") for verb in ("get", "update", "delete")]
    publish = [*(f"{thing}/{topic}" for topic in requests), f"{thing}-gda/shadow/get", f"{thing}-gda/shadow/update"]
    own = [f"{thing}/*", f"{thing}-gda/*"]
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    name = "${iot:Connection.Thing.ThingName}"
    statements: list[dict[str, object]] = [
        {"Action": "iot:Connect", "Resource": arn("iot", f"client/{name}", "*:*"), "Condition": attached},
        {"Action": "iot:Publish", "Resource": [arn("iot", f"topic/{topic}", "*:*") for topic in publish]},
        {"Action": "iot:Subscribe", "Resource": [arn("iot", f"topicfilter/{topic}", "*:*") for topic in own]},
        {"Action": "iot:Receive", "Resource": [arn("iot", f"topic/{topic}", "*:*") for topic in own]},
        {"Action": "iotjobsdata:*", "Resource": arn("iot", f"thing/{name}", "*:*")},
        {"Action": "greengrass:*", "Resource": "*"},
    ]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
