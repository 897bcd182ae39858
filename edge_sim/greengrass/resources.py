"""The kinds of resource that a definition version may hold, one class each; ``kind`` is its row of names and members.

Shapes: botocore's ``greengrass`` model, ``ResourceDataContainer``. What they mean: docs/fidelity.md. A new kind is a
class that joins ``ResourceData``; mypy then names every place that has to decide what it means there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, get_args

from edge_sim.errors import assert_never
from edge_sim.greengrass.model import FLAG, TEXT, Members
from edge_sim.greengrass.objectreader import ObjectReader

Permission = Literal["ro", "rw"]
PERMISSIONS: tuple[Permission, ...] = ("ro", "rw")


@dataclass(frozen=True, kw_only=True)
class ResourceKind:
    """What one kind is called, and what its object holds.

    ``type_name``: in AWS's messages (gg-troubleshooting.md; the secret's is ours, none is known). ``container_key``:
    the member of the API's ``ResourceDataContainer``, which group.json repeats in ``Data.type``. ``file_type``:
    ``Type`` in group.json, inferred but for the volume's. ``shape``: the API's members.
    """

    type_name: str
    container_key: str
    file_type: str
    shape: Members


@dataclass(frozen=True, kw_only=True)
class GroupOwnerSetting:
    """Which Linux group a local resource lends to the function's process. ``group_owner`` is a group name."""

    shape: ClassVar = Members(
        AutoAddGroupOwner=(FLAG, "Whether the function's process gets the group that owns the resource."),
        GroupOwner=(TEXT, "The name of another group that the function's process gets."),
    )

    auto_add_group_owner: bool = False
    group_owner: str | None = None

    @classmethod
    def read(cls, holder: ObjectReader) -> GroupOwnerSetting:
        setting = holder.child("GroupOwnerSetting")
        auto = setting.flag("AutoAddGroupOwner") or False
        return cls(auto_add_group_owner=auto, group_owner=setting.text("GroupOwner") or None)

    def members(self) -> dict[str, object]:
        return {"AutoAddGroupOwner": self.auto_add_group_owner, "GroupOwner": self.group_owner}


@dataclass(frozen=True, kw_only=True)
class OwnerSetting:
    """Who owns a downloaded model. A half-filled setting is representable, so that a rule can say so."""

    shape: ClassVar = Members(
        GroupOwner=(TEXT, "The GID of the group that owns the unpacked model."),
        GroupPermission=(PERMISSIONS, "Whether that group may only read the model (ro), or write as well (rw)."),
    )

    group_owner: str | None
    group_permission: Permission | None

    @classmethod
    def read(cls, holder: ObjectReader) -> OwnerSetting | None:
        if holder.value.get("OwnerSetting") is None:
            return None
        setting = holder.child("OwnerSetting")
        return cls(
            group_owner=setting.text("GroupOwner") or None, group_permission=permission(setting, "GroupPermission")
        )

    def members(self) -> dict[str, object]:
        return {"GroupOwner": self.group_owner, "GroupPermission": self.group_permission}

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


_OF_LOCAL_ONES = {"GroupOwnerSetting": (GroupOwnerSetting.shape, "The Linux group that the function's process gets.")}
_OF_MODELS = {
    "DestinationPath": (TEXT, "Where functions see the model."),
    "OwnerSetting": (OwnerSetting.shape, "Who owns the model; a No-container function needs it."),
}


@dataclass(frozen=True, kw_only=True)
class LocalDevice:
    """A character or block device of the board, seen at the same path in the container."""

    kind: ClassVar = ResourceKind(
        type_name="Local.Device",
        container_key="LocalDeviceResourceData",
        file_type="LOCAL_DEVICE",
        shape=Members("SourcePath", SourcePath=(TEXT, "The device node, below /dev."), **_OF_LOCAL_ONES),
    )

    source_path: str
    group_owner: GroupOwnerSetting = GroupOwnerSetting()

    @classmethod
    def read(cls, reader: ObjectReader) -> LocalDevice:
        return cls(source_path=reader.required_text("SourcePath"), group_owner=GroupOwnerSetting.read(reader))

    def members(self) -> dict[str, object]:
        return {"SourcePath": self.source_path, "GroupOwnerSetting": self.group_owner.members()}


