"""Fetches one artifact into a file: whole, of the declared size and digest, or not at all.

An interrupted download is continued with a Range request, also by a later process: what has arrived and its ETag stay
beside the destination. Two answers are never put together unless the server says that they are of one file, and a
digest that is wrong all the same makes one whole new download.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.agent.http import CHUNK, HttpClient, HttpResponse
from edge_sim.agent.http_error import HttpError, shown
from edge_sim.agent.patience import Patience
from edge_sim.errors import NO_ROOM

MAX_ETAG = 200
FORBIDDEN, CHANGED, BEYOND = 403, 412, 416
"""Statuses: the URL has expired; the file is another one than before; it ends before the bytes that were asked for."""


def leftovers(destination: Path) -> tuple[Path, Path]:
    """Return where a download to ``destination`` keeps what has arrived, and its ETag."""
    return destination.with_name(f".{destination.name}.part"), destination.with_name(f".{destination.name}.etag")


class _Part:
    """What has arrived: a file beside the destination, and the digest of its bytes. Raises OSError."""

    def __init__(self, destination: Path) -> None:
        self.path, self._etag_file = leftovers(destination)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(self.path, flags, 0o600), "r+b")  # noqa: SIM115 - closed by keep, stop or remove
        self.received = 0
        self.most = 0
        """The most that there ever was: what comes again after a restart is no progress."""
        self.etag = self._read_etag()
        self.digest = hashlib.sha256()
        while data := self._file.read(CHUNK):
            self._count(data)
        self.damaged = False
        """Whether a whole file had a wrong digest."""

    def restart(self) -> None:
        """Forget everything."""
        self.keep_etag(None)
        self._file.seek(0)
        self._file.truncate()
        self.received = 0
        self.digest = hashlib.sha256()

    def headers(self) -> dict[str, str]:
        """Return what asks for the rest only, provided that the file did not change meanwhile."""
        if not self.received:
            return {}
        condition = {"If-Match": self.etag} if self.etag else {}
        return {"Range": f"bytes={self.received}-", **condition}

    def keep_etag(self, etag: str | None) -> None:
        """Remember which file the bytes are of."""
        if etag == self.etag:
            return
        self.etag = etag
        self._etag_file.unlink(missing_ok=True)
        with suppress(OSError):  # only a help: without it the digest decides
            if etag is not None:
                descriptor = os.open(self._etag_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(etag)

    def _read_etag(self) -> str | None:
        try:
            descriptor = os.open(self._etag_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, encoding="ascii") as file:
                return _strong(file.read(MAX_ETAG + 1))
        except (OSError, ValueError):
            return None

    def _count(self, data: bytes) -> None:
        self.received += len(data)
        self.most = max(self.most, self.received)
        self.digest.update(data)

    def add(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()  # what is killed has it
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._count(data)

    def keep(self, destination: Path) -> None:
        """Bring the bytes to the disk, and to their name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(destination)
        self._etag_file.unlink(missing_ok=True)
        durable.sync_directory(destination.parent)

    def stop(self) -> None:
        """Leave what has arrived to a later run."""
        self._file.close()

    def remove(self) -> None:
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()
        for path in (self.path, self._etag_file):
            path.unlink(missing_ok=True)


