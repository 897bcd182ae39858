"""Answers kept by content, in the user's cache: the same question to the same code is answered at once.

A key is made of everything the answer depends on, edge_sim's own files included, so that nothing is ever out of date;
a cache that cannot be read or written is only slower.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import edge_sim
from edge_sim.digests import sha256

MAX_ENTRIES = 1000
"""Beyond this the oldest answers are dropped."""


class Cache:
    """A folder of answers, one JSON file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Any:
        """Return the answer kept under ``key``, or None."""
        try:
            return json.loads((self._folder / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def put(self, key: str, value: object) -> None:
        """Keep an answer: whole, or not at all."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".part", delete=False) as draft:
                json.dump(value, draft)
            Path(draft.name).replace(self._folder / f"{key}.json")
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        entries = list(self._folder.iterdir())
        if len(entries) > MAX_ENTRIES:
            for path in sorted(entries, key=lambda p: p.stat().st_mtime)[: len(entries) - MAX_ENTRIES]:
                path.unlink(missing_ok=True)


def key(*parts: str | bytes) -> str:
    """Return the digest of the parts, and of edge_sim's own files."""
    digest = hashlib.sha256(code().encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def stable(value: Any) -> str:
    """Return a dataclass as text that is the same in every process; sets have no order of their own."""
    return json.dumps(asdict(value), sort_keys=True, default=sorted)


@functools.cache
def code() -> str:
    """Return the digest of edge_sim's own files: another version gives other answers."""
    top = Path(edge_sim.__file__).parent
    return trees([top], only=(".py", ".yaml", ".sh"))


def trees(paths: Iterable[Path], only: tuple[str, ...] = ()) -> str:
    """Return a digest of files and folders: names and contents; ``only`` are the suffixes that count."""
    digest = hashlib.sha256()
    for top in paths:
        for path in _files(top):
            if not only or path.suffix in only:
                name = str(path.relative_to(top)).encode()
                digest.update(len(name).to_bytes(8, "big") + name + _content(path))
    return digest.hexdigest()


def _files(top: Path) -> Iterator[Path]:
    return (p for p in sorted(top.rglob("*")) if p.is_file()) if top.is_dir() else iter([top])


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return bytes.fromhex(sha256(file))
