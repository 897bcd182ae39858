"""config.json's keys for running functions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_sim.agent.coreconfig import CoreConfig, read
from edge_sim.agent.probe import probe
from edge_sim.agent.update.preflight import managed_respawn
from edge_sim.errors import InvalidDefinitionError, UpdateError
from tests.factory import install_core


def config(tmp_path: Path, text: str) -> CoreConfig:
    path = tmp_path / "greengrass/config/config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return read(tmp_path, "/greengrass")


def test_defaults_and_a_factory_board(tmp_path: Path) -> None:
    assert read(tmp_path, "/greengrass") == CoreConfig()
    install_core(tmp_path, "/greengrass", "1.10.0")
    assert read(tmp_path, "/greengrass") == CoreConfig(private_key="/greengrass/certs/core.private.key")


def test_everything_said(tmp_path: Path) -> None:
    said = {
        "coreThing": {"ggDaemonPort": 8001, "keyPath": "a.key"},
        "runtime": {"maxWorkItemCount": 5, "maxConcurrentLimit": 2},
        "crypto": {"principals": {"IoTCertificate": {"privateKeyPath": "file:///certs/b.key"}}},
    }
    wanted = CoreConfig(daemon_port=8001, max_work_items=5, max_concurrent=2, private_key="/certs/b.key")
    assert config(tmp_path, json.dumps(said)) == wanted
    said["crypto"]["principals"]["SecretsManager"] = {"privateKeyPath": "file:///certs/c.key"}  # type: ignore[index]
    assert config(tmp_path, json.dumps(said)).private_key == "/certs/c.key"
    assert config(tmp_path, '{"coreThing": {"keyPath": "[CLOUD_PEM_KEY_HERE]"}}').private_key is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"coreThing": {"ggDaemonPort": 80}}',
        '{"coreThing": {"ggDaemonPort": "8000"}}',
        '{"runtime": {"maxConcurrentLimit": 0}}',
        '{"runtime": {"maxWorkItemCount": true}}',
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidDefinitionError):
        config(tmp_path, text)


@pytest.mark.parametrize("text", ["{", "[]", '{"runtime": {}, "runtime": {}}', '{"a": NaN}', '{"a": ' + "[" * 100_000])
def test_everyone_who_reads_it_says_the_same_of_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidDefinitionError) as refusal:
        config(tmp_path, text)
    assert refusal.value.problem == "Failed to parse /greengrass/config/config.json."
    with pytest.raises(InvalidDefinitionError) as probed:
        probe(tmp_path)
    assert (probed.value.problem, probed.value.details) == (refusal.value.problem, refusal.value.details)
    gg = tmp_path / "greengrass"
    with pytest.raises(UpdateError, match=rf"^Failed to parse {gg}/config/config\.json\.$"):
        managed_respawn(gg)
