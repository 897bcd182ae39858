"""How the agent checks who answers it, and proves who it is: CA certificates, its own certificate and key, ALPN."""

from __future__ import annotations

import errno
import ssl
import stat
import time
from pathlib import Path

from edge_sim.errors import UsageError, file_error

ALPN_MQTT = "x-amzn-mqtt-ca"
"""What AWS IoT wants to be asked for on port 443 (IoT developer guide, "Device communication protocols")."""
NOT_YET_VALID = 9
"""OpenSSL's X509_V_ERR_CERTNOT_YET_VALID."""


def context(
    cafile: str | None, certificate: str | None = None, key: str | None = None, *, alpn: str | None = None
) -> ssl.SSLContext:
    """Return how a TLS server is checked, name included: with the CA certificates in ``cafile``, None for the system's.

    ``certificate`` and ``key`` are shown to a server that asks for them. Raises UsageError when a file cannot be read,
    the key is not the certificate's, or others may read the key.
    """
    try:
        if cafile is not None:
            _check_file(cafile)
        tls = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        why = _reason(error) if isinstance(error, ssl.SSLError) else error.strerror
        raise file_error(f"{cafile}: cannot be read as CA certificates ({why})", error) from error
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None and key is not None:
        _show(tls, certificate, key)
    if alpn is not None:
        tls.set_alpn_protocols([alpn])
    return tls


def _show(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    try:
        _check_file(certificate)
        mode = _check_file(key) & 0o777
        if mode & 0o077:
            raise UsageError(f"{key}: mode {mode:04o} lets others read the private key", hint=f"Run: chmod 400 {key}")
        tls.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        why = "is not the certificate's key" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be read as PEM"
        if b"ENCRYPTED" in Path(key).read_bytes():
            why = "is encrypted, and the agent cannot ask for its passphrase"
        raise UsageError(f"{certificate}, {key}: the private key {why}") from error
    except OSError as error:
        raise file_error(f"{error.filename or certificate}: cannot be read: {error.strerror}", error) from error


def _check_file(path: str) -> int:
    """Return a regular file's mode; another kind may keep its reader waiting, and raises OSError."""
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return mode


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason in words, without its numbers and source lines."""
    return error.reason.lower().replace("_", " ") if error.reason else "not PEM"


def distrust(error: ssl.SSLCertVerificationError) -> str:
    """Return why a server's certificate is not trusted. A board without a clock of its own is the usual reason."""
    if error.verify_code != NOT_YET_VALID:
        return str(error.verify_message)
    here = time.strftime("%Y-%m-%d", time.gmtime())  # no minutes: the same reason is said once
    return f"this board's clock says {here}, which is before the certificate becomes valid; set the clock"
