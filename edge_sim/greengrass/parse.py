"""API JSON to values: the ``…DefinitionVersion`` objects of botocore's ``greengrass`` model.

What cannot be read becomes a finding with its JSON path; all faults come in one go. Numbers and booleans are taken
as AWS's own samples write them (``GroupOwner: 999``, ``"true"``). Unknown keys are somebody else's business: the
API refuses them by the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from edge_sim.greengrass.functions import (
    ISOLATION_MODES,
    DefaultConfig,
    Function,
    IsolationMode,
    ResourceAccessPolicy,
    RunAs,
)
from edge_sim.greengrass.group import Core, Group
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.objectreader import ObjectReader, told
from edge_sim.greengrass.resources import (
    PERMISSIONS,
    GroupOwnerSetting,
    LocalDevice,
    LocalVolume,
    OwnerSetting,
    Permission,
    Resource,
    ResourceData,
    S3Model,
    SageMakerModel,
    Secret,
)
from edge_sim.greengrass.subscriptions import Subscription
from edge_sim.report import Finding

_T = TypeVar("_T")
_Object = Mapping[str, object]


def group(sections: Mapping[str, _Object]) -> tuple[Group, dict[str, list[Finding]]]:
    """Read a group's definition versions, named as in ``model.SECTIONS``, and return the findings of each as well."""
    cores, core_faults = core_definition(sections.get("core", {}))
    resources, resource_faults = resource_definition(sections.get("resources", {}))
    default, functions, function_faults = function_definition(sections.get("functions", {}))
    table, table_faults = subscription_definition(sections.get("subscriptions", {}))
    read = Group(
        core=cores[0] if cores else None,
        resources=resources,
        functions=functions,
        subscriptions=table,
        default_config=default,
    )
    return read, {
        "core": core_faults,
        "resources": resource_faults,
        "functions": function_faults,
        "subscriptions": table_faults,
    }


def resource_definition(version: _Object) -> tuple[tuple[Resource, ...], list[Finding]]:
    """Read a ResourceDefinitionVersion; resources that cannot be read are left out and reported."""
    return _items(version, "Resources", _resource)


def function_definition(version: _Object) -> tuple[DefaultConfig, tuple[Function, ...], list[Finding]]:
    """Read a FunctionDefinitionVersion."""
    reader = ObjectReader(version, "$")
    execution = reader.child("DefaultConfig").child("Execution")
    default = DefaultConfig(isolation_mode=_isolation(execution, None), run_as=_run_as(execution))
    functions, findings = _items(version, "Functions", _function)
    return default, functions, [*reader.findings, *findings]


def core_definition(version: _Object) -> tuple[tuple[Core, ...], list[Finding]]:
    """Read a CoreDefinitionVersion; more than one core is a finding of the deployment's, not of the create call's."""
    cores, findings = _items(version, "Cores", _core)
    if len(cores) > 1:
        findings.append(_one_core(len(cores)))
    return cores, findings


def subscription_definition(version: _Object) -> tuple[tuple[Subscription, ...], list[Finding]]:
    """Read a SubscriptionDefinitionVersion."""
    return _items(version, "Subscriptions", _subscription)


def _one_core(count: int) -> Finding:
    return Finding(
        id="one-core",
        severity="error",
        phase="deploy",
        path="$.Cores",
        message=f"a group has exactly one core, the core definition has {count}",
        source="gg-core.md",
    )


def _items(
    version: _Object, key: str, read: Callable[[ObjectReader], _T | None]
) -> tuple[tuple[_T, ...], list[Finding]]:
    top = ObjectReader(version, "$")
    values = [read(item) for item in top.objects(key)]
    return tuple(v for v in values if v is not None), top.findings


def _permission(reader: ObjectReader, key: str) -> Permission | None:
    value = reader.text(key)
    if value is None or value == "":
        return None
    for known in PERMISSIONS:
        if value == known:
            return known
    reader.fault(f"must be 'ro' or 'rw', not {told(value) if is_open(value) else repr(value)}", key=key)
    return None


def _group_owner(reader: ObjectReader) -> GroupOwnerSetting:
    setting = reader.child("GroupOwnerSetting")
    auto = setting.flag("AutoAddGroupOwner") or False
    return GroupOwnerSetting(auto_add_group_owner=auto, group_owner=setting.text("GroupOwner") or None)


def _owner(reader: ObjectReader) -> OwnerSetting | None:
    if reader.value.get("OwnerSetting") is None:
        return None
    setting = reader.child("OwnerSetting")
    return OwnerSetting(
        group_owner=setting.text("GroupOwner") or None, group_permission=_permission(setting, "GroupPermission")
    )


def _place(reader: ObjectReader, key: str) -> str:
    """Return a path that may be a directory's: ``/models/`` and ``/models`` are one place."""
    given = reader.required_text(key)
    return given.rstrip("/") or given


