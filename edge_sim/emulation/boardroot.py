"""What a local board's directory holds, worked out before anything is made.

``plan`` turns a profile (and the files a scenario lays on the board) into a ``BoardPlan``: items, binds and device
nodes as plain data, which ``local/make.py`` carries out inside the board's namespaces. Paths are the board's.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import edge_sim
from edge_sim import folders
from edge_sim.emulation import boarddevices
from edge_sim.emulation.boarddevices import BoardDevice
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.facts import Node
from edge_sim.profiles import DeviceProfile

if TYPE_CHECKING:
    from edge_sim.scenario import BoardFile, DeviceBacking

_HOST_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_HOST_ETC = ("alternatives", "ld.so.cache")
"""Without these some programs of the host do not start below the board's root: /usr/bin/awk leads to
/etc/alternatives, and a Python in /usr/local finds its library through the loader's cache."""
_KERNELS = ("/dev", "/proc", "/sys")
_OURS = ("/etc/edge-sim", "/usr/lib/edge-sim", "/usr/bin/python3")
"""What makes a container a board: its agent's configuration, the agent, and what runs it."""


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
    read_only: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardPlan:
    """A whole board. Items are parents first."""

    hostname: str
    umask: int
    tty_gid: int
    items: tuple[Item, ...]
    binds: tuple[Bind, ...]
    devices: tuple[BoardDevice, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BoardPlan:
        return cls(
            hostname=value["hostname"],
            umask=value["umask"],
            tty_gid=value["tty_gid"],
            items=tuple(Item(**item) for item in value["items"]),
            binds=tuple(Bind(**bind) for bind in value["binds"]),
            devices=tuple(
                BoardDevice(**{**d, "lines": tuple(d["lines"]), "frames": tuple(d["frames"])}) for d in value["devices"]
            ),
            notes=tuple(value["notes"]),
        )


def plan(
    profile: DeviceProfile,
    *,
    files: Sequence[BoardFile] = (),
    devices: Sequence[DeviceBacking] = (),
    binds: Mapping[str, Path] | None = None,
) -> BoardPlan:
    """Return the board of ``profile`` with the scenario's files, device backings and binds (board path → host path).

    Raises InvalidDefinitionError when one of them names an account or device that the board does not have, and
    UsageError for a bind where the board's own parts are.
    """
    shared = tuple(_host_binds())
    items = {item.path: item for item in _system(profile)}
    links = {path: item.target or "" for path, item in items.items() if item.type == "link"}
    system = tuple(items.values())
    for file in files:
        for item in laid(file, profile):
            path = _through(item.path, links)
            _refuse_covered(path, shared)
            items[path] = dataclasses.replace(item, path=path, named=item.path if path != item.path else None)
    given = tuple(
        Bind(source=str(host.resolve()), path=_through(_plain(path), links), read_only=False)
        for path, host in (binds or {}).items()
    )
    for bind in given:
        _refuse_bind(bind, profile, system, items, shared)
    for bind in (*shared, *given):
        folder = Path(bind.source).is_dir()
        kind: Literal["directory", "file"] = "directory" if folder else "file"
        items.setdefault(bind.path, Item(path=bind.path, type=kind, mode=0o755 if folder else 0o644))
    notes = tuple(_opened(items, shared))
    return BoardPlan(
        hostname=profile.hostname,
        umask=profile.umask,
        tty_gid=profile.groups.get("tty", 0),
        items=_with_parents(items),
        binds=(*shared, *given),
        devices=tuple(boarddevices.devices(profile, devices)),
        notes=notes,
    )


def laid(file: BoardFile, profile: DeviceProfile) -> Iterator[Item]:
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
            raise InvalidDefinitionError(f"{source}: only files, folders and links can be laid on a board")


def passwd(profile: DeviceProfile) -> str:
    """Return the board's passwd file."""
    rows = ((name, a.uid, a.gid, a.home, a.shell) for name, a in profile.users.items())
    return "".join(f"{name}:x:{uid}:{gid}::{home}:{shell}\n" for name, uid, gid, home, shell in rows)


def group(profile: DeviceProfile) -> str:
    """Return the board's group file."""
    members = {name: [u for u, a in profile.users.items() if name in a.groups] for name in profile.groups}
    return "".join(f"{name}:x:{gid}:{','.join(members[name])}\n" for name, gid in profile.groups.items())


def _system(profile: DeviceProfile) -> Iterator[Item]:
    for path, node in profile.directories().items():
        kind: Literal["directory", "link"] = "link" if node.type == "link" else "directory"
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
    for name in _HOST_LINKS:
        host = Path("/") / name
        if host.is_symlink():
            yield Item(path=str(host), type="link", target=os.readlink(host).lstrip("/"))  # noqa: PTH115


def _host_binds() -> Iterator[Bind]:
    """Yield what programs of the host need to start below the board's root, this Python included."""
    directories = [Path("/usr"), *(Path("/") / name for name in _HOST_LINKS)]
    directories += [Path("/etc") / name for name in _HOST_ETC]
    python = (sys.base_prefix, sys.base_exec_prefix, sys.prefix, Path(sys.executable).resolve().parents[1])
    for place in (*python, Path(edge_sim.__file__).parent):
        directories += [Path(place), Path(place).resolve()]
    chosen: list[Path] = []
    for place in directories:
        covered = any(place == other or place.is_relative_to(other) for other in chosen)
        if place.exists() and not place.is_symlink() and not covered and place != Path("/"):
            chosen.append(place)
            yield Bind(source=str(place), path=str(place))


def _through(path: str, links: Mapping[str, str]) -> str:
    """Return the path that ``path`` leads to through the board's own links (OpenWrt: ``/var`` is ``tmp``)."""
    for link, target in links.items():
        if path.startswith(f"{link}/"):
            end = os.path.normpath(f"{link}/../{target}/{path[len(link) :]}")
            return _through(end, links)
    return path


def _plain(path: str) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def _refuse_bind(
    bind: Bind, profile: DeviceProfile, system: Iterable[Item], items: Mapping[str, Item], shared: Iterable[Bind]
) -> None:
    """Refuse a bind into which the board's own files would be written, or whose way there the board makes anew.

    Laying a link where an image has a directory removes what is below it, the bind's files on this machine included.
    On a local board there can be nothing new below what is this machine's, ``shared``.
    """
    place = Path(bind.path)
    own = (profile.greengrass.root, *_OURS)
    needed = [path for path in _KERNELS if place.is_relative_to(path)]
    needed += [path for path in (*own, *(other.path for other in shared)) if place.is_relative_to(path)]
    needed += [path for path in (*own, *(i.path for i in system if i.type == "file")) if place in Path(path).parents]
    needed += [path for path in map(str, place.parents) if path in items and items[path].type != "directory"]
    if needed:
        raise UsageError(
            f"{bind.source} cannot be on the board at {bind.path}: {needed[0]} there is the board's own",
            hint="Choose a path below /opt, /srv, /var or /home, as a real board's data would be.",
        )


def _opened(items: dict[str, Item], binds: Iterable[Bind]) -> Iterator[str]:
    """Let everybody search the directories above the binds, and yield a note for each that was closed."""
    for path in {str(parent): None for bind in binds for parent in Path(bind.path).parents}:
        item = items.get(path)
        if item and item.type == "directory" and item.mode & 0o011 != 0o011:
            items[path] = dataclasses.replace(item, mode=item.mode | 0o011)
            yield f"{path} has mode {item.mode | 0o011:04o} for {item.mode:04o}: the Python in use lies below it"


def _refuse_covered(path: str, binds: Iterable[Bind]) -> None:
    for bind in binds:
        if Path(path).is_relative_to(bind.path):
            raise InvalidDefinitionError(
                f"{path}: cannot be laid on a local board: {bind.path} there is this machine's, read-only",
                hint="Choose a path below /opt, /srv, /var or /home, as a real board's data would be.",
            )


def _account(file: BoardFile, profile: DeviceProfile) -> tuple[int, int]:
    user = profile.users.get(file.owner)
    uid = int(file.owner) if file.owner.isdigit() else user.uid if user else None
    gid = int(file.group) if file.group.isdigit() else profile.groups.get(file.group)
    for what, name, found, known in (
        ("user", file.owner, uid, profile.users),
        ("group", file.group, gid, profile.groups),
    ):
        if found is None:
            raise InvalidDefinitionError(
                f"{file.path}: the board {profile.name} has no {what} {name}", hint=f"It has: {', '.join(known)}."
            )
    return int(uid or 0), int(gid or 0)


def _with_parents(items: Mapping[str, Item]) -> tuple[Item, ...]:
    whole = dict(items)
    for path in items:
        for parent in Path(path).parents:
            # 0755, so that an unprivileged function reaches what lies below.
            whole.setdefault(str(parent), Item(path=str(parent), type="directory"))
    return tuple(whole[path] for path in sorted(whole, key=lambda p: Path(p).parts))
