"""Addresses on the command line: of a broker that runs already, and of this machine."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.runs.cloudprocess import NamedBroker


def named_broker(url: str | None, cafile: Path | None) -> NamedBroker | None:
    """Return the broker of the command line; raises UsageError before anything is started."""
    if url is None:
        if cafile:
            raise UsageError("--broker-cafile goes with --broker mqtts://HOST:PORT")
        return None
    from edge_sim.cloud.brokers.broker import tls_context
    from edge_sim.runs.cloudprocess import NamedBroker

    tls_context(url, cafile)
    return NamedBroker(url=url, cafile=cafile)


def own_address(text: str, *, kind: str, who: str) -> IPv4Address:
    """Return the address of ``--bind``; raises UsageError for one that ``who`` could not connect to as it stands.

    ``kind``: what it is to be, in words.
    """
    try:
        address = IPv4Address(text)
    except ValueError as error:
        raise UsageError(f"--bind {text}: {kind}") from error
    if address.is_unspecified:
        raise UsageError(
            f"--bind {text}: {who} cannot connect to this address", hint="Use one of this machine's addresses."
        )
    return address
