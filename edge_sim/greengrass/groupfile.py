"""``group.json``: what a deployment writes to ``ggc/deployment/group/`` and the core reads when it starts.

The frame, the functions and the volume resource follow a real file of the GGC 1.3-1.5 era. Nobody published the
encoding of the other resource kinds, of ``OwnerSetting``, of isolation and of RunAs: those are inferred by analogy
(``LOCAL_DEVICE``, the API's own key names below ``Data``) and marked so in docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass import parse
from edge_sim.greengrass.functions import Function, FunctionCode, RunAs
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.model import whole_number
from edge_sim.greengrass.resources import KINDS, Resource
from edge_sim.greengrass.subscriptions import Subscription

_KEYS = {data.kind.file_type: key for key, data in KINDS.items()}
"""``Type`` in group.json to the API's container key, which is also ``Data.type``; all but the volume's are inferred."""


def encode(group: Group, *, region: str) -> dict[str, object]:
    """Return the group as ``group.json`` holds it."""
    return {
        "$Schema": None,
        "Arn": group.arn,
        "Version": None,
        "Region": region,
        "Cores": [_core(group)] if group.core else [],
        "Devices": [],
        "GroupDefinitions": {
            "Resources": {"ref": None, "Content": [_resource(group, r) for r in group.resources]},
            "Lambdas": {
                "ref": None,
                "DefaultConfig": {
                    "Execution": _execution(group.default_config.isolation_mode, group.default_config.run_as)
                },
                "Content": [_lambda(group, f) for f in group.functions],
            },
            "Subscriptions": {"ref": None, "Content": [_subscription(s) for s in group.subscriptions]},
            "Logging": {"Content": []},
            "ShadowSync": {"ref": None, "Content": []},
            "ClientCertFingerprints": {"Content": []},
        },
    }


def decode(document: Mapping[str, object]) -> Group:
    """Read a ``group.json``. Raises InvalidDefinitionError naming the first place that cannot be read."""
    definitions = _object(document, "GroupDefinitions")
    resources = _content(definitions, "Resources")
    lambdas = _content(definitions, "Lambdas")
    frame = _object(definitions, "Lambdas")
    group, faults = parse.group(
        {
            "core": {"Cores": [api_core(c) for c in _list(document, "Cores")]},
            "resources": {"Resources": [_known(api_resource(r)) for r in resources]},
            "functions": {
                "DefaultConfig": frame.get("DefaultConfig") or {},
                "Functions": [api_function(f) for f in lambdas],
            },
            "subscriptions": {"Subscriptions": _content(definitions, "Subscriptions")},
        }
    )
    for fault in chain(*faults.values()):
        raise InvalidDefinitionError(f"group.json: {fault.message}")
    code, artifacts = code_and_artifacts(document)
    return replace(group, arn=str(document.get("Arn") or ""), code=code, artifacts=artifacts)


def code_and_artifacts(document: Mapping[str, object]) -> tuple[dict[str, FunctionCode], dict[str, Artifact]]:
    """Return what the cloud built for this group: code by function id, model packages by resource id."""
    definitions = _object(document, "GroupDefinitions")
    lambdas, resources = _content(definitions, "Lambdas"), _content(definitions, "Resources")
    code = {str(api_function(f)["Id"]): _code(f) for f in lambdas if f.get("ArtifactArn")}
    return code, {str(r.get("Id")): _artifact(r) for r in resources if r.get("ArtifactArn")}


def api_core(entry: Mapping[str, object], number: int = 1) -> dict[str, object]:
    """Return an entry of ``Cores`` or ``Devices`` as the API's core or device; group.json has no Id for it."""
    core = {"Id": "core" if number == 1 else f"core-{number}"}
    return {**core, "ThingArn": entry.get("thingArn"), "CertificateArn": entry.get("certArn")}


def api_resource(entry: Mapping[str, object]) -> dict[str, object]:
    """Return a resource's entry as the API's resource; an unknown ``Type`` leaves an empty container.

    The real file of GGC 1.3-1.5 has no Name.
    """
    data = entry.get("Data")
    own = data.get("type") if isinstance(data, Mapping) else None
    kind = _KEYS.get(str(entry.get("Type"))) or (own if own in KINDS else None)
    container = {kind: data} if kind else {}
    return {"Id": entry.get("Id"), "Name": entry.get("Name") or entry.get("Id"), "ResourceDataContainer": container}


