"""Ports of loopback: to listen at, and where nobody answers. Other programs take free ports beside the tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def port_of_nobody() -> Iterator[int]:
    """Keep a port of 127.0.0.1 taken, but not listened on, for as long as the block lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def free_port() -> int:
    """Return a port that is free now, for a program that cannot choose one and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
