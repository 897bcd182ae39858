"""Device profiles: ``device_profiles/*.yaml`` → ``DeviceProfile`` → ``HostFacts``.

A profile says what a board is like before anything is deployed to it. Off the board it takes the place of probing;
the drivers in ``emulation`` build boards from it. ``device_profiles/README.md`` explains every key.
"""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.deviceprofile import Account, Backing, Device, DeviceProfile, Peer
from edge_sim.documents import Place, unusable
from edge_sim.errors import UsageError
from edge_sim.facts import (
    LISTINGS,
    PROGRAMS,
    SUBSYSTEMS,
    UPDATE_TOOLS,
    CgroupVersion,
    GreengrassInstall,
    Node,
    below,
)
from edge_sim.versions import parse_version

_Word = TypeVar("_Word", bound=str)
BACKINGS: tuple[Backing, ...] = ("null", "zero", "random", "pty", "none")
PEERS: tuple[Peer, ...] = ("silent", "nmea")
_PATH_TYPES: tuple[Literal["directory", "file", "link"], ...] = ("directory", "file", "link")
_KERNELS = ("/dev", "/proc", "/sys")
_DEVICES = "Device nodes are listed under devices."
_TYPES: tuple[Literal["char", "block"], ...] = ("char", "block")
FEATURES = ("ml-inference", "stream-manager", "docker", "containers", "local-resources")
CGROUP_VERSIONS: tuple[CgroupVersion, ...] = ("v1", "v2")
UPDATE_TOOLS_KINDS = ("gnu", "busybox")
LIBCS = ("glibc", "musl")
INITS = ("systemd", "sysvinit", "procd", "upstart")

_REQUIRED = (
    *("description", "architecture", "operating_system", "hostname", "os_release", "libc", "init", "kernel", "memory"),
    *("cpus", "storage", "umask", "users", "groups", "greengrass"),
)
_OPTIONAL = ("openwrt_release", "devices", "paths", "unsupported", "whole", "cgroups", "programs", "update_tools")


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
    known = list_profiles()
    if name not in known and (name.endswith((".yaml", ".yml")) or "/" in name or Path(name).is_file()):
        if not Path(name).is_file():
            raise UsageError(f"{name}: {unusable(Path(name), 'file')}")
        return Path(name)
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
    every = [name for selection in names for name in (list_profiles() if selection == "all" else (selection,))]
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
        paths=dict(_path(entry, users, groups) for entry in top["paths"].items()) if "paths" in top else {},
        greengrass=_greengrass(top["greengrass"], users, groups),
        unsupported=frozenset(_words(top, "unsupported", FEATURES)),
        whole=frozenset(_words(top, "whole", LISTINGS)),
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
        place.fail("root must be listed with GID 0")
    return groups


def _users(place: Place, groups: Mapping[str, int]) -> dict[str, Account]:
    users = {name: _account(entry, groups) for name, entry in place.entries().items()}
    if "root" not in users or users["root"].uid != 0:
        place.fail("root must be listed with UID 0")
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


def _path(place: Place, users: Mapping[str, Account], groups: Mapping[str, int]) -> tuple[str, Node]:
    kind = place.entries()["type"].choice(_PATH_TYPES) if "type" in place.entries() else "directory"
    own = ("target",) if kind == "link" else ("mode",)
    entry = place.mapping(("path", "type", *own), ("user", "group"))
    path = entry["path"].path()
    if any(below(path, top) for top in _KERNELS):
        entry["path"].fail(f"{path!r} is below {', '.join(_KERNELS)}, which the kernel fills", hint=_DEVICES)
    return path, Node(
        type=kind,
        uid=users[entry["user"].choice(users)].uid if "user" in entry else 0,
        gid=groups[entry["group"].choice(groups)] if "group" in entry else 0,
        mode=entry["mode"].mode() if "mode" in entry else 0o777,
        target=_relative(entry["target"].text(), path) if kind == "link" else None,
    )


def _relative(target: str, path: str) -> str:
    """Return a link's text as one that leads to the same place, seen from outside of the board's root as well."""
    return posixpath.relpath(target, posixpath.dirname(path)) if target.startswith("/") else target


def _greengrass(place: Place, users: Mapping[str, Account], groups: Mapping[str, int]) -> GreengrassInstall:
    members = place.mapping(("root", "version", "user", "group"), ("network_proxy",))
    return GreengrassInstall(
        root=members["root"].path(),
        version=_version(members["version"]),
        user=members["user"].choice(users),
        group=members["group"].choice(groups),
        network_proxy=members["network_proxy"].flag() if "network_proxy" in members else None,
    )


def _version(place: Place) -> str:
    text = place.text().strip()
    try:
        parse_version(text)
    except UsageError as error:
        place.fail(error.brief, hint=error.hint)
    return text