@dataclass(frozen=True, kw_only=True)
class LocalVolume:
    """A file or directory of the board, bound into the container."""

    kind: ClassVar = ResourceKind(
        type_name="Local.Volume",
        container_key="LocalVolumeResourceData",
        file_type="LOCAL_VOLUME",
        shape=Members(
            *("SourcePath", "DestinationPath"),
            SourcePath=(TEXT, "The file or directory on the board."),
            DestinationPath=(TEXT, "The path at which a container shows it."),
            **_OF_LOCAL_ONES,
        ),
    )

    source_path: str
    destination_path: str
    group_owner: GroupOwnerSetting = GroupOwnerSetting()

    @classmethod
    def read(cls, reader: ObjectReader) -> LocalVolume:
        return cls(
            source_path=_place(reader, "SourcePath"),
            destination_path=_place(reader, "DestinationPath"),
            group_owner=GroupOwnerSetting.read(reader),
        )

    def members(self) -> dict[str, object]:
        paths = {"SourcePath": self.source_path, "DestinationPath": self.destination_path}
        return {**paths, "GroupOwnerSetting": self.group_owner.members()}


@dataclass(frozen=True, kw_only=True)
class S3Model:
    """A machine-learning model in a package at S3."""

    kind: ClassVar = ResourceKind(
        type_name="ML_Model.S3_Object",
        container_key="S3MachineLearningModelResourceData",
        file_type="S3_MACHINE_LEARNING_MODEL",
        shape=Members(*("S3Uri", "DestinationPath"), S3Uri=(TEXT, "The .tar.gz or .zip in S3."), **_OF_MODELS),
    )

    s3_uri: str
    destination_path: str
    owner: OwnerSetting | None = None

    @classmethod
    def read(cls, reader: ObjectReader) -> S3Model:
        uri, destination = reader.required_text("S3Uri"), _place(reader, "DestinationPath")
        return cls(s3_uri=uri, destination_path=destination, owner=OwnerSetting.read(reader))

    def members(self) -> dict[str, object]:
        return {"S3Uri": self.s3_uri, "DestinationPath": self.destination_path, **_owner(self.owner)}


