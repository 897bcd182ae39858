"""Versions of the core software on the disk: ``<gg>/ggc/packages/<version>``, and which one is current.

``<gg>/ggc/core`` is a link to ``packages/<version>``; moving it is the switch (inferred from V1's layout, the guide
only says that binaries are restarted). A new version is unpacked under ``packages/.staging`` and renamed into place
when it is whole. The version that last ran well is written down and never deleted. ``gg`` is the Greengrass root.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.agent.crashpoints import point
from edge_sim.errors import UpdateError
from edge_sim.jobs.update import VERSION

EXECUTABLES = ("greengrassd", "bin/daemon")
"""What a core build must hold to be one."""


def version_key(version: str) -> tuple[int, int, int, bool, str]:
    """Return a value that sorts as versions do: 1.9.4 before 1.10.0, 1.10.0-RC1 before 1.10.0."""
    numbers, _, suffix = version.partition("-")
    major, minor, patch = (int(part) for part in numbers.split("."))
    return major, minor, patch, not suffix, suffix


def directory(gg: Path, version: str) -> Path:
    """Where ``version`` lies, or would."""
    return gg / "ggc/packages" / version


def staging(gg: Path) -> Path:
    """Where a build is downloaded and unpacked; nothing in it is ever run."""
    return gg / "ggc/packages/.staging"


def current(gg: Path) -> str | None:
    """Return the version that ``ggc/core`` points to; None when the link is missing, dangling or points elsewhere."""
    try:
        target = (gg / "ggc/core").readlink()
    except OSError:
        return None
    version = target.name
    if target.parent.name != "packages" or not VERSION.fullmatch(version):
        return None
    return version if directory(gg, version).is_dir() else None


def installed(gg: Path) -> list[str]:
    """Return the versions that are there, the oldest first."""
    packages = gg / "ggc/packages"
    names = (entry.name for entry in packages.iterdir()) if packages.is_dir() else ()
    return sorted((name for name in names if VERSION.fullmatch(name)), key=version_key)


def clear_staging(gg: Path) -> Path:
    """Remove what an earlier attempt left, and return the empty staging directory, for its owner only."""
    sweep(gg)
    place = staging(gg)
    place.mkdir(parents=True, mode=0o700)
    return place


def sweep(gg: Path) -> None:
    """Remove everything staged."""
    place = staging(gg)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


def verify(place: Path, version: str) -> None:
    """Check that ``place`` is a whole core build named ``version``. Raises UpdateError."""
    if not place.is_dir() or place.is_symlink():
        raise UpdateError(f"the build holds no packages/{version}")
    for name in EXECUTABLES:
        path = place / name
        if not path.exists() or not stat.S_ISREG(path.lstat().st_mode):
            raise UpdateError(f"the build holds no file packages/{version}/{name}")
        if not path.lstat().st_mode & 0o100:
            raise UpdateError(f"packages/{version}/{name} in the build is not executable")


def adopt(gg: Path, tree: Path, version: str) -> None:
    """Check an unpacked build and rename its ``packages/<version>`` into place, replacing a leftover.

    Raises UpdateError when it is not a build of ``version``, or when that version is the current one.
    """
    others = sorted(entry.name for entry in (tree / "packages").iterdir()) if (tree / "packages").is_dir() else []
    if others != [version]:
        raise UpdateError(f"the build holds {', '.join(others) or 'nothing'} in packages/, not just {version}")
    verify(tree / "packages" / version, version)
    place = directory(gg, version)
    if current(gg) == version:
        raise UpdateError(f"version {version} is in use and cannot be replaced")
    if place.exists():
        shutil.rmtree(place)
    (tree / "packages" / version).rename(place)
    durable.sync_directory(place.parent)


def switch(gg: Path, version: str) -> None:
    """Make ``version`` the current one: at every instant the link is the old one or the new one."""
    verify(directory(gg, version), version)
    link, beside = gg / "ggc/core", gg / "ggc/.core.new"
    beside.unlink(missing_ok=True)
    beside.symlink_to(f"packages/{version}")
    point("P18 link-created")
    beside.replace(link)
    point("P19 link-renamed")
    durable.sync_directory(link.parent)
    point("P20 dir-fsynced")


def last_known_good(gg: Path) -> str | None:
    """Return the version that was last seen healthy, or None."""
    try:
        version = (gg / "ggc/var/state/last-known-good").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return version if VERSION.fullmatch(version) and directory(gg, version).is_dir() else None


def remember_good(gg: Path, version: str) -> None:
    """Write down that ``version`` was healthy."""
    if last_known_good(gg) != version:
        durable.write(gg / "ggc/var/state/last-known-good", version.encode())


def prune(gg: Path, keep: Collection[str]) -> list[str]:
    """Remove versions that are neither kept, current nor last known good; return them."""
    wanted = {*keep, current(gg), last_known_good(gg)}
    removed = [version for version in installed(gg) if version not in wanted]
    for version in removed:
        shutil.rmtree(directory(gg, version))
    return removed