def _device(reader: ObjectReader) -> ResourceData:
    return LocalDevice(source_path=reader.required_text("SourcePath"), group_owner=_group_owner(reader))


def _volume(reader: ObjectReader) -> ResourceData:
    return LocalVolume(
        source_path=_place(reader, "SourcePath"),
        destination_path=_place(reader, "DestinationPath"),
        group_owner=_group_owner(reader),
    )


def _s3(reader: ObjectReader) -> ResourceData:
    return S3Model(
        s3_uri=reader.required_text("S3Uri"),
        destination_path=_place(reader, "DestinationPath"),
        owner=_owner(reader),
    )


def _sagemaker(reader: ObjectReader) -> ResourceData:
    return SageMakerModel(
        job_arn=reader.required_text("SageMakerJobArn"),
        destination_path=_place(reader, "DestinationPath"),
        owner=_owner(reader),
    )


def _secret(reader: ObjectReader) -> ResourceData:
    return Secret(
        arn=reader.required_text("ARN"), staging_labels=tuple(reader.texts("AdditionalStagingLabelsToDownload"))
    )


_KINDS: dict[str, Callable[[ObjectReader], ResourceData]] = {
    "LocalDeviceResourceData": _device,
    "LocalVolumeResourceData": _volume,
    "S3MachineLearningModelResourceData": _s3,
    "SageMakerMachineLearningModelResourceData": _sagemaker,
    "SecretsManagerSecretResourceData": _secret,
}


def _resource(reader: ObjectReader) -> Resource | None:
    identifier, name = reader.required_text("Id"), reader.required_text("Name")
    container = reader.child("ResourceDataContainer")
    present = [kind for kind in _KINDS if container.value.get(kind) is not None]
    if len(present) != 1:
        found = ", ".join(present) or "none"
        container.fault(f"must hold exactly one of {', '.join(_KINDS)}; found {found}")
        return None
    data = _KINDS[present[0]](container.child(present[0]))
    return Resource(id=identifier, name=name, data=data, path=reader.path)


def _isolation(execution: ObjectReader, arn: str | None) -> IsolationMode | None:
    value = execution.text("IsolationMode")
    if value is None:
        return None
    for known in ISOLATION_MODES:
        if value == known:
            return known
    if is_open(value):  # what AWS says of it is not known before the stack is
        execution.fault(f"must be one of {', '.join(ISOLATION_MODES)}, not {told(value)}", key="IsolationMode")
        return None
    whose = "the group" if arn is None else f"function with arn {arn}"
    text = f"Your 'IsolationMode' configuration for {whose} is invalid."
    execution.fault(
        f"must be one of {', '.join(ISOLATION_MODES)}, not {value!r}",
        key="IsolationMode",
        rule="isolation-mode",
        phase="deploy",
        aws_text=text,
    )
    return None


def _run_as(execution: ObjectReader) -> RunAs:
    run_as = execution.child("RunAs")
    return RunAs(uid=run_as.number("Uid"), gid=run_as.number("Gid"))


def _variable(variables: ObjectReader, name: str) -> str:
    if variables.value[name] is None:
        variables.fault("must be a string, not null", key=name)
    return variables.text(name) or ""


def _function(reader: ObjectReader) -> Function | None:
    arn = reader.required_text("FunctionArn")
    config = reader.child("FunctionConfiguration")
    environment = config.child("Environment")
    execution = environment.child("Execution")
    variables = environment.child("Variables")
    return Function(
        id=reader.required_text("Id"),
        arn=arn,
        executable=config.text("Executable"),
        exec_args=config.text("ExecArgs"),
        encoding_type=config.text("EncodingType") or "json",
        memory_size_kb=config.number("MemorySize"),
        pinned=config.flag("Pinned") or False,
        timeout_s=config.number("Timeout") or 3,
        access_sysfs=environment.flag("AccessSysfs"),
        isolation_mode=_isolation(execution, arn),
        run_as=_run_as(execution),
        policies=tuple(
            ResourceAccessPolicy(resource_id=p.required_text("ResourceId"), permission=_permission(p, "Permission"))
            for p in environment.objects("ResourceAccessPolicies")
        ),
        variables={name: _variable(variables, name) for name in variables.value},
        runtime_override=config.text("FunctionRuntimeOverride"),
        path=reader.path,
    )


def _subscription(reader: ObjectReader) -> Subscription:
    names = ("Id", "Source", "Subject", "Target")
    id_, source, subject, target = (reader.required_text(name) for name in names)
    return Subscription(id=id_, source=source, subject=subject, target=target)


def _core(reader: ObjectReader) -> Core:
    reader.flag("SyncShadow")  # shadows are not simulated: only its form is looked at
    return Core(
        id=reader.required_text("Id"),
        thing_arn=reader.required_text("ThingArn"),
        certificate_arn=reader.required_text("CertificateArn"),
    )
