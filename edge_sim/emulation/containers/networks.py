"""The network of boards in containers: a bridge of its own, from which only this machine is reached.

The network is internal (the engine's firewall drops what would leave it) and its members do not see each other. The
local cloud listens on the bridge's own address, the gateway, which is an address of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge_sim import interrupts
from edge_sim.errors import UnsupportedEnvironmentError

SHARED = "edge-sim"
"""The network of ``cloud serve --bind docker`` and ``board up``."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """``gateway``: this machine's address on it, where the cloud listens."""

    name: str
    gateway: str


def make(engine: Any, name: str, labels: Mapping[str, str], *, internal: bool = True) -> Network:
    """Return the network called ``name``, making it when it is not there.

    ``internal=False`` lets boards out, for a broker elsewhere. Raises UnsupportedEnvironmentError.
    """
    import docker

    network = find(engine, name)
    if network:
        return network
    try:
        engine.networks.create(
            name,
            driver="bridge",
            internal=internal,
            options={"com.docker.network.bridge.enable_icc": "false"},
            labels=dict(labels),
        )
    except docker.errors.APIError as error:
        raise UnsupportedEnvironmentError(f"Docker refused to create network {name}: {error.explanation}") from error
    network = find(engine, name)
    if network is None:
        raise UnsupportedEnvironmentError(f"the engine's network {name} has no address of this machine")
    return network


def find(engine: Any, name: str) -> Network | None:
    """Return a network by its exact name."""
    for network in engine.networks.list(names=[name]):
        gateways = [config.get("Gateway") for config in network.attrs["IPAM"].get("Config") or ()]
        if network.name == name and gateways and gateways[0]:
            return Network(name=name, gateway=str(gateways[0]).partition("/")[0])
    return None


def remove(engine: Any, name: str) -> None:
    """Remove a network; one that boards are still on stays, a missing one is no fault."""
    import docker

    with interrupts.hold():
        for network in engine.networks.list(names=[name]):
            if network.name != name:
                continue
            try:
                network.remove()
            except docker.errors.APIError as error:
                # 403: boards are on it, and the last of them removes it. 404: somebody was faster.
                if error.status_code not in (403, 404):
                    raise UnsupportedEnvironmentError(
                        f"could not remove network {name}: {error.explanation}"
                    ) from error


def remove_unused(engine: Any, name: str) -> None:
    """Remove a network, unless boards are on it or a program of this machine, such as a cloud, listens there."""
    import psutil

    network = find(engine, name)
    if network is None:
        return
    listening = [s.laddr for s in psutil.net_connections("tcp") if s.status == psutil.CONN_LISTEN and s.laddr]
    if network.gateway not in [address.ip for address in listening]:
        remove(engine, name)


@contextmanager
def temporary(engine: Any, name: str, labels: Mapping[str, str], *, internal: bool = True) -> Iterator[Network]:
    """Make a network for the length of a with block."""
    try:
        with interrupts.hold():  # what the engine is asked for while we are interrupted is made all the same
            network = make(engine, name, labels, internal=internal)
        yield network
    finally:
        remove(engine, name)
