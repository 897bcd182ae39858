"""Connections through an HTTP proxy, for TLS: CONNECT, as RFC 9110 has it, with a password or without.

V1's config.json has it as ``coreThing.networkProxy`` (V1 developer guide, "alpn-network-proxy").
"""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass

LIMIT_S = 30.0
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy; ``direct`` are hosts that are reached without it, and with a leading dot all below one."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    direct: tuple[str, ...] = ()

    def serves(self, host: str) -> bool:
        """Say whether ``host`` is reached through the proxy."""
        name = host.lower()
        return not any(name == each.lstrip(".") or name.endswith(f".{each.lstrip('.')}") for each in self.direct)

    @property
    def headers(self) -> dict[str, str]:
        """What a CONNECT request carries besides."""
        if self.username is None:
            return {}
        login = base64.b64encode(f"{self.username}:{self.password or ''}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {login}"}

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connection to ``host`` through the proxy. Raises OSError with the proxy's answer."""
        where = f"proxy {self.host}:{self.port}"
        try:
            connection = socket.create_connection((self.host, self.port), timeout=LIMIT_S)
        except OSError as error:
            raise OSError(f"{where}: {error.strerror or error}") from error
        try:
            headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode())
            status = _status(connection)
        except OSError as error:
            connection.close()
            raise OSError(f"{where}: {error.strerror or error}") from error
        if not 200 <= status < 300:
            connection.close()
            raise OSError(f"{where} answers {status} to CONNECT {host}:{port}")
        return connection


def _status(connection: socket.socket) -> int:
    """Return the status of the proxy's answer; not a byte beyond its head is read, as that is TLS's."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) > MAX_ANSWER:
            raise OSError("its response is not HTTP")
        head += byte
    parts = head.split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
