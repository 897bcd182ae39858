"""What becomes of each part of a V1 definition: one row a member, with V2's field, a verdict, and the source.

*same*: the value carries over. *changed*: V2 has a field, with another form or meaning. *lost*: V2 has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from edge_sim.greengrass.rules.rule import Label
from edge_sim.v2.checks.boards import lookup
from edge_sim.v2.move import Move

Fate = Literal["same", "changed", "lost"]
IMPORT = "import-lambda-function-cli.md"
CONCEPTS = "greengrass-v1-concept-differences.md"
NUCLEUS = "greengrass-nucleus-component.md"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One member. ``where`` is the list of the API that holds it, or ``config.json``; ``member`` its dotted name."""

    where: str
    member: str
    v2: str
    fate: Fate
    source: str
    label: Label = "sourced"

    def applies(self, move: Move) -> bool:
        """Return whether the group has this member."""
        if self.where == "config.json":
            return lookup(move.config, self.member) is not None
        section = move.sections.get(self.where)
        items = section if isinstance(section, list) else [section]
        return any(isinstance(item, Mapping) and lookup(item, self.member) is not None for item in items)


def rows(move: Move) -> Iterator[Row]:
    """Yield the rows about what the group has."""
    return (row for row in ROWS if row.applies(move))


def _function(member: str, v2: str, fate: Fate, source: str = IMPORT, label: Label = "sourced") -> Row:
    return Row(
        where="Functions", member=f"FunctionConfiguration.{member}", v2=v2, fate=fate, source=source, label=label
    )


def _resource(member: str, v2: str, fate: Fate, source: str = IMPORT, label: Label = "sourced") -> Row:
    return Row(
        where="Resources", member=f"ResourceDataContainer.{member}", v2=v2, fate=fate, source=source, label=label
    )


def _config(member: str, v2: str, fate: Fate, label: Label = "sourced") -> Row:
    return Row(where="config.json", member=member, v2=v2, fate=fate, source=f"{CONCEPTS}; {NUCLEUS}", label=label)


