"""What a board is like, as a plain value.

On a board the facts are probed (``agent.probe``); off the board a device profile supplies them (``profiles``).
Rules, plans and access answers read only this value, so the same rules run on a laptop and on the board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_LINKS = 40
"""How many symbolic links are followed before a path counts as a loop: the kernel's own limit (path_resolution(7))."""

_GID_DIGITS = len(str(2**32))

NodeType = Literal["directory", "file", "link", "char", "block", "fifo", "socket"]


@dataclass(frozen=True, kw_only=True)
class AclEntry:
    """What a POSIX ACL (acl(5)) grants to one user or group: permission bits, before the mask."""

    kind: Literal["user", "group"]
    id: int
    bits: int


@dataclass(frozen=True, kw_only=True)
class Node:
    """One path as ``lstat`` shows it. ``mode`` holds the permission bits (07777); ``target`` is a link's text.

    ``acl`` is there where a POSIX ACL says more than the mode does: its users and groups, the owning group as well, for
    all of whom the mode's group bits are the mask then.
    """

    type: NodeType
    uid: int
    gid: int
    mode: int
    target: str | None = None
    acl: tuple[AclEntry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class User:
    """One line of the board's passwd file."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class GreengrassInstall:
    """The core software on a board. ``root`` and the account names are AWS's defaults unless a profile differs."""

    root: str = "/greengrass"
    version: str = "1.10.0"
    user: str = "ggc_user"
    group: str = "ggc_group"
    allow_functions_to_run_as_root: bool = False


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """A board: who it is, who lives on it, and what lies at the paths a group refers to.

    ``paths`` maps absolute board paths to nodes. It holds at least every path that was asked about when the facts
    were made; a path that is missing from it does not exist on the board.
    """

    architecture: str
    operating_system: str
    libc: str = "glibc"
    init: str = "systemd"
    memory_kib: int = 0
    cpus: int = 1
    users: Mapping[str, User] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """The accounts that the board's group file lists in each group, by GID."""
    greengrass: GreengrassInstall = field(default_factory=GreengrassInstall)
    paths: Mapping[str, Node] = field(default_factory=dict)
    protected_links: bool = True
    """``fs.protected_symlinks``: systemd and OpenWrt set it, a kernel left alone does not."""
    unsupported: frozenset[str] = frozenset()
    """Features that Greengrass does not have on this board, such as ``ml-inference`` on OpenWrt."""
    surveyed: bool = True
    """Whether the paths were looked at. A device profile knows its devices and standard directories only: what else
    it lacks may be there."""

    def at(self, path: str) -> Node | None:
        """Return what is at ``path``, over all links; None where nothing is."""
        node = self.paths.get(path)
        if node is None or node.type == "link":
            node = self.paths.get(resolve(self.paths, path))
        return None if node is None or node.type == "link" else node  # a link that is left leads round in a circle

    def gid(self, owner: str) -> int | None:
        """Return the GID that a ``GroupOwner`` means here, or None when the board has no such group.

        All digits mean a GID, more than a GID has mean none; anything else is a name in the board's own group file
        (AWS's pages say "name or GID" in one place and "GID" in another, see docs/fidelity.md).
        """
        if not (owner.isascii() and owner.isdigit()):
            return self.groups.get(owner)
        digits = owner.lstrip("0") or "0"
        return int(digits) if len(digits) <= _GID_DIGITS else None


def below(path: str, top: str) -> bool:
    """Return whether ``path`` is ``top`` or lies under it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def resolve(nodes: Mapping[str, Node], path: str) -> str:
    """Return ``path`` without the links of ``nodes`` that it leads through, itself included."""
    return resolved(nodes.get, path)


def resolved(look: Callable[[str], Node | None], path: str) -> str:
    """Return ``path`` without the links that it leads through, itself included; ``look`` returns what is at a path."""
    here: list[str] = []
    waiting = [part for part in reversed(path.split("/")) if part]
    links = 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del here[-1:]
            continue
        node = look("/" + "/".join([*here, part]))
        if node is None or node.type != "link" or links >= MAX_LINKS:
            here.append(part)
            continue
        links += 1
        target = node.target or ""
        if target.startswith("/"):
            here = []
        waiting += target.split("/")[::-1]
    return "/" + "/".join(here)
