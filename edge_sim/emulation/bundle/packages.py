"""Debian's packages for any architecture, fetched by this machine's apt and kept in the user's cache.

apt works below a folder of its own there, so that no root is needed and this machine's lists stay as they are; its
proxy and its keys are this machine's. It checks the archive's signature, and every package against what was signed.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sim.arch import ARCHITECTURES
from edge_sim.digests import sha256
from edge_sim.emulation.containers.bases import SUITE, Progress, cache_directory, locked, mirror
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.process import run

LIMIT_S = 600.0
"""For fetching the archive's list, or the packages: some 9 MB each."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_UNSIGNED = ("GPG error", "not signed", "signature", "is not valid yet", "expired")
"""What apt says of an archive that it does not trust, in the locale C."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file or link of a package; ``target`` is a link's text."""

    content: bytes = b""
    mode: int = 0o644
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class DebianPackage:
    """A Debian package in the user's cache: its ``file``, whose name holds its version, and the SHA-256 of that."""

    name: str
    file: Path
    digest: str

    def files(self) -> dict[str, File]:
        """Return what is in it by path on a Debian system, without directories.

        Raises UnsupportedEnvironmentError when it is not what the archive has signed.
        """
        if _digest(self.file) != self.digest:
            hint = "Remove it and try again."
            raise UnsupportedEnvironmentError(
                f"{self.file}: does not match what Debian's archive has signed", hint=hint
            )
        done = run(["dpkg-deb", "--fsys-tarfile", str(self.file)], timeout=LIMIT_S)
        files: dict[str, File] = {}
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            for member in tar:
                path = member.name.lstrip(".")
                if member.issym():
                    files[path] = File(target=member.linkname)
                elif opened := tar.extractfile(member):
                    files[path] = File(content=opened.read(), mode=member.mode)
        return files


def packages(
    architecture: str, names: Sequence[str], progress: Progress, *, newest: bool = True
) -> list[DebianPackage]:
    """Return the packages of these names, sorted, from the suite.

    With ``newest`` the archive is asked which they are, and where it cannot be reached they are those of the last time;
    without, it is asked the first time only. Raises UnsupportedEnvironmentError when apt, a mirror or a package is
    missing, a signature or a digest is wrong, or there was no last time.
    """
    folder = cache_directory("packages")
    if folder is None:
        raise UnsupportedEnvironmentError(
            "cannot keep Debian's packages: this user has no home directory",
            hint="Set EDGE_SIM_CACHE=DIR.",
        )
    place = folder / f"{SUITE}-{ARCHITECTURES[architecture].debian}"
    place.mkdir(parents=True, exist_ok=True)
    with locked(place, lambda: progress(f"{architecture}: waiting for another process that fetches packages")):
        signed = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
        apt = apt_get(place, f"deb {signed}{mirror()} {SUITE} main", ARCHITECTURES[architecture].debian)
        if newest or not _listed(place):
            _update(apt, place, progress)
        result = _resolve(apt, place, names)
        missing = [package.name for package in result if _digest(package.file) != package.digest]
        if missing:
            progress(f"{architecture}: fetching {len(missing)} of Debian's packages")
            run([*apt, "download", *missing], timeout=LIMIT_S, env=_environment(), cwd=place)
        return result


def apt_get(place: Path, source: str, machine: str | None = None) -> list[str]:
    """Return apt-get's command for one archive, with all that it keeps below ``place``; None: for this machine."""
    (place / "sources.list").write_text(f"{source}\n", encoding="utf-8")
    (place / "status").touch()
    for folder in ("lists/partial", "cache/archives/partial"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    settings = {
        **({"APT::Architecture": machine, "APT::Architectures": machine} if machine else {}),
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Dir::State": place,
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "Dir::Etc::SourceList": place / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
    }
    return ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in settings.items())]


def _update(apt: Sequence[str], place: Path, progress: Progress) -> None:
    """Bring the archive's list up to date; one that cannot be reached is no fault where there is a list."""
    done = run([*apt, "--error-on=any", "update"], timeout=LIMIT_S, env=_environment(), check=False)
    errors = done.stderr.decode(errors="replace").strip()
    if not done.returncode:
        return
    if not _listed(place) or any(word in errors for word in _UNSIGNED):
        raise UnsupportedEnvironmentError(
            f"Debian's list of packages for {place.name} cannot be fetched",
            details=errors[-2000:] or None,
            hint="Once fetched, packages are kept in the user's cache: build the bundle where the mirror is reachable.",
        )
    progress(f"{place.name}: the mirror does not answer, so the packages fetched last are used")


def _resolve(apt: Sequence[str], place: Path, names: Sequence[str]) -> list[DebianPackage]:
    """Return the packages with the archive's own digests, which are signed."""
    # In a folder without packages: apt is silent about those that are there already.
    done = run([*apt, "download", "--print-uris", *names], timeout=LIMIT_S, env=_environment(), cwd=place / "cache")
    rows = sorted(line.split(" ")[1:] for line in done.stdout.decode().splitlines())
    return [
        DebianPackage(name=file.partition("_")[0], file=place / file, digest=digest.removeprefix("SHA256:"))
        for file, _, digest in rows
    ]


def _listed(place: Path) -> bool:
    return any((place / "lists").glob("*_Packages*"))


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _digest(file: Path) -> str | None:
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return sha256(opened)
