"""Which addresses a board fetches from. A URL comes with a job or a deployment, so it may be anybody's.

Link-local addresses are where cloud machines and containers hand out their own credentials; loopback is the board
itself, unless its broker is there too (a simulated board). Addresses of a local network are as good as any. V1's agent
is not known to have looked; the rule is ours.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_METADATA = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")))
"""Of Alibaba, Azure, AWS and Google, beside the link-local ones."""
_NAT64 = ip_network("64:ff9b::/96")


def objection(address: str, *, loopback: bool) -> str | None:
    """Return what forbids a connection to an IP address, or None; ``loopback``: the board's own are allowed."""
    found = _plain(address)
    if found.is_link_local or found in _METADATA:
        return "a link-local or metadata address, where machines keep their credentials"
    if found.is_loopback:
        return None if loopback else "the board itself"
    if found.is_unspecified or found.is_multicast or (isinstance(found, IPv4Address) and found.is_reserved):
        return "not a server's address"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, as far as its name says it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Return an address without the disguises in which IPv6 carries those of IPv4, and without its zone."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        return inner or found
    return found
