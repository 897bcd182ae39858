"""Who is at the other end of a TLS connection."""

from __future__ import annotations

from typing import Any


def common_name(certificate: Any) -> str:
    """Return the CN of a peer's certificate as ``ssl`` shows it, "" without one."""
    names = [value for part in (certificate or {}).get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if names else ""
