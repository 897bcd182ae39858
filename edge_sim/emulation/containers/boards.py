"""Boards that were left running: found by their labels, so that nothing but the engine has to remember them.

Every container, volume and network of ours carries ``edge-sim.board`` (its name, empty for a shared network) and
``edge-sim.owner``, the process that it must not outlive; empty for what ``board up`` made.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edge_sim import interrupts
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.containers import networks, storage
from edge_sim.emulation.containers.program import completed, started
from edge_sim.errors import UsageError

BOARD, OWNER = "edge-sim.board", "edge-sim.owner"
PREFIX = "edge-sim-"
AGENT = ("edge-sim", "agent")
"""How the agent is called on a board in a container."""


@dataclass(frozen=True, kw_only=True)
class BoardRecord:
    """A board's container as the engine lists it. ``state`` is the engine's word: running, exited, …"""

    name: str
    profile: str
    architecture: str
    thing: str
    mqtt: str
    state: str
    image: str
    container: str
    created: str
    stays: bool
    """False for a board of a running scenario, which ends with it."""


def container_name(board: str) -> str:
    """Return what a board's container and its volume are called."""
    return f"{PREFIX}{board}"


def labels(name: str = "", spec: BoardSpec | None = None, *, lasting: bool = True) -> dict[str, str]:
    """Return the labels of what belongs to a board; with ``lasting`` it stays when this process ends."""
    agent = spec.agent if spec else None
    return {
        BOARD: name,
        OWNER: "" if lasting else str(_identity(os.getpid())),
        "edge-sim.profile": spec.profile.name if spec else "",
        "edge-sim.architecture": spec.profile.architecture if spec else "",
        "edge-sim.thing": agent.thing if agent else "",
        "edge-sim.mqtt": agent.broker if agent else "",
    }


def records(engine: Any) -> list[BoardRecord]:
    """Return all boards, by name, those of running scenarios included."""
    containers = engine.containers.list(all=True, filters={"label": BOARD}, ignore_removed=True)
    return sorted((_record(container) for container in containers), key=lambda board: board.name)


def find(engine: Any, name: str) -> Any:
    """Return the container of the board ``name``; raises UsageError when there is none."""
    for container in engine.containers.list(all=True, filters={"label": f"{BOARD}={name}"}, ignore_removed=True):
        return container
    known = ", ".join(board.name for board in records(engine)) or "none"
    raise UsageError(f"{name}: no such board", hint=f"Boards: {known}. Create one: edge-sim board up")


def umask_of(container: Any) -> int:
    """Return the umask of a board's programs, an argument of its first process; the engine starts others with 0022."""
    return int(container.attrs["Config"]["Cmd"][0], 8)


class ContainerShell:
    """What runs programs on a board that another process made, by its container."""

    root = PurePosixPath("/")
    agent_command = AGENT

    def __init__(self, engine: Any, container: Any) -> None:
        self._engine = engine
        self._container = container

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end; raises UnsupportedEnvironmentError when it takes too long."""
        program = started(self._engine, self._container.id, argv, umask=umask_of(self._container))
        return completed(program, timeout)


def names(engine: Any, *, lasting: bool = False) -> list[str]:
    """Return the names of all boards of which anything exists, be it a volume alone; ``lasting``: those that stay.

    A ``board up`` or ``board down`` that is killed leaves a part of one.
    """
    marked = {"label": BOARD}
    there = [container.labels for container in engine.containers.list(all=True, filters=marked, ignore_removed=True)]
    for kind in (engine.volumes, engine.networks):
        there += [container.attrs.get("Labels") or {} for container in kind.list(filters=marked)]
    return sorted({marks[BOARD] for marks in there if marks[BOARD] and not (lasting and marks.get(OWNER))})


def remove(engine: Any, name: str) -> None:
    """Remove a board: its container, volume and network, and the shared network when nobody else uses it.

    The remains of a board count as one. Raises UsageError when there is nothing of that name.
    """
    if name not in names(engine):
        find(engine, name)
    marked = {"label": f"{BOARD}={name}"}
    with interrupts.hold():
        for container in engine.containers.list(all=True, filters=marked, ignore_removed=True):
            storage.remove_container(container)
        for volume in engine.volumes.list(filters=marked):
            storage.remove(engine, volume.name)
        for network in engine.networks.list(filters=marked):
            networks.remove(engine, network.name)
        remove_network(engine, networks.SHARED)


def remove_network(engine: Any, name: str) -> None:
    """Remove a board's network; the shared one only when nobody uses it."""
    if name == networks.SHARED:
        networks.remove_unused(engine, name)
    else:
        networks.remove(engine, name)


def remove_ownerless(engine: Any) -> None:
    """Remove what runs left behind that were killed before they could."""
    for container in engine.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
        if _is_ownerless(container.labels):
            storage.remove_container(container)
    for volume in engine.volumes.list(filters={"label": OWNER}):
        if _is_ownerless(volume.attrs.get("Labels") or {}):
            storage.remove(engine, volume.name)
    for network in engine.networks.list(filters={"label": OWNER}):
        if _is_ownerless(network.attrs.get("Labels") or {}):
            networks.remove(engine, network.name)


def _record(container: Any) -> BoardRecord:
    marks: Mapping[str, str] = container.labels
    return BoardRecord(
        name=marks[BOARD],
        profile=marks.get("edge-sim.profile", ""),
        architecture=marks.get("edge-sim.architecture", ""),
        thing=marks.get("edge-sim.thing", ""),
        mqtt=marks.get("edge-sim.mqtt", ""),
        state=container.status,
        image=str(container.attrs.get("Config", {}).get("Image", "")),
        container=container.name,
        created=str(container.attrs.get("Created", "")),
        stays=not marks.get(OWNER),
    )


def _is_ownerless(marks: Mapping[str, str]) -> bool:
    """Tell whether the owner has ended. One of another process namespace cannot be seen, and counts as alive."""
    owner = marks.get(OWNER, "")
    number, _, rest = owner.partition("@")
    if not number.isdigit() or rest.rpartition("@")[2] != _namespace():
        return False
    return _identity(int(number)) != owner


def _identity(pid: int) -> str | None:
    """Return a process's id, when it was started (ids are used again) and its namespace; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return f"{pid}@{fields[19]}@{_namespace()}"


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)
