"""Secrets through a deployment: they come, change, go and are taken back together with everything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.crashpoints import armed
from edge_sim.agent.deployment import secrets
from edge_sim.agent.deployment.deployer import deploy, group_of
from edge_sim.agent.http_error import HttpError
from edge_sim.errors import EdgeSimError
from edge_sim.facts import HostFacts
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource, Secret
from edge_sim.greengrass.tree import BELOW
from tests.deployments import board, picture
from tests.factory import write_key
from tests.fakes_host import RecordingHost

CANARY = "nobody-else-has-this"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-db-AbCdEf"


def document(*ids: str) -> dict[str, Any]:
    """A group with a secret for each id, which is also the end of its ARN."""
    resources = tuple(Resource(id=id_, name=id_, data=Secret(arn=ARN + id_)) for id_ in ids)
    group = groupfile.encode(Group(resources=resources), region="eu-west-1")
    return {"Group": group, "Artifacts": {}, "Secrets": {id_: {"Url": f"http://cloud/{id_}"} for id_ in ids}}


def fetch(url: str) -> Mapping[str, Any]:
    version = {"VersionId": "1", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1, "SecretString": CANARY}
    return {"ARN": ARN + url.rsplit("/", 1)[-1], "Name": url.rsplit("/", 1)[-1], "Versions": [version]}


@pytest.fixture
def facts(tmp_path: Path) -> HostFacts:
    found = board(tmp_path)
    (tmp_path / "greengrass/config").mkdir()
    (tmp_path / "greengrass/config/config.json").write_text('{"coreThing": {"keyPath": "core.key"}}')
    (tmp_path / "greengrass/certs").mkdir()
    write_key(tmp_path / "greengrass/certs/core.key")
    return found


def no_package(url: str, destination: Path, *, sha256: str, size: int) -> None:
    raise AssertionError(f"{url}: the group has no packages")


def carry_out(root: Path, facts: HostFacts, made: dict[str, Any], **more: Any) -> None:
    deploy(group_of(made), made, root, facts, RecordingHost(root), no_package, **{"fetch_secret": fetch, **more})


def names(root: Path) -> list[str]:
    return sorted(arn.removeprefix(ARN) for arn in secrets.stored(root, "/greengrass"))


def test_they_come_change_and_go_with_their_resources(tmp_path: Path, facts: HostFacts) -> None:
    carry_out(tmp_path, facts, document("a", "b"))
    place = tmp_path / "greengrass" / BELOW.secrets
    assert (names(tmp_path), place.stat().st_mode & 0o777) == (["a", "b"], 0o600)
    carry_out(tmp_path, facts, document("b"))
    assert names(tmp_path) == ["b"]
    with pytest.raises(LookupError):
        secrets.value(tmp_path, "/greengrass", (ARN + "a",), "a", None)
    carry_out(tmp_path, facts, document())
    assert not place.exists()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]


def test_whoever_brings_no_values_leaves_them_alone_but_removes_them_with_the_last_resource(
    tmp_path: Path, facts: HostFacts
) -> None:
    carry_out(tmp_path, facts, document("a"))
    before = (tmp_path / "greengrass" / BELOW.secrets).read_bytes()
    carry_out(tmp_path, facts, document("a"), fetch_secret=None)
    assert (tmp_path / "greengrass" / BELOW.secrets).read_bytes() == before
    carry_out(tmp_path, facts, document("a", "b"))
    carry_out(tmp_path, facts, document("b", "c"), fetch_secret=None)
    assert names(tmp_path) == ["b"], "the other resource is gone, a new one has no value yet"
    assert secrets.value(tmp_path, "/greengrass", (ARN + "b",), "b", None)["SecretString"] == CANARY
    carry_out(tmp_path, facts, document("c"), fetch_secret=None)
    assert names(tmp_path) == []
    carry_out(tmp_path, facts, document("a"))
    carry_out(tmp_path, facts, document(), fetch_secret=None)
    assert names(tmp_path) == []


def missing(_url: str) -> Mapping[str, Any]:
    raise HttpError("http://cloud/a: HTTP 404 (NoSuchKey)")


@pytest.mark.parametrize(
    ("spoil", "more"),
    [
        (lambda root: None, {"fetch_secret": missing}),
        (lambda root: None, {"fetch_secret": lambda url: {"ARN": "other"}}),
        (lambda root: (root / "greengrass/certs/core.key").unlink(), {}),
        (lambda root: (root / "greengrass/certs/core.key").write_text("no key"), {}),
        (lambda root: (root / "greengrass/config/config.json").write_text("{"), {}),
    ],
)
def test_a_failure_leaves_the_board_as_it_was(
    tmp_path: Path, facts: HostFacts, spoil: Any, more: dict[str, Any]
) -> None:
    carry_out(tmp_path, facts, document("a"))
    spoil(tmp_path)
    before = picture(tmp_path)
    with pytest.raises(EdgeSimError) as raised:
        carry_out(tmp_path, facts, document("a", "b"), **more)
    assert CANARY not in str(raised.value.__dict__)
    assert picture(tmp_path) == before


def test_a_document_that_does_not_say_where_a_secret_is(tmp_path: Path, facts: HostFacts) -> None:
    made = document("a")
    del made["Secrets"]
    with pytest.raises(EdgeSimError, match="does not say where its secret is"):
        carry_out(tmp_path, facts, made)


@pytest.mark.slow
def test_killed_anywhere_the_secrets_are_the_old_or_the_new_ones(tmp_path: Path, facts: HostFacts) -> None:
    """What a killed run left is put right by the next deployment; looked at here is the board before it."""
    passed: list[str] = []
    carry_out(tmp_path, facts, document("a"))
    shutil.copytree(tmp_path / "greengrass", tmp_path / "kept")
    with armed(passed.append):
        carry_out(tmp_path, facts, document("b"))
    assert len(passed) >= 4
    for point in passed:
        shutil.rmtree(tmp_path / "greengrass")
        shutil.copytree(tmp_path / "kept", tmp_path / "greengrass")

        def stop(here: str, point: str = point) -> None:
            if here == point:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), armed(stop):
            carry_out(tmp_path, facts, document("b"))
        group = json.loads((tmp_path / "greengrass/ggc/deployment/group/group.json").read_text())
        (resource,) = group["GroupDefinitions"]["Resources"]["Content"]
        assert names(tmp_path) == [resource["Id"]], point
    print(f"{len(passed)} points")


def test_a_core_that_is_older_than_secrets_refuses_them(tmp_path: Path, facts: HostFacts) -> None:
    old = replace(facts, greengrass=replace(facts.greengrass, version="1.6.0"))
    with pytest.raises(EdgeSimError, match=r"1\.7"):
        carry_out(tmp_path, old, document("a"))