@dataclass(frozen=True, kw_only=True)
class SageMakerModel:
    """A machine-learning model that a training job of SageMaker put out."""

    kind: ClassVar = ResourceKind(
        type_name="ML_Model.SageMaker.Job",
        container_key="SageMakerMachineLearningModelResourceData",
        file_type="SAGEMAKER_MACHINE_LEARNING_MODEL",
        shape=Members(*("SageMakerJobArn", "DestinationPath"), SageMakerJobArn=(TEXT, "The job's ARN."), **_OF_MODELS),
    )

    job_arn: str
    destination_path: str
    owner: OwnerSetting | None = None

    @classmethod
    def read(cls, reader: ObjectReader) -> SageMakerModel:
        arn, destination = reader.required_text("SageMakerJobArn"), _place(reader, "DestinationPath")
        return cls(job_arn=arn, destination_path=destination, owner=OwnerSetting.read(reader))

    def members(self) -> dict[str, object]:
        return {"SageMakerJobArn": self.job_arn, "DestinationPath": self.destination_path, **_owner(self.owner)}


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret of Secrets Manager; AWSCURRENT is always fetched beside the labels named here."""

    kind: ClassVar = ResourceKind(
        type_name="SecretsManager.Secret",
        container_key="SecretsManagerSecretResourceData",
        file_type="SECRETS_MANAGER_SECRET",
        shape=Members(
            "ARN",
            ARN=(TEXT, "The secret's ARN in Secrets Manager."),
            AdditionalStagingLabelsToDownload=([TEXT], "Staging labels to fetch in addition to AWSCURRENT."),
        ),
    )

    arn: str
    staging_labels: tuple[str, ...] = ()

    @classmethod
    def read(cls, reader: ObjectReader) -> Secret:
        labels = tuple(reader.texts("AdditionalStagingLabelsToDownload"))
        return cls(arn=reader.required_text("ARN"), staging_labels=labels)

    def members(self) -> dict[str, object]:
        return {"ARN": self.arn, "AdditionalStagingLabelsToDownload": list(self.staging_labels)}


Local = LocalDevice | LocalVolume
Model = S3Model | SageMakerModel
ResourceData = LocalDevice | LocalVolume | S3Model | SageMakerModel | Secret
KINDS: Mapping[str, type[ResourceData]] = {data.kind.container_key: data for data in get_args(ResourceData)}
"""The kinds by the member of ``ResourceDataContainer`` that holds them."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One entry of ``Resources``. ``id`` is what functions refer to, ``name`` is for display.

    ``path`` is its JSON path in the definition version it was read from, for findings. What the rules ask thousands of
    times (200 functions with 200 resources each) is answered once.
    """

    id: str
    name: str
    data: ResourceData
    path: str = field(default="$.Resources", compare=False)

    @classmethod
    def read(cls, reader: ObjectReader) -> Resource | None:
        """Return one of the API's resources, None for one of an unknown kind."""
        identifier, name = reader.required_text("Id"), reader.required_text("Name")
        container = reader.child("ResourceDataContainer")
        present = [key for key in KINDS if container.value.get(key) is not None]
        if len(present) != 1:
            container.fault(f"must hold exactly one of {', '.join(KINDS)}; found {', '.join(present) or 'none'}")
            return None
        data = KINDS[present[0]].read(container.child(present[0]))
        return cls(id=identifier, name=name, data=data, path=reader.path)

    @property
    def data_path(self) -> str:
        """The JSON path of the object that holds ``data``."""
        return f"{self.path}.ResourceDataContainer.{self.data.kind.container_key}"

    @property
    def label(self) -> str:
        """The resource in a sentence: AWS's name for its kind, and its Id."""
        return f"{self.data.kind.type_name} {self.id}"

    @cached_property
    def local(self) -> Local | None:
        """The device or volume that this is, if it is one."""
        return self._sorted[0]

    @cached_property
    def model(self) -> Model | None:
        """The machine-learning model that this is, if it is one."""
        return self._sorted[1]

    @cached_property
    def secret(self) -> Secret | None:
        """The secret that this is, if it is one."""
        return self._sorted[2]

    @cached_property
    def volume(self) -> LocalVolume | None:
        """The local volume that this is, if it is one."""
        return self.data if isinstance(self.data, LocalVolume) else None

    @cached_property
    def owner(self) -> OwnerSetting | None:
        """A model's owner; None for one without, and for other kinds."""
        return self.model.owner if self.model else None

    @cached_property
    def source_path(self) -> str | None:
        """Where a local resource lies on the board; None for other kinds."""
        return self.local.source_path if self.local else None

    @cached_property
    def destination_path(self) -> str | None:
        """The ``DestinationPath`` of a volume or model; None for kinds without."""
        holder = self.volume or self.model
        return holder.destination_path if holder else None

    @cached_property
    def container_path(self) -> str | None:
        """Where a container sees the resource: devices at their own path, secrets nowhere."""
        return self.destination_path or self.source_path

    @cached_property
    def _sorted(self) -> tuple[Local | None, Model | None, Secret | None]:
        data = self.data
        match data:
            case LocalDevice() | LocalVolume():
                return data, None, None
            case S3Model() | SageMakerModel():
                return None, data, None
            case Secret():
                return None, None, data
            case _:
                return assert_never(data)


def permission(reader: ObjectReader, key: str) -> Permission | None:
    """Return a member that says ``ro`` or ``rw``; None for an empty or absent one, and for what is noted as wrong."""
    value = reader.text(key)
    for known in PERMISSIONS:
        if value == known:
            return known
    is_open, word = reader.open_word(key, PERMISSIONS)
    if value and not is_open:
        reader.fault(f"must be 'ro' or 'rw', not {value!r}", key=key)
    return word


def _place(reader: ObjectReader, key: str) -> str:
    """Return a path that may be a directory's: ``/models/`` and ``/models`` are one place."""
    path = reader.required_text(key)
    return path.rstrip("/") or path


def _owner(owner: OwnerSetting | None) -> dict[str, object]:
    return {"OwnerSetting": owner.members()} if owner else {}