_DEVICE, _VOLUME = "LocalDeviceResourceData", "LocalVolumeResourceData"
_S3, _JOB = "S3MachineLearningModelResourceData", "SageMakerMachineLearningModelResourceData"
_SECRET = "SecretsManagerSecretResourceData"  # noqa: S105 - the name of a kind
_EXECUTION, _CONTAINER = "Environment.Execution", "linuxProcessParams.containerParams"
ROWS: tuple[Row, ...] = (
    Row(where="Functions", member="FunctionArn", v2="lambdaArn, a version's number", fate="changed", source=IMPORT),
    Row(where="Functions", member="Id", v2="componentName", fate="changed", source=IMPORT),
    _function("Pinned", "pinned; absent means true there, false here", "changed"),
    _function("Timeout", "timeoutInSeconds", "same"),
    _function("MemorySize", f"{_CONTAINER}.memorySizeInKB; none without a container", "changed"),
    _function("EncodingType", "inputPayloadEncodingType", "same"),
    _function("ExecArgs", "execArgs, a list", "changed"),
    _function("Executable", "none: the Lambda's own handler", "lost"),
    _function("FunctionRuntimeOverride", "none: the Lambda's own runtime", "lost"),
    _function("Environment.Variables", "environmentVariables", "same"),
    _function("Environment.AccessSysfs", f"{_CONTAINER}.mountROSysfs", "same"),
    _function(f"{_EXECUTION}.IsolationMode", "linuxProcessParams.isolationMode, on every function", "changed"),
    _function(f"{_EXECUTION}.RunAs", "runWith.posixUser, in the deployment", "changed", "create-deployments.md"),
    _function("Environment.ResourceAccessPolicies", "in each component: containerParams, artifacts", "changed"),
    Row(
        where="DefaultConfig",
        member="Execution.IsolationMode",
        v2="none: set on every function",
        fate="changed",
        source=IMPORT,
    ),
    Row(where="DefaultConfig", member="Execution.RunAs", v2="runWithDefault.posixUser", fate="changed", source=NUCLEUS),
    _resource(f"{_DEVICE}.SourcePath", f"{_CONTAINER}.devices[].path", "same"),
    _resource(f"{_VOLUME}.SourcePath", f"{_CONTAINER}.volumes[].sourcePath, in each function", "changed"),
    _resource(f"{_VOLUME}.DestinationPath", f"{_CONTAINER}.volumes[].destinationPath", "same"),
    _resource(f"{_DEVICE}.GroupOwnerSetting.AutoAddGroupOwner", "addGroupOwner: prove it", "changed", label="inferred"),
    _resource(f"{_VOLUME}.GroupOwnerSetting.AutoAddGroupOwner", "addGroupOwner: prove it", "changed", label="inferred"),
    _resource(f"{_DEVICE}.GroupOwnerSetting.GroupOwner", "none: usermod -aG on the board", "lost"),
    _resource(f"{_VOLUME}.GroupOwnerSetting.GroupOwner", "none: usermod -aG on the board", "lost"),
    _resource(f"{_S3}.S3Uri", "an artifact's Uri, of a zip", "changed", "component-recipe-reference.md"),
    _resource(f"{_JOB}.SageMakerJobArn", "none: upload its output as a zip", "lost", "ArtifactDownloaderFactory"),
    _resource(
        f"{_S3}.DestinationPath", "the artifact's own folder, or a volume", "changed", "NucleusPaths", "inferred"
    ),
    _resource(
        f"{_JOB}.DestinationPath", "the artifact's own folder, or a volume", "changed", "NucleusPaths", "inferred"
    ),
    _resource(f"{_S3}.OwnerSetting", "none: the component's account owns it", "lost", "Permissions"),
    _resource(f"{_JOB}.OwnerSetting", "none: the component's account owns it", "lost", "Permissions"),
    _resource(
        f"{_SECRET}.ARN", "SecretManager cloudSecrets, and accessControl", "changed", "secret-manager-component.md"
    ),
    _resource(f"{_SECRET}.AdditionalStagingLabelsToDownload", "cloudSecrets[].labels", "same", "SecretManager"),
    Row(
        where="Subscriptions",
        member="Subject",
        v2="eventSources, LegacySubscriptionRouter, mqtt.Bridge, or nothing",
        fate="changed",
        source="set-up-v2-test-device.md",
    ),
    Row(where="Cores", member="ThingArn", v2="the deployment's targetArn", fate="same", source=CONCEPTS),
    Row(where="Cores", member="SyncShadow", v2="ShadowManager synchronize", fate="changed", source=CONCEPTS),
    Row(where="Devices", member="ThingArn", v2="clientdevices.Auth deviceGroups", fate="changed", source=CONCEPTS),
    Row(where="Devices", member="SyncShadow", v2="ShadowManager shadowDocuments", fate="changed", source=CONCEPTS),
    Row(where="Loggers", member="Level", v2="logging.level of the nucleus", fate="changed", source=NUCLEUS),
    Row(where="Loggers", member="Space", v2="logging.totalLogsSizeKB", fate="changed", source=NUCLEUS),
    Row(where="Connectors", member="ConnectorArn", v2="a component, or none", fate="changed", source=CONCEPTS),
    _config("coreThing.iotMqttPort", "mqtt.port", "same"),
    _config("coreThing.keepAlive", "mqtt.keepAliveTimeoutMs", "changed"),
    _config("coreThing.networkProxy", "networkProxy", "changed"),
    _config("crypto", "certificateFilePath, privateKeyPath, or the PKCS#11 provider", "changed"),
    _config("runtime.maxWorkItemCount", "maxQueueSize of each function", "lost", "inferred"),
    _config("runtime.maxConcurrentLimit", "maxInstancesCount of each function", "lost", "inferred"),
    _config("runtime.allowFunctionsToRunAsRoot", "none: a deployment decides", "lost", "inferred"),
    _config("writeDirectory", "none", "lost", "inferred"),
    _config("managedRespawn", "none", "lost", "inferred"),
)
