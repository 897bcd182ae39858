"""Folders into archives, always the same bytes for the same content.

Entries are sorted, directories come before what is in them, times, owners and names of owners are zero: packing a
folder twice gives one digest, so a deployment that changed nothing downloads nothing. Execute bits are kept, links
stay links, ``__pycache__`` is left out.
"""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from edge_sim import folders
from edge_sim.errors import InvalidDefinitionError

Format = Literal["tar.gz", "zip"]
FORMATS: dict[str, Format] = {"tar.gz": "tar.gz", "zip": "zip"}
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def archive_format(name: str) -> Format | None:
    """Return the format that a file name's ending stands for."""
    if name.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    return "zip" if name.endswith(".zip") else None


@contextmanager
def packed(folder: Path, form: Format) -> Iterator[Path]:
    """Yield a temporary archive of a folder's content, by a path of this process: no directory ever names it.

    So nothing is left of it, even when this process is killed.
    """
    with tempfile.TemporaryFile() as target:
        if form == "zip":
            _zip(folder, target)
        else:
            _tar(folder, target)
        target.flush()
        yield Path(f"/proc/self/fd/{target.fileno()}")


def _entries(folder: Path) -> Iterator[Path]:
    """Every path below a folder, parents first; what cannot be packed is refused."""
    for path in folders.below(folder):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            raise InvalidDefinitionError(f"{path}: only files, folders and links can be packed")
        if "__pycache__" not in path.parts:
            _refuse_odd_name(folder, path)
            yield path


def _refuse_odd_name(folder: Path, path: Path) -> None:
    """Refuse a name, or a link's text, that is not UTF-8: no package of a model or a function may hold one."""
    try:
        f"{path.relative_to(folder)}{path.readlink() if path.is_symlink() else ''}".encode()
    except UnicodeEncodeError as error:
        raise InvalidDefinitionError(
            f"{path}: this name, or the link's target, is not UTF-8", hint="Rename it, or exclude it."
        ) from error


def _mode(path: Path) -> int:
    executable = path.is_dir() or (not path.is_symlink() and bool(path.lstat().st_mode & 0o100))
    return 0o755 if executable else 0o644


def _tar(folder: Path, target: IO[bytes]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in _entries(folder):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())  # owner 0, no names, time 0
            entry.mode = _mode(path)
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                archive.addfile(entry)
            elif path.is_dir():
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(entry, file)


def _zip(folder: Path, target: IO[bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _entries(folder):
            name = path.relative_to(folder).as_posix()
            directory = path.is_dir() and not path.is_symlink()
            entry = zipfile.ZipInfo(f"{name}/" if directory else name, _ZIP_EPOCH)
            kind = stat.S_IFLNK if path.is_symlink() else stat.S_IFDIR if directory else stat.S_IFREG
            entry.create_system = 3  # Unix, whatever this machine is: the mode is in the upper half
            entry.external_attr = (kind | (0o777 if path.is_symlink() else _mode(path))) << 16
            entry.compress_type = zipfile.ZIP_STORED if directory else zipfile.ZIP_DEFLATED
            if path.is_symlink():
                archive.writestr(entry, str(path.readlink()))
            elif directory:
                archive.writestr(entry, b"")
            else:
                entry.file_size = path.stat().st_size
                with path.open("rb") as source, archive.open(entry, "w") as sink:
                    shutil.copyfileobj(source, sink)
