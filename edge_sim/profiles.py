"""Device profiles: ``device_profiles/*.yaml`` → ``DeviceProfile`` → ``HostFacts``.

A profile says what a board is like before anything is deployed to it. Off the board it takes the place of probing;
the drivers in ``emulation`` build boards from it. ``device_profiles/README.md`` explains every key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.documents import Place
from edge_sim.errors import UsageError
from edge_sim.facts import (
    LISTINGS,
    PROGRAMS,
    SUBSYSTEMS,
    UPDATE_TOOLS,
    CgroupVersion,
    GreengrassInstall,
    HostFacts,
    Listing,
    Node,
    User,
)
from edge_sim.versions import parse_version

_Word = TypeVar("_Word", bound=str)
Backing = Literal["null", "zero", "random", "pty", "none"]
BACKINGS: tuple[Backing, ...] = ("null", "zero", "random", "pty", "none")
Peer = Literal["silent", "nmea"]
PEERS: tuple[Peer, ...] = ("silent", "nmea")
_TYPES: tuple[Literal["char", "block"], ...] = ("char", "block")
_STANDARD_NODES = {
    f"/dev/{name}": Node(type="char", uid=0, gid=0, mode=0o666)
    for name in ("full", "null", "random", "tty", "urandom", "zero")
} | {"/dev/shm": Node(type="directory", uid=0, gid=0, mode=0o1777)}
"""What every board has, as the drivers make it."""
FEATURES = ("ml-inference", "stream-manager", "docker", "containers", "local-resources")
CGROUP_VERSIONS: tuple[CgroupVersion, ...] = ("v1", "v2")
_LISTS = LISTINGS[:3]
"""What a profile can hold a whole list of; it has no list of other paths."""
UPDATE_TOOLS_KINDS = ("gnu", "busybox")
LIBCS = ("glibc", "musl")
INITS = ("systemd", "sysvinit", "procd", "upstart")

_REQUIRED = (
    *("description", "architecture", "operating_system", "hostname", "os_release", "libc", "init", "kernel", "memory"),
    *("cpus", "storage", "umask", "users", "groups", "greengrass"),
)
_OPTIONAL = ("openwrt_release", "devices", "unsupported", "whole", "cgroups", "programs", "update_tools")


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
    whole: frozenset[Listing] = frozenset()
    """The lists that are complete: what they lack does not exist on the board."""
    cgroups: CgroupVersion | None = None
    cgroup_subsystems: frozenset[str] | None = None
    """Which of version 1 are mounted; None where that is not known."""
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
            paths={**self.directories(), **_STANDARD_NODES, **{d.path: self.node(d) for d in self.devices}},
            unsupported=self.unsupported,
            whole=self.whole,
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
    """Return the folder of the profiles that come with edge_sim: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "device_profiles"
    return installed if installed.is_dir() else package.parent / "device_profiles"


def list_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with edge_sim, sorted."""
    return tuple(sorted(path.stem for path in profile_folder().glob("*.yaml")))


def profile_path(name: str) -> Path:
    """Return the file of the profile called ``name``; ``name`` may be the path of a YAML file.

    Raises UsageError when there is none.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not Path(name).is_file():
            raise UsageError(f"{name}: no such file")
        return Path(name)
    known = list_profiles()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or [
            profile for profile in known if _abbreviates(name, profile)
        ]
        raise UsageError(
            f"{name}: there is no such device profile",
            hint=(f"Did you mean {' or '.join(near)}? " if near else "")
            + f"Known: {', '.join(known)}. The path of a YAML file works as well.",
        )
    return profile_folder() / f"{name}.yaml"


def _abbreviates(short: str, name: str) -> bool:
    """Return whether the letters and digits of ``short`` stand in ``name`` in this order: ``rpi3``, raspberry-pi-3."""
    rest = iter(name)
    return name[:1] == short[:1] and all(letter in rest for letter in short if letter.isalnum())


def load_profiles(names: Iterable[str]) -> list[DeviceProfile]:
    """Return the profiles of these names, each once; ``all`` stands for every one that comes with edge_sim."""
    every = [name for given in names for name in (list_profiles() if given == "all" else (given,))]
    return [load_profile(name) for name in dict.fromkeys(every)]


