"""Zips for V2: the files of a model or of a function's code, always the same bytes for the same content.

Every folder has an entry, so that empty ones survive; times are zip's first, modes 0644 (V2 gives its own). What is
written is read back by the reader of packages before it is kept.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_sim import folders
from edge_sim.agent.archives.check import check
from edge_sim.errors import MACHINE, EdgeSimError, InvalidPackageError
from edge_sim.limits import Limits

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_zip(target: Path, parts: Mapping[str, Path], limits: Limits) -> None:
    """Write a zip of folders, each below the path in the zip that it is keyed by; "" is the zip's top.

    Raises InvalidPackageError where our own reader would not take the result; nothing is left then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in _entries(parts):
                if name in seen:
                    continue
                seen.add(name)
                _add(archive, name, path)
        verdict = check(target, limits=limits)
    except (OSError, EdgeSimError, ValueError, zipfile.LargeZipFile) as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in MACHINE:
            raise
        raise InvalidPackageError(f"{target.name}: cannot be written: {error}") from error
    if verdict.faults:
        target.unlink()
        raise InvalidPackageError(f"{target.name}: {verdict.faults[0].brief}", hint=verdict.faults[0].hint)


def _entries(parts: Mapping[str, Path]) -> Iterator[tuple[str, Path | None]]:
    """Yield names and files, parents before children; None is a folder."""
    for top, folder in sorted(parts.items()):
        steps = top.split("/") if top else []
        for count in range(1, len(steps) + 1):
            yield "/".join(steps[:count]) + "/", None
        for path in folders.below(folder):
            name = "/".join([*steps, *path.relative_to(folder).parts])
            yield (f"{name}/", None) if path.is_dir() else (name, path)


def _add(archive: zipfile.ZipFile, name: str, path: Path | None) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix, whatever this machine is
    entry.external_attr = (stat.S_IFDIR | 0o755 if path is None else stat.S_IFREG | 0o644) << 16
    if path is None:
        archive.writestr(entry, b"")
        return
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as sink:
        shutil.copyfileobj(source, sink)
