"""A device profile as a value, and the board's facts that it stands for. ``profiles`` reads the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from edge_sim.facts import CgroupVersion, GreengrassInstall, HostFacts, Listing, Node, User

Backing = Literal["null", "zero", "random", "pty", "none"]
Peer = Literal["silent", "nmea"]
STANDARD_NODES = {
    f"/dev/{name}": Node(type="char", uid=0, gid=0, mode=0o666)
    for name in ("full", "null", "random", "tty", "urandom", "zero")
} | {"/dev/shm": Node(type="directory", uid=0, gid=0, mode=0o1777)}
"""What every board has, as the drivers make it."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """One line of the board's passwd file, and the groups that list the account as a member."""

    uid: int
    gid: int
    home: str
    shell: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Device:
    """A node below ``/dev``, owned by root. ``backing`` is what answers in a simulated board.

    ``none``: the node belongs to the real board, and no simulated one has it.
    """

    path: str
    type: Literal["char", "block"]
    group: str
    mode: int
    backing: Backing
    peer: Peer = "silent"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """A board as its profile describes it. Sizes are in KiB."""

    name: str
    description: str
    architecture: str
    operating_system: str
    hostname: str
    os_release: Mapping[str, str]
    openwrt_release: Mapping[str, str]
    libc: str
    libc_version: str
    init: str
    kernel: str
    memory_kib: int
    cpus: int
    storage_kib: int
    umask: int
    users: Mapping[str, Account]
    groups: Mapping[str, int]
    devices: tuple[Device, ...]
    paths: Mapping[str, Node]
    """Directories, files and links outside of /dev that the board has beside the standard ones."""
    greengrass: GreengrassInstall
    unsupported: frozenset[str]
    whole: frozenset[Listing] = frozenset()
    """The lists that are complete: what they lack does not exist on the board."""
    cgroups: CgroupVersion | None = None
    cgroup_subsystems: frozenset[str] | None = None
    """Which of version 1 are mounted; None where that is not known."""
    mounts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Flags of mount points, as ``HostFacts`` has them."""
    programs: Mapping[str, bool] = field(default_factory=dict)
    """Whether a program that V1 calls is on PATH; what is not listed is not known."""

    def facts(self) -> HostFacts:
        """Return the board as rules and plans see it: its accounts, devices and standard directories."""
        return HostFacts(
            architecture=self.architecture,
            operating_system=self.operating_system,
            libc=self.libc,
            libc_version=self.libc_version,
            init=self.init,
            kernel=self.kernel,
            memory_kib=self.memory_kib,
            storage_kib=self.storage_kib,
            umask=self.umask,
            cgroups=self.cgroups,
            cgroup_subsystems=self.cgroup_subsystems,
            mounts=self.mounts,
            programs=self.programs,
            cpus=self.cpus,
            users={name: User(uid=a.uid, gid=a.gid) for name, a in self.users.items()},
            groups=dict(self.groups),
            members={
                gid: names
                for group, gid in self.groups.items()
                if (names := tuple(name for name, account in self.users.items() if group in account.groups))
            },
            greengrass=self.greengrass,
            paths={**self.tree(), **STANDARD_NODES, **{d.path: self.node(d) for d in self.devices}},
            unsupported=self.unsupported,
            whole=self.whole,
        )

    def node(self, device: Device) -> Node:
        """Return a device node as ``lstat`` on the board shows it."""
        return Node(type=device.type, uid=0, gid=self.groups[device.group], mode=device.mode)

    def tree(self) -> dict[str, Node]:
        """Return the standard directories and links and the profile's own paths, parents before children.

        Links are relative, where some systems have absolute ones (Debian's ``/var/run -> /run``), so that a
        program that looks below a board's root from outside stays below it.
        """
        modes = dict.fromkeys(("/", "/dev", "/etc", "/home", "/mnt", "/opt", "/run", "/srv", "/usr"), 0o755)
        modes |= {"/proc": 0o555, "/root": 0o700, "/sys": 0o555, "/tmp": 0o1777}
        links: dict[str, str] = {}
        if self.operating_system == "openwrt":
            # OpenWrt's base-files: /var is /tmp, which is in memory.
            del modes["/home"], modes["/srv"], modes["/run"]
            modes |= {"/root": 0o755, "/tmp/log": 0o755, "/tmp/run": 0o755, "/tmp/lib": 0o755}
            links = {"/var": "tmp", "/run": "tmp/run"}
        else:
            modes |= {"/var": 0o755, "/var/lib": 0o755, "/var/log": 0o755, "/var/tmp": 0o1777}
            links = {"/var/run": "../run"}
        root = self.greengrass.root
        above = [f"/{'/'.join(root.split('/')[1:n])}" for n in range(2, root.count("/") + 2)]
        modes = dict.fromkeys(above, 0o755) | modes
        nodes = {path: Node(type="directory", uid=0, gid=0, mode=mode) for path, mode in modes.items()}
        nodes |= {path: Node(type="link", uid=0, gid=0, mode=0o777, target=to) for path, to in links.items()}
        for account in self.users.values():
            if account.home.startswith("/home/"):
                nodes[account.home] = Node(type="directory", uid=account.uid, gid=account.gid, mode=0o755)
        for path in self.paths:
            for parent in map(str, PurePosixPath(path).parents):
                nodes.setdefault(parent, Node(type="directory", uid=0, gid=0, mode=0o755))
        return dict(sorted({**nodes, **self.paths}.items()))
