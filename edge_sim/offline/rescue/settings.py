"""The core's settings as config.json has them, without what is secret; and the files of ``certs``, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.offline.rescue.disk import Disk
from edge_sim.strictjson import loads

_SECRET = re.compile(r"pin$|passw|secret|token|credential|username|^user$", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"(://)[^/@\s]+@")
_PIN = re.compile(r"(pin-(?:value|source)=)[^;&?]*", re.IGNORECASE)
LEFT = "left on the board"


def settings(disk: Disk) -> tuple[dict[str, object] | None, list[str]]:
    """Return config.json without secrets, None where it is not there or cannot be read, and what was left out."""
    text = disk.text(disk.tree.config)
    if text is None:
        return None, [f"{disk.tree.config}: not there: the core's settings are not known"]
    try:
        config = loads(text)
    except ValueError as error:
        return None, [f"{disk.tree.config}: cannot be read: {error}"]
    if not isinstance(config, Mapping):
        return None, [f"{disk.tree.config}: not a JSON object"]
    left: list[str] = []
    return {str(key): _clean(str(key), value, left) for key, value in config.items() if _keeps(str(key), left)}, left


def certificates(disk: Disk) -> Iterator[str]:
    """Yield the names in the folder of certificates and keys; nobody reads what is in them."""
    yield from disk.names(disk.tree.certificates)


def _keeps(path: str, left: list[str]) -> bool:
    if _SECRET.search(path.rpartition(".")[2]):
        left.append(f"config.json: {path}: {LEFT}")
        return False
    return True


def _clean(path: str, value: object, left: list[str]) -> object:
    if isinstance(value, Mapping):
        inner = {str(key): f"{path}.{key}" for key in value}
        return {key: _clean(inner[key], value[key], left) for key in inner if _keeps(inner[key], left)}
    if isinstance(value, list):
        return [_clean(path, item, left) for item in value]
    if isinstance(value, str):
        cleaned = _PIN.sub(r"\1", _WITH_PASSWORD.sub(r"\1", value))
        if cleaned != value:
            left.append(f"config.json: {path}: the secret part was {LEFT}")
        return cleaned
    return value
