"""The keys of a device profile as rows, and what is read from them: a ``DeviceProfile``."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from edge_sim import keys
from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.deviceprofile import Account, Backing, Device, DeviceProfile, Peer
from edge_sim.documents import Place, read_text
from edge_sim.errors import UsageError
from edge_sim.facts import (
    LISTINGS,
    GreengrassInstall,
    Node,
    below,
)
from edge_sim.keys import Entries, Key, KeyTable, Value
from edge_sim.profilesystem import CGROUP_SUBSYSTEMS, CGROUP_VERSION, CGROUPS, MOUNTS, ON_PATH, TOOLS
from edge_sim.versions import parse_version

_KERNELS = ("/dev", "/proc", "/sys")
_DEVICE_TYPES: tuple[Literal["char", "block"], ...] = ("char", "block")
_FILE_TYPES: tuple[Literal["directory", "file"], ...] = ("directory", "file")
_DIRECTORY: Literal["directory", "file"] = "directory"
_LINK_TYPE: tuple[Literal["link"], ...] = ("link",)
_BACKINGS: tuple[Backing, ...] = get_args(Backing)
_PEERS: tuple[Peer, ...] = get_args(Peer)
_SILENT: Peer = "silent"
_FEATURES = ("ml-inference", "stream-manager", "docker", "containers", "local-resources")


def read(path: Path) -> DeviceProfile:
    """Return the profile in a YAML file. Raises InvalidDefinitionError (file and line) for a wrong one, UsageError."""
    return _profile(path, read_text(path))


@lru_cache(maxsize=64)
def _profile(path: Path, text: str) -> DeviceProfile:
    """Work out a text once for each process: a session of pytest asks for the same profile in every test."""
    top = PROFILE.read(Place.of(path, text))
    groups, users = top[_GROUPS], top[_USERS]
    architecture, system = top[_ARCHITECTURE], top[_SYSTEM]
    if (system, architecture) not in UPDATE_TARGETS:
        pairs = [f"{s} on {a}" for s, a in UPDATE_TARGETS]
        top.fail(_SYSTEM, f"Greengrass V1 had no {system} on {architecture}", allowed=pairs)
    libc, cgroups = top[_LIBC], top[CGROUPS]
    return DeviceProfile(
        name=path.stem,
        description=top[_DESCRIPTION],
        architecture=architecture,
        operating_system=system,
        hostname=top[_HOSTNAME],
        os_release=top[_OS_RELEASE],
        openwrt_release=top[_OPENWRT_RELEASE],
        libc=libc[_LIBC_NAME],
        libc_version=libc[_LIBC_VERSION],
        init=top[_INIT],
        kernel=top[_KERNEL],
        memory_kib=top[_MEMORY],
        cpus=top[_CPUS],
        storage_kib=top[_STORAGE],
        umask=top[_UMASK],
        users={name: _account(entries, groups) for name, entries in users.items()},
        groups=groups,
        devices=tuple(_device(entries, groups) for entries in top[_DEVICES]),
        paths=dict(_path(entries, users, groups) for entries in top[_PATHS]),
        greengrass=_greengrass(top[_GREENGRASS], users, groups),
        unsupported=frozenset(top[_UNSUPPORTED]),
        whole=frozenset(top[_WHOLE]),
        cgroups=cgroups[CGROUP_VERSION] if cgroups else None,
        cgroup_subsystems=cgroups[CGROUP_SUBSYSTEMS] if cgroups else None,
        mounts=top[MOUNTS],
        programs=top[TOOLS] | top[ON_PATH],
    )


_UID = Key("uid", keys.whole(), "Its UID.")
_GID = Key("gid", keys.whole(), "The GID of its primary group, which must be listed under groups.")
_HOME = Key("home", keys.BOARD_PATH, "Its home directory.", "/nonexistent")
_SHELL = Key("shell", keys.BOARD_PATH, "Its shell.", "/usr/sbin/nologin")
_MEMBER_OF = Key("groups", keys.each(keys.NAME), "The groups that list it as a member.", ())
_ACCOUNT = KeyTable(keys=(_UID, _GID, _HOME, _SHELL, _MEMBER_OF))


def _account(entries: Entries, groups: Mapping[str, int]) -> Account:
    members = entries.place(_MEMBER_OF).items() if _MEMBER_OF in entries else []
    account = Account(
        uid=entries[_UID],
        gid=entries[_GID],
        home=entries[_HOME],
        shell=entries[_SHELL],
        groups=tuple(place.choice(groups) for place in members),
    )
    if account.gid not in groups.values():
        entries.fail(_GID, f"{account.gid} belongs to no group of this profile")
    return account


_ACCOUNTS = keys.named(keys.table(_ACCOUNT.read, _ACCOUNT), "names to accounts")
_GIDS = keys.named(keys.whole(), "names to GIDs")


def _read_users(place: Place) -> dict[str, Entries]:
    users = _ACCOUNTS.read(place)
    if "root" not in users or users["root"][_UID] != 0:
        place.fail("root must be listed with UID 0")
    return users


def _read_groups(place: Place) -> dict[str, int]:
    groups = _GIDS.read(place)
    if groups.get("root") != 0:
        place.fail("root must be listed with GID 0")
    return groups


def _below_dev(place: Place) -> str:
    path = place.path()
    if not path.startswith("/dev/"):
        place.fail(f"{path!r} is not below /dev")
    return path


_NODE_PATH = Value(
    read=_below_dev,
    schema={"title": "a path below /dev", "type": "string", "pattern": r"^/dev(/(?!\.\.?(/|$))[^/]+)+$"},
)
_NODE = Key("path", _NODE_PATH, "Its path.", examples=("/dev/ttyUSB0",))
_NODE_TYPE = Key("type", keys.choice(_DEVICE_TYPES), "Its type.")
_NODE_GROUP = Key("group", keys.NAME, "The group that owns it; its user is root.")
_NODE_MODE = Key("mode", keys.MODE, "Its permission bits.", examples=("0660",))
_BACKING = Key(
    "backing",
    keys.choice(_BACKINGS),
    "What backs the node on a simulated board: null, zero and random the nodes of those names, pty a pseudo terminal, "
    "none nothing: simulated boards lack the node. A block device is none until a scenario backs it.",
)
_PEER = Key(
    "peer",
    keys.choice(_PEERS),
    "What a pty is connected to: silent, or nmea, a GPS receiver that reports once a second. Scenarios can replace it.",
    _SILENT,
)
_NOTE = Key("note", keys.EMPTY_TEXT, "A description of the device.", "")
_DEVICE = KeyTable(keys=(_NODE, _NODE_TYPE, _NODE_GROUP, _NODE_MODE, _BACKING, _PEER, _NOTE))


def _device(entries: Entries, groups: Mapping[str, int]) -> Device:
    kind = entries[_NODE_TYPE]
    backing = entries.place(_BACKING).choice(_BACKINGS if kind == "char" else _BACKINGS[-1:])
    peers = _PEERS if backing == "pty" else _PEERS[:1]
    return Device(
        path=entries[_NODE],
        type=kind,
        group=entries.word(_NODE_GROUP, groups),
        mode=entries[_NODE_MODE],
        backing=backing,
        peer=entries.place(_PEER).choice(peers) if _PEER in entries else entries[_PEER],
        note=entries[_NOTE],
    )


_ROOT = "root"
_PATH = Key("path", keys.BOARD_PATH, "Its path, outside of /dev, /proc and /sys.")
_FILE_TYPE = Key(
    "type", keys.choice(_FILE_TYPES), "A directory or a file; the file is empty on a simulated board.", _DIRECTORY
)
_FILE_MODE = Key("mode", keys.MODE, "Its permission bits.", examples=("0755",))
_LINK = Key("type", keys.choice(_LINK_TYPE), "A symbolic link.")
_TARGET = Key("target", keys.TEXT, "The link's target.")
_PATH_USER = Key("user", keys.NAME, "The user that owns it.", _ROOT)
_PATH_GROUP = Key("group", keys.NAME, "The group that owns it.", _ROOT)
_FILE_TABLE = KeyTable(title="a directory or a file", keys=(_PATH, _FILE_TYPE, _FILE_MODE, _PATH_USER, _PATH_GROUP))
_LINK_TABLE = KeyTable(title="a symbolic link", keys=(_PATH, _LINK, _TARGET, _PATH_USER, _PATH_GROUP))


def _read_path(place: Place) -> Entries:
    kind = place.entries().get(_LINK.name)
    is_link = kind is not None and kind.choice((*_FILE_TYPES, *_LINK_TYPE)) == _LINK_TYPE[0]
    return (_LINK_TABLE if is_link else _FILE_TABLE).read(place)


def _path(entries: Entries, users: Mapping[str, Entries], groups: Mapping[str, int]) -> tuple[str, Node]:
    path = entries[_PATH]
    if any(below(path, top) for top in _KERNELS):
        hint = "Device nodes are listed under devices."
        entries.fail(_PATH, f"{path!r} is below {', '.join(_KERNELS)}, which the kernel fills", hint=hint)
    is_link = _TARGET in entries
    return path, Node(
        type="link" if is_link else entries[_FILE_TYPE],
        uid=users[entries.word(_PATH_USER, users)][_UID],
        gid=groups[entries.word(_PATH_GROUP, groups)],
        mode=0o777 if is_link else entries[_FILE_MODE],
        target=_relative(entries[_TARGET], path) if is_link else None,
    )


def _relative(target: str, path: str) -> str:
    """Return a link's text as one that leads to the same place, seen from outside of the board's root as well."""
    return posixpath.relpath(target, posixpath.dirname(path)) if target.startswith("/") else target


def _core_version(place: Place) -> str:
    text = place.text().strip()
    try:
        parse_version(text)
    except UsageError as error:
        place.fail(error.brief, hint=error.hint)
    return text


_CORE_VERSION = Value(
    read=_core_version, schema={"title": "a version of V1's core, 1.0 to 1.11.6", "type": ["string", "number"]}
)
_GREENGRASS_ROOT = Key("root", keys.BOARD_PATH, "Where the core is installed.", examples=("/greengrass",))
_VERSION = Key("version", _CORE_VERSION, "The core that the board leaves the factory with.", examples=("1.10.0",))
_USER = Key("user", keys.NAME, "The user that functions run as by default.", examples=("ggc_user",))
_GROUP = Key("group", keys.NAME, "The group that functions run as by default.", examples=("ggc_group",))
_PROXY = Key(
    "network_proxy",
    keys.FLAG,
    "Whether the core connects through a network proxy; omit it if unknown.",
    None,
)
_GREENGRASS_TABLE = KeyTable(keys=(_GREENGRASS_ROOT, _VERSION, _USER, _GROUP, _PROXY))


def _greengrass(entries: Entries, users: Mapping[str, Entries], groups: Mapping[str, int]) -> GreengrassInstall:
    return GreengrassInstall(
        root=entries[_GREENGRASS_ROOT],
        version=entries[_VERSION],
        user=entries.word(_USER, users),
        group=entries.word(_GROUP, groups),
        network_proxy=entries[_PROXY],
    )


_LIBC_NAME = Key("name", keys.choice(("glibc", "musl")), "Which C library.")
_LIBC_VERSION = Key("version", keys.TEXT, "Its version.", examples=("2.28",))
_LIBC_TABLE = KeyTable(keys=(_LIBC_NAME, _LIBC_VERSION))
_RELEASE = keys.named(keys.EMPTY_TEXT, "fields to text")
_ROOT_LISTED = {"required": [_ROOT]}
_DESCRIPTION = Key("description", keys.TEXT, "A one-line description, for lists.")
_ARCHITECTURE = Key("architecture", keys.choice(ARCHITECTURES), "The API's UpdateTargetsArchitecture.")
_SYSTEM = Key(
    "operating_system",
    keys.choice(sorted({system for system, _ in UPDATE_TARGETS})),
    "The API's UpdateTargetsOperatingSystem; only pairs with an architecture that AWS built software updates for.",
)
_HOSTNAME = Key("hostname", keys.TEXT, "The board's name.")
_OS_RELEASE = Key("os_release", _RELEASE, "Fields of /etc/os-release.")
_OPENWRT_RELEASE = Key("openwrt_release", _RELEASE, "Fields of /etc/openwrt_release; OpenWrt only.", {})
_LIBC = Key("libc", keys.table(_LIBC_TABLE.read, _LIBC_TABLE), "The C library.")
_INIT = Key("init", keys.choice(("systemd", "sysvinit", "procd", "upstart")), "The init system.")
_KERNEL = Key(
    "kernel",
    keys.TEXT,
    "What uname -r prints there. A simulated board runs this machine's kernel instead, and reports that.",
)
_MEMORY = Key("memory", keys.KIB, "The board's memory.", examples=("512 MiB",))
_CPUS = Key("cpus", keys.whole(), "The number of processors.")
_STORAGE = Key("storage", keys.KIB, "The size of the root file system.", examples=("8 GiB",))
_UMASK = Key("umask", keys.MODE, "The umask of services. Greengrass V1 needs one no stricter than 0022.")
_USERS = Key("users", Value(read=_read_users, schema={**_ACCOUNTS.schema, **_ROOT_LISTED}), "Accounts by name.")
_GROUPS = Key("groups", Value(read=_read_groups, schema={**_GIDS.schema, **_ROOT_LISTED}), "GIDs by name.")
_DEVICES = Key("devices", keys.each(keys.table(_DEVICE.read, _DEVICE)), "Nodes below /dev.", ())
_PATHS = Key(
    "paths",
    keys.each(keys.table(_read_path, _FILE_TABLE, _LINK_TABLE)),
    "Files and directories outside of /dev beyond the standard ones. Their parents are root's, 0755.",
    (),
)
_GREENGRASS = Key("greengrass", keys.table(_GREENGRASS_TABLE.read, _GREENGRASS_TABLE), "The core software.")
_UNSUPPORTED = Key(
    "unsupported", keys.each(keys.choice(_FEATURES)), "Greengrass features that this board does not support.", ()
)
_WHOLE = Key(
    "whole",
    keys.each(keys.choice(LISTINGS)),
    "The lists that are complete: what is missing from them does not exist on the board. What is missing from others "
    "is unknown, and no command counts an unknown as a pass or an error.",
    (),
)
PROFILE = KeyTable(
    title="device profile",
    keys=(
        *(_DESCRIPTION, _ARCHITECTURE, _SYSTEM, _HOSTNAME, _OS_RELEASE, _OPENWRT_RELEASE, _LIBC, _INIT, _KERNEL),
        *(
            _MEMORY,
            _CPUS,
            _STORAGE,
            _UMASK,
            CGROUPS,
            MOUNTS,
            TOOLS,
            ON_PATH,
            _USERS,
            _GROUPS,
            _DEVICES,
            _PATHS,
        ),
        *(_GREENGRASS, _UNSUPPORTED, _WHOLE),
    ),
)
"""The whole file."""