def download(
    http: HttpClient,
    url: str,
    destination: Path,
    *,
    sha256: str,
    size: int,
    patience: Patience = Patience(),  # noqa: B008 - a frozen value
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Fetch ``url`` to ``destination`` (mode 0600); afterwards it is on the disk and its digest is right.

    ``sha256`` is lower-case hex, ``size`` in bytes. ``progress`` is called with the bytes received so far, also while
    nothing comes; what it raises ends the download. Raises HttpError; ``destination`` does not exist then. Where
    trying later or a fresh URL may help, what has arrived stays beside it (``leftovers``), and the next call continues.
    """
    job = _Job(http=http, url=url, size=size, sha256=sha256, patience=patience, progress=progress)
    try:
        part = _Part(destination)
    except OSError as error:
        raise _unwritable(destination, error) from error
    try:
        http.patiently(
            lambda deadline: job.bring(part, deadline),
            patience,
            progress=lambda: part.most,
            on_wait=lambda: progress(part.received),
        )
        part.keep(destination)
    except HttpError as error:
        if error.retryable or error.status == FORBIDDEN:
            part.stop()
        else:
            part.remove()
        raise
    except OSError as error:
        part.remove()
        raise _unwritable(destination, error) from error
    except BaseException:
        part.stop()
        raise


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One artifact to fetch."""

    http: HttpClient
    url: str
    size: int
    sha256: str
    patience: Patience
    progress: Callable[[int], object]

    def bring(self, part: _Part, deadline: float) -> None:
        """Run one try: fetch what is still missing, and check the whole."""
        self._fetch(part, deadline)
        self._verify(part)

    def _fetch(self, part: _Part, deadline: float) -> None:
        if part.received > self.size:
            part.restart()
        if part.received == self.size and self.size:
            return

        def on_wait() -> None:
            self.progress(part.received)

        with self.http.open(
            "GET", self.url, self.patience, deadline, headers=part.headers(), on_wait=on_wait
        ) as answer:
            where = shown(self.url)
            _check_answer(where, answer, part, self.size)
            self._receive(where, answer, part)

    def _verify(self, part: _Part) -> None:
        """Check the digest. A file that is wrong gets another chance, from its beginning: a proxy or a bit flip."""
        if part.digest.hexdigest() == self.sha256.lower():
            return
        again, part.damaged = not part.damaged, True
        part.restart()
        raise HttpError(
            f"{shown(self.url)}: its SHA-256 is not the expected one",
            retryable=again,
            hint="the file changed or was damaged after the deployment was built; deploy again",
        )

    def _receive(self, where: str, answer: HttpResponse, part: _Part) -> None:
        for data in answer.chunks():
            if part.received + len(data) > self.size:
                raise HttpError(f"{where}: it is larger than the {self.size} bytes announced")
            part.add(data)
            self.progress(part.received)
        if part.received < self.size:
            raise HttpError(f"{where}: it ended after {part.received} of {self.size} bytes", retryable=True)


def _check_answer(where: str, answer: HttpResponse, part: _Part, size: int) -> None:
    """Raise unless the answer's body is what is missing; a whole file instead of a range starts afresh."""
    if answer.status in (CHANGED, BEYOND) and part.received:
        part.restart()
        raise HttpError(f"{where}: the file changed during the download", status=answer.status, retryable=True)
    if answer.status not in (200, 206):
        raise answer.refusal()
    encoding = answer.header("Content-Encoding") or "identity"
    if encoding != "identity":
        raise HttpError(f"{where}: the response is encoded as {encoding[:40]!r}, which was not requested")
    etag = _strong(answer.header("ETag") or "")
    if answer.status == 200:
        part.restart()
        length = answer.header("Content-Length")
        if length is not None and length != str(size):
            raise HttpError(f"{where}: it has {length[:20]} bytes, but {size} were announced", status=200)
    elif answer.header("Content-Range") != f"bytes {part.received}-{size - 1}/{size}":
        part.restart()
        raise HttpError(f"{where}: the server sent a different range than requested", status=206, retryable=True)
    elif etag is not None and part.etag not in (None, etag):
        part.restart()
        raise HttpError(f"{where}: the file changed during the download", status=206, retryable=True)
    part.keep_etag(etag or part.etag)


def _strong(etag: str) -> str | None:
    """Return an ETag with which a file can be continued, None for a weak one or none (RFC 9110, 8.8.3)."""
    return etag if len(etag) <= MAX_ETAG and etag.isascii() and etag.startswith('"') and etag.isprintable() else None


def _unwritable(path: Path, error: OSError) -> HttpError:
    hint = "Free some space and try again." if error.errno in NO_ROOM else None
    return HttpError(f"{path}: cannot be written: {error.strerror}", hint=hint, machine=True)
