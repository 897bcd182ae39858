"""The payloads that tell a core of a deployment, on the shadow topics of ``<thing>-gda``.

The topics are sourced (captures of real cores); nobody documents the payloads, so these are simulator-defined
(docs/architecture.md, "Deployments, cloud ⇄ core"). The service encodes, the agent decodes.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_sim.jobs import wire


def encode_delta(deployment: Mapping[str, object], *, version: int, timestamp: int) -> bytes:
    """Return the body of ``update/delta``: a deployment that has just begun."""
    return wire.encode({"version": version, "timestamp": timestamp, "state": {"deployment": dict(deployment)}})


def encode_accepted(deployment: Mapping[str, object] | None, *, version: int, timestamp: int) -> bytes:
    """Return the body of ``get/accepted``: the deployment in progress, or none."""
    desired = {} if deployment is None else {"deployment": dict(deployment)}
    return wire.encode({"version": version, "timestamp": timestamp, "state": {"desired": desired}})


def decode_delta(payload: bytes) -> Mapping[str, object] | None:
    """Return the deployment of an ``update/delta``, or None when it names none. Raises JobsError."""
    return wire.mapping(wire.mapping(wire.decode(payload), "state") or {}, "deployment")


def decode_accepted(payload: bytes) -> Mapping[str, object] | None:
    """Return the deployment of a ``get/accepted``, or None when none is in progress. Raises JobsError."""
    state = wire.mapping(wire.decode(payload), "state") or {}
    return wire.mapping(wire.mapping(state, "desired") or {}, "deployment")
