"""The stack for Docker Swarm and the manifests for Kubernetes: what they name is there, and our commands take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from edge_sim.cli.fleet import command

FOLDER = Path(__file__).parents[2] / "examples/fleet"
STACK: Mapping[str, Any] = yaml.safe_load((FOLDER / "stack.yaml").read_text())
MANIFESTS: Sequence[Mapping[str, Any]] = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))


def options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Return what ``edge-sim`` makes of a container's arguments."""
    name, *rest = arguments
    assert name == "fleet"
    return command.make_context(name, rest).params


def pods() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name and template of each workload of the manifests."""
    for manifest in MANIFESTS:
        if "template" in manifest["spec"]:
            yield manifest["metadata"]["name"], manifest["spec"]["template"]


def test_the_stacks_master_and_workers_are_commands_of_ours() -> None:
    services = STACK["services"]
    _, *arguments = services["master"]["command"]
    master = options(arguments)
    assert master["master"]
    assert master["workers"] == services["worker"]["deploy"]["replicas"]
    assert master["broker"] == "mqtt://broker:1883"
    assert options(services["worker"]["command"])["join"] == "master"
    assert {service["image"] for service in services.values()} == {"edge-sim:fleet"}


def test_the_stacks_files_are_beside_it() -> None:
    assert all((FOLDER / config["file"]).is_file() for config in STACK["configs"].values())
    used = {each["source"] for service in STACK["services"].values() for each in service.get("configs", ())}
    assert used == set(STACK["configs"])


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_kubernetes_own_schemas_take_the_manifests_and_refuse_a_slip_in_each(version: str) -> None:
    for manifest in MANIFESTS:
        kubernetes_validate.validate(manifest, version, strict=True)
        slip = {**manifest, "spec": {**manifest["spec"], "replica": 1}}
        with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
            kubernetes_validate.validate(slip, version, strict=True)
    assert [manifest["kind"] for manifest in MANIFESTS] == ["Service", "Service", "Deployment", "Job", "Job"]


def test_the_manifests_commands_are_ours() -> None:
    arguments = {name: template["spec"]["containers"][0].get("args") for name, template in pods()}
    master, worker = options(arguments["fleet-master"]), options(arguments["fleet-worker"])
    (workers,) = (each for each in MANIFESTS if each["metadata"]["name"] == "fleet-worker")
    assert master["workers"] == workers["spec"]["parallelism"] == workers["spec"]["completions"]
    assert (master["master"], worker["join"]) == (True, "fleet-master")
    assert master["broker"] == "mqtt://fleet-broker:1883"


def test_each_service_of_the_manifests_leads_to_a_port_of_one_pod() -> None:
    for service in (each for each in MANIFESTS if each["kind"] == "Service"):
        chosen = service["spec"]["selector"]
        (ports,) = (
            [port["name"] for port in template["spec"]["containers"][0]["ports"]]
            for _, template in pods()
            if chosen.items() <= template["metadata"]["labels"].items()
        )
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ports


def test_what_a_pod_mounts_it_has() -> None:
    for _, template in pods():
        spec = template["spec"]
        mounts = [mount["name"] for each in spec["containers"] for mount in each.get("volumeMounts", ())]
        assert mounts == [volume["name"] for volume in spec.get("volumes", ())]
        assert all(volume["configMap"] == {"name": "fleet"} for volume in spec.get("volumes", ()))
