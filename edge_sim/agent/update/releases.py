"""Versions of a software on the disk: one directory each, and a link to the current one.

Moving the link is the switch (inferred from V1's layout, the guide only says that binaries are restarted). A new
version is unpacked under ``.staging`` beside the others and renamed into place when it is whole. The version that
last ran well is written down and never deleted.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.agent.crashpoints import point
from edge_sim.agent.rooted import inside
from edge_sim.agent.update.software import Software
from edge_sim.errors import UnsupportedEnvironmentError, UpdateError
from edge_sim.jobs.update import VERSION


def version_key(version: str) -> tuple[int, int, int, bool, str]:
    """Return a value that sorts as versions do: 1.9.4 before 1.10.0, 1.10.0-RC1 before 1.10.0."""
    numbers, _, suffix = version.partition("-")
    major, minor, patch = (int(part) for part in numbers.split("."))
    return major, minor, patch, not suffix, suffix


class Releases:
    """The versions of ``software`` on the board below ``root``, whose Greengrass root lies at ``gg``."""

    def __init__(self, root: Path, gg: Path, software: Software) -> None:
        self._root = root
        self.software = software
        self._packages = gg / software.packages
        self._link = gg / software.link
        self._last_good = gg / software.last_good
        self._target = Path(os.path.relpath(software.packages, Path(software.link).parent))
        self.staging = self._packages / ".staging"
        """Where a build is downloaded and unpacked; nothing in it is ever run."""

    def directory(self, version: str) -> Path:
        """Where ``version`` lies, or would."""
        return self._packages / self._name(version)

    def current(self) -> str | None:
        """Return the version that the link leads to; None when it is missing, dangling or leads anywhere else.

        Links are followed as the board would: a directory of another name or place is never taken for a version.
        """
        if self.software.factory is not None and not os.path.lexists(self._link):
            return self.software.factory
        try:
            place, packages = (inside(self._root, self._on_board(path)) for path in (self._link, self._packages))
        except UnsupportedEnvironmentError:  # a loop of links, or one that may not be read
            return None
        version = place.name.removeprefix(self.software.prefix)
        here = place == packages / self._name(version) and place.is_dir()
        return version if here and VERSION.fullmatch(version) else None

    def installed(self) -> list[str]:
        """Return the installed versions, the oldest first."""
        prefix = self.software.prefix
        names = (entry.name for entry in self._packages.iterdir()) if self._packages.is_dir() else ()
        versions = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
        return sorted((version for version in versions if VERSION.fullmatch(version)), key=version_key)

    def whole(self, version: str) -> bool:
        """Tell whether ``version`` is installed and can be run."""
        try:
            self._verify(self.directory(version), version)
        except (UpdateError, OSError):
            return version == self.software.factory
        return True

    def clear_staging(self, keep: Collection[Path] = ()) -> Path:
        """Remove what an earlier attempt left but the files ``keep``; return the staging directory (0700)."""
        if self.staging.is_symlink() or not self.staging.is_dir():
            self.sweep()
            self.staging.mkdir(parents=True, mode=0o700)
        for entry in self.staging.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry not in keep:
                entry.unlink()
        return self.staging

    def sweep(self) -> None:
        """Remove everything staged."""
        if self.staging.is_symlink():
            self.staging.unlink()
        elif self.staging.is_dir():
            shutil.rmtree(self.staging)
        elif self.staging.exists():
            self.staging.unlink()

    def adopt(self, tree: Path, version: str) -> None:
        """Check an unpacked build and rename its ``packages/<version>`` into place, replacing a leftover.

        Raises UpdateError when it is not a build of ``version``, or when that version is the current one.
        """
        name, packages = self._name(version), tree / self.software.archive
        others = sorted(entry.name for entry in packages.iterdir()) if packages.is_dir() else []
        if others != [name]:
            content = ", ".join(others) or "nothing"
            raise UpdateError(f"the build holds {content} in {self.software.archive}/, not just {name}")
        self._verify(packages / name, version)
        place = self.directory(version)
        if self.current() == version:
            raise UpdateError(f"version {version} is in use and cannot be replaced")
        if place.exists():
            shutil.rmtree(place)
        (packages / name).rename(place)
        durable.sync_directory(place.parent)

    def switch(self, version: str) -> None:
        """Make ``version`` the current one: at every instant the link is the old one or the new one.

        A link that is right is left alone. Raises UpdateError, OSError.
        """
        if self.current() == version:
            return
        if version == self.software.factory and not self.directory(version).exists():
            self._link.unlink()
            durable.sync_directory(self._link.parent)
            return
        self._verify(self.directory(version), version)
        beside = self._link.with_name(f".{self._link.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(self._target / self._name(version))
        point("P18 link-created")
        beside.replace(self._link)
        point("P19 link-renamed")
        durable.sync_directory(self._link.parent)
        point("P20 dir-fsynced")

    def sync(self) -> None:
        """Bring the link to the disk: an agent that was killed right after it had moved it has not. Raises OSError."""
        with suppress(FileNotFoundError):  # there never was one
            durable.sync_directory(self._link.parent)

    def last_known_good(self) -> str | None:
        """Return the version that was last seen healthy, or None."""
        try:
            version = self._last_good.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return version if VERSION.fullmatch(version) and self.directory(version).is_dir() else None

    def remember_good(self, version: str) -> None:
        """Write down that ``version`` was healthy."""
        if self.last_known_good() != version:
            durable.write(self._last_good, version.encode())

    def prune(self, keep: Collection[str]) -> list[str]:
        """Remove versions that are neither kept, current nor last known good; return them."""
        survivors = {*keep, self.current(), self.last_known_good()}
        removed = [version for version in self.installed() if version not in survivors]
        for version in removed:
            shutil.rmtree(self.directory(version))
        return removed

    def _name(self, version: str) -> str:
        return f"{self.software.prefix}{version}"

    def _on_board(self, path: Path) -> str:
        return f"/{path.relative_to(self._root)}"

    def _verify(self, place: Path, version: str) -> None:
        """Check that ``place`` is a whole build of ``version``. Raises UpdateError."""
        where = f"{self.software.archive}/{self._name(version)}"
        if not place.is_dir() or place.is_symlink():
            raise UpdateError(f"the build holds no {where}")
        for name in self.software.executables:
            path = place / name
            if not path.exists() or not stat.S_ISREG(path.lstat().st_mode):
                raise UpdateError(f"the build holds no file {where}/{name}")
            if not path.lstat().st_mode & 0o100:
                raise UpdateError(f"{where}/{name} in the build is not executable")
