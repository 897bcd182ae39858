"""What the agent is told when it starts: who it is and where its broker is."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sim import strictjson
from edge_sim.arch import ARCHITECTURES
from edge_sim.errors import UsageError
from edge_sim.jobs.topics import is_thing_name

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.limits import Limits

KEEP_ALIVE_S = 600
"""config.json's ``keepAlive`` default; V1 allowed 30 to 1200."""
STABLE_WINDOW_S = 60
"""How long an update's core must run before the update has succeeded (ours)."""
ASK_EVERY_S = 300
"""How often a quiet agent asks for jobs and deployments (ours)."""
MAX_BYTES = 64 * 1024
_KEYS = frozenset(
    {
        *("thing", "broker", "cafile", "keepAlive", "architecture", "operatingSystem", "greengrassRoot", "packages"),
        *("askEvery", "stableWindow"),
    }
)


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """The agent's configuration file.

    ``broker`` is an mqtt:// or mqtts:// URL, ``cafile`` the CA certificates it is checked with. ``architecture`` and
    ``operating_system`` are what a simulated board stands in for; None means the machine's own. ``packages`` are the
    limits of model and code packages, None for the usual ones. ``ask_every_s``: how often work is asked for while
    nothing is heard; ``stable_window_s``: how long a new core must run before its update has succeeded.
    """

    thing: str
    broker: str
    cafile: str | None = None
    keep_alive_s: int = KEEP_ALIVE_S
    architecture: str | None = None
    operating_system: str | None = None
    greengrass_root: str = "/greengrass"
    packages: Limits | None = None
    ask_every_s: int = ASK_EVERY_S
    stable_window_s: int = STABLE_WINDOW_S


def read_config(path: Path) -> AgentConfig:
    """Read the configuration file. Raises UsageError naming the file and the key that is wrong."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).removeprefix(codecs.BOM_UTF8)
        found = strictjson.loads(text, max_bytes=MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: not a JSON object")
    unknown = sorted(found.keys() - _KEYS)
    if unknown:
        raise UsageError(f"{path}: unknown key {unknown[0]!r}", hint=f"allowed: {', '.join(sorted(_KEYS))}")
    return _config(path, found)


def _config(path: Path, found: Mapping[str, object]) -> AgentConfig:
    thing = _text(path, found, "thing")
    if thing is None or not is_thing_name(thing):
        raise UsageError(f"{path}: thing is {thing!r}, not the name of a thing")
    broker, architecture = _text(path, found, "broker"), _text(path, found, "architecture")
    if broker is None:
        raise UsageError(f"{path}: broker is missing")
    if architecture is not None and architecture not in ARCHITECTURES:
        raise UsageError(f"{path}: architecture is {architecture!r}, not one of {', '.join(ARCHITECTURES)}")
    return AgentConfig(
        thing=thing,
        broker=broker,
        cafile=_text(path, found, "cafile"),
        keep_alive_s=_seconds(path, found, "keepAlive", KEEP_ALIVE_S, 1, 1200),
        architecture=architecture,
        operating_system=_text(path, found, "operatingSystem"),
        greengrass_root=_text(path, found, "greengrassRoot") or "/greengrass",
        packages=_packages(path, found["packages"]) if "packages" in found else None,
        ask_every_s=_seconds(path, found, "askEvery", ASK_EVERY_S, 1, 86_400),
        stable_window_s=_seconds(path, found, "stableWindow", STABLE_WINDOW_S, 1, 3600),
    )


def _seconds(path: Path, found: Mapping[str, object], key: str, default: int, least: int, most: int) -> int:
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"{path}: {key} is {value!r}, not a number of seconds from {least} to {most}")
    return value


def _packages(path: Path, found: object) -> Limits:
    """Read ``packages``: any limit by its name, and ``links``."""
    from edge_sim.limits import LINKS, Limits

    if not isinstance(found, dict):
        raise UsageError(f"{path}: packages is {found!r}, not an object of limits")
    links = found.get("links", "refuse")
    if links not in LINKS:
        raise UsageError(f"{path}: packages.links is {links!r}, not refuse or copy")
    try:
        return Limits().changed((f"{name}={value}" for name, value in found.items() if name != "links"), links)
    except UsageError as error:
        raise UsageError(f"{path}: packages: {error.brief}", hint=error.hint) from error


def _text(path: Path, found: Mapping[str, object], key: str) -> str | None:
    value = found.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    raise UsageError(f"{path}: {key} is {value!r}, not a text")
