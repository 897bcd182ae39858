"""What a cloud offers as an update without having been told of a build, and what updates.yaml adds."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edge_sim.arch import UPDATE_TARGETS
from edge_sim.cloud.server import Cloud
from edge_sim.emulation import catalogue
from edge_sim.errors import InvalidDefinitionError
from edge_sim.jobs.messages import ExecutionReply
from edge_sim.jobs.requests import Describe
from edge_sim.jobs.topics import NEXT, Request
from edge_sim.updatesfile import PAIRS
from edge_sim.versions import parse_version
from tests.integration.cloud_client import THING, client

ROLE = "arn:aws:iam::123456789012:role/updates"


def offered(cloud: Cloud, pair: str, software: str = "core") -> dict[str, Any]:
    """Create an update job as any client of AWS's does."""
    system, _, architecture = pair.partition("/")
    answer: dict[str, Any] = client(cloud, "greengrass").create_software_update_job(
        S3UrlSignerRole=ROLE,
        SoftwareToUpdate=software,
        UpdateTargets=[THING],
        UpdateTargetsArchitecture=architecture,
        UpdateTargetsOperatingSystem=system,
    )
    return answer


@pytest.mark.network
@pytest.mark.process
def test_a_plain_client_creates_update_jobs_for_all_pairs_without_another_call(tmp_path: Path) -> None:
    """A build had to be PUT first, with a call that AWS's clients do not have."""
    with Cloud(catalogue=catalogue.newest) as cloud:
        client(cloud, "iot").create_thing(thingName="core1")
        for system, architecture in sorted(UPDATE_TARGETS):
            made = offered(cloud, f"{system}/{architecture}")
            assert made["PlatformSoftwareVersion"] == "1.11.6"
        reply = cloud.parts.jobs.device.call(Request(thing="core1", call="describe", job_id=NEXT), Describe())
        assert isinstance(reply, ExecutionReply)
        assert reply.execution is not None
        assert reply.execution.document is not None
        assert reply.execution.document["version"] == "1.11.6"
        assert offered(cloud, "raspbian/armv7l", "ota_agent")["PlatformSoftwareVersion"] == "1.3.0"

        file = tmp_path / "updates.yaml"
        file.write_text("updates: [{version: 1.11.7, for: [raspbian/armv7l], starts: false}]")
        [offer] = catalogue.read_offers(file)
        cloud.parts.updates.register(
            offer.software, offer.operating_system, offer.architecture, offer.version, offer.chunks()
        )
        assert offered(cloud, "raspbian/armv7l")["PlatformSoftwareVersion"] == "1.11.7"
        assert offered(cloud, "raspbian/armv6l")["PlatformSoftwareVersion"] == "1.11.6"


@pytest.mark.parametrize(
    ("pair", "first"),
    [
        ("openwrt/armv7l", "1.9.2"),
        ("raspbian/armv6l", "1.9.3"),
        ("ubuntu/x86_64", "1.3.0"),
        ("amazon_linux/x86_64", "1.3.0"),
    ],
)
def test_every_release_since_a_pair_was_supported_can_be_built(pair: str, first: str) -> None:
    system, _, architecture = pair.partition("/")
    known = catalogue.released("core", system, architecture)
    assert (known[0], known[-1]) == (first, "1.11.6")
    assert known == sorted(known, key=parse_version)
    for version in known:
        with tarfile.open(fileobj=io.BytesIO(catalogue.simulated("core", system, architecture, version))) as archive:
            assert f"packages/{version}/bin/daemon" in archive.getnames()
    assert catalogue.released("core", "raspbian", "x86_64") == ()


def test_a_list_of_updates_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "mine.tar.gz").write_bytes(b"a build")
    file = tmp_path / "updates.yaml"
    file.write_text(
        """
updates:
  - {version: 1.10.5}
  - {version: 1.11.7, starts: false, for: [openwrt/aarch64]}
  - {version: 2.0.0, software: ota_agent, file: mine.tar.gz, for: [raspbian/armv6l, ubuntu/x86_64]}
"""
    )
    offers = catalogue.read_offers(file)
    assert [f"{o.operating_system}/{o.architecture}" for o in offers[:7]] == list(PAIRS)
    old = tmp_path / "old.yaml"
    old.write_text("updates: [{version: 1.8.4}]")
    assert {o.operating_system for o in catalogue.read_offers(old)} == {"ubuntu", "amazon_linux", "raspbian"}
    broken, *mine = offers[7:]
    with tarfile.open(fileobj=io.BytesIO(b"".join(broken.chunks()))) as archive:
        daemon = archive.extractfile("packages/1.11.7/bin/daemon")
        assert daemon is not None
        assert b"broken on purpose" in daemon.read()
    assert [(o.software, b"".join(o.chunks())) for o in mine] == [("ota_agent", b"a build")] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("updates: [{}]", r":1:11: updates\[0\]"),
        ("updates: [{version: newest}]", "a version such as 1.11.7"),
        ("updates: [{version: 1.11.7, for: [raspbian/x86_64]}]", "'raspbian/x86_64' is not allowed"),
        ("updates: [{version: 1.11.7, for: []}]", "must name at least one system and architecture"),
        ("updates: [{version: 1.11.7, file: none.tar.gz}]", "no such file"),
        ("updates: [{version: 1.11.7, file: updates.yaml, starts: true}]", "file names your own build"),
    ],
)
def test_a_list_that_cannot_be_offered_says_where(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "updates.yaml"
    file.write_text(text)
    with pytest.raises(InvalidDefinitionError, match=message):
        catalogue.read_offers(file)
