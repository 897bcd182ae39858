"""The local cloud as a child process."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from edge_sim.cloud import server
from edge_sim.cloud.brokers import broker as brokers
from edge_sim.cloud.greengrass import deployments
from edge_sim.cloud.jobs import device
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.runs import cloudprocess
from edge_sim.runs.aws import Aws
from tests.waiting import until

pytestmark = pytest.mark.network


def test_the_cloud_of_a_run_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with cloudprocess.CloudProcess():
        assert list(tmp_path.rglob("*.json")) == []


def test_a_cloud_is_given_the_time_that_it_gives_its_parts() -> None:
    broker = 2 * brokers.STOP_LIMIT_S  # asked, then killed
    parts = server.STOP_LIMIT_S + deployments.CLOSE_LIMIT_S + device.STOP_LIMIT_S + broker
    assert parts < cloudprocess._STOP_S


def test_a_cloud_that_is_told_to_end_while_it_starts_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        until(lambda: list(tmp_path.glob("*/*")), "the cloud makes no directory")
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cloudprocess, "_STOP_S", 0.01)
    monkeypatch.setattr(cloudprocess.CloudProcess, "_ready_line", interrupted)
    with pytest.raises(KeyboardInterrupt), cloudprocess.CloudProcess():
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_cloud_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with cloudprocess.CloudProcess() as cloud:
        assert list(tmp_path.glob("*/*"))
        assert cloud._process is not None
        cloud._process.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a file system of its own, to fill")
def test_a_full_disk_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(os.urandom(1 << 20))
    (tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(tmp_path / "disk")], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    source = {"uri": "s3://bucket/model.zip", "path": str(tmp_path / "model"), "format": "zip"}
    try:
        with pytest.raises(UnsupportedEnvironmentError, match="No space left"), cloudprocess.CloudProcess() as cloud:
            cloud.load_sources([source])
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_refusal_comes_with_its_hint(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InvalidDefinitionError) as caught, cloudprocess.CloudProcess() as cloud:
        cloud.load_sources([{"uri": "s3://bucket/model", "path": str(tmp_path / "model")}])
    assert caught.value.hint == 'Add "format", or use a key that ends in .tar.gz or .zip.'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_proxy", "http://127.0.0.1:9"),
        ("AWS_PROFILE", "no-such-profile"),
        ("AWS_CONFIG_FILE", "garbage"),
        ("AWS_RETRY_MODE", "no-such-mode"),
    ],
)
def test_what_is_set_for_aws_itself_does_not_reach_the_local_cloud(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value == "garbage":
        (tmp_path / value).write_text("[[[")
        value = str(tmp_path / value)
    monkeypatch.setenv(name, value)
    (tmp_path / "model").mkdir()
    with cloudprocess.CloudProcess() as cloud:
        cloud.load_sources([{"uri": "s3://bucket/model.zip", "path": str(tmp_path / "model"), "format": "zip"}])
        aws = Aws(cloud.http, cloud.region, cloud.explain)
        assert aws.call(aws.greengrass, "create_group", Name="group")["Name"] == "group"
