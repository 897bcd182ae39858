"""The cloud's own certificate authority: its root, the server's certificate, and the certificates of things.

Everything lies in one folder beside the state (0700), keys are readable by their owner alone (0400), and a restart
keeps all of it, so that boards need not be provisioned again. A thing's private key is handed out once and never kept.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes, PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_sim.errors import UnsupportedEnvironmentError

END = datetime(2049, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
"""When AWS IoT's own certificates of things end."""
SKEW = timedelta(days=1)
"""How far a board's clock may lag behind this machine's."""
RENEW = timedelta(days=30)
SERVER_LIFE = timedelta(days=397)
"""The longest that today's TLS clients take."""
RSA_BITS = 2048


class BadRequestError(ValueError):
    """A certificate signing request that cannot be signed; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A thing's certificate. ``id`` is its CN: 64 hexadecimal digits. Times are epoch seconds."""

    id: str
    pem: str
    not_before: float
    not_after: float


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """An RSA key pair (PEM); never stored."""

    private: str
    public: str


class CertificateAuthority:
    """The authority whose files lie in ``folder``; they are made when they are not there.

    Raises UnsupportedEnvironmentError when the folder or a key could be read by others, or a file is not usable.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        _private(folder)
        self.cafile = folder / "ca.pem"
        self._key = _key(folder / "ca.key")
        if not self.cafile.exists():
            _write(self.cafile, _pem(self._root()), 0o444)
        try:
            self._certificate = x509.load_pem_x509_certificate(self.cafile.read_bytes())
        except ValueError as error:
            raise _unusable(self.cafile, str(error)) from error
        if self._certificate.public_key() != self._key.public_key():
            raise _unusable(self.cafile, "is not the certificate of ca.key")

    def access_key(self) -> str:
        """Return the secret with which clients of the API sign their requests (SigV4)."""
        path = self._folder / "secret-access-key"
        if not path.exists():
            _write(path, secrets.token_urlsafe(30).encode(), 0o400)
        _private(path)
        return path.read_text(encoding="ascii")

    def server_context(self, names: Sequence[str], *, required: bool, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """Return what a server for ``names`` (addresses and host names) shows and asks of its clients.

        Clients show a certificate of this authority, or with ``required`` False none at all.
        """
        certificate, key = self._server(names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self.cafile)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def issue_pair(self) -> tuple[Issued, KeyPair]:
        """Return a new certificate and its keys. RSA, as AWS's: a V1 core decrypts its secrets with that key."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return self.issue(key.public_key()), KeyPair(private=private.decode(), public=public.decode())

    def sign(self, request_pem: str) -> Issued:
        """Return a certificate for the key of a signing request; its subject is ignored. Raises BadRequestError."""
        try:
            request = x509.load_pem_x509_csr(request_pem.encode())
            key = request.public_key()
            genuine = request.is_signature_valid
        except Exception as error:  # cryptography has no base class for what it cannot read or does not support
            raise BadRequestError("it cannot be read as a PEM certificate signing request") from error
        if not genuine:
            raise BadRequestError("its signature is not valid")
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS:
            return self.issue(key)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
            return self.issue(key)
        raise BadRequestError(f"its key is neither RSA of at least {RSA_BITS} bits nor EC on P-256 or P-384")

    def issue(
        self, key: CertificateIssuerPublicKeyTypes, *, begin: datetime | None = None, end: datetime = END
    ) -> Issued:
        """Return a certificate of a thing for ``key``. Its id, the CN, is a digest of key and serial number."""
        serial = x509.random_serial_number()
        plain = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        id_ = hashlib.sha256(plain + serial.to_bytes(20, "big")).hexdigest()
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self._builder(id_, key, serial, begin or _now() - SKEW, end).add_extension(usage, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return Issued(id=id_, pem=_pem(certificate).decode(), not_before=begin.timestamp(), not_after=end.timestamp())

    def _root(self) -> x509.Certificate:
        name = _name("edge-sim private CA")
        key = self._key.public_key()
        usage = _usage(key_cert_sign=True, crl_sign=True)
        return (
            x509.CertificateBuilder(name, name, key, x509.random_serial_number(), _now() - SKEW, END)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, name: str, key: CertificateIssuerPublicKeyTypes, serial: int, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        # Python 3.13 holds certificates to X.509's strict rules: both key identifiers and the usage are there.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder(self._certificate.subject, _name(name), key, serial, begin, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer, critical=False)
        )

    def _server(self, names: Sequence[str]) -> tuple[Path, Path]:
        """Return certificate and key of the server; another certificate when it has other names, or is about to end."""
        path, key_path = self._folder / "server.pem", self._folder / "server.key"
        key = _key(key_path)
        alternative_names = x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])
        if not self._serves(path, key, alternative_names):
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            certificate = (
                self._builder(
                    "edge-sim", key.public_key(), x509.random_serial_number(), _now() - SKEW, _now() + SERVER_LIFE
                )
                .add_extension(usage, critical=False)
                .add_extension(alternative_names, critical=False)
                .sign(self._key, hashes.SHA256())
            )
            _write(path, _pem(certificate), 0o444)
        return path, key_path

    def _serves(self, path: Path, key: ec.EllipticCurvePrivateKey, names: x509.SubjectAlternativeName) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            certificate.verify_directly_issued_by(self._certificate)
            same = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
        except Exception:  # not there, half written, of another authority: it is made anew
            return False
        return (
            same and certificate.public_key() == key.public_key() and certificate.not_valid_after_utc > _now() + RENEW
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(**bits: bool) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{**dict.fromkeys(names, False), **bits})


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file, made at the first time."""
    if not path.exists():
        new = ec.generate_private_key(ec.SECP256R1())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write(path, new.private_bytes(*form), 0o400)
    _private(path)
    try:
        key: PrivateKeyTypes = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _unusable(path, str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unusable(path, "is not an EC key")
    return key


def _private(path: Path) -> None:
    """Raise UnsupportedEnvironmentError when others than the owner have any right (as ssh does with its keys)."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        hint = f"Run: chmod {'700' if path.is_dir() else '400'} {path}"
        raise UnsupportedEnvironmentError(f"{path}: mode {mode:04o} lets others read it", hint=hint)


def _unusable(path: Path, why: str) -> UnsupportedEnvironmentError:
    hint = f"Restore {path.parent} from a backup, or remove that folder: every thing then needs a new certificate."
    return UnsupportedEnvironmentError(f"{path}: not usable: {why}", hint=hint)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, with its mode from the first moment."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
