"""A device profile made of a real board, from what the snapshot script lists there."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.deviceprofile import STANDARD_NODES, Account, Backing, Device, DeviceProfile
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, below, resolve
from edge_sim.greengrass.group import Group
from edge_sim.offline.listing import Listing, of_listing

_PSEUDO_TERMINALS = ("ttyUSB", "ttyACM", "ttyAMA", "ttyS", "ttymxc", "ttyTHS")
_KERNELS = ("/dev", "/proc", "/sys")
"""Mounts there are the kernel's own, on every board."""
_HEADER = """\
# Captured from a real board by "edge-sim profiles capture". What answers at its devices on a simulated board (backing)
# is a guess: null, or a pseudo terminal where the name is a serial line's.
"""


def profile_of(listing: Listing, name: str) -> DeviceProfile:
    """Return the board as a profile. Whether V1 had such boards is not asked.

    Raises UnsupportedEnvironmentError for an architecture that V1 had no core for.
    """
    facts = of_listing(listing, Group()).facts
    if facts.architecture not in ARCHITECTURES:
        raise UnsupportedEnvironmentError(
            f"{name}: Greengrass V1 had no core for {facts.architecture or 'an unknown processor'}",
            hint=f"It had: {', '.join(ARCHITECTURES)}.",
        )
    release = _release(listing.text("/etc/os-release"))
    hostname = listing.text("/etc/hostname").strip()
    return DeviceProfile(
        name=name,
        description=f"{release.get('PRETTY_NAME', facts.operating_system)} on {name}",
        architecture=facts.architecture,
        operating_system=facts.operating_system,
        hostname=hostname or "localhost",
        os_release=release,
        openwrt_release=_release(listing.text("/etc/openwrt_release")),
        libc=facts.libc,
        libc_version=facts.libc_version or "unknown",
        init=facts.init,
        kernel=facts.kernel or "unknown",
        memory_kib=facts.memory_kib,
        cpus=facts.cpus,
        storage_kib=facts.storage_kib,
        umask=0o022,
        users=_users(listing, facts),
        groups=facts.groups,
        devices=tuple(_devices(listing, facts)),
        paths={},
        greengrass=facts.greengrass,
        unsupported=facts.unsupported,
        whole=frozenset({"users", "groups", "devices"}),
        cgroups=facts.cgroups,
        cgroup_subsystems=facts.cgroup_subsystems,
        mounts={path: flags for path, flags in facts.mounts.items() if not any(below(path, top) for top in _KERNELS)},
        programs=facts.programs,
    )


def as_yaml(profile: DeviceProfile) -> str:
    """Return the profile's file. Raises UnsupportedEnvironmentError where no profile can be of such a board."""
    import yaml

    target = (profile.operating_system, profile.architecture)
    if target not in UPDATE_TARGETS:
        raise UnsupportedEnvironmentError(
            f"{profile.name}: Greengrass V1 had no {target[0]} on {target[1]}, so no profile can describe such a board"
        )
    install = profile.greengrass
    for kind, account, known in (("user", install.user, profile.users), ("group", install.group, profile.groups)):
        if account not in known:
            raise UnsupportedEnvironmentError(
                f"{profile.name}: the board has no {kind} {account}, which a V1 core needs",
                hint="On the board, as root: adduser --system ggc_user && addgroup --system ggc_group",
            )
    return _HEADER + yaml.safe_dump(_document(profile), sort_keys=False, allow_unicode=True, width=120)


def _document(profile: DeviceProfile) -> dict[str, object]:
    cgroups: dict[str, object] = {"version": profile.cgroups}
    if profile.cgroup_subsystems is not None:
        cgroups["subsystems"] = sorted(profile.cgroup_subsystems)
    mounts = {path: sorted(flags) for path, flags in sorted(profile.mounts.items())}
    install = profile.greengrass
    return {
        "description": profile.description,
        "architecture": profile.architecture,
        "operating_system": profile.operating_system,
        "hostname": profile.hostname,
        "os_release": dict(profile.os_release),
        **({"openwrt_release": dict(profile.openwrt_release)} if profile.openwrt_release else {}),
        "libc": {"name": profile.libc, "version": profile.libc_version},
        "init": profile.init,
        "kernel": profile.kernel,
        "memory": f"{profile.memory_kib} KiB",
        "cpus": profile.cpus,
        "storage": f"{profile.storage_kib} KiB",
        "umask": f"{profile.umask:04o}",
        **({"cgroups": cgroups} if profile.cgroups else {}),
        **({"mounts": mounts} if mounts else {}),
        "programs": dict(profile.programs),
        "users": {name: _account(account) for name, account in profile.users.items()},
        "groups": dict(profile.groups),
        "devices": [_device(device) for device in profile.devices],
        "greengrass": {"root": install.root, "version": install.version, "user": install.user, "group": install.group},
        **({"unsupported": sorted(profile.unsupported)} if profile.unsupported else {}),
        "whole": sorted(profile.whole),
    }


def _account(account: Account) -> dict[str, object]:
    about: dict[str, object] = {"uid": account.uid, "gid": account.gid, "home": account.home, "shell": account.shell}
    return {**about, "groups": list(account.groups)} if account.groups else about


def _device(device: Device) -> dict[str, object]:
    about = {"path": device.path, "type": device.type, "group": device.group}
    return {**about, "mode": f"{device.mode:04o}", "backing": device.backing}


def _users(listing: Listing, facts: HostFacts) -> dict[str, Account]:
    """Return the accounts whose group has a name; of one without a home or shell it is the absence of one."""
    lines = [line.split(":") for line in listing.text("/etc/passwd").splitlines()]
    rest = {fields[0]: fields[5:7] for fields in lines if len(fields) >= 7}
    gids = set(facts.groups.values())
    members = {group: facts.members.get(gid, ()) for group, gid in facts.groups.items()}
    accounts = {}
    for name, user in facts.users.items():
        home, shell = rest.get(name, ("", ""))
        if user.gid in gids:
            account = Account(uid=user.uid, gid=user.gid, home=home or "/", shell=shell or "/bin/sh")
            accounts[name] = replace(account, groups=tuple(group for group in members if name in members[group]))
    return accounts


def _devices(listing: Listing, facts: HostFacts) -> Iterator[Device]:
    """Yield root's device nodes whose group has a name."""
    names = {gid: name for name, gid in reversed(list(facts.groups.items()))}
    for path in sorted(listing.nodes):
        node = listing.nodes.get(resolve(listing.nodes, path))
        if not path.startswith("/dev/") or path in STANDARD_NODES or node is None or node.uid or node.gid not in names:
            continue
        kind = node.type
        if kind == "char" or kind == "block":
            backing = _backing(path, kind)
            yield Device(path=path, type=kind, group=names[node.gid], mode=node.mode, backing=backing)


def _backing(path: str, kind: str) -> Backing:
    if kind == "block":
        return "none"
    return "pty" if posixpath.basename(path).startswith(_PSEUDO_TERMINALS) else "null"


def _release(text: str) -> dict[str, str]:
    rows = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in rows}
