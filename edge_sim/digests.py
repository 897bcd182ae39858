"""The SHA-256 of what a file holds (``hashlib.file_digest`` is Python 3.11's)."""

from __future__ import annotations

import hashlib
from typing import IO

_CHUNK = 1 << 20


def sha256(content: IO[bytes]) -> str:
    """Return the digest of what is still to be read, in lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
