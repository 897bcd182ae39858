"""The members of the API's …DefinitionVersion objects, as botocore's ``greengrass`` model names and types them.

``SECTIONS`` is keyed by the words a group bundle uses (``core``, ``resources``, …). A shape is a dict of members, a
list with the shape of its items, a tuple of allowed words, or one of ``TEXT``, ``WHOLE``, ``FLAG``, ``TEXT_MAP``. A
test compares all of it with botocore.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_sim.greengrass.functions import ISOLATION_MODES
from edge_sim.greengrass.resources import PERMISSIONS

TEXT, WHOLE, FLAG, TEXT_MAP = "a string", "a whole number", "true or false", "an object of strings"
Shape = Any
"""``Mapping[str, Shape] | list[Shape] | tuple[str, ...] | str``, which Python 3.10 cannot say."""

_GROUP_OWNER = {"AutoAddGroupOwner": FLAG, "GroupOwner": TEXT}
_OWNER = {"GroupOwner": TEXT, "GroupPermission": PERMISSIONS}
_RUN_AS = {"Uid": WHOLE, "Gid": WHOLE}
_EXECUTION = {"IsolationMode": ISOLATION_MODES, "RunAs": _RUN_AS}
_THING = {"Id": TEXT, "ThingArn": TEXT, "CertificateArn": TEXT, "SyncShadow": FLAG}

RESOURCE_DATA: Mapping[str, Shape] = {
    "LocalDeviceResourceData": {"SourcePath": TEXT, "GroupOwnerSetting": _GROUP_OWNER},
    "LocalVolumeResourceData": {"SourcePath": TEXT, "DestinationPath": TEXT, "GroupOwnerSetting": _GROUP_OWNER},
    "S3MachineLearningModelResourceData": {"S3Uri": TEXT, "DestinationPath": TEXT, "OwnerSetting": _OWNER},
    "SageMakerMachineLearningModelResourceData": {
        "SageMakerJobArn": TEXT,
        "DestinationPath": TEXT,
        "OwnerSetting": _OWNER,
    },
    "SecretsManagerSecretResourceData": {"ARN": TEXT, "AdditionalStagingLabelsToDownload": [TEXT]},
}
_RESOURCE = {"Id": TEXT, "Name": TEXT, "ResourceDataContainer": RESOURCE_DATA}
_ENVIRONMENT = {
    "AccessSysfs": FLAG,
    "Execution": _EXECUTION,
    "ResourceAccessPolicies": [{"ResourceId": TEXT, "Permission": PERMISSIONS}],
    "Variables": TEXT_MAP,
}
_FUNCTION = {
    "Id": TEXT,
    "FunctionArn": TEXT,
    "FunctionConfiguration": {
        "EncodingType": ("json", "binary"),
        "Executable": TEXT,
        "ExecArgs": TEXT,
        "FunctionRuntimeOverride": TEXT,
        "MemorySize": WHOLE,
        "Pinned": FLAG,
        "Timeout": WHOLE,
        "Environment": _ENVIRONMENT,
    },
}
_LOGGER = {
    "Id": TEXT,
    "Component": ("GreengrassSystem", "Lambda"),
    "Level": ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"),
    "Space": WHOLE,
    "Type": ("FileSystem", "AWSCloudWatch"),
}
_SUBSCRIPTION = {"Id": TEXT, "Source": TEXT, "Subject": TEXT, "Target": TEXT}


@dataclass(frozen=True, kw_only=True)
class Section:
    """One kind of definition: the API's word for it, the list its versions hold, their shape, what its items need."""

    kind: str
    member: str
    shape: Mapping[str, Shape]
    required: tuple[str, ...]


SECTIONS: Mapping[str, Section] = {
    "core": Section(
        kind="Core", member="Cores", shape={"Cores": [_THING]}, required=("Id", "ThingArn", "CertificateArn")
    ),
    "resources": Section(
        kind="Resource",
        member="Resources",
        shape={"Resources": [_RESOURCE]},
        required=("Id", "Name", "ResourceDataContainer"),
    ),
    "functions": Section(
        kind="Function",
        member="Functions",
        shape={"DefaultConfig": {"Execution": _EXECUTION}, "Functions": [_FUNCTION]},
        required=("Id",),
    ),
    "loggers": Section(
        kind="Logger",
        member="Loggers",
        shape={"Loggers": [_LOGGER]},
        required=("Id", "Component", "Level", "Type"),
    ),
    "subscriptions": Section(
        kind="Subscription",
        member="Subscriptions",
        shape={"Subscriptions": [_SUBSCRIPTION]},
        required=("Id", "Source", "Subject", "Target"),
    ),
    "devices": Section(
        kind="Device", member="Devices", shape={"Devices": [_THING]}, required=("Id", "ThingArn", "CertificateArn")
    ),
    "connectors": Section(
        kind="Connector",
        member="Connectors",
        shape={"Connectors": [{"Id": TEXT, "ConnectorArn": TEXT, "Parameters": TEXT_MAP}]},
        required=("Id", "ConnectorArn"),
    ),
}


def whole_number(value: object) -> int | None:
    """Return a number as AWS's samples write it: as a number, or as a string of digits; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,17}\s*", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def truth(value: object) -> bool | None:
    """Return true or false as AWS's samples write it: as a boolean or as its word; None for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a string; a whole number is taken as its digits (``GroupOwner: 999``); None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def is_open(value: object) -> bool:
    """Return whether a template left a value open: the reader keeps intrinsic functions as ``${…}``."""
    return isinstance(value, str) and "}" in value.partition("${")[2]
