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
    plain = _plain(address)
    if plain.is_link_local or plain in _METADATA:
        return "a link-local or metadata address, where machines keep their credentials"
    if plain.is_loopback:
        return None if loopback else "the board itself"
    if plain.is_unspecified or plain.is_multicast or (isinstance(plain, IPv4Address) and plain.is_reserved):
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
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = IPv4Address(int(parsed) & 0xFFFFFFFF)
        return inner or parsed
    return parsed
