"""What a board is like, found by looking: /etc, the core's configuration and ``lstat`` of the paths that matter.

Everything is below one root directory, ``/`` on a real board, or in a listing (``describe``); names are read from the
board's own passwd and group files, never asked of the machine this runs on.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sim import strictjson
from edge_sim.agent.rooted import LinkLoopError, file_bytes, inside, mount_point, node_at
from edge_sim.arch import update_system
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import (
    INTERPRETERS,
    MAX_LINKS,
    MOUNT_FLAGS,
    SUBSYSTEMS,
    UPDATE_TOOLS,
    CgroupVersion,
    GreengrassInstall,
    HostFacts,
    Node,
    User,
    near_miss,
)
from edge_sim.greengrass.tree import Tree

MAX_FILE_BYTES = 1024 * 1024
"""How much of a board's text file is read."""
_SYSTEMS = {"ubuntu": "ubuntu", "raspbian": "raspbian", "amzn": "amazon_linux", "openwrt": "openwrt"}


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What a board says of itself that its files cannot show: a local board runs on another machine's kernel."""

    architecture: str | None = None
    operating_system: str | None = None


@dataclass(frozen=True, kw_only=True)
class Files:
    """A board's file system to ask: ``look`` is ``lstat`` (None: nothing there), ``text`` a file's text or "".

    ``names`` are those in a directory. All three follow links on the way as the board would.
    """

    look: Callable[[str], Node | None]
    text: Callable[[str], str]
    names: Callable[[str], Iterable[str]]


def probe(
    root: Path, paths: Iterable[str] = (), *, greengrass_root: str = "/greengrass", stand_in: StandIn | None = None
) -> HostFacts:
    """Return the facts of the board below ``root``, with nodes for ``paths``, their parents and what links lead to.

    Raises InvalidDefinitionError when the core's config.json exists but cannot be read.
    """
    stand_in = stand_in or StandIn()
    board = replace(stand_in, architecture=stand_in.architecture or platform.machine())
    facts = describe(_below(root), paths, greengrass_root=greengrass_root, stand_in=board)
    if root == Path("/") and stand_in.architecture is None:
        facts = _with_its_kernel(facts)
    return replace(
        facts,
        memory_kib=_memory_kib(),
        cpus=os.cpu_count() or 1,
        protected_links=_protected_links(),
    )


def describe(
    files: Files, paths: Iterable[str] = (), *, greengrass_root: str = "/greengrass", stand_in: StandIn | None = None
) -> HostFacts:
    """Return what a board's files say about it; the architecture is "" unless ``stand_in`` says it."""
    stand_in = stand_in or StandIn()
    architecture = stand_in.architecture or ""
    system = stand_in.operating_system or _operating_system(files, architecture)
    return HostFacts(
        architecture=architecture,
        operating_system=system,
        libc="musl" if any(name.startswith("ld-musl-") for name in files.names("/lib")) else "glibc",
        init=_init(files),
        users={name: User(uid=uid, gid=gid) for name, uid, gid in _users(files)},
        groups=dict(_groups(files)),
        members=dict(_members(files)),
        greengrass=_greengrass(files, greengrass_root),
        paths=_paths(files, [*paths, *_near(files, paths)]),
        unsupported=frozenset({"ml-inference"} if system == "openwrt" else ()),
    )


