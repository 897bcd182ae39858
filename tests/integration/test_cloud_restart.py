"""What a restarted cloud remembers.

A file of its own: the clouds of one process share moto's state, and one that starts would clear the sources of another
that a whole file of tests uses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cloud.server import Cloud
from tests.integration.cloud_client import (
    ACCOUNT,
    SECRET,
    built,
    client,
    deploy,
    finish,
    group,
    register_code,
    s3_model,
    secret,
    send,
)

pytestmark = pytest.mark.network
URI = "s3://greengrass-models/digits/model.tar.gz"
CANARY = "canary-c0ffee-value"


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    (tmp_path / "model/digits").mkdir(parents=True)
    (tmp_path / "model/digits/weights.json").write_text("[1, 2, 3]")
    state = tmp_path / "cloud.db"
    code = tmp_path / "code"
    code.mkdir()
    with Cloud(state) as first:
        register_code(first, code)
        entries: list[dict[str, Any]] = [
            {"uri": URI, "path": str(tmp_path / "model")},
            {"uri": SECRET, "secret": {"SecretString": CANARY, "Stages": {"OLD": CANARY}}},
        ]
        first.load_sources(entries)
        first.parts.updates.register("core", "raspbian", "armv7l", "1.11.6", [b"build"])
        client(first, "iot").create_thing(thingName="core1")
        group_id, version = group(first, [s3_model(URI), secret(labels=("OLD",))])
        status = deploy(first, group_id, version)
        assert status["DeploymentStatus"] == "InProgress"
        token = client(first, "greengrass").create_group(Name="g", AmznClientToken="t")["Id"]
        desired = first.parts.deployments.desired("core1")
        assert desired is not None
        port = int(first.http_url.rsplit(":", 1)[1])
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY.encode() not in kept
    with Cloud(state, port=port) as second:
        gg = client(second, "greengrass")
        assert built(gg, group_id, status["DeploymentId"])["DeploymentStatus"] == "InProgress"
        assert json.loads(send(desired["DocumentUrl"])[2])["Artifacts"]
        assert gg.create_group(Name="g", AmznClientToken="t")["Id"] == token
        finish(second)
        forgotten = deploy(second, group_id, version)
        assert forgotten["DeploymentStatus"] == "Failure"
        assert "was given to an earlier run" in forgotten["ErrorMessage"]
        second.load_sources(entries[1:])
        assert deploy(second, group_id, version)["DeploymentStatus"] == "InProgress"
        job = gg.create_software_update_job(
            S3UrlSignerRole=f"arn:aws:iam::{ACCOUNT}:role/r",
            SoftwareToUpdate="core",
            UpdateTargets=[f"arn:aws:iot:us-east-1:{ACCOUNT}:thing/core1"],
            UpdateTargetsArchitecture="armv7l",
            UpdateTargetsOperatingSystem="raspbian",
        )
        assert job["PlatformSoftwareVersion"] == "1.11.6"


def test_a_deployment_that_was_building_is_built_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    with Cloud(state) as first:
        register_code(first, tmp_path)
        group_id, version = group(first, [])
        status = deploy(first, group_id, version)
        body = first.parts.store.get("deployments", status["DeploymentId"])
        assert body is not None  # as if the cloud had been killed in the middle
        first.parts.store.put("deployments", status["DeploymentId"], {**body, "DeploymentStatus": "Building"})
        first.parts.store.delete("core-desired", "core1")
    with Cloud(state) as second:
        again = built(client(second, "greengrass"), group_id, status["DeploymentId"])
        assert again["DeploymentStatus"] == "InProgress"
        assert second.parts.deployments.desired("core1") is not None
