"""The bundle as a file: the same packages and sources give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_sim import __version__
from edge_sim.emulation.bundle import content
from edge_sim.emulation.bundle.packages import DebianPackage, File, packages
from edge_sim.emulation.containers.bases import NEWEST_FILE, Progress, cache_directory
from edge_sim.errors import EdgeSimError

MOST_PACKED, MOST_UNPACKED = 15_000_000, 40_000_000
"""Bytes: what a board with little flash, on a slow line, can be asked to take."""
TOP = "edge-sim"
"""The folder that the archive unpacks to."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle: ``packed`` is the tar.gz, ``version`` names what it is made of."""

    architecture: str
    version: str
    packed: bytes

    @property
    def unpacked(self) -> int:
        """How many bytes the archive has without gzip (RFC 1952: its last field)."""
        return int.from_bytes(self.packed[-4:], "little")


def bundle(architecture: str, progress: Progress, *, newest: bool = True) -> Bundle:
    """Return the bundle for boards of ``architecture``, which is kept in the user's cache.

    For ``newest`` and what is raised see ``packages``.
    """
    parts = packages(architecture, content.PACKAGES, progress, newest=newest)
    version = f"{__version__}-{_digest(parts)[:12]}"
    folder = cache_directory("bundles")
    assert folder is not None  # noqa: S101 - where packages are file
    file = folder / f"{version}-{architecture}.tar.gz"
    if not file.is_file():
        files = content.files(parts)
        progress(f"{architecture}: packing {len(files)} files")
        files["about"] = File(content=f"version={version}\narchitecture={architecture}\n".encode())
        files["sums"] = File(content=_sums(files))
        _keep(file, packed(files))
    bundle_ = Bundle(architecture=architecture, version=version, packed=file.read_bytes())
    if len(bundle_.packed) > MOST_PACKED or bundle_.unpacked > MOST_UNPACKED:
        raise EdgeSimError(
            f"the bundle for {architecture} is too large: {len(bundle_.packed)} bytes, {bundle_.unpacked} unpacked; "
            f"the limits are {MOST_PACKED} and {MOST_UNPACKED}"
        )
    return bundle_


def _keep(file: Path, content: bytes) -> None:
    """Put a bundle into the cache, whole or not at all, in the place of older ones for its architecture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as new:
        new.write(content)
    Path(new.name).replace(file)
    for older in file.parent.glob(f"*-{file.name.rpartition('-')[2]}"):
        if older != file:
            older.unlink(missing_ok=True)


def _sums(files: Mapping[str, File]) -> bytes:
    """Return the digests of files as ``sha256sum -c`` reads them: whoever has a bundle can see that it is whole."""
    lines = (f"{hashlib.sha256(file.content).hexdigest()}  {name}\n" for name, file in sorted(files.items()))
    return "".join(lines).encode()


def packed(files: Mapping[str, File]) -> bytes:
    """Return files, which are no links, as a tar.gz below ``TOP``: root's, of one time, in one order."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for member, data in _members(files):
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _members(files: Mapping[str, File]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    above = {str(parent) for name in files for parent in PurePosixPath(TOP, name).parents} - {"."}
    for name in sorted(above):
        yield _member(name, 0o755, directory=True), b""
    for name, file in sorted(files.items()):
        member = _member(f"{TOP}/{name}", 0o755 if file.mode & 0o100 else 0o644)
        member.size = len(file.content)
        yield member, file.content


def _member(name: str, mode: int, *, directory: bool = False) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = mode, NEWEST_FILE
    member.uname = member.gname = "root"
    member.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    return member


def _digest(parts: Sequence[DebianPackage]) -> str:
    """Return the digest of all that makes a bundle: packages, edge_sim's own files, and what puts them together."""
    digest = hashlib.sha256()
    for package in parts:
        digest.update(f"{package.file.name}\0{package.digest}\0".encode())
    for name, file in sorted(content.own_files().items()):
        digest.update(f"{name}\0{file.mode:o}\0{len(file.content)}\0".encode() + file.content)
    for module in (content.__file__, __file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()
