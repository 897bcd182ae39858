"""What ``edge-sim cloud`` refuses before anything is started, and the files of ``cloud certs``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge_sim.cli import cloud, running_cloud
from edge_sim.cloud import notes
from edge_sim.cloud.provisioning import Endpoints, provision
from edge_sim.errors import UnsupportedEnvironmentError, UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bind", "192.0.2.1"], "other machines could reach a cloud without authentication"),
        (["--bind", "0.0.0.0"], "a board cannot connect to this address"),
        (["--bind", "0.0.0.0", "--tls"], "a board cannot connect to this address"),
        (["--mqtt-port", "8883"], "--mqtt-port goes with --tls"),
        (["--name", "bench"], "--name goes with --tls"),
        (["--tls", "--name", "a b"], "neither a host name nor an IPv4 address"),
        (["--tls", "--broker", "mqtt://127.0.0.1:1"], "--tls and --broker cannot be combined"),
    ],
)
def test_a_cloud_that_would_be_open_or_odd_is_not_started(options: list[str], message: str) -> None:
    failed = CliRunner().invoke(cloud.command, ["serve", *options]).exception
    assert isinstance(failed, UsageError)
    assert message in failed.brief


def test_certs_needs_a_cloud_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    failed = CliRunner().invoke(cloud.command, ["certs", "core", "--out", str(tmp_path / "core")]).exception
    assert isinstance(failed, UnsupportedEnvironmentError)
    assert failed.brief == "no certificate can be created: no local cloud is running"
    assert "edge-sim cloud serve --tls" in str(failed.hint)
    assert isinstance(CliRunner().invoke(cloud.command, ["certs", "a b", "--out", "x"]).exception, UsageError)


def test_boards_in_containers_are_not_sent_to_a_cloud_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    about = {"http": "https://127.0.0.1:1", "mqtt": "mqtts://127.0.0.1:2", "cafile": "/ca.pem"}
    with notes.left(about), pytest.raises(UnsupportedEnvironmentError, match="requires client certificates") as failed:
        running_cloud.broker("edge-sim cloud serve --bind docker")
    assert "without --tls: edge-sim cloud serve --bind docker" in str(failed.value.hint)


class Iot:
    """The operations that provisioning needs."""

    class exceptions:  # noqa: N801 - boto3's name
        class ResourceNotFoundException(Exception):  # noqa: N818 - boto3's name
            pass

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.on_create: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        def call(**params: Any) -> dict[str, Any]:
            self.calls.append(name)
            if name == "create_keys_and_certificate":
                self.on_create()
            if name == "get_policy":
                raise self.exceptions.ResourceNotFoundException
            keys = {"PrivateKey": "private", "PublicKey": "public"}
            return {
                "thingArn": f"arn:thing/{params.get('thingName')}",
                "certificateArn": "arn:cert/0123456789abcdef",
                "certificateId": "0123456789abcdef",
                "certificatePem": "certificate",
                "keyPair": keys,
            }

        return call


def test_the_files_of_a_thing_are_a_cores(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("ca")
    endpoints = Endpoints(http="https://192.0.2.1:8443", mqtt="mqtts://192.0.2.1:8883", cafile=tmp_path / "ca.pem")
    iot, folder = Iot(), tmp_path / "core"
    provision(iot, "core", endpoints, folder)
    assert iot.calls[-2:] == ["attach_policy", "attach_thing_principal"]
    core = json.loads((folder / "config" / "config.json").read_text())["coreThing"]
    assert (core["iotHost"], core["iotMqttPort"], core["ggHttpPort"]) == ("192.0.2.1", 8883, 8443)
    files = {name: folder / "certs" / core[name] for name in ("caPath", "certPath", "keyPath")}
    assert [path.read_text() for path in files.values()] == ["ca", "certificate", "private"]
    assert files["keyPath"].stat().st_mode & 0o777 == 0o400
    assert (folder / "certs").stat().st_mode & 0o777 == 0o700
    with pytest.raises(UsageError, match="not empty"):
        provision(iot, "core", endpoints, folder)


def test_a_certificate_whose_files_cannot_be_written_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("ca")
    endpoints = Endpoints(http="https://192.0.2.1:8443", mqtt="mqtts://192.0.2.1:8883", cafile=tmp_path / "ca.pem")
    iot, folder = Iot(), tmp_path / "core"
    iot.on_create = lambda: (folder / "certs").rmdir()
    with pytest.raises(UsageError, match=r"root\.ca\.pem: cannot be written: No such file"):
        provision(iot, "core", endpoints, folder)
    assert iot.calls[-3:] == ["detach_thing_principal", "update_certificate", "delete_certificate"]
