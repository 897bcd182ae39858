"""What a board is like, as a plain value.

On a board the facts are probed (``agent.probe``); off the board a device profile supplies them (``profiles``).
Rules, plans and access answers read only this value, so the same rules run on a laptop and on the board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal, get_args

MAX_LINKS = 40
"""How many symbolic links are followed before a path counts as a loop: the kernel's own limit (path_resolution(7))."""

_GID_DIGITS = len(str(2**32))

_NEAR = 0.8
"""How alike two names are, as ``difflib`` counts it, when one may be a slip of the other."""

NodeType = Literal["directory", "file", "link", "char", "block", "fifo", "socket"]
Listing = Literal["users", "groups", "devices", "paths"]
"""The lists that facts hold. ``devices`` are the paths below /dev, ``paths`` all others."""
LISTINGS: tuple[Listing, ...] = get_args(Listing)
Presence = Literal["present", "absent", "unknown"]
CgroupVersion = Literal["v1", "v2"]
SUBSYSTEMS = ("devices", "memory")
"""The cgroups of version 1 that V1's containers need (what-is-gg.md)."""
MOUNT_FLAGS = ("noexec", "nodev", "nosuid", "ro")
"""Those of a mount's options that keep somebody from doing what permissions allow (mount(8))."""
INTERPRETERS = ("python2.7", "python3.7", "python3.8", "nodejs12.x", "java8")
"""Those that V1 looks for on PATH, by their exact names (what-is-gg.md, lambda-functions.md)."""
UPDATE_TOOLS = (
    *("wget", "realpath", "tar", "readlink", "basename", "dirname", "pidof", "df", "grep", "umount", "mv", "gzip"),
    *("mkdir", "rm", "ln", "cut", "cat", "bash"),
)
"""What the OTA update agent calls: not BusyBox's, and bash as /bin/bash (what-is-gg.md)."""
PROGRAMS = (*INTERPRETERS, *UPDATE_TOOLS)


@dataclass(frozen=True, kw_only=True)
class AclEntry:
    """What a POSIX ACL (acl(5)) grants to one user or group: permission bits, before the mask."""

    kind: Literal["user", "group"]
    id: int
    bits: int


@dataclass(frozen=True, kw_only=True)
class Node:
    """One path as ``lstat`` shows it. ``mode`` holds the permission bits (07777); ``target`` is a link's text.

    ``acl`` is set where a POSIX ACL says more than the mode does: its users and groups, the owning group as well, for
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
    network_proxy: bool | None = None
    """Whether config.json has the core connect through one; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """A board: who it is, who lives on it, and what lies at the paths a group refers to.

    ``paths`` maps absolute board paths to nodes. Of a board that was looked at it holds every path that was asked
    about. ``whole`` names the lists that are complete: what such a list lacks does not exist on the board; whether
    the board has what another list lacks is unknown.
    """

    architecture: str
    operating_system: str
    libc: str = "glibc"
    libc_version: str = ""
    init: str = "systemd"
    kernel: str = ""
    """What ``uname -r`` says; "" where it is not known."""
    memory_kib: int = 0
    storage_kib: int = 0
    """The size of the root file system; 0 where it is not known."""
    cpus: int = 1
    umask: int | None = None
    cgroups: CgroupVersion | None = None
    cgroup_subsystems: frozenset[str] | None = None
    """Which of version 1 are mounted; None where that is not known."""
    mounts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Which of ``MOUNT_FLAGS`` a mount point has; what lies below none that is listed is not known."""
    programs: Mapping[str, bool] = field(default_factory=dict)
    """Whether a program that V1 calls is on PATH (``python3.7``, a ``tar`` that is not BusyBox's), where known."""
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
    whole: frozenset[Listing] = frozenset(LISTINGS)

    def has_program(self, name: str) -> bool | None:
        """Return whether a program is on the board's PATH; None where that is not known."""
        return self.programs.get(name)

    def mount_flags(self, path: str) -> frozenset[str] | None:
        """Return the flags of the mount that a path lies on, over all links; None where that is not known."""
        end = PurePosixPath(resolve(self.paths, path))
        return next((self.mounts[str(top)] for top in (end, *end.parents) if str(top) in self.mounts), None)

    def supplementary(self, uid: int, gid: int) -> tuple[int, ...]:
        """Return the groups beside ``gid`` that the board's files give an account, as login, sudo and systemd do."""
        names = [name for name, user in self.users.items() if user.uid == uid]
        if not names:
            return ()
        listed = {group for group, members in self.members.items() if names[0] in members}
        return tuple(sorted((listed | {self.users[names[0]].gid}) - {gid}))

    def at(self, path: str) -> Node | None:
        """Return what is at ``path``, over all links; None where nothing is."""
        node = self.paths.get(path)
        if node is None or node.type == "link":
            node = self.paths.get(resolve(self.paths, path))
        return None if node is None or node.type == "link" else node  # a link that is left leads round in a circle

    def presence(self, path: str) -> Presence:
        """Return whether something is at ``path``, over all links.

        Absent is also what lies below a known file, what a known link leads round in a circle to, and what only a
        deployment makes.
        """
        if self.at(path) is not None:
            return "present"
        end = PurePosixPath(resolve(self.paths, path))
        above = next((node for place in (end, *end.parents) if (node := self.paths.get(str(place)))), None)
        if above is not None and above.type != "directory":
            return "absent"
        if below(str(end), f"{self.greengrass.root}/ggc"):
            return "absent"
        return "absent" if ("devices" if below(str(end), "/dev") else "paths") in self.whole else "unknown"

    def doubt(self, path: str) -> str | None:
        """Return in a sentence why nobody knows whether something is at ``path``; None where that is known."""
        if path not in self._doubts:
            near = self.near_path(path)
            suggestion = f"; did you mean {near}?" if near else ""
            text = f"the profile does not say whether {path} exists on the board{suggestion}"
            self._doubts[path] = text if self.presence(path) == "unknown" else None
        return self._doubts[path]

    @cached_property
    def _doubts(self) -> dict[str, str | None]:
        """The paths that were asked about: 200 functions ask about the same 200 volumes."""
        return {}

    def near_path(self, path: str) -> str | None:
        """Return the path beside ``path`` that may be meant where ``path`` is not listed, None when there is none."""
        place = PurePosixPath(path)
        near = near_miss(place.name, (PurePosixPath(known).name for known in self.paths if _beside(known, path)))
        return str(place.with_name(near)) if near else None

    def group_doubt(self, name: str) -> str | None:
        """Return in a sentence why nobody knows whether the board has a group ``name``; None where that is known."""
        known = name in self.groups or "groups" in self.whole
        return None if known else f"the profile does not say whether the board has a group {name!r}"

    def gid(self, owner: str) -> int | None:
        """Return the GID that a ``GroupOwner`` means here, or None when the board lists no such group.

        All digits mean a GID, more than a GID has mean none; anything else is a name in the board's own group file
        (AWS's pages say "name or GID" in one place and "GID" in another, see docs/fidelity.md).
        """
        if not (owner.isascii() and owner.isdigit()):
            return self.groups.get(owner)
        digits = owner.lstrip("0") or "0"
        return int(digits) if len(digits) <= _GID_DIGITS else None


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` is most likely a slip of, None when there is none."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=_NEAR)), None)


def _beside(path: str, other: str) -> bool:
    return path.rpartition("/")[0] == other.rpartition("/")[0]


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
