"""Checks of devices, volumes, secrets and connectors.

Pages of the V2 guide: import-lambda-function-cli.md, secret-manager-component.md, set-up-v2-test-device.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.greengrass.rules.connectors import instances
from edge_sim.greengrass.rules.rule import Fault
from edge_sim.v2.checks.check import IMPORT, MoveRule, check
from edge_sim.v2.move import Move
from edge_sim.v2.verdicts import stays_contained

CONNECTORS = "V2 guide, set-up-v2-test-device.md and the page of each component"
_ARN_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")
SUCCESSORS: Mapping[str, tuple[str, bool]] = {
    "CloudWatchMetrics": ("aws.greengrass.Cloudwatch", False),
    "DeviceDefender": ("aws.greengrass.DeviceDefender", False),
    "KinesisFirehose": ("aws.greengrass.KinesisFirehose", True),
    "ModbusRTUProtocolAdapter": ("aws.greengrass.Modbus", True),
    "SNS": ("aws.greengrass.SNS", True),
}
"""The component that takes a connector's place, and whether it is a Lambda, which needs the router and not lite."""
PARTLY: Mapping[str, str] = {
    "IoTSiteWise": "the SiteWise components (collector, publisher, processor) do its work together",
    "DockerApplicationDeployment": "DockerApplicationManager only fetches images: your own component must start them",
    "ImageClassificationAarch64JTX2": "the DLR and TensorFlow Lite components are samples of inference",
    "ImageClassificationx86-64": "the DLR and TensorFlow Lite components are samples of inference",
    "ImageClassificationARMv7": "the DLR and TensorFlow Lite components are samples of inference",
    "ObjectDetectionAarch64JTX2": "the DLR and TensorFlow Lite components are samples of inference",
    "ObjectDetectionx86-64": "the DLR and TensorFlow Lite components are samples of inference",
    "ObjectDetectionARMv7": "the DLR and TensorFlow Lite components are samples of inference",
}


@check(
    "auto-group-owner",
    "warning",
    condition="inferred",
    source=f"{IMPORT}; the guide describes the component's group as an owner of the file, V1's guide the file's group",
    hint="Test it on a device, or add the account to the file's group: see board.sh.",
)
def auto_owner(move: Move) -> Iterator[Fault]:
    """AutoAddGroupOwner becomes addGroupOwner, which is documented differently from V1's."""
    for attachment in move.local:
        data = attachment.resource.local
        if data and data.group_owner.auto_add_group_owner:
            where = (
                "may mean something else"
                if stays_contained(move, attachment.function)
                else "is lost with the container"
            )
            message = f"function {attachment.function.id}: AutoAddGroupOwner of {attachment.resource.id} {where}"
            yield Fault(
                path=attachment.path, message=message, resource=attachment.resource.id, function=attachment.function.id
            )


@check("group-owner", "warning", source=f"{IMPORT} (no such parameter)")
def named_owner(move: Move) -> Iterator[Fault]:
    """The GroupOwner of a local resource is lost."""
    for attachment in move.local:
        data = attachment.resource.local
        if data and data.group_owner.group_owner and not data.group_owner.auto_add_group_owner:
            group = data.group_owner.group_owner
            message = f"function {attachment.function.id}: it loses group {group}, which {attachment.resource.id} added"
            hint = f"On the board: usermod -aG {group} {move.nucleus.user}; or runWith of the deployment."
            yield Fault(
                path=f"{attachment.resource.path}.ResourceDataContainer.{data.kind.container_key}.GroupOwnerSetting",
                message=message,
                resource=attachment.resource.id,
                function=attachment.function.id,
                hint=hint,
            )


@check("volume-shared", "warning", source=IMPORT, nuclei=("classic",))
def shared_volume(move: Move) -> Iterator[Fault]:
    """A volume or device of several functions appears in each of their components: change it in all of them."""
    for resource in move.group.resources:
        users = [f for f in move.users_of(resource) if stays_contained(move, f)]
        if resource.local and len(users) > 1:
            names = ", ".join(function.id for function in users)
            message = f"resource {resource.id}: appears in each of {len(users)} components ({names})"
            yield Fault(path=f"{resource.path}.Id", message=message, resource=resource.id)


