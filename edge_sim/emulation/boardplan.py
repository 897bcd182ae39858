"""What a board holds, worked out before anything is made: pure but for looking at the scenario's files.

``plan`` turns a ``BoardSpec`` into a ``BoardPlan``: accounts, directories, release files, the factory's core, the
scenario's files, the user's binds and the device nodes. It is the same for every driver, on every machine.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from edge_sim import folders
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import boarddevices, corebuild
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.boarditems import Bind, BoardPlan, Item, sorted_items
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.facts import HostFacts

if TYPE_CHECKING:
    from edge_sim.scenario import BoardFile

_KERNELS = ("/dev", "/proc", "/sys")
_MANAGED = ("/etc/edge-sim", "/usr/lib/edge-sim", "/usr/bin/python3")
"""What makes a system a simulated board: its agent's configuration, the agent, and what runs it."""
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links on a system with a merged /usr: a directory laid over one takes away every program and library behind it."""
ELSEWHERE = "Choose a path below /opt, /srv, /var or /home, as a real board's data would be."


def plan(spec: BoardSpec) -> BoardPlan:
    """Return the plan of a board.

    Raises InvalidDefinitionError when a scenario's file or device names an account or node that the board does not
    have, or cannot lie where it is to, and UsageError for a bind where the board's own parts are.
    """
    profile = spec.profile
    own = {item.path: item for item in (*_system(profile), *core(spec))}
    links = {path: item.target or "" for path, item in own.items() if item.type == "link"}
    items = dict(own)
    for file in spec.files:
        for item in items_of(file, profile):
            path = _through(item.path, links)
            _refuse_file(path, item, own)
            items[path] = dataclasses.replace(item, path=path, named=item.path if path != item.path else None)
    _refuse_below_files(items)
    binds = tuple(
        Bind(source=str(host.resolve()), path=_through(_plain(path), links)) for path, host in spec.binds.items()
    )
    for bind in binds:
        _refuse_bind(bind, profile, own, items)
    key = f"{profile.greengrass.root}/{corebuild.KEY}"
    return BoardPlan(
        hostname=profile.hostname,
        umask=profile.umask,
        tty_gid=profile.groups.get("tty", 0),
        items=sorted_items(item for item in items.values() if not any(is_below(item.path, b.path) for b in binds)),
        binds=binds,
        devices=tuple(boarddevices.devices(profile, spec.devices)),
        key=key if spec.core and key not in items else None,
    )


def with_key(plan: BoardPlan) -> BoardPlan:
    """Return the plan with a new private key for its core, where that is to have one; making it takes a moment."""
    if plan.key is None:
        return plan
    return dataclasses.replace(plan, items=(*plan.items, corebuild.private_key(plan.key)), key=None)


def facts(profile: DeviceProfile, plan: BoardPlan) -> HostFacts:
    """Return the profile's facts with what the plan adds, without devices that no simulated board has."""
    known = profile.facts()
    absent = {device.path for device in profile.devices} - {device.path for device in plan.devices}
    paths = {path: node for path, node in known.paths.items() if path not in absent}
    for item in plan.items:
        paths[item.path] = item.node
        if item.named:
            paths[item.named] = item.node
    return dataclasses.replace(known, paths=paths)


def items_of(file: BoardFile, profile: DeviceProfile) -> Iterator[Item]:
    """Yield the items of one file, folder or empty directory that a scenario lays on the board."""
    uid, gid = _account(file, profile)
    top = Path(file.path)
    if file.copy is None:
        yield Item(path=file.path, type="directory", uid=uid, gid=gid, mode=file.directory_mode)
        return
    sources = [file.copy, *folders.below(file.copy)] if file.copy.is_dir() else [file.copy]
    for source in sources:
        path = str(top / source.relative_to(file.copy))
        kind = source.lstat().st_mode
        if stat.S_ISLNK(kind) and source != file.copy:
            yield Item(path=path, type="link", uid=uid, gid=gid, target=os.readlink(source))  # noqa: PTH115
        elif source.is_dir():
            yield Item(path=path, type="directory", uid=uid, gid=gid, mode=file.directory_mode)
        elif source.is_file():
            yield Item(path=path, type="file", uid=uid, gid=gid, mode=file.mode, source=str(source.resolve()))
        else:
            raise InvalidDefinitionError(f"{source}: only files, folders and links can be placed on a board")


def core(spec: BoardSpec) -> Iterator[Item]:
    """Yield the Greengrass tree of the factory's core, nothing for a board without one."""
    if spec.core:
        yield from corebuild.factory(
            spec.profile.greengrass.root,
            spec.core,
            use_systemd=spec.profile.init == "systemd",
            allow_functions_to_run_as_root=spec.profile.greengrass.allow_functions_to_run_as_root,
        )


