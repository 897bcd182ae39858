"""What a board is like, found by looking: /etc, the core's configuration and ``lstat`` of the paths that matter.

Everything is below one root directory, ``/`` on a real board; names are read from the board's own passwd and group
files, never asked of the machine this runs on.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.agent.rooted import inside, node_at
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import GreengrassInstall, HostFacts, Node, User

MAX_FILE_BYTES = 1024 * 1024
"""How much of a board's text file is read."""
_SYSTEMS = {"ubuntu": "ubuntu", "raspbian": "raspbian", "amzn": "amazon_linux", "openwrt": "openwrt"}


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What a board says of itself that its files cannot show: a local board runs on another machine's kernel."""

    architecture: str | None = None
    operating_system: str | None = None


def probe(
    root: Path, paths: Iterable[str] = (), *, greengrass_root: str = "/greengrass", stand_in: StandIn | None = None
) -> HostFacts:
    """Return the facts of the board below ``root``, with nodes for ``paths``, their parents and what links lead to.

    Raises InvalidDefinitionError when the core's config.json is there and cannot be read.
    """
    stand_in = stand_in or StandIn()
    system = stand_in.operating_system or _operating_system(root)
    return HostFacts(
        architecture=stand_in.architecture or platform.machine(),
        operating_system=system,
        libc="musl" if any(inside(root, "/lib").glob("ld-musl-*")) else "glibc",
        init=_init(root),
        memory_kib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024,
        cpus=os.cpu_count() or 1,
        users={name: User(uid=uid, gid=gid) for name, uid, gid in _users(root)},
        groups=dict(_groups(root)),
        greengrass=_greengrass(root, greengrass_root),
        paths=paths_below(root, paths),
        unsupported=frozenset({"ml-inference"} if system == "openwrt" else ()),
    )


def paths_below(root: Path, paths: Iterable[str]) -> dict[str, Node]:
    """Return nodes for the board's ``paths`` and their parents, and for all that the links among them lead to.

    A path that is missing from the answer does not exist.
    """
    found: dict[str, Node] = {}
    waiting = list(paths)
    seen: set[str] = set()
    while waiting:
        path = os.path.normpath(waiting.pop())
        for step in (path, *map(str, Path(path).parents)):
            if step in seen:
                continue
            seen.add(step)
            node = node_at(inside(root, step, follow_last=False))
            if node is None:
                continue
            found[step] = node
            if node.target is not None:
                base = os.path.join(os.path.dirname(step), node.target)  # noqa: PTH118, PTH120 - board paths
                waiting.append(base + path[len(step) :])
    return found


def _read(root: Path, path: str) -> str:
    try:
        with inside(root, path).open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _records(root: Path, path: str, fields: int) -> Iterator[list[str]]:
    for line in _read(root, path).splitlines():
        record = line.split(":")
        if len(record) >= fields and not line.startswith(("#", "+", "-")):
            yield record


def _users(root: Path) -> Iterator[tuple[str, int, int]]:
    for name, _, uid, gid, *_ in _records(root, "/etc/passwd", 4):
        if uid.isdigit() and gid.isdigit():
            yield name, int(uid), int(gid)


def _groups(root: Path) -> Iterator[tuple[str, int]]:
    for name, _, gid, *_ in _records(root, "/etc/group", 3):
        if gid.isdigit():
            yield name, int(gid)


def _operating_system(root: Path) -> str:
    """Return the board's system in the API's word where it has one, else os-release's ID."""
    lines = (_read(root, "/etc/os-release") or _read(root, "/usr/lib/os-release")).splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    name = release.get("ID", "unknown").strip("\"'")
    if name == "debian" and inside(root, "/etc/rpi-issue").exists():  # Raspberry Pi OS, 64 bit, calls itself Debian
        return "raspbian"
    return _SYSTEMS.get(name, name)


def _init(root: Path) -> str:
    if inside(root, "/run/systemd/system").is_dir() or inside(root, "/lib/systemd/systemd").exists():
        return "systemd"
    return "procd" if inside(root, "/sbin/procd").exists() else "sysvinit"


def _greengrass(root: Path, greengrass_root: str) -> GreengrassInstall:
    config = _config(root, f"{greengrass_root}/config/config.json")
    runtime = config.get("runtime")
    as_root = runtime.get("allowFunctionsToRunAsRoot") if isinstance(runtime, Mapping) else None
    core = inside(root, f"{greengrass_root}/ggc/core", follow_last=False)
    version = core.readlink().name if core.is_symlink() else ""
    return GreengrassInstall(
        root=greengrass_root,
        version=version or GreengrassInstall.version,
        allow_functions_to_run_as_root=as_root == "yes",
    )


def _config(root: Path, path: str) -> dict[str, Any]:
    text = _read(root, path)
    if not text:
        return {}
    try:
        config = json.loads(text)
    except ValueError as error:
        raise InvalidDefinitionError(f"Failed to parse {path}.", details=str(error)) from error
    if not isinstance(config, dict):
        raise InvalidDefinitionError(f"Failed to parse {path}.", details="it must hold an object")
    return config
