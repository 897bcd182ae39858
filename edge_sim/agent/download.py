"""Fetches one artifact into a file: whole, of the declared size and digest, or not at all.

An interrupted download is continued with a Range request.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.agent.http import CHUNK, Answer, Client, Patience
from edge_sim.agent.http_error import HttpError, shown


class _Part:
    """What has arrived: a file beside the destination, and the digest of its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(path, flags, 0o600), "r+b")  # noqa: SIM115 - closed by keep, stop or remove
        self.received = 0
        self.etag: str | None = None
        self.digest = hashlib.sha256()
        while data := self._file.read(CHUNK):
            self.received += len(data)
            self.digest.update(data)
        self.resumed = self.received > 0

    def restart(self) -> None:
        """Forget everything."""
        self._file.seek(0)
        self._file.truncate()
        self.received = 0
        self.resumed = False
        self.etag = None
        self.digest = hashlib.sha256()

    def headers(self) -> dict[str, str]:
        """Return what asks for the rest only, provided that the file did not change meanwhile."""
        if not self.received:
            return {}
        condition = {"If-Range": self.etag} if self.etag else {}
        return {"Range": f"bytes={self.received}-", **condition}

    def add(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.received += len(data)
        self.digest.update(data)

    def keep(self, destination: Path) -> None:
        """Bring the bytes to the disk, and to their name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.replace(destination)
        durable.sync_directory(destination.parent)

    def stop(self) -> None:
        """Leave what is there for a later run."""
        self._file.close()

    def remove(self) -> None:
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)


def download(
    http: Client,
    url: str,
    destination: Path,
    *,
    sha256: str,
    size: int,
    patience: Patience = Patience(),  # noqa: B008 - a frozen value
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Fetch ``url`` to ``destination`` (mode 0600); afterwards it is on the disk and its digest is right.

    ``sha256`` is lower-case hex, ``size`` in bytes. ``progress`` is told the bytes received so far, also while
    nothing comes; what it raises ends the download. Raises HttpError; there is nothing at ``destination`` then. Where
    trying later may help, what has arrived stays beside it as ``.<name>.part``, and the next call continues it.
    """
    job = _Job(http=http, url=url, size=size, sha256=sha256, patience=patience, progress=progress)
    try:
        part = _Part(destination.with_name(f".{destination.name}.part"))
    except OSError as error:
        raise _unwritable(destination, error) from error
    try:
        http.patiently(lambda deadline: job.bring(part, deadline), patience)
        part.keep(destination)
    except HttpError as error:
        if error.retryable:
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

    http: Client
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
        """Check the digest. A file put together from two answers gets another chance, from its beginning."""
        if part.digest.hexdigest() == self.sha256.lower():
            return
        resumed = part.resumed
        part.restart()
        raise HttpError(
            f"{shown(self.url)}: its SHA-256 is not the expected one",
            retryable=resumed,
            hint="the file changed or was damaged after the deployment was built; deploy again",
        )

    def _receive(self, where: str, answer: Answer, part: _Part) -> None:
        for data in answer.chunks():
            if part.received + len(data) > self.size:
                raise HttpError(f"{where}: it is larger than the {self.size} bytes announced")
            part.add(data)
            self.progress(part.received)
        if part.received < self.size:
            raise HttpError(f"{where}: it ended after {part.received} of {self.size} bytes", retryable=True)


def _check_answer(where: str, answer: Answer, part: _Part, size: int) -> None:
    """Raise unless the answer's body is what is missing; a whole file instead of a range starts afresh."""
    if answer.status not in (200, 206):
        if answer.status == 416:
            part.restart()
        raise answer.refusal()
    encoding = answer.header("Content-Encoding") or "identity"
    if encoding != "identity":
        raise HttpError(f"{where}: it comes encoded as {encoding[:40]!r}, which was not requested")
    if answer.status == 200:
        part.restart()
        length = answer.header("Content-Length")
        if length is not None and length != str(size):
            raise HttpError(f"{where}: it has {length[:20]} bytes, {size} were announced", status=200)
    elif answer.header("Content-Range") != f"bytes {part.received}-{size - 1}/{size}":
        part.restart()
        raise HttpError(f"{where}: the server sent a different range than requested", status=206, retryable=True)
    else:
        part.resumed = True
    etag = answer.header("ETag") or ""
    part.etag = etag if etag.startswith('"') else None


def _unwritable(path: Path, error: OSError) -> HttpError:
    return HttpError(f"{path}: cannot be written: {error.strerror}", hint="free some space and try again")
