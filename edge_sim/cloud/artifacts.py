"""What devices download: files kept by their content, and URLs that are good for one request and a while.

Presigned URLs are simulator-defined in their algorithm (HMAC-SHA256 over method, host, path and query with a random key
of this state) and S3-like in everything a device sees: the ``X-Amz-…`` query, 403 with S3's XML when a byte was changed
or the time is over.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError

MAX_ARTIFACT = 4 * 1024**3
"""Largest model, function package or build that is taken in; AWS named no limit for models."""
MAX_EXPIRES_S = 604_800
"""S3's longest life of a presigned URL."""
CHUNK = 256 * 1024

_TIME = "%Y%m%dT%H%M%SZ"
_SIGNED = re.compile(
    r"X-Amz-Algorithm=EDGE-SIM-HMAC-SHA256&X-Amz-Date=(\d{8}T\d{6}Z)&X-Amz-Expires=(\d{1,6})"
    r"&X-Amz-Signature=([0-9a-f]{64})",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file in the store. ``sha256`` is its name and its ETag."""

    sha256: str
    size: int


class ArtifactStore:
    """Files below ``directory``, named by their SHA-256. Writing is atomic: a reader never sees half a file."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)

    def write(self, chunks: Iterable[bytes]) -> StoredFile:
        """Take in a file; raises InvalidDefinitionError when it is larger than MAX_ARTIFACT."""
        digest, size = hashlib.sha256(), 0
        descriptor, name = tempfile.mkstemp(dir=self._objects, prefix=".incoming-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    if size > MAX_ARTIFACT:
                        raise InvalidDefinitionError(f"the file is larger than {MAX_ARTIFACT} bytes")
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._objects / digest.hexdigest())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return StoredFile(sha256=digest.hexdigest(), size=size)

    def path(self, sha256: str) -> Path | None:
        """Return where a file lies, or None when it is not there (or the name is not a digest)."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            return None
        path = self._objects / sha256
        return path if path.is_file() else None


@dataclass(frozen=True, kw_only=True)
class Denied:
    """Why a presigned URL is refused: always answered with 403 and ``xml``."""

    code: str
    message: str

    @property
    def xml(self) -> bytes:
        inner = f"<Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message>"
        request = secrets.token_hex(8).upper()
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}<RequestId>{request}</RequestId></Error>'
        return body.encode()


_NOT_SIGNED = Denied(code="AccessDenied", message="Access Denied")
_EXPIRED = Denied(code="AccessDenied", message="Request has expired")
_ALTERED = Denied(
    code="SignatureDoesNotMatch",
    message="The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method.",
)


class UrlSigner:
    """Signs and checks URLs of this cloud. ``now`` returns the time in UTC; ``key`` is the state's own."""

    def __init__(self, key: bytes, now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self._key = key
        self._now = now

    def sign(self, base_url: str, path: str, *, expires_s: int, method: str = "GET") -> str:
        """Return ``base_url`` + ``path`` with a query that lets one method through for ``expires_s`` seconds."""
        if not 1 <= expires_s <= MAX_EXPIRES_S:
            raise ValueError(f"a URL is valid for 1 to {MAX_EXPIRES_S} seconds, not {expires_s}")
        host = base_url.partition("://")[2]
        date = self._now().strftime(_TIME)
        query = f"X-Amz-Algorithm=EDGE-SIM-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={expires_s}"
        return f"{base_url}{path}?{query}&X-Amz-Signature={self._signature(method, host, path, query)}"

    def check(self, *, method: str, host: str, path: str, query: str) -> Denied | None:
        """Return why a request is refused, or None when its URL is whole and still good."""
        if "X-Amz-Signature=" not in query:
            return _NOT_SIGNED
        match = _SIGNED.fullmatch(query)
        if match is None:
            return _ALTERED
        signed = query.rpartition("&")[0]
        if not hmac.compare_digest(self._signature(method, host, path, signed), match[3]):
            return _ALTERED
        until = datetime.strptime(match[1], _TIME).replace(tzinfo=timezone.utc) + timedelta(seconds=int(match[2]))
        return _EXPIRED if self._now() > until else None

    def _signature(self, method: str, host: str, path: str, query: str) -> str:
        text = "\n".join((method, host, path, query)).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def artifact_path(sha256: str, thing: str) -> str:
    """Return the path of a file of the store as ``thing`` is to fetch it."""
    return f"/artifacts/{sha256}/{thing}"


def object_path(bucket: str, key: str, thing: str) -> str:
    """Return the path of an S3 object as ``thing`` is to fetch it."""
    return f"/artifacts/s3/{thing}/{bucket}/{quote(key)}"


def signing_key(store: Store) -> bytes:
    """Return the state's key for presigned URLs; made at random the first time, so that a restart keeps URLs good."""
    with store.transaction():
        document = store.get("key", "presign")
        if document is None:
            document = {"hex": secrets.token_hex(32)}
            store.put("key", "presign", document)
    return bytes.fromhex(document["hex"])
