"""A board's files, binds and device nodes as plain data, which every driver carries out in its own way.

Paths are the board's. ``boardplan`` works a plan out; it also goes to a local board's first process, as JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from edge_sim.emulation.boarddevices import BoardDevice
from edge_sim.facts import Node


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A directory, file or link. A file's content is ``text``, or that of the host file ``source``.

    ``named`` is how the scenario calls the path, where that leads through one of the board's links.
    """

    path: str
    type: Literal["directory", "file", "link"]
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    text: str = ""
    source: str | None = None
    target: str | None = None
    named: str | None = None

    @property
    def node(self) -> Node:
        """The item as ``lstat`` on the board shows it."""
        mode = 0o777 if self.type == "link" else self.mode
        return Node(type=self.type, uid=self.uid, gid=self.gid, mode=mode, target=self.target)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bind:
    """A directory or file of the host that appears on the board."""

    source: str
    path: str
    read_only: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardPlan:
    """A whole board. Items are parents first; a directory above one that is no item itself is root's, 0755.

    ``key`` is where the core's private key lies, which is new with every board; None for no key.
    """

    hostname: str
    umask: int
    tty_gid: int
    items: tuple[Item, ...]
    binds: tuple[Bind, ...]
    devices: tuple[BoardDevice, ...]
    key: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BoardPlan:
        devices = (
            {**device, **{name: tuple(device[name]) for name in ("lines", "frames")}} for device in value["devices"]
        )
        return cls(
            hostname=value["hostname"],
            umask=value["umask"],
            tty_gid=value["tty_gid"],
            items=tuple(Item(**item) for item in value["items"]),
            binds=tuple(Bind(**bind) for bind in value["binds"]),
            devices=tuple(BoardDevice(**device) for device in devices),
            key=value["key"],
        )


def sorted_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return items with parents first."""
    return tuple(sorted(items, key=lambda item: PurePosixPath(item.path).parts))


def with_parents(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return items, parents first, with the directories above them that none of them is."""
    whole = {item.path: item for item in items}
    for path in list(whole):
        for parent in PurePosixPath(path).parents:
            # 0755, so that an unprivileged function reaches what lies below.
            whole.setdefault(str(parent), Item(path=str(parent), type="directory"))
    return sorted_items(whole.values())
