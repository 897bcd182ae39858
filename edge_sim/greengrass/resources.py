"""The five kinds of resource that a definition version may hold, named as the API names them.

Shapes: botocore's ``greengrass`` model, ``ResourceDataContainer``. What they mean: docs/fidelity.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Permission = Literal["ro", "rw"]
PERMISSIONS: tuple[Permission, ...] = ("ro", "rw")


@dataclass(frozen=True, kw_only=True)
class GroupOwnerSetting:
    """Which Linux group a local resource lends to the function's process. ``group_owner`` is a group name."""

    auto_add_group_owner: bool = False
    group_owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class OwnerSetting:
    """Who owns a downloaded model. A half-filled setting is representable, so that a rule can say so."""

    group_owner: str | None
    group_permission: Permission | None


@dataclass(frozen=True, kw_only=True)
class LocalDevice:
    """``LocalDeviceResourceData``: a character or block device, seen at the same path in the container."""

    source_path: str
    group_owner: GroupOwnerSetting = GroupOwnerSetting()


@dataclass(frozen=True, kw_only=True)
class LocalVolume:
    """``LocalVolumeResourceData``: a file or directory of the board, bound into the container."""

    source_path: str
    destination_path: str
    group_owner: GroupOwnerSetting = GroupOwnerSetting()


@dataclass(frozen=True, kw_only=True)
class S3Model:
    """``S3MachineLearningModelResourceData``."""

    s3_uri: str
    destination_path: str
    owner: OwnerSetting | None = None


@dataclass(frozen=True, kw_only=True)
class SageMakerModel:
    """``SageMakerMachineLearningModelResourceData``."""

    job_arn: str
    destination_path: str
    owner: OwnerSetting | None = None


@dataclass(frozen=True, kw_only=True)
class Secret:
    """``SecretsManagerSecretResourceData``; AWSCURRENT is always fetched beside the labels named here."""

    arn: str
    staging_labels: tuple[str, ...] = ()


Model = S3Model | SageMakerModel
ResourceData = LocalDevice | LocalVolume | S3Model | SageMakerModel | Secret

TYPE_NAMES: dict[type[ResourceData], str] = {
    LocalDevice: "Local.Device",
    LocalVolume: "Local.Volume",
    S3Model: "ML_Model.S3_Object",
    SageMakerModel: "ML_Model.SageMaker.Job",
    Secret: "SecretsManager.Secret",
}
"""Type names as AWS's messages write them (gg-troubleshooting.md); the secret's is ours, none is known."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One entry of ``Resources``. ``id`` is what functions refer to, ``name`` is for display."""

    id: str
    name: str
    data: ResourceData
