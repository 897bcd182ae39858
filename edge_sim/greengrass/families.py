"""The families of definition that a group is made of, one row each, in the order of the canonical bundle.

Members, types and what is required are those of botocore's ``greengrass`` model; a test walks all of it. ``FAMILIES``
is keyed by the words a group bundle uses (``core``, ``resources``, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_sim.greengrass.functions import ISOLATION_MODES
from edge_sim.greengrass.model import FLAG, TEXT, TEXT_MAP, WHOLE, Shape
from edge_sim.greengrass.resources import KINDS, PERMISSIONS

_EXECUTION = {"IsolationMode": ISOLATION_MODES, "RunAs": {"Uid": WHOLE, "Gid": WHOLE}}
_THING = {"Id": TEXT, "ThingArn": TEXT, "CertificateArn": TEXT, "SyncShadow": FLAG}
_CONTAINER = {key: data.kind.shape for key, data in KINDS.items()}
_RESOURCE = {"Id": TEXT, "Name": TEXT, "ResourceDataContainer": _CONTAINER}
_ENVIRONMENT = {
    "AccessSysfs": FLAG,
    "Execution": _EXECUTION,
    "ResourceAccessPolicies": [{"ResourceId": TEXT, "Permission": PERMISSIONS}],
    "Variables": TEXT_MAP,
}
_CONFIGURATION = {
    "EncodingType": ("json", "binary"),
    "Executable": TEXT,
    "ExecArgs": TEXT,
    "FunctionRuntimeOverride": TEXT,
    "MemorySize": WHOLE,
    "Pinned": FLAG,
    "Timeout": WHOLE,
    "Environment": _ENVIRONMENT,
}
_FUNCTION = {"Id": TEXT, "FunctionArn": TEXT, "FunctionConfiguration": _CONFIGURATION}
_LOGGER = {
    "Id": TEXT,
    "Component": ("GreengrassSystem", "Lambda"),
    "Level": ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"),
    "Space": WHOLE,
    "Type": ("FileSystem", "AWSCloudWatch"),
}


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What AWS's messages call a definition: no two operations do it alike.

    ``title``: in Get, and for an unknown version. ``parent``: when a version is created. ``other``: everywhere else.
    ``reference``: in a group that names one. ``invalid`` begins the refusal of a version's content. ``nameless``: code
    and text of an update without a name. Sources: moto, which copied them from the service; those of connectors and
    loggers, and ``invalid`` of cores and devices, are by analogy.
    """

    title: str
    other: str
    parent: str
    reference: str = ""
    invalid: str
    nameless: tuple[str, str] = (
        "InvalidContainerDefinitionException",
        "Input does not contain any attributes to be updated",
    )
    version_code: str = "VersionNotFoundException"


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family: ``kind`` is the API's word for it, ``member`` the list its versions hold, ``shape`` their members.

    ``required`` is what every item of the list needs.
    """

    kind: str
    member: str
    texts: Texts
    shape: Mapping[str, Shape]
    required: tuple[str, ...]

    @property
    def noun(self) -> str:
        """One of its items, in a sentence of ours."""
        return self.kind.lower()


def _texts(noun: str, plural: str) -> Texts:
    """Return the texts of a family as most of them are; rows say where theirs are not."""
    return Texts(
        title=f"{noun} List Definition",
        other=f"{plural} definition",
        parent=f"{plural} definition",
        reference=noun,
        invalid=f"The {plural} definition is invalid or corrupted.",
    )


FAMILIES: Mapping[str, Family] = {
    "core": Family(
        kind="Core",
        member="Cores",
        texts=replace(_texts("Core", "cores"), reference="Cores"),
        shape={"Cores": [_THING]},
        required=("Id", "ThingArn", "CertificateArn"),
    ),
    "resources": Family(
        kind="Resource",
        member="Resources",
        texts=replace(
            _texts("Resource", "resources"),
            parent="resource definition",
            invalid="The resources definition is invalid.",
            nameless=("InvalidInputException", "Invalid resource name."),
        ),
        shape={"Resources": [_RESOURCE]},
        required=("Id", "Name", "ResourceDataContainer"),
    ),
    "functions": Family(
        kind="Function",
        member="Functions",
        texts=replace(
            _texts("Lambda", "lambdas"),
            parent="lambdas",
            invalid="The functions definition is invalid or corrupted.",
            version_code="IdNotFoundException",
        ),
        shape={"DefaultConfig": {"Execution": _EXECUTION}, "Functions": [_FUNCTION]},
        required=("Id",),
    ),
    "loggers": Family(
        kind="Logger",
        member="Loggers",
        texts=_texts("Logger", "loggers"),
        shape={"Loggers": [_LOGGER]},
        required=("Id", "Component", "Level", "Type"),
    ),
    "subscriptions": Family(
        kind="Subscription",
        member="Subscriptions",
        texts=replace(_texts("Subscription", "subscriptions"), parent="subscriptions"),
        shape={"Subscriptions": [{"Id": TEXT, "Source": TEXT, "Subject": TEXT, "Target": TEXT}]},
        required=("Id", "Source", "Subject", "Target"),
    ),
    "devices": Family(
        kind="Device",
        member="Devices",
        texts=replace(_texts("Device", "devices"), reference="Devices"),
        shape={"Devices": [_THING]},
        required=("Id", "ThingArn", "CertificateArn"),
    ),
    "connectors": Family(
        kind="Connector",
        member="Connectors",
        texts=_texts("Connector", "connectors"),
        shape={"Connectors": [{"Id": TEXT, "ConnectorArn": TEXT, "Parameters": TEXT_MAP}]},
        required=("Id", "ConnectorArn"),
    ),
}