def load_profile(name: str) -> DeviceProfile:
    """Return the profile called ``name``, or the one in the YAML file that ``name`` is the path of.

    Raises UsageError for an unknown name, InvalidDefinitionError (file and line) for a wrong profile.
    """
    path = profile_path(name)
    top = Place.load(path).mapping(_REQUIRED, _OPTIONAL)
    libc = top["libc"].mapping(("name", "version"))
    cgroups = top["cgroups"].mapping(("version",), ("subsystems",)) if "cgroups" in top else {}
    groups = _groups(top["groups"])
    users = _users(top["users"], groups)
    architecture, system = _target(top)
    return DeviceProfile(
        name=path.stem,
        description=top["description"].text(),
        architecture=architecture,
        operating_system=system,
        hostname=top["hostname"].text(),
        os_release=_release(top["os_release"]),
        openwrt_release=_release(top["openwrt_release"]) if "openwrt_release" in top else {},
        libc=libc["name"].choice(LIBCS),
        libc_version=libc["version"].text(),
        init=top["init"].choice(INITS),
        kernel=top["kernel"].text(),
        memory_kib=top["memory"].kib(),
        cpus=top["cpus"].whole(),
        storage_kib=top["storage"].kib(),
        umask=top["umask"].mode(),
        users=users,
        groups=groups,
        devices=tuple(_device(entry, groups) for entry in top["devices"].items()) if "devices" in top else (),
        greengrass=_greengrass(top["greengrass"], users, groups),
        unsupported=frozenset(_words(top, "unsupported", FEATURES)),
        whole=frozenset(_words(top, "whole", _LISTS)),
        cgroups=cgroups["version"].choice(CGROUP_VERSIONS) if cgroups else None,
        cgroup_subsystems=frozenset(_words(cgroups, "subsystems", SUBSYSTEMS)) if "subsystems" in cgroups else None,
        programs=_update_tools(top) | _programs(top),
    )


def _programs(top: Mapping[str, Place]) -> dict[str, bool]:
    entries = top["programs"].mapping((), PROGRAMS) if "programs" in top else {}
    return {name: value.flag() for name, value in entries.items()}


def _update_tools(top: Mapping[str, Place]) -> dict[str, bool]:
    if "update_tools" not in top:
        return {}
    return dict.fromkeys(UPDATE_TOOLS, top["update_tools"].choice(UPDATE_TOOLS_KINDS) == "gnu")


def _target(top: Mapping[str, Place]) -> tuple[str, str]:
    architecture = top["architecture"].choice(ARCHITECTURES)
    system = top["operating_system"].choice(sorted({system for system, _ in UPDATE_TARGETS}))
    if (system, architecture) not in UPDATE_TARGETS:
        pairs = [f"{s} on {a}" for s, a in UPDATE_TARGETS]
        top["operating_system"].fail(f"Greengrass V1 had no {system} on {architecture}", allowed=pairs)
    return architecture, system


def _release(place: Place) -> dict[str, str]:
    return {name: value.text(r"(?s).*") for name, value in place.entries().items()}


def _words(entry: Mapping[str, Place], key: str, allowed: Iterable[_Word]) -> tuple[_Word, ...]:
    return tuple(word.choice(allowed) for word in entry[key].items()) if key in entry else ()


def _groups(place: Place) -> dict[str, int]:
    groups = {name: gid.whole() for name, gid in place.entries().items()}
    if groups.get("root") != 0:
        place.fail("root must be there with GID 0")
    return groups


def _users(place: Place, groups: Mapping[str, int]) -> dict[str, Account]:
    users = {name: _account(entry, groups) for name, entry in place.entries().items()}
    if "root" not in users or users["root"].uid != 0:
        place.fail("root must be there with UID 0")
    return users


def _account(place: Place, groups: Mapping[str, int]) -> Account:
    entry = place.mapping(("uid", "gid"), ("home", "shell", "groups"))
    account = Account(
        uid=entry["uid"].whole(),
        gid=entry["gid"].whole(),
        home=entry["home"].path() if "home" in entry else "/nonexistent",
        shell=entry["shell"].path() if "shell" in entry else "/usr/sbin/nologin",
        groups=_words(entry, "groups", groups),
    )
    if account.gid not in groups.values():
        entry["gid"].fail(f"{account.gid} belongs to no group of this profile")
    return account


def _device(place: Place, groups: Mapping[str, int]) -> Device:
    entry = place.mapping(("path", "type", "group", "mode", "backing"), ("peer", "note"))
    path = entry["path"].path()
    if not path.startswith("/dev/"):
        entry["path"].fail(f"{path!r} is not below /dev")
    kind = entry["type"].choice(_TYPES)
    backing = entry["backing"].choice(BACKINGS if kind == "char" else BACKINGS[-1:])
    peers = PEERS if backing == "pty" else PEERS[:1]
    return Device(
        path=path,
        type=kind,
        group=entry["group"].choice(groups),
        mode=entry["mode"].mode(),
        backing=backing,
        peer=entry["peer"].choice(peers) if "peer" in entry else "silent",
        note=entry["note"].text(r"(?s).*") if "note" in entry else "",
    )


def _greengrass(place: Place, users: Mapping[str, Account], groups: Mapping[str, int]) -> GreengrassInstall:
    got = place.mapping(("root", "version", "user", "group"), ("network_proxy",))
    return GreengrassInstall(
        root=got["root"].path(),
        version=_version(got["version"]),
        user=got["user"].choice(users),
        group=got["group"].choice(groups),
        network_proxy=got["network_proxy"].flag() if "network_proxy" in got else None,
    )


def _version(place: Place) -> str:
    text = place.text().strip()
    try:
        parse_version(text)
    except UsageError as error:
        place.fail(error.brief, hint=error.hint)
    return text
