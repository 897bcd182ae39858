"""The factory's core in a directory of a test, without a board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_sim.emulation import corebuild


def install_core(root: Path, greengrass_root: str, version: str, **options: Any) -> None:
    """Lay down the factory's tree and a new key below ``root``; the newest version laid is the one that is linked."""
    for item in corebuild.factory(greengrass_root, version, **options):
        path = root / item.path.lstrip("/")
        if item.type == "directory":
            path.mkdir(parents=True, exist_ok=True)
        elif item.type == "link":
            path.unlink(missing_ok=True)
            path.symlink_to(str(item.target))
        else:
            path.write_text(item.text, encoding="utf-8")
            path.chmod(item.mode)
    write_key(root / greengrass_root.lstrip("/") / corebuild.KEY)


def write_key(path: Path) -> None:
    """Write a new private key, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_text(corebuild.private_key("/key").text, encoding="ascii")