@check("source-path", "note", condition="ours", timing="ours", source="ours: the new board's facts")
def source_paths(move: Move) -> Iterator[Fault]:
    """The paths that functions open on the board exist on the new board as well."""
    for resource in move.group.resources:
        path = resource.source_path
        if path is None or move.to is None or not move.users_of(resource):
            continue
        presence = move.to.presence(path)
        if presence != "present":
            known = (
                f"{path} is not on the new board" if presence == "absent" else f"it is unknown whether it has {path}"
            )
            fault_path = f"{resource.path}.ResourceDataContainer"
            message = f"resource {resource.id}: {known}"
            yield Fault(path=fault_path, message=message, resource=resource.id, unknown=presence == "unknown")


@check("local-without-container", "warning", condition="sourced", source="V2 guide, choose-runtime.md")
def without_container(move: Move) -> Iterator[Fault]:
    """A volume or device of a function that no longer runs in a container is opened at its path on the board."""
    for attachment in move.local:
        if not stays_contained(move, attachment.function):
            there, seen = attachment.resource.source_path, attachment.resource.container_path
            moved = f", which is {there} then" if seen != there else ""
            name, resource = attachment.function.id, attachment.resource.id
            message = f"function {name}: it opens {seen} of {resource}{moved}, with its user's permissions"
            yield Fault(
                path=attachment.path, message=message, resource=attachment.resource.id, function=attachment.function.id
            )


@check(
    "secret-policy",
    "warning",
    source="aws-greengrass-secret-manager, SecretManagerService.getSecret: 403 at run time, no error at the deployment",
    nuclei=("classic",),
    hint="The generated components name each secret in accessControl; a deployment's merge must not drop it.",
)
def secret_policy(move: Move) -> Iterator[Fault]:
    """A function reads a secret only if its component's accessControl names it."""
    for attachment in move.secrets:
        message = f"function {attachment.function.id}: secret {attachment.resource.id} needs an accessControl policy"
        yield Fault(
            path=attachment.path, message=message, resource=attachment.resource.id, function=attachment.function.id
        )


@check("secret-arn", "warning", condition="inferred", source="secret-manager-component.md (cloudSecrets: arn)")
def secret_arn(move: Move) -> Iterator[Fault]:
    """A secret's ARN includes its suffix of six random characters: policies compare the complete ARN."""
    for resource in move.group.resources:
        if resource.secret and not _ARN_SUFFIX.search(resource.secret.arn) and move.users_of(resource):
            message = f"resource {resource.id}: its ARN lacks the suffix of six characters"
            path = f"{resource.path}.ResourceDataContainer.SecretsManagerSecretResourceData.ARN"
            yield Fault(path=path, message=message, resource=resource.id)


@check("connector-none", "error", phase="deploy", source=CONNECTORS)
def no_successor(move: Move) -> Iterator[Fault]:
    """A connector has a successor in V2 that the nucleus supports."""
    for instance in instances(move):
        if instance.name in SUCCESSORS:
            component, is_lambda = SUCCESSORS[instance.name]
            if not is_lambda or move.nucleus.lambdas:
                continue
            message, hint = f"its successor {component} is a Lambda, which nucleus lite does not support", None
        else:
            message, hint = (
                "V2 has no successor for it",
                PARTLY.get(instance.name, "Write a component that does its work."),
            )
        yield Fault(
            path=f"{instance.path}.ConnectorArn",
            message=f"connector {instance.id} ({instance.name}): {message}",
            hint=hint,
        )


@check("connector-successor", "warning", phase="deploy", source=CONNECTORS)
def successor(move: Move) -> Iterator[Fault]:
    """A connector's successor has its own configuration: parameters are not carried over automatically."""
    for instance in instances(move):
        if instance.name in SUCCESSORS and (move.nucleus.lambdas or not SUCCESSORS[instance.name][1]):
            names = ", ".join(instance.parameters) or "none"
            component = SUCCESSORS[instance.name][0]
            message = f"connector {instance.id} ({instance.name}) becomes {component}; configure it again: {names}"
            yield Fault(path=f"{instance.path}.ConnectorArn", message=message)


CHECKS: tuple[MoveRule, ...] = (
    auto_owner,
    named_owner,
    shared_volume,
    source_paths,
    without_container,
    secret_policy,
    secret_arn,
    no_successor,
    successor,
)
