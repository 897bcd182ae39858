"""The factory's core in a directory of a test, without a board."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from edge_sim.emulation import corebuild


def install_core(root: Path, greengrass_root: str, version: str, **options: Any) -> None:
    """Lay down the factory's tree and a key below ``root``; the newest version laid is the one that is linked.

    The key is the same on every board of this process: a new one takes a tenth of a second.
    """
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
    _write_key(root / greengrass_root.lstrip("/") / corebuild.KEY, _factory_key())


def write_key(path: Path) -> None:
    """Write a new private key, readable by its owner only."""
    _write_key(path, _new_key())


def _write_key(path: Path, pem: str) -> None:
    path.touch(mode=0o600)
    path.write_text(pem, encoding="ascii")


def _new_key() -> str:
    return corebuild.private_key("/key").text


_factory_key = cache(_new_key)
