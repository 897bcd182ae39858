"""The five kinds of resource that a definition version may hold, named as the API names them.

Shapes: botocore's ``greengrass`` model, ``ResourceDataContainer``. What they mean: docs/fidelity.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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

    @property
    def is_gid(self) -> bool:
        """Whether the owner is given as a number (``HostFacts.gid`` reads it the same way)."""
        owner = self.group_owner or ""
        return owner.isascii() and owner.isdigit()

    @property
    def group(self) -> str:
        """The owner as it compares with others: ``044`` and ``44`` are one GID."""
        owner = self.group_owner or ""
        return owner.lstrip("0") or "0" if self.is_gid else owner


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


CONTAINER_KEYS: dict[type[ResourceData], str] = {
    LocalDevice: "LocalDeviceResourceData",
    LocalVolume: "LocalVolumeResourceData",
    S3Model: "S3MachineLearningModelResourceData",
    SageMakerModel: "SageMakerMachineLearningModelResourceData",
    Secret: "SecretsManagerSecretResourceData",
}
"""The member of ``ResourceDataContainer`` that holds each kind."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One entry of ``Resources``. ``id`` is what functions refer to, ``name`` is for display.

    ``path`` is its JSON path in the definition version it was read from, for findings.
    """

    id: str
    name: str
    data: ResourceData
    path: str = field(default="$.Resources", compare=False)

    @property
    def data_path(self) -> str:
        """The JSON path of the object that holds ``data``."""
        return f"{self.path}.ResourceDataContainer.{CONTAINER_KEYS[type(self.data)]}"
