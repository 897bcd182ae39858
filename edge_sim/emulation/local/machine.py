"""What only a local board has of this machine: its programs and this Python, bound read-only below the board's root.

``with_this_machine`` adds it to a plan, and refuses what can be on other boards but not where this machine's files are.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import edge_sim
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.boarditems import Bind, BoardPlan, Item, with_parents
from edge_sim.emulation.boardplan import ELSEWHERE, is_below
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError, UsageError

_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "ld.so.cache")
"""Without these some programs do not start below the board's root: /usr/bin/awk leads to /etc/alternatives, and a
Python in /usr/local finds its library through the loader's cache."""
_HINT = f"{ELSEWHERE} Or use --driver docker."


def with_this_machine(plan: BoardPlan, profile: DeviceProfile) -> tuple[BoardPlan, tuple[str, ...]]:
    """Return the plan with this machine's part in it, and what differs from a real board for that, a sentence each.

    Raises InvalidDefinitionError for a scenario's file and UsageError for a bind where this machine's files are, and
    UnsupportedEnvironmentError for a block device.
    """
    shared = tuple(_shared())
    places = (*(bind.path for bind in shared), *(f"/{name}" for name in _LINKS if Path("/", name).exists()))
    _refuse_files(plan, profile, places)
    _refuse_binds(plan, places)
    _refuse_block_devices(plan)
    items = {item.path: item for item in (*plan.items, *_links())}
    for bind in (*shared, *plan.binds):
        items.setdefault(bind.path, _mount_point(bind))
    notes = tuple(_opened(items, shared))
    return dataclasses.replace(plan, items=with_parents(items.values()), binds=(*shared, *plan.binds)), notes


def _shared() -> Iterator[Bind]:
    """Yield what programs of this machine need to start below the board's root, this Python included."""
    places = [Path("/usr"), *(Path("/") / name for name in _LINKS), *(Path("/etc") / name for name in _ETC)]
    python = (sys.base_prefix, sys.base_exec_prefix, sys.prefix, Path(sys.executable).resolve().parents[1])
    for place in (*python, Path(edge_sim.__file__).parent):
        places += [Path(place), Path(place).resolve()]
    paths: list[Path] = []
    for place in places:
        covered = any(place.is_relative_to(other) for other in paths)
        if place.exists() and not place.is_symlink() and not covered and place != Path("/"):
            paths.append(place)
            yield Bind(source=str(place), path=str(place), read_only=True)


def _links() -> Iterator[Item]:
    """Yield this machine's links to what a merged /usr holds."""
    for path in (Path("/") / name for name in _LINKS):
        if path.is_symlink():
            yield Item(path=str(path), type="link", target=os.readlink(path).lstrip("/"))  # noqa: PTH115


def _mount_point(bind: Bind) -> Item:
    if Path(bind.source).is_dir():
        return Item(path=bind.path, type="directory")
    return Item(path=bind.path, type="file", mode=0o644)


def _refuse_files(plan: BoardPlan, profile: DeviceProfile, places: Sequence[str]) -> None:
    own = profile.tree()
    for item in plan.items:
        for place in places:
            if is_below(item.path, place) and not (item.path == place and item.node == own.get(place)):
                raise InvalidDefinitionError(
                    f"{item.named or item.path}: cannot be placed on a local board: there, {place} is this machine's "
                    "and read-only",
                    hint=_HINT,
                )


def _refuse_binds(plan: BoardPlan, places: Sequence[str]) -> None:
    for bind in plan.binds:
        for place in places:
            if is_below(bind.path, place) or is_below(place, bind.path):
                raise UsageError(
                    f"cannot bind {bind.source} to {bind.path} on a local board: there, {place} is this machine's and "
                    "read-only",
                    hint=_HINT,
                )


def _refuse_block_devices(plan: BoardPlan) -> None:
    for device in plan.devices:
        if device.backing == "loop":
            raise UnsupportedEnvironmentError(
                f"{device.path}: only a board in a container has its own block devices", hint="Use --driver docker."
            )


def _opened(items: dict[str, Item], shared: Sequence[Bind]) -> Iterator[str]:
    """Let everybody search the directories above this machine's, and yield a note for each that was closed."""
    for path in {str(parent): None for bind in shared for parent in PurePosixPath(bind.path).parents}:
        item = items.get(path)
        if item and item.type == "directory" and item.mode & 0o011 != 0o011:
            items[path] = dataclasses.replace(item, mode=item.mode | 0o011)
            yield (
                f"{path} is {item.mode | 0o011:04o} here, not {item.mode:04o} as on a real board, "
                "so that the Python in use can be reached"
            )
