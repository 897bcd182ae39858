"""Which names of this machine a request may be for.

A page in a browser here can make its own name lead to this machine (DNS rebinding) and then read what it likes, as for
the browser both are one origin. Such a name stands in the request's ``Host``; those that only this machine, an engine
of containers or the local network can give an address do not help an attacker.
"""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(:[0-9]{1,5})?", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
"""A host name or an IPv4 address, as a certificate may have it."""
_LOCAL_SUFFIXES = (".localhost", ".internal")


def is_local(header: str) -> bool:
    """Tell whether a ``Host`` header names this machine: by address, as localhost, or by a name without a domain."""
    match = _HOST.fullmatch(header.strip().lower())
    if match is None:
        return False
    name = match[1].strip("[]").rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return ("." not in name and ":" not in name) or name.endswith(_LOCAL_SUFFIXES)
    return True
