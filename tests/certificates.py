"""Certificates of a CA that only a test knows, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

LIMIT_S = 60.0


def certificate_authority(folder: Path, name: str) -> Path:
    """Return the certificate of a new CA; its key lies beside it."""
    made = folder / f"{name}.pem"
    key = ["-keyout", str(folder / f"{name}.key"), "-addext", "basicConstraints=critical,CA:TRUE"]
    # Python 3.13 holds certificates to X.509's strict rules: a CA's key usage is named.
    _openssl("-out", str(made), "-subj", f"/CN=edge-sim test {name}", *key, "-addext", "keyUsage=critical,keyCertSign")
    return made


def server_certificate(folder: Path, ca: Path) -> None:
    """Make ``server.pem`` and ``server.key`` for 127.0.0.1 in ``folder``, signed by ``ca``."""
    signer = ["-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")), "-addext", "subjectAltName=IP:127.0.0.1"]
    signer += ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "authorityKeyIdentifier=keyid:always"]
    made = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem")]
    _openssl(*made, "-subj", "/CN=127.0.0.1", *signer)


def _openssl(*options: str) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*argv, "-days", "1", *options], check=True, capture_output=True, timeout=LIMIT_S)
