"""Checks of messages: subscriptions, devices, shadows.

Pages of the V2 guide: set-up-v2-test-device.md, legacy-subscription-router-component.md, mqtt-bridge-component.md,
client-device-auth-component.md, shadow-manager-component.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.greengrass.model import truth
from edge_sim.greengrass.rules.rule import Fault
from edge_sim.greengrass.rules.sections import entries
from edge_sim.v2.checks.check import MoveRule, check, of
from edge_sim.v2.move import Move, Route
from edge_sim.v2.verdicts import becomes_lambda

ROUTER = "V2 guide, legacy-subscription-router-component.md"
BRIDGE = "V2 guide, mqtt-bridge-component.md"
AUTH = "V2 guide, client-device-auth-component.md"
SHADOWS = "V2 guide, shadow-manager-component.md, set-up-v2-test-device.md"


def _fault(route: Route, message: str, hint: str | None = None, key: str = "Subject") -> Fault:
    return Fault(path=f"{route.path}.{key}", message=f"subscription {route.id}: {message}", hint=hint)


@check("function-to-device", "error", source=f"V2 guide, set-up-v2-test-device.md; {BRIDGE}", nuclei=("classic",))
def to_device(move: Move) -> Iterator[Fault]:
    """A function's message to a device needs code that publishes through IPC, and the MQTT bridge."""
    for route in move.routes:
        if route.source_kind == "function" and route.target_kind == "device":
            hint = (
                "Publish with the Device SDK V2 (PublishToTopic); the generated bridge entry carries the topic to "
                "devices."
            )
            yield _fault(route, f"greengrasssdk's publish on {route.subject} reaches no device in V2", hint, "Target")


@check("devices-on-lite", "error", source="V2 guide, choose-runtime.md", nuclei=("lite",))
def devices_on_lite(move: Move) -> Iterator[Fault]:
    """Nucleus lite has no local MQTT for client devices."""
    for path, entry in entries(move, "Devices"):
        message = f"device {entry.get('Id')}: nucleus lite has no local MQTT broker for it"
        yield Fault(path=f"{path}.ThingArn", message=message)


@check("shadow-subscription", "error", source=SHADOWS)
def shadow_routes(move: Move) -> Iterator[Fault]:
    """V2 has no GGShadowService for messages: code must use the shadow manager's IPC."""
    for route in move.routes:
        if "shadow" in (route.source_kind, route.target_kind):
            key = "Source" if route.source_kind == "shadow" else "Target"
            yield _fault(route, "V2 has no GGShadowService: the code at the other end must change", key=key)


@check("shadow-calls", "error", condition="inferred", source=f"{SHADOWS}; SHADOW_FUNCTION_ARN is still set")
def shadow_calls(move: Move) -> Iterator[Fault]:
    """Nothing answers greengrasssdk's shadow calls in V2."""
    for function in move.code_uses("shadow"):
        hint = "Use GetThingShadow, UpdateThingShadow and DeleteThingShadow of the Device SDK V2."
        yield of(function, "", "its code mentions shadow calls, which nothing answers in V2", hint)


@check(
    "any-publisher", "warning", source="V2 guide, set-up-v2-test-device.md (event sources); aws.greengrass.ipc.pubsub"
)
def any_publisher(move: Move) -> Iterator[Fault]:
    """A local topic accepts messages from every local publisher; a subscription accepted them only from its Source."""
    for route in move.routes:
        local = route.source_kind == "device" or (route.source_kind == "function" and not _routed(move, route))
        if local and route.target_kind == "function":
            target = move.by_arn[route.target].id
            yield _fault(
                route, f"function {target} now receives {route.subject} from every local publisher", key="Source"
            )


@check(
    "router-entry", "note", source=f"{ROUTER}; a worker's HTTP 400 in kyopark2014/iot-greengrass", nuclei=("classic",)
)
def router(move: Move) -> Iterator[Fault]:
    """Messages from an imported function need an entry in LegacySubscriptionRouter, or publishing fails at run time."""
    for route in move.routes:
        if _routed(move, route):
            yield _fault(route, f"the generated deployment has a router entry for it, by component: {route.subject}")


@check("publish-unrouted", "warning", condition="inferred", source=ROUTER, nuclei=("classic",))
def unrouted(move: Move) -> Iterator[Fault]:
    """A function whose code publishes is the source of a subscription; otherwise publishing fails with HTTP 400."""
    for function in move.code_uses("publish"):
        if all(route.source != function.arn for route in move.routes) and becomes_lambda(move, function):
            yield of(function, "", "its code publishes, but no subscription has it as its source: HTTP 400 at run time")


@check("publish-lost", "warning", condition="inferred", source=f"a run's report (--run); {ROUTER}")
def lost(move: Move) -> Iterator[Fault]:
    """A message that matched no subscription in a run has no router entry and no policy in V2."""
    for function in move.own_functions:
        for topic in sorted(move.published.get(function.arn, ())):
            message = f"in a run it published on {topic}, which matches no subscription: lost in V1, an error in V2"
            yield of(function, "", message, "Add a subscription for it before you migrate, or remove the call.")


