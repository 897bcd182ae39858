"""From an open file to members: what the name promises and the content keeps, and the threads in between.

tar.gz:  read + SHA-256  →  inflate + CRC  →  tar headers, writing
zip:     index first; then read + SHA-256  →  inflate + CRC  →  writing
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import BinaryIO, Literal

from edge_sim.agent.archives import tar_reader, zip_local, zip_reader
from edge_sim.agent.archives.ahead import Ahead
from edge_sim.agent.archives.errors import ArchiveError, Refuse
from edge_sim.agent.archives.inflate import gunzip
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.member import Member
from edge_sim.agent.archives.stream import CHUNK, Stream, chunks
from edge_sim.agent.archives.tar_header import BLOCK, checksum_matches
from edge_sim.agent.archives.zip_end import end_records
from edge_sim.limits import Limits

Kind = Literal["tar.gz", "zip"]

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\3\4", "zip"),
    (0, b"PK\5\6", "zip"),
    (257, b"ustar", "tar"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
)
_TAIL = 22 + 0xFFFF
_UNKNOWN = "no known archive format"
_MISNAMED = {
    "gzip": "name it .tar.gz, or download it again",
    "zip": "name it .zip, or download it again",
    "tar": "compress it: gzip model.tar",
}


class Reading:
    """One archive being read, once, from its beginning to its end. Use it as a context: it ends its threads.

    ``kind`` is what the name promises, and the content has kept. Raises ArchiveError.
    """

    def __init__(self, source: BinaryIO, *, file_name: str, limits: Limits, refuse: Refuse) -> None:
        bytes(4 * CHUNK)  # once freed, glibc keeps blocks of this size instead of asking the kernel for each
        self._source = source
        self._refuse = refuse
        self._threads = ExitStack()
        self._before = _state(source)
        self._digest = hashlib.sha256()
        self.length = source.seek(0, os.SEEK_END)
        self.kind = _check_kind(source, self.length, file_name)
        self.budget = Budget(limits, self.length)

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()

    def members(self) -> Iterator[Member]:
        """Return the members. When the last one has been read, so has the whole file."""
        return self._tar() if self.kind == "tar.gz" else self._zip()

    def finish(self, sha256: str | None) -> str:
        """Return the digest of what was read; raises when that is not ``sha256``, or the file changed meanwhile."""
        digest = self._digest.hexdigest()
        if _state(self._source) != self._before:
            raise ArchiveError("CHANGED", "it changed while it was read", hint="deploy again")
        if sha256 not in (None, digest):
            raise ArchiveError("CHANGED", "its SHA-256 is not the expected one", hint="deploy again")
        return digest

    def _raw(self) -> Stream:
        self._source.seek(0)
        return Stream(self._threads.enter_context(Ahead(chunks(self._source, self._digest.update))))

    def _tar(self) -> Iterator[Member]:
        stream = Stream(self._threads.enter_context(Ahead(gunzip(self._raw(), self.budget))))
        head = stream.peek(BLOCK)
        if head and head != bytes(BLOCK) and head[257:262] != b"ustar" and not checksum_matches(head):
            inner = _content_type(head)
            brief = "it is gzip-compressed data that is not a tar archive" + (
                f" but {inner}" if inner != _UNKNOWN else ""
            )
            raise ArchiveError("TYPE", brief)
        return tar_reader.members(stream, self.budget, self._refuse)

    def _zip(self) -> Iterator[Member]:
        index = zip_local.locate(self._source, self.length, self.budget, self._refuse)
        data = self._threads.enter_context(Ahead(zip_reader.contents(index, self._raw(), self.budget)))
        return zip_reader.members(index, chain.from_iterable(data), self.budget, self._refuse)


def _check_kind(source: BinaryIO, length: int, file_name: str) -> Kind:
    name = file_name.lower()
    expected: Kind | None = "tar.gz" if name.endswith((".tar.gz", ".tgz")) else None
    if name.endswith(".zip"):
        expected = "zip"
    if expected is None:
        raise ArchiveError("TYPE", "a package must be a .tar.gz or a .zip")
    source.seek(0)
    actual = _content_type(source.read(BLOCK))
    if actual != ("gzip" if expected == "tar.gz" else "zip"):
        raise ArchiveError(
            "TYPE",
            f"its name says {expected}, but its content is {actual}",
            hint=_MISNAMED.get(actual, "download it again, or repack it as a .tar.gz or a .zip"),
        )
    if expected == "tar.gz":
        source.seek(max(0, length - _TAIL))
        if end_records(source.read(_TAIL)):
            raise ArchiveError("TYPE", "it is a tar.gz and a zip at once")
    return expected


def _content_type(head: bytes) -> str:
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return name
    if not head:
        return "empty"
    if head.lstrip()[:1] == b"<":
        return "a web page or XML (an error page?)"
    return _UNKNOWN


def _state(source: BinaryIO) -> tuple[int, ...]:
    """Return what changes when somebody writes to the file."""
    status = os.fstat(source.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
