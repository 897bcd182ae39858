"""Small groups and boards for tests, written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge_sim.facts import HostFacts, Node, User
from edge_sim.greengrass import parse
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.rows import AccessRow, Answer

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:"


def directory(mode: int = 0o755, uid: int = 0, gid: int = 0) -> Node:
    return Node(type="directory", uid=uid, gid=gid, mode=mode)


def file(mode: int = 0o644, uid: int = 0, gid: int = 0) -> Node:
    return Node(type="file", uid=uid, gid=gid, mode=mode)


def char(mode: int = 0o660, gid: int = 20) -> Node:
    return Node(type="char", uid=0, gid=gid, mode=mode)


def board(**changes: Any) -> HostFacts:
    paths = {
        p: directory()
        for p in ("/", "/dev", "/srv", "/srv/readings", "/greengrass", "/greengrass/ggc", "/greengrass/ggc/deployment")
    }
    paths["/dev/ttyAMA0"] = char()
    values: dict[str, Any] = {
        "architecture": "armv7l",
        "operating_system": "raspbian",
        "users": {"root": User(uid=0, gid=0), "ggc_user": User(uid=995, gid=995)},
        "groups": {"root": 0, "dialout": 20, "video": 44, "ggc_group": 995},
        "paths": paths,
    }
    return HostFacts(**{**values, **changes})


def access(**changes: Any) -> AccessRow:
    """A row about a model that is as the definition says."""
    values: dict[str, Any] = {
        "function": "f",
        "resource": "model",
        "type": "machine-learning model",
        "path": "/models/digits",
        "paths": 1,
        "total": 1,
        "expected": "ro",
        "read": Answer(computed=True, probed=True),
        "write": Answer(computed=False, probed=False),
        "list": Answer(),
        "execute": Answer(),
        "agree": True,
        "ok": True,
        "reasons": ("because",),
        "chain": (),
        "not_started": None,
    }
    return AccessRow(**{**values, **changes})


def s3(rid: str = "model", *, owner: dict[str, object] | None = None, to: str = "/models/digits") -> dict[str, Any]:
    data: dict[str, Any] = {"S3Uri": "s3://greengrass-models/digits.tar.gz", "DestinationPath": to}
    if owner is not None:
        data["OwnerSetting"] = owner
    return resource(rid, "S3MachineLearningModelResourceData", data)


def owner(group: object = "999", permission: str = "ro") -> dict[str, object]:
    return {"GroupOwner": group, "GroupPermission": permission}


def volume(rid: str = "volume", source: str = "/srv/readings", to: str = "/readings", **setting: Any) -> dict[str, Any]:
    data = {"SourcePath": source, "DestinationPath": to, "GroupOwnerSetting": setting}
    return resource(rid, "LocalVolumeResourceData", data)


def device(rid: str = "serial", source: str = "/dev/ttyAMA0", **setting: Any) -> dict[str, Any]:
    return resource(rid, "LocalDeviceResourceData", {"SourcePath": source, "GroupOwnerSetting": setting})


def secret(rid: str = "secret") -> dict[str, Any]:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-key-a1b2c3"
    return resource(rid, "SecretsManagerSecretResourceData", {"ARN": arn})


def resource(rid: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"Id": rid, "Name": rid, "ResourceDataContainer": {kind: data}}


def function(
    fid: str = "f", *policies: tuple[str, str | None], isolation: str | None = "NoContainer", **config: Any
) -> dict[str, Any]:
    environment: dict[str, Any] = {
        "Execution": _present(IsolationMode=isolation, RunAs=config.pop("run_as", {})),
        "ResourceAccessPolicies": [_present(ResourceId=r, Permission=p) for r, p in policies],
        **_present(AccessSysfs=config.pop("sysfs", None)),
        "Variables": config.pop("variables", {}),
    }
    if isolation != "NoContainer":
        config.setdefault("MemorySize", 16384)
    return {
        "Id": fid,
        "FunctionArn": f"{ARN}{fid}:1",
        "FunctionConfiguration": {"Environment": environment, **config},
    }


def _present(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def group(
    resources: list[dict[str, Any]], functions: list[dict[str, Any]], default: dict[str, Any] | None = None
) -> Group:
    """Parse API JSON; anything the parser cannot read fails the test."""
    version = {"DefaultConfig": default or {}, "Functions": functions}
    parsed, faults = parse.group({"resources": {"Resources": resources}, "functions": version})
    assert not any(faults.values())
    base = "arn:aws:greengrass:eu-west-1:123456789012:/greengrass/groups/g/deployments/d/artifacts"
    return replace(
        parsed,
        arn="arn:aws:greengrass:eu-west-1:123456789012:/greengrass/groups/g/versions/v",
        artifacts={
            r.id: Artifact(arn=f"{base}/mlmodel/uuid-{r.id}", sha256="0" * 64, size=1, file_name="m.tar.gz")
            for r in parsed.resources
            if r.model
        },
        code={
            f.id: FunctionCode(
                artifact_arn=f"{base}/lambda/uuid-{f.id}", handler="a.b", runtime="python3.7", sha256="1" * 64, size=2
            )
            for f in parsed.functions
        },
    )
