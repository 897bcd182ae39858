"""The cloud with its state on a disk that fills up: a real one, a tmpfs in a mount namespace of the test's own."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from edge_sim.agent import linux
from edge_sim.cloud.server import Cloud
from tests import needs
from tests.integration.cloud_client import client, send
from tests.integration.jobs_device import Device
from tests.root.functions_board import private_mounts

pytestmark = [needs.mounts, pytest.mark.network]

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iot/aws4_request"}
FULL = "edge-sim cannot write its state: database or disk is full."


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def test_a_full_disk_is_told_to_everybody_and_nothing_is_accepted(tmp_path: Path) -> None:
    with private_mounts(tmp_path):
        linux.mount("none", tmp_path, kind="tmpfs", data="size=3m,mode=0755")
        state, filler = tmp_path / "state.db", tmp_path / "filler"
        body = {"status": "IN_PROGRESS", "statusDetails": dict.fromkeys("abcdefghij", "x" * 1000)}
        with Cloud(state) as cloud, Device(cloud.mqtt_url, "a") as device:
            iot = client(cloud, "iot")
            arn = iot.create_thing(thingName="a")["thingArn"]
            iot.create_job(jobId="j", targets=[arn], document="{}")
            assert [device.next()[0] for _ in range(2)] == ["jobs/notify", "jobs/notify-next"]
            assert device.ask("j/update", body)[0] == "accepted"
            fill(filler)
            verdict, version = "accepted", 1
            while verdict == "accepted":  # what the log has room for is stored
                version += 1
                verdict, answer = device.ask("j/update", {**body, "clientToken": str(version)})
                assert answer["clientToken"] == str(version)
            assert (answer["code"], answer["message"]) == ("InternalError", FULL)
            assert device.ask("get")[1]["inProgressJobs"][0]["versionNumber"] == version
            job = {"targets": [arn], "document": json.dumps({"x": "x" * 9000})}
            status, _, refused = send(f"{cloud.http_url}/jobs/k", "PUT", json.dumps(job).encode(), SIGNED)
            assert (status, json.loads(refused)["message"]) == (500, FULL)
            filler.unlink()
            assert device.ask("j/update", body)[0] == "accepted"
        with Cloud(state) as cloud:
            execution = client(cloud, "iot").describe_job_execution(thingName="a", jobId="j")["execution"]
            assert execution["versionNumber"] == version + 1
