"""A real mosquitto with a TLS listener, and the certificates of a CA that only this test knows."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import certificate_authority, server_certificate

LIMIT_S = 60.0
START_TRIES = 3
needs_tls_broker = pytest.mark.skipif(
    not (shutil.which("mosquitto") and shutil.which("openssl")), reason="apt-get install mosquitto openssl"
)


@dataclass(frozen=True, kw_only=True)
class TlsBroker:
    url: str
    ca: Path
    other_ca: Path


@contextmanager
def tls_broker(folder: Path) -> Iterator[TlsBroker]:
    """Have a broker for 127.0.0.1 that shows a certificate of its CA, as long as the block lasts."""
    ca, other = (certificate_authority(folder, name) for name in ("ca", "other"))
    server_certificate(folder, ca)
    port, process = _started(folder, ca)
    try:
        yield TlsBroker(url=f"mqtts://127.0.0.1:{port}", ca=ca, other_ca=other)
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def _started(folder: Path, ca: Path) -> tuple[int, subprocess.Popen[bytes]]:
    config = folder / "mosquitto.conf"
    names = f"certfile {folder}/server.pem\nkeyfile {folder}/server.key\ncafile {ca}\n"
    for _ in range(START_TRIES):  # another program may take the free port between our look and mosquitto's bind
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{names}user root\n")
        with (folder / "mosquitto.log").open("wb") as log:
            process = subprocess.Popen(["mosquitto", "-c", str(config)], stdout=log, stderr=log)
        if _listens(port, process):
            return port, process
        process.kill()
        process.wait(LIMIT_S)
    raise AssertionError(f"mosquitto does not listen: {(folder / 'mosquitto.log').read_text()}")


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False
