"""What one machine has for a fleet: descriptors of a process, ports of an address. Said before anything is started."""

from __future__ import annotations

import errno
import math
import resource
import socket

from edge_sim.errors import UnsupportedEnvironmentError

BESIDE = 200
"""Descriptors of a process that are no core's."""
PORTS = 28_000
"""Linux's ephemeral ports, for each source address and broker (net.ipv4.ip_local_port_range)."""
NEAR = 0.8
"""The share of a limit from which it is said."""


def check(cores: int, processes: int, *, own_broker: bool, tls: bool, loopback: bool) -> list[str]:
    """Raise this process's limit of descriptors to what it may have, and return which limits are near.

    ``processes`` run the cores; ``own_broker``: the cloud's broker is one process that holds all sessions, with ``tls``
    twice. Raises UnsupportedEnvironmentError when there are too few descriptors or ports.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = math.inf if hard == resource.RLIM_INFINITY else hard
    needs = {"a process of the fleet": math.ceil(cores / processes) + BESIDE}
    if own_broker:
        needs["the cloud, which passes TLS on," if tls else "the broker"] = cores * (2 if tls else 1) + BESIDE
    notes = []
    for what, needed in needs.items():
        text = f"{cores:,} cores: {what} needs {needed:,} descriptors, but a process may have only {most:,} here"
        if needed > most:
            hint = "Use --workers N" if what in "a process of the fleet" else "Use --broker URL with a broker elsewhere"
            raise UnsupportedEnvironmentError(text, hint=f"{hint}, or raise the limit (ulimit -Hn).")
        if needed > most * NEAR:
            notes.append(text)
    if not loopback and cores > PORTS:
        text = f"{cores:,} cores on one machine: an address has {PORTS:,} ports to one broker"
        raise UnsupportedEnvironmentError(text, hint="Use --master, and workers on other machines.")
    if max(needs.values()) > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return notes


def check_port(option: str, address: str, port: int) -> None:
    """Raise UnsupportedEnvironmentError unless a server can listen at this address and port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        text = f"cannot listen on {address}, port {port}: {error.strerror or error}"
        if error.errno == errno.EADDRNOTAVAIL:
            hint = "Use one of this machine's addresses."
            raise UnsupportedEnvironmentError(f"--bind {address}: {text}", hint=hint) from error
        hint = f"Choose another {option}, or stop the program that uses this one."
        raise UnsupportedEnvironmentError(f"{option} {port}: {text}", hint=hint) from error