def passwd(profile: DeviceProfile) -> str:
    """Return the board's passwd file."""
    rows = ((name, a.uid, a.gid, a.home, a.shell) for name, a in profile.users.items())
    return "".join(f"{name}:x:{uid}:{gid}::{home}:{shell}\n" for name, uid, gid, home, shell in rows)


def group(profile: DeviceProfile) -> str:
    """Return the board's group file."""
    members = {name: [u for u, a in profile.users.items() if name in a.groups] for name in profile.groups}
    return "".join(f"{name}:x:{gid}:{','.join(members[name])}\n" for name, gid in profile.groups.items())


def is_below(path: str, *tops: str) -> bool:
    """Tell whether ``path`` is one of ``tops`` or lies below one."""
    return any(PurePosixPath(path).is_relative_to(top) for top in tops)


def _system(profile: DeviceProfile) -> Iterator[Item]:
    for path, node in profile.tree().items():
        kind: Literal["directory", "file", "link"] = "directory"
        if node.type in ("file", "link"):
            kind = node.type
        yield Item(path=path, type=kind, uid=node.uid, gid=node.gid, mode=node.mode, target=node.target)
    texts = {
        "/etc/passwd": passwd(profile),
        "/etc/group": group(profile),
        "/etc/os-release": "".join(f'{key}="{value}"\n' for key, value in profile.os_release.items()),
        "/etc/hostname": f"{profile.hostname}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {profile.hostname}\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    if profile.openwrt_release:
        release = profile.openwrt_release.items()
        texts["/etc/openwrt_release"] = "".join(f"{key}='{value}'\n" for key, value in release)
    for path, text in texts.items():
        yield Item(path=path, type="file", mode=0o644, text=text)


def _through(path: str, links: Mapping[str, str]) -> str:
    """Return the path that ``path`` leads to through the board's own links (OpenWrt: ``/var`` is ``tmp``)."""
    for link, target in links.items():
        if path.startswith(f"{link}/"):
            end = os.path.normpath(f"{link}/../{target}/{path[len(link) :]}")
            return _through(end, links)
    return path


def _plain(path: str) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def _refuse_file(path: str, item: Item, own: Mapping[str, Item]) -> None:
    """Refuse a scenario's file in the place of the board's own parts, whose owner, mode and content it may change."""
    managed = _managed(path)
    if managed:
        raise InvalidDefinitionError(
            f"{item.path}: cannot be placed on a board: {managed[0]} is managed by the simulated board", hint=ELSEWHERE
        )
    there = own.get(path)
    if there and there.type != item.type:
        raise InvalidDefinitionError(f"{item.path}: cannot place a {item.type} where the board has a {there.type}")


def _refuse_below_files(items: Mapping[str, Item]) -> None:
    for path in items:
        for parent in _not_directories(path, items):
            raise InvalidDefinitionError(
                f"{path}: cannot be placed on a board: {parent} there is a {items[parent].type}"
            )


def _refuse_bind(bind: Bind, profile: DeviceProfile, own: Mapping[str, Item], items: Mapping[str, Item]) -> None:
    """Refuse a bind into which the board's own files would be written, or whose parent directories the board replaces.

    Laying a link where an image has a directory removes what is below it, the bind's files on this machine included.
    """
    root = profile.greengrass.root
    places = [root] if is_below(bind.path, root) else _managed(bind.path)
    files = (path for path in own if not _is_directory(path, own))
    places += [path for path in (root, *_MANAGED, *files) if is_below(path, bind.path)]
    places += _not_directories(bind.path, items)
    if places:
        raise UsageError(
            f"cannot bind {bind.source} to {bind.path}: {places[0]} is managed by the simulated board", hint=ELSEWHERE
        )


def _managed(path: str) -> list[str]:
    """Return what of a simulated board's own is at or above ``path``, which may lead there through a merged /usr."""
    below = [top for top in (*_KERNELS, *_MANAGED) if is_below(path, top) or is_below(f"/usr{path}", top)]
    return below + [top for top in _MERGED if path == top]


def _not_directories(path: str, items: Mapping[str, Item]) -> list[str]:
    """Return the items above ``path`` that can have nothing below them."""
    return [str(above) for above in PurePosixPath(path).parents if not _is_directory(str(above), items, missing=True)]


def _is_directory(path: str, items: Mapping[str, Item], *, missing: bool = False) -> bool:
    return items[path].type == "directory" if path in items else missing


def _account(file: BoardFile, profile: DeviceProfile) -> tuple[int, int]:
    user = profile.users.get(file.owner)
    uid = int(file.owner) if file.owner.isdigit() else user.uid if user else None
    gid = int(file.group) if file.group.isdigit() else profile.groups.get(file.group)
    for what, name, id_, known in (
        ("user", file.owner, uid, profile.users),
        ("group", file.group, gid, profile.groups),
    ):
        if id_ is None:
            raise InvalidDefinitionError(
                f"{file.path}: the board {profile.name} has no {what} {name}", hint=f"It has: {', '.join(known)}."
            )
    return int(uid or 0), int(gid or 0)
