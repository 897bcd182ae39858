"""Deployment documents and a board to lay them out on, for the deployer's tests."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_sim.agent.http_error import HttpError
from edge_sim.facts import GreengrassInstall, HostFacts, User
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.functions import Function, FunctionCode, IsolationMode, ResourceAccessPolicy
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.resources import OwnerSetting, Permission, Resource, S3Model
from tests.archive_build import directory, entry, ordinary_zip, tgz

BASE = "arn:aws:greengrass:eu-west-1:123456789012:/greengrass/groups/g/deployments/d/artifacts"
MODEL = tgz(directory("net/"), entry("net/weights.bin", b"w" * 3000), entry("net/run.sh", b"#!", mode=0o755))
OTHER = tgz(directory("net/"), entry("net/other.bin", b"o" * 10))
FLAT_ZIP = ordinary_zip({"labels.txt": b"cat\ndog\n", "deep/er/params": b"p" * 100})
CODE = ordinary_zip({"handler.py": b"def handler(event, context): return event\n"})


class Artifacts:
    """A store of packages that fetches from memory; ``fetched`` names what was asked for."""

    def __init__(self) -> None:
        self.by_url: dict[str, bytes] = {}
        self.by_arn: dict[str, dict[str, Any]] = {}
        self.fetched: list[str] = []

    def add(self, kind: str, owner: str, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        arn = f"{BASE}/{kind}/{uuid.uuid5(uuid.NAMESPACE_URL, owner + digest)}"
        self.by_url[f"http://store/{arn}"] = data
        self.by_arn[arn] = {"Url": f"http://store/{arn}", "Sha256": digest, "Size": len(data)}
        return {"arn": arn, "sha256": digest, "size": len(data)}

    def fetch(self, url: str, destination: Path, *, sha256: str, size: int) -> None:
        self.fetched.append(url)
        if url not in self.by_url:
            raise HttpError(f"{url}: HTTP 404 (Not Found)", status=404)
        data = self.by_url[url]
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (sha256, size)
        destination.write_bytes(data)


def document(
    store: Artifacts,
    models: Mapping[str, tuple[bytes, str, OwnerSetting | None]],
    *,
    functions: Mapping[str, tuple[IsolationMode, tuple[str, ...]]] | None = None,
) -> dict[str, Any]:
    """A deployment of S3 ``models`` (content, file name, owner) and ``functions`` (isolation, attached models)."""
    resources = tuple(
        Resource(
            id=id_,
            name=id_,
            data=S3Model(s3_uri=f"s3://bucket/{name}", destination_path=f"/models/{id_}", owner=owner),
        )
        for id_, (_, name, owner) in models.items()
    )
    artifacts = {
        id_: Artifact(**store.add("mlmodel", id_, data), file_name=name) for id_, (data, name, _) in models.items()
    }
    made, code = [], {}
    for id_, (isolation, attached) in (functions or {}).items():
        permission: Permission | None = "ro" if isolation == "GreengrassContainer" else None
        made.append(
            Function(
                id=id_,
                arn=f"arn:aws:lambda:eu-west-1:123456789012:function:{id_}:1",
                isolation_mode=isolation,
                memory_size_kb=16_384 if isolation == "GreengrassContainer" else None,
                policies=tuple(ResourceAccessPolicy(resource_id=r, permission=permission) for r in attached),
            )
        )
        artifact = store.add("lambda", id_, CODE)
        code[id_] = FunctionCode(
            artifact_arn=artifact["arn"],
            sha256=artifact["sha256"],
            size=artifact["size"],
            handler="handler.handler",
            runtime="python3.7",
        )
    group = Group(
        arn="arn:aws:greengrass:eu-west-1:123456789012:/greengrass/groups/g/versions/v",
        resources=resources,
        functions=tuple(made),
        artifacts=artifacts,
        code=code,
    )
    return {"Group": groupfile.encode(group, region="eu-west-1"), "Artifacts": dict(store.by_arn)}


def owner(group: str, permission: Permission = "ro") -> OwnerSetting:
    return OwnerSetting(group_owner=group, group_permission=permission)


def board(root: Path) -> HostFacts:
    """A board whose ggc_user is whoever runs the test when that is not root."""
    (root / "greengrass/ggc").mkdir(parents=True)
    me = User(uid=os.getuid() or 998, gid=os.getgid() or 997)
    return HostFacts(
        architecture="x86_64",
        operating_system="ubuntu",
        users={"root": User(uid=0, gid=0), "ggc_user": me},
        groups={"root": 0, "ggc_group": me.gid, "ml": 5150, "video": 44},
        greengrass=GreengrassInstall(version="1.11.6"),
    )


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below ``root``: type and mode, owner, mtime, and content or target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        mtime = status.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
        found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_gid, mtime, content)
    return found
