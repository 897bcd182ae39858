"""Device profiles: ``device_profiles/*.yaml`` → ``DeviceProfile`` → ``HostFacts``.

A profile says what a board is like before anything is deployed to it. Off the board it takes the place of probing;
the drivers in ``emulation`` build boards from it. ``device_profiles/README.md`` explains every key.
"""

from __future__ import annotations

import difflib
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.errors import UsageError
from edge_sim.facts import GreengrassInstall, HostFacts, Node, User
from edge_sim.strictyaml import Section, read

Backing = Literal["null", "zero", "random", "pty", "none"]
BACKINGS: tuple[Backing, ...] = ("null", "zero", "random", "pty", "none")
Peer = Literal["silent", "nmea"]
PEERS: tuple[Peer, ...] = ("silent", "nmea")
FEATURES = ("ml-inference", "stream-manager", "docker")
LIBCS = ("glibc", "musl")
INITS = ("systemd", "sysvinit", "procd", "upstart")

_KEYS = (
    *("description", "architecture", "operating_system", "hostname", "os_release", "openwrt_release", "libc"),
    *("init", "kernel", "memory", "cpus", "storage", "umask", "users", "groups", "devices", "greengrass"),
    "unsupported",
)
_OPTIONAL = ("openwrt_release", "devices", "unsupported")


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
    greengrass: GreengrassInstall
    unsupported: frozenset[str]

    def facts(self) -> HostFacts:
        """Return the board as rules and plans see it: its accounts, devices and standard directories."""
        return HostFacts(
            architecture=self.architecture,
            operating_system=self.operating_system,
            libc=self.libc,
            init=self.init,
            memory_kib=self.memory_kib,
            cpus=self.cpus,
            users={name: User(uid=a.uid, gid=a.gid) for name, a in self.users.items()},
            groups=dict(self.groups),
            greengrass=self.greengrass,
            paths={**self.directories(), **{d.path: self.node(d) for d in self.devices}},
            unsupported=self.unsupported,
        )

    def node(self, device: Device) -> Node:
        """Return a device node as ``lstat`` on the board shows it."""
        return Node(type=device.type, uid=0, gid=self.groups[device.group], mode=device.mode)

    def directories(self) -> dict[str, Node]:
        """Return the standard directories and links, parents before children.

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
        return dict(sorted(nodes.items()))


def profile_folder() -> Path:
    """Return the folder of the profiles that come with edge_sim: the source tree's, else the installed one."""
    beside = Path(__file__).resolve().parent.parent / "device_profiles"
    if beside.is_dir():
        return beside
    return Path(sysconfig.get_path("data")) / "share" / "edge-sim" / "device_profiles"


def list_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with edge_sim, sorted."""
    return tuple(sorted(path.stem for path in profile_folder().glob("*.yaml")))


def load_profile(name: str) -> DeviceProfile:
    """Return the profile called ``name``, or the one in the YAML file that ``name`` is the path of.

    Raises UsageError for an unknown name, InvalidDefinitionError (file and line) for a wrong profile.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return _profile(read(Path(name)), Path(name).stem)
    known = list_profiles()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"{name}: there is no such device profile",
            hint=(f"Did you mean {near[0]}? " if near else "")
            + f"Known: {', '.join(known)}. The path of a YAML file works as well.",
        )
    return _profile(read(profile_folder() / f"{name}.yaml"), name)


def _profile(top: Section, name: str) -> DeviceProfile:
    top.only(_KEYS, required=[k for k in _KEYS if k not in _OPTIONAL])
    libc = top.section("libc").only(("name", "version"), required=("name", "version"))
    groups = _groups(top.section("groups"))
    users = _users(top.section("users"), groups)
    architecture, system = _target(top)
    return DeviceProfile(
        name=name,
        description=top.text("description"),
        architecture=architecture,
        operating_system=system,
        hostname=top.text("hostname"),
        os_release=_release(top, "os_release"),
        openwrt_release=_release(top, "openwrt_release"),
        libc=libc.choice("name", LIBCS),
        libc_version=libc.text("version"),
        init=top.choice("init", INITS),
        kernel=top.text("kernel"),
        memory_kib=top.kib("memory"),
        cpus=top.integer("cpus"),
        storage_kib=top.kib("storage"),
        umask=top.mode("umask"),
        users=users,
        groups=groups,
        devices=_devices(top, groups),
        greengrass=_greengrass(top.section("greengrass"), users, groups),
        unsupported=frozenset(top.words("unsupported", FEATURES)),
    )


def _target(top: Section) -> tuple[str, str]:
    architecture = top.choice("architecture", ARCHITECTURES)
    system = top.choice("operating_system", sorted({system for system, _ in UPDATE_TARGETS}))
    if (system, architecture) not in UPDATE_TARGETS:
        pairs = [f"{s} on {a}" for s, a in UPDATE_TARGETS]
        raise top.bad("operating_system", f"Greengrass V1 had no {system} on {architecture}", pairs)
    return architecture, system


def _release(top: Section, key: str) -> dict[str, str]:
    if key not in top.keys:
        return {}
    section = top.section(key)
    return {name: section.text(name) for name in section.keys}


def _groups(section: Section) -> dict[str, int]:
    groups = {name: section.integer(name) for name in section.keys}
    if groups.get("root") != 0:
        raise section.bad("root", "must be there with GID 0")
    return groups


def _users(section: Section, groups: Mapping[str, int]) -> dict[str, Account]:
    users = {}
    for name in section.keys:
        entry = section.section(name)
        entry.only(("uid", "gid", "home", "shell", "groups"), required=("uid", "gid"))
        users[name] = Account(
            uid=entry.integer("uid"),
            gid=entry.integer("gid"),
            home=entry.path("home", "/nonexistent"),
            shell=entry.path("shell", "/usr/sbin/nologin"),
            groups=entry.words("groups", groups),
        )
        if users[name].gid not in groups.values():
            raise entry.bad("gid", f"{users[name].gid} belongs to no group of this profile")
    if "root" not in users or users["root"].uid != 0:
        raise section.bad("root", "must be there with UID 0")
    return users


def _devices(top: Section, groups: Mapping[str, int]) -> tuple[Device, ...]:
    return tuple(_device(entry, groups) for entry in top.sections("devices"))


def _device(entry: Section, groups: Mapping[str, int]) -> Device:
    keys = ("path", "type", "group", "mode", "backing")
    entry.only((*keys, "peer", "note"), required=keys)
    path = entry.path("path")
    if not path.startswith("/dev/"):
        raise entry.bad("path", f"{path!r} is not below /dev")
    kind: Literal["char", "block"] = "block" if entry.choice("type", ("char", "block")) == "block" else "char"
    allowed = BACKINGS if kind == "char" else ("none",)
    backing = entry.choice("backing", allowed)
    peer = entry.choice("peer", PEERS if backing == "pty" else ("silent",), "silent")
    return Device(
        path=path,
        type=kind,
        group=entry.choice("group", groups),
        mode=entry.mode("mode"),
        backing=next(b for b in BACKINGS if b == backing),
        peer=next(p for p in PEERS if p == peer),
        note=entry.text("note", ""),
    )


def _greengrass(section: Section, users: Mapping[str, Account], groups: Mapping[str, int]) -> GreengrassInstall:
    keys = ("root", "version", "user", "group")
    section.only(keys, required=keys)
    return GreengrassInstall(
        root=section.path("root"),
        version=section.text("version"),
        user=section.choice("user", users),
        group=section.choice("group", groups),
    )
