"""The agent's configuration file: its own JSON, or a V1 core's config.json, which is known by its ``coreThing``."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sim import strictjson
from edge_sim.agent.config import (
    ASK_EVERY_S,
    CONNECT_LIMIT_S,
    KEEP_ALIVE_S,
    STABLE_WINDOW_S,
    STEP_TIMEOUT_MINUTES,
    AgentConfig,
)
from edge_sim.agent.rooted import file_bytes
from edge_sim.agent.tls import ALPN_MQTT
from edge_sim.arch import ARCHITECTURES
from edge_sim.errors import UsageError, file_error
from edge_sim.jobs.requests import MAX_TIMEOUT_MINUTES
from edge_sim.jobs.topics import is_thing_name

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.limits import Limits

MAX_BYTES = 64 * 1024
_BELOW_ROOT = re.compile(r"(/(?!\.\.?(/|$))[^/]+)+")
_KEYS = frozenset(
    {
        *(
            "thing",
            "broker",
            "cafile",
            "certificate",
            "key",
            "keepAlive",
            "architecture",
            "operatingSystem",
            "greengrassRoot",
            "packages",
        ),
        *("askEvery", "stableWindow", "connectLimit", "stepTimeout", "allowLoopback"),
    }
)


def read_config(path: Path, root: Path = Path("/")) -> AgentConfig:
    """Read the configuration file of the board below ``root``.

    Raises UsageError naming the file and the key that is wrong.
    """
    try:
        text = file_bytes(path, MAX_BYTES + 1).removeprefix(codecs.BOM_UTF8)
        members = strictjson.members(text, max_bytes=MAX_BYTES)
    except OSError as error:
        raise file_error(f"{path}: cannot be read: {error.strerror}", error) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    if "coreThing" in members:
        from edge_sim.agent.v1config import from_core

        return from_core(path, members, root)
    unknown = sorted(members.keys() - _KEYS)
    if unknown:
        raise UsageError(f"{path}: unknown key {unknown[0]!r}", hint=f"allowed: {', '.join(sorted(_KEYS))}")
    return _config(path, members)


def _config(path: Path, members: Mapping[str, object]) -> AgentConfig:
    thing = _text(path, members, "thing")
    if thing is None:
        raise UsageError(f"{path}: thing is missing")
    if not is_thing_name(thing):
        raise UsageError(f"{path}: thing is {thing!r}, not the name of a thing")
    broker, architecture = _text(path, members, "broker"), _text(path, members, "architecture")
    if broker is None:
        raise UsageError(f"{path}: broker is missing")
    if architecture is not None and architecture not in ARCHITECTURES:
        raise UsageError(f"{path}: architecture is {architecture!r}, not one of {', '.join(ARCHITECTURES)}")
    certificate, key = _text(path, members, "certificate"), _text(path, members, "key")
    if (certificate is None) is not (key is None):
        raise UsageError(f"{path}: certificate and key go together")
    return AgentConfig(
        thing=thing,
        broker=broker,
        cafile=_text(path, members, "cafile"),
        certificate=certificate,
        key=key,
        alpn=ALPN_MQTT if broker.startswith("mqtts://") and broker.rstrip("/").endswith(":443") else None,
        keep_alive_s=_seconds(path, members, "keepAlive", KEEP_ALIVE_S, 1, 1200),
        architecture=architecture,
        operating_system=_text(path, members, "operatingSystem"),
        greengrass_root=_root(path, members),
        packages=_packages(path, members["packages"]) if "packages" in members else None,
        ask_every_s=_seconds(path, members, "askEvery", ASK_EVERY_S, 1, 86_400),
        allow_loopback=_flag(path, members, "allowLoopback"),
        stable_window_s=_seconds(path, members, "stableWindow", STABLE_WINDOW_S, 1, 3600),
        connect_limit_s=_seconds(path, members, "connectLimit", CONNECT_LIMIT_S, 10, 3600),
        step_timeout_minutes=_whole(
            path, members, "stepTimeout", STEP_TIMEOUT_MINUTES, 1, MAX_TIMEOUT_MINUTES, "minutes"
        ),
    )


def _seconds(path: Path, members: Mapping[str, object], key: str, default: int, least: int, most: int) -> int:
    return _whole(path, members, key, default, least, most, "seconds")


def _whole(path: Path, members: Mapping[str, object], key: str, default: int, least: int, most: int, unit: str) -> int:
    value = members.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"{path}: {key} is {value!r}, not a number of {unit} from {least} to {most}")
    return value


def _flag(path: Path, members: Mapping[str, object], key: str) -> bool:
    value = members.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{path}: {key} is {value!r}, not true or false")
    return value


def _packages(path: Path, members: object) -> Limits:
    """Read ``packages``: any limit by its name, and ``links``."""
    from edge_sim.limits import LINKS, Limits

    if not isinstance(members, dict):
        raise UsageError(f"{path}: packages is {members!r}, not an object of limits")
    links = members.get("links", "refuse")
    if links not in LINKS:
        raise UsageError(f"{path}: packages.links is {links!r}, not refuse or copy")
    try:
        return Limits().changed((f"{name}={value}" for name, value in members.items() if name != "links"), links)
    except UsageError as error:
        raise UsageError(f"{path}: packages: {error.brief}", hint=error.hint) from error


def _root(path: Path, members: Mapping[str, object]) -> str:
    root = _text(path, members, "greengrassRoot") or "/greengrass"
    if not _BELOW_ROOT.fullmatch(root):
        raise UsageError(f"{path}: greengrassRoot is {root!r}, not an absolute path below / without . and ..")
    return root


def _text(path: Path, members: Mapping[str, object], key: str) -> str | None:
    value = members.get(key)
    if value is None or (isinstance(value, str) and value and value.isprintable()):
        return value
    raise UsageError(f"{path}: {key} is {value!r}, not plain text")