@check("wildcard-pubsub", "note", source="V2 guide: nucleus 2.6.0 and LambdaManager 2.2.5", nuclei=("classic",))
def wildcards(move: Move) -> Iterator[Fault]:
    """Wildcards in a local topic need nucleus 2.6.0 and LambdaManager 2.2.5."""
    for route in move.routes:
        local = route.source_kind in ("device", "function") and route.target_kind == "function"
        if local and {"+", "#"} & {*route.subject}:
            yield _fault(route, f"{route.subject} needs nucleus 2.6.0 or newer and LambdaManager 2.2.5 or newer")


@check("stranger", "warning", condition="ours", timing="ours", source="ours: this source or target is not known")
def strangers(move: Move) -> Iterator[Fault]:
    """Both ends of a subscription are in the group, so that it can be migrated."""
    for route in move.routes:
        for key, kind, name in (
            ("Source", route.source_kind, route.source),
            ("Target", route.target_kind, route.target),
        ):
            if kind == "stranger" or (kind == "device" and name not in _things(move)):
                yield _fault(route, f"{name} is not in the group: nothing was written for it", key=key)


@check("bridge-loop", "warning", condition="inferred", source=BRIDGE, nuclei=("classic",))
def loops(move: Move) -> Iterator[Fault]:
    """No topic crosses the MQTT bridge in both directions: messages would loop."""
    crossing = [(r, "out") for r in move.routes if (r.source_kind, r.target_kind) == ("device", "cloud")]
    crossing += [(r, "in") for r in move.routes if (r.source_kind, r.target_kind) == ("cloud", "device")]
    for route, direction in crossing:
        for other, way in crossing:
            if direction == "out" and way == "in" and overlap(route.subject, other.subject):
                yield _fault(route, f"{route.subject} goes out and {other.subject} (subscription {other.id}) comes in")


@check("device-to-device", "warning", source=AUTH, nuclei=("classic",))
def between_devices(move: Move) -> Iterator[Fault]:
    """Client devices can exchange messages through the local broker wherever their policy allows it."""
    for route in move.routes:
        if route.source_kind == "device" and route.target_kind == "device":
            yield _fault(route, f"the local broker carries {route.subject} to every device whose policy allows it")
    if len([*entries(move, "Devices")]) > 1 and not any(
        route.source_kind == route.target_kind == "device" for route in move.routes
    ):
        message = (
            "no subscription lets devices talk to each other in V1; in V2 only the policies of deviceGroups decide"
        )
        yield Fault(path="$.Devices", message=message)


@check("device-bridge", "note", source=BRIDGE, nuclei=("classic",))
def bridge(move: Move) -> Iterator[Fault]:
    """Messages between devices and the cloud or functions cross the MQTT bridge, to the cloud always with QoS 1."""
    for route in move.routes:
        if "device" in (route.source_kind, route.target_kind) and route.source_kind != route.target_kind:
            yield _fault(route, f"the generated deployment has a bridge entry for {route.subject}")


@check("device-publish-wildcard", "warning", phase="deploy", source=f"{AUTH} (May 2023)", nuclei=("classic",))
def device_wildcards(move: Move) -> Iterator[Fault]:
    """In 2023, a policy that allows a device to publish could not contain wildcards."""
    for route in move.routes:
        if route.source_kind == "device" and {"+", "#"} & {*route.subject}:
            yield _fault(
                route, f"{route.subject} may be refused in deviceGroups: name each topic that the device publishes"
            )


@check("shadow-sync", "warning", source=SHADOWS, nuclei=("classic",))
def sync(move: Move) -> Iterator[Fault]:
    """Shadows are synchronised only if the shadow manager is configured to: SyncShadow is not carried over."""
    for member in ("Cores", "Devices"):
        for path, entry in entries(move, member):
            if truth(entry.get("SyncShadow")):
                message = f"{entry.get('Id')}: the generated ShadowManager configuration synchronises its shadow"
                yield Fault(path=f"{path}.SyncShadow", message=message)


def overlap(route: str, other: str) -> bool:
    """Return whether some topic matches both MQTT filters."""
    first, second = route.split("/"), other.split("/")
    for index in range(max(len(first), len(second))):
        a = first[index] if index < len(first) else None
        b = second[index] if index < len(second) else None
        if "#" in (a, b):
            return True
        if a is None or b is None or ("+" not in (a, b) and a != b):
            return False
    return True


def _routed(move: Move, route: Route) -> bool:
    """Return whether LegacySubscriptionRouter carries a subscription: from an imported function or a connector."""
    function = move.by_arn.get(route.source)
    sends = becomes_lambda(move, function) if function else route.source_kind == "connector"
    return sends and route.target_kind in ("cloud", "function", "connector")


def _things(move: Move) -> set[object]:
    return {entry.get("ThingArn") for _, entry in entries(move, "Devices")}


CHECKS: tuple[MoveRule, ...] = (
    *(
        to_device,
        devices_on_lite,
        shadow_routes,
        shadow_calls,
        any_publisher,
        router,
        unrouted,
        lost,
        wildcards,
        strangers,
    ),
    *(loops, between_devices, bridge, device_wildcards, sync),
)