def api_function(entry: Mapping[str, object]) -> dict[str, object]:
    """Return a function's entry as the API's function; the real file of GGC 1.3-1.5 has no Id."""
    return {
        "Id": entry.get("Id") or entry.get("FunctionArn"),
        "FunctionArn": entry.get("FunctionArn"),
        "FunctionConfiguration": entry.get("DeploymentConfiguration"),
    }


def _subscription(subscription: Subscription) -> dict[str, object]:
    """Return an entry of the subscription table, in the API's own words; no file with one was published."""
    entry = {"Source": subscription.source, "Subject": subscription.subject, "Target": subscription.target}
    return {"Id": subscription.id, **entry}


def _core(group: Group) -> dict[str, object]:
    core = group.core
    return {} if core is None else {"thingArn": core.thing_arn, "certArn": core.certificate_arn}


def _resource(group: Group, resource: Resource) -> dict[str, object]:
    kind = resource.data.kind
    entry: dict[str, object] = {
        "Id": resource.id,
        "Name": resource.name,
        "Type": kind.file_type,
        "Data": {"type": kind.container_key, **resource.data.members()},
    }
    artifact = group.artifacts.get(resource.id)
    if artifact:
        entry |= {
            "ArtifactArn": artifact.arn,
            "Artifact": {"Sha256": artifact.sha256, "Size": artifact.size, "FileName": artifact.file_name},
        }
    return entry


def _known(resource: dict[str, object]) -> dict[str, object]:
    if not resource["ResourceDataContainer"]:
        raise InvalidDefinitionError(
            f"group.json: resource {resource['Id']}: unknown Type", hint=f"Known: {', '.join(_KEYS)}."
        )
    return resource


def _execution(isolation: str | None, run_as: RunAs) -> dict[str, object]:
    return {"IsolationMode": isolation, "RunAs": {"Uid": run_as.uid, "Gid": run_as.gid}}


def _lambda(group: Group, function: Function) -> dict[str, object]:
    code = group.code.get(function.id)
    entry: dict[str, object] = {
        "Id": function.id,
        "FunctionArn": function.arn,
        "DeploymentConfiguration": {
            "Priority": 1,
            "Pinned": function.pinned,
            "CodeSha256": code.sha256 if code else None,
            "CodeSize": code.size if code else None,
            "Handler": code.handler if code else None,
            "Runtime": code.runtime if code else None,
            "Executable": function.executable,
            "ExecArgs": function.exec_args,
            "MemorySize": function.memory_size_kb,
            "Timeout": function.timeout_s,
            "EncodingType": function.encoding_type,
            "FunctionRuntimeOverride": function.runtime_override,
            "Environment": {
                "Variables": dict(function.variables),
                "ResourceAccessPolicies": [
                    {"ResourceId": p.resource_id, "Permission": p.permission} for p in function.policies
                ],
                "AccessSysfs": function.access_sysfs,
                "Execution": _execution(function.isolation_mode, function.run_as),
            },
        },
    }
    if code:
        entry["ArtifactArn"] = code.artifact_arn
    return entry


def _code(entry: Mapping[str, object]) -> FunctionCode:
    config = _object(entry, "DeploymentConfiguration")
    return FunctionCode(
        artifact_arn=str(entry["ArtifactArn"]),
        handler=str(config.get("Handler") or ""),
        runtime=str(config.get("Runtime") or ""),
        sha256=str(config.get("CodeSha256") or ""),
        size=whole_number(config.get("CodeSize")) or 0,
    )


def _artifact(entry: Mapping[str, object]) -> Artifact:
    artifact = _object(entry, "Artifact")
    return Artifact(
        arn=str(entry["ArtifactArn"]),
        sha256=str(artifact.get("Sha256") or ""),
        size=whole_number(artifact.get("Size")) or 0,
        file_name=str(artifact.get("FileName") or ""),
    )


def _object(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidDefinitionError(f"group.json: {key} must be an object")
    return value


def _list(parent: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    value = parent.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InvalidDefinitionError(f"group.json: {key} must be a list of objects")
    return value


def _content(definitions: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    return _list(_object(definitions, key), "Content")
