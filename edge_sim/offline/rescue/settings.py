"""The core's settings as config.json has them, without what is secret; and the files of ``certs``, by name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from edge_sim.errors import EdgeSimError
from edge_sim.offline.rescue.disk import Disk
from edge_sim.strictjson import members

_SECRET = re.compile(r"pin$|passw|secret|token|credential|username|^user$", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"(://)[^/@\s]+@")
_PIN = re.compile(r"(pin-(?:value|source)=)[^;&?]*", re.IGNORECASE)
LEFT = "left on the board"


def settings(disk: Disk) -> tuple[dict[str, object] | None, list[str]]:
    """Return config.json without secrets, None where it is not there or cannot be read, and what was left out."""
    try:
        config = _config(disk)
    except (ValueError, EdgeSimError) as error:
        return None, [f"{disk.tree.config}: {error}: the core's settings are not known"]
    omitted: list[str] = []
    return {
        str(key): _clean(str(key), value, omitted) for key, value in config.items() if _keeps(str(key), omitted)
    }, omitted


def write_directory(disk: Disk) -> str | None:
    """Return the directory that config.json names as the one that the core writes to; None where it names none."""
    try:
        named = _config(disk).get("writeDirectory")
    except (ValueError, EdgeSimError):
        return None
    if not isinstance(named, str) or not named.startswith("/") or "\0" in named or ".." in named.split("/"):
        return None
    return "/" + posixpath.normpath(named).strip("/") if named.strip("/.") else None


def certificates(disk: Disk) -> tuple[list[str], list[str]]:
    """Return the names in the folder of certificates and keys, and why there are none; what is in them is not read."""
    try:
        return disk.names(disk.tree.certificates), []
    except EdgeSimError as error:
        return [], [f"names of certificates: {error}"]


def _config(disk: Disk) -> Mapping[str, object]:
    """Return config.json; raises ValueError where it is not there or no JSON object, UsageError for an unreadable."""
    text = disk.text(disk.tree.config)
    if text is None:
        raise ValueError("does not exist")
    try:
        return members(text)
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from error


def _keeps(path: str, omitted: list[str]) -> bool:
    if _SECRET.search(path.rpartition(".")[2]):
        omitted.append(f"config.json: {path}: {LEFT}")
        return False
    return True


def _clean(path: str, value: object, omitted: list[str]) -> object:
    if isinstance(value, Mapping):
        inner = {str(key): f"{path}.{key}" for key in value}
        return {key: _clean(inner[key], value[key], omitted) for key in inner if _keeps(inner[key], omitted)}
    if isinstance(value, list):
        return [_clean(path, item, omitted) for item in value]
    if isinstance(value, str):
        cleaned = _PIN.sub(r"\1", _WITH_PASSWORD.sub(r"\1", value))
        if cleaned != value:
            omitted.append(f"config.json: {path}: the secret part was {LEFT}")
        return cleaned
    return value
