"""A folder as an update's build: what ``packages/VERSION`` is to hold, or ``ota/ota_agent_vVERSION`` of an OTA agent.

The same folder gives the same bytes: entries are sorted, times and owners are zero. Execute bits are kept.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_sim import folders
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.jobs.update import VERSION, Software


@dataclass(frozen=True, kw_only=True)
class Form:
    """Where a software lies in its build: ``parent/prefixVERSION``. A board asks for the programs ``needed``."""

    parent: str
    prefix: str
    needed: tuple[str, ...]

    def versions(self, names: Iterable[str]) -> set[str]:
        """Return what an archive of these ``names`` has in a version's place; what is no version as well."""
        inside = (name.split("/")[1] for name in names if name.startswith(f"{self.parent}/"))
        return {name.removeprefix(self.prefix) for name in inside}


FORMS: Mapping[Software, Form] = {
    "core": Form(parent="packages", prefix="", needed=("greengrassd", "bin/daemon")),
    "ota_agent": Form(parent="ota", prefix="ota_agent_v", needed=("ggc-ota",)),
}


def pack(folder: Path, software: Software, version: str) -> bytes:
    """Return the archive.

    Raises UsageError for a version that is none, InvalidDefinitionError for what a board would refuse.
    """
    if not VERSION.fullmatch(version):
        raise UsageError(f"{version!r} is not a version such as 1.11.7", hint="Name one: --version 1.11.7")
    form = FORMS[software]
    for name in form.needed:
        path = folder / name
        if not path.is_file() or path.is_symlink() or not path.stat().st_mode & 0o100:
            raise InvalidDefinitionError(
                f"{path}: not an executable file",
                hint=f"A build of {software} has {' and '.join(form.needed)}; boards refuse others.",
            )
    top = f"{form.parent}/{form.prefix}{version}"
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in (form.parent, top):
            _add(archive, name, 0o755, None)
        for path in folders.below(folder):
            _add_path(archive, f"{top}/{path.relative_to(folder).as_posix()}", path)
    return buffer.getvalue()


def _add_path(archive: tarfile.TarFile, name: str, path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        _add(archive, name, 0o755, None)
    elif stat.S_ISREG(mode):
        _add(archive, name, 0o755 if mode & 0o100 else 0o644, path.read_bytes())
    else:
        raise InvalidDefinitionError(f"{path}: a build holds files and folders only")


def _add(archive: tarfile.TarFile, name: str, mode: int, content: bytes | None) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    entry.size = len(content or b"")
    archive.addfile(entry, io.BytesIO(content or b""))