class NodesBelow(Mapping[str, Node]):
    """The nodes of the board below ``root`` by board path: those in ``known``, and all that is asked for beside them.

    What is in ``gone`` does not exist, nor does what is nowhere below the root. Looking raises
    UnsupportedEnvironmentError where this process may not.
    """

    def __init__(self, root: Path, known: Mapping[str, Node], removals: Iterable[str] = ()) -> None:
        self._look = _below(root).look
        self._nodes: dict[str, Node | None] = {**dict.fromkeys(removals), **known}

    def __getitem__(self, path: str) -> Node:
        if path not in self._nodes:
            self._nodes[path] = self._look(path)
        node = self._nodes[path]
        if node is None:
            raise KeyError(path)
        return node

    def __iter__(self) -> Iterator[str]:
        return (path for path, node in self._nodes.items() if node is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _with_its_kernel(facts: HostFacts) -> HostFacts:
    """Return a real board's facts with what only the running system tells; a simulated board runs another's kernel.

    The umask stays unknown: this process has its caller's, which need not be the core's.
    """
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    cgroups, subsystems = cgroup_mounts(mounts)
    disk = os.statvfs(facts.greengrass.root if Path(facts.greengrass.root).is_dir() else "/")
    return replace(
        facts,
        kernel=platform.release(),
        libc_version=platform.libc_ver()[1],
        storage_kib=disk.f_blocks * disk.f_frsize // 1024,
        cgroups=cgroups,
        cgroup_subsystems=subsystems,
        mounts=mount_flags(mounts),
        programs={name: _is_on_path(name) for name in INTERPRETERS}
        | {name: _is_on_path(name) and not _is_busybox(name) for name in UPDATE_TOOLS[:-1]}
        | {"bash": Path("/bin/bash").exists()},
    )


def _is_on_path(name: str) -> bool:
    return shutil.which(name) is not None


def _is_busybox(name: str) -> bool:
    """Return whether a program is a link, symbolic or hard, to BusyBox."""
    program, busybox = shutil.which(name), shutil.which("busybox")
    return bool(program and busybox and Path(program).samefile(busybox))


def cgroup_mounts(mounts: str) -> tuple[CgroupVersion | None, frozenset[str] | None]:
    """Return the version of control groups that a ``/proc/self/mounts`` shows, and which of V1's subsystems are there.

    Where both versions are mounted, as systemd's hybrid mode does, version 1 counts: V1 looks for its subsystems.
    """
    rows = [fields for line in mounts.splitlines() if len(fields := line.split()) > 3]
    options = {option for _, _, kind, text, *_ in rows if kind == "cgroup" for option in text.split(",")}
    if any(kind == "cgroup" for _, _, kind, *_ in rows):
        return "v1", frozenset(SUBSYSTEMS) & options
    return ("v2", None) if any(kind == "cgroup2" for _, _, kind, *_ in rows) else (None, None)


def mount_flags(mounts: str) -> dict[str, frozenset[str]]:
    """Return which of ``MOUNT_FLAGS`` each mount point of a ``/proc/self/mounts`` has; the last mount on one counts."""
    rows = [fields for line in mounts.splitlines() if len(fields := line.split()) > 3]
    return {mount_point(point): frozenset(MOUNT_FLAGS) & {*text.split(",")} for _, point, _, text, *_ in rows}


def _protected_links() -> bool:
    """Return the running kernel's setting; a kernel without one (before 3.6) protects nothing."""
    try:
        return Path("/proc/sys/fs/protected_symlinks").read_text().strip() != "0"
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _below(root: Path) -> Files:
    def names(path: str) -> list[str]:
        try:
            return os.listdir(inside(root, path))  # noqa: PTH208 - names, not paths
        except (OSError, LinkLoopError):
            return []

    def look(path: str) -> Node | None:
        try:
            return node_at(inside(root, path, follow_last=False))
        except LinkLoopError:
            return None

    return Files(
        look=look,
        text=lambda path: _read(root, path),
        names=names,
    )


def _paths(files: Files, paths: Iterable[str]) -> dict[str, Node]:
    nodes: dict[str, Node | None] = {}
    waiting = [(path, 0) for path in paths]
    ends: set[str] = set()
    while waiting:
        path, links = waiting.pop()
        path = "/" + os.path.normpath(path).lstrip("/")  # of two slashes it keeps both
        for step in () if path in ends else (path, *map(str, Path(path).parents)):
            if step not in nodes:
                nodes[step] = files.look(step)
            node = nodes[step]
            if node is not None and node.target is not None and links < MAX_LINKS:
                base = os.path.join(os.path.dirname(step), node.target)  # noqa: PTH118, PTH120 - board paths
                waiting.append((base + path[len(step) :], links + 1))
        ends.add(path)
    return {path: node for path, node in nodes.items() if node is not None}


def _near(files: Files, paths: Iterable[str]) -> Iterator[str]:
    """For each path that does not exist, yield those beside it that may be meant."""
    for path in map(Path, paths):
        if files.look(str(path)) is None:
            near = near_miss(path.name, files.names(str(path.parent)))
            yield from [str(path.with_name(near))] if near else []


def _read(root: Path, path: str) -> str:
    try:
        return file_bytes(inside(root, path), MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _records(files: Files, path: str, fields: int) -> Iterator[list[str]]:
    for line in files.text(path).splitlines():
        record = line.split(":")
        if len(record) >= fields and not line.startswith(("#", "+", "-")):
            yield record


def _users(files: Files) -> Iterator[tuple[str, int, int]]:
    for name, _, uid, gid, *_ in _records(files, "/etc/passwd", 4):
        if uid.isdigit() and gid.isdigit():
            yield name, int(uid), int(gid)


def _groups(files: Files) -> Iterator[tuple[str, int]]:
    for name, _, gid, *_ in _records(files, "/etc/group", 3):
        if gid.isdigit():
            yield name, int(gid)


def _members(files: Files) -> Iterator[tuple[int, tuple[str, ...]]]:
    for _, _, gid, names, *_ in _records(files, "/etc/group", 4):
        if gid.isdigit() and names:
            yield int(gid), tuple(names.split(","))


def _operating_system(files: Files, architecture: str) -> str:
    """Return the system whose builds the board takes, in the API's word where it has one, else os-release's ID."""
    lines = (files.text("/etc/os-release") or files.text("/usr/lib/os-release")).splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    name = release.get("ID", "unknown").strip("\"'")
    if name == "debian" and files.look("/etc/rpi-issue"):  # Raspberry Pi OS, 64 bit, calls itself Debian
        name = "raspbian"
    return update_system(_SYSTEMS.get(name, name), architecture)


def _memory_kib() -> int:
    """Return MemTotal, 0 where there is no /proc: sysconf's pages are cut off to 32 bits under qemu-arm."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("MemTotal:")), 0)


def _init(files: Files) -> str:
    if files.look("/run/systemd/system") or files.look("/lib/systemd/systemd"):
        return "systemd"
    return "procd" if files.look("/sbin/procd") else "sysvinit"


def _greengrass(files: Files, greengrass_root: str) -> GreengrassInstall:
    tree = Tree(greengrass_root)
    config = _config(files.text(tree.config), tree.config)
    runtime = config.get("runtime")
    as_root = runtime.get("allowFunctionsToRunAsRoot") if isinstance(runtime, Mapping) else None
    thing = config.get("coreThing")
    core = files.look(tree.core)
    version = (core.target or "").rstrip("/").rpartition("/")[2] if core else ""
    return GreengrassInstall(
        root=greengrass_root,
        version=version or GreengrassInstall.version,
        allow_functions_to_run_as_root=as_root == "yes",
        network_proxy="networkProxy" in thing if isinstance(thing, Mapping) else None,
    )


def _config(text: str, path: str) -> dict[str, object]:
    if not text:
        return {}
    try:
        return strictjson.members(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InvalidDefinitionError(f"Failed to parse {path}.", details=str(error)) from error
