"""The families of definition that a group is made of, one row each, in the order of the canonical bundle.

Members, types and what is required are those of botocore's ``greengrass`` model; a test walks all of it. ``FAMILIES``
is keyed by the words a group bundle uses (``core``, ``resources``, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
class Family:
    """One family: ``kind`` is the API's word for it, ``member`` the list its versions hold, ``shape`` their members.

    ``required`` is what every item of the list needs.
    """

    kind: str
    member: str
    shape: Mapping[str, Shape]
    required: tuple[str, ...]

    @property
    def noun(self) -> str:
        """One of its items, in a sentence of ours."""
        return self.kind.lower()


FAMILIES: Mapping[str, Family] = {
    "core": Family(
        kind="Core",
        member="Cores",
        shape={"Cores": [_THING]},
        required=("Id", "ThingArn", "CertificateArn"),
    ),
    "resources": Family(
        kind="Resource",
        member="Resources",
        shape={"Resources": [_RESOURCE]},
        required=("Id", "Name", "ResourceDataContainer"),
    ),
    "functions": Family(
        kind="Function",
        member="Functions",
        shape={"DefaultConfig": {"Execution": _EXECUTION}, "Functions": [_FUNCTION]},
        required=("Id",),
    ),
    "loggers": Family(
        kind="Logger",
        member="Loggers",
        shape={"Loggers": [_LOGGER]},
        required=("Id", "Component", "Level", "Type"),
    ),
    "subscriptions": Family(
        kind="Subscription",
        member="Subscriptions",
        shape={"Subscriptions": [{"Id": TEXT, "Source": TEXT, "Subject": TEXT, "Target": TEXT}]},
        required=("Id", "Source", "Subject", "Target"),
    ),
    "devices": Family(
        kind="Device",
        member="Devices",
        shape={"Devices": [_THING]},
        required=("Id", "ThingArn", "CertificateArn"),
    ),
    "connectors": Family(
        kind="Connector",
        member="Connectors",
        shape={"Connectors": [{"Id": TEXT, "ConnectorArn": TEXT, "Parameters": TEXT_MAP}]},
        required=("Id", "ConnectorArn"),
    ),
}
