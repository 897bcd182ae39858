"""A small board for the function tests: a root directory with real nodes, owners and a pseudo-terminal as serial port.

The example's group is laid out on it by ``lay``, which follows the plan literally; the deployer has tests of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pty
import shutil
import stat
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import pytest

from edge_sim.agent import linux
from edge_sim.agent.probe import probe
from edge_sim.emulation import boardplan
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.local import machine
from edge_sim.facts import GreengrassInstall, HostFacts, User
from edge_sim.greengrass.functions import Function, FunctionCode
from edge_sim.greengrass.group import Artifact, Group
from edge_sim.greengrass.plan import Content, function_directory, model_directory, paths_of_interest, plan
from edge_sim.greengrass.resources import Model
from edge_sim.profiles import load_profile
from edge_sim.scenario import Scenario, load
from tests import needs

EXAMPLE = Path(__file__).parents[2] / "examples" / "no-container-ml"
_CLONE_FS = 0x200
GGC, USERS, VIDEO, ADM, DIALOUT = 998, 100, 44, 4, 20
FACTS = HostFacts(
    architecture="armv6l",
    operating_system="raspbian",
    users={"root": User(uid=0, gid=0), "ggc_user": User(uid=GGC, gid=GGC)},
    groups={"root": 0, "ggc_group": GGC, "users": USERS, "video": VIDEO, "adm": ADM, "dialout": DIALOUT},
    greengrass=GreengrassInstall(),
)


@dataclass(frozen=True, kw_only=True)
class Board:
    root: Path
    scenario: Scenario
    group: Group
    facts: HostFacts

    def function(self, name: str) -> Function:
        return next(f for f in self.group.functions if f.id == name)

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def with_function(self, name: str, **changes: object) -> Board:
        changed = tuple(replace(f, **changes) if f.id == name else f for f in self.group.functions)  # type: ignore[arg-type]
        return replace(self, group=replace(self.group, functions=changed))


@contextmanager
def private_mounts(top: Path) -> Iterator[None]:
    """A mount namespace of this process's own for as long as the block lasts; what it mounts lies below ``top``."""
    if reason := needs.no_mounts():
        pytest.skip(reason)
    before, root, here = os.open("/proc/self/ns/mnt", os.O_RDONLY), os.open("/", os.O_RDONLY), Path.cwd()
    with Path("/proc/self/mountinfo").open() as outside:  # the namespace's in which it is opened
        linux.unshare(linux.CLONE_NEWNS)
        try:
            _seal(top, outside)
            yield
        finally:
            linux.unshare(_CLONE_FS)  # threads that have just ended may still share the working directory
            assert ctypes.CDLL(None).setns(before, linux.CLONE_NEWNS) == 0
            os.fchdir(root)  # joining a mount namespace leaves a chroot
            os.chroot(".")
            os.chdir(here)
            os.close(before)
            os.close(root)


def _seal(top: Path, outside: TextIO) -> None:
    try:
        linux.mount("none", Path("/"), flags=linux.MS_REC | linux.MS_PRIVATE)
        return
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # In a chroot / is no mount point, and what it lies on may hand on what is mounted there.
    linux.bind(top, top)
    linux.mount("none", top, flags=linux.MS_PRIVATE)
    if any(line.split()[4] == str(top) for line in outside):
        subprocess.run(["umount", top], check=True, timeout=60)
        pytest.skip("this chroot lies on a shared mount, which keeps no test's mounts to itself: mount --make-private")


@contextmanager
def board(root: Path) -> Iterator[Board]:
    """The example's group on a board below ``root``."""
    scenario = load(EXAMPLE)
    with private_mounts(root), serial_port() as (master, name):
        _system(root)
        _node(root / "dev/ttyUSB0", "")
        linux.bind(Path(name), root / "dev/ttyUSB0")
        os.chown(name, 0, DIALOUT)
        Path(name).chmod(0o660)
        os.write(master, (EXAMPLE / "gps.nmea").read_bytes())
        group = example_group(scenario)
        _volume(root)
        facts = replace(FACTS, paths=probe(root, paths_of_interest(group, "/greengrass")).paths)
        lay(root, group, facts)
        yield Board(root=root, scenario=scenario, group=group, facts=facts)


@contextmanager
def serial_port() -> Iterator[tuple[int, str]]:
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def _node(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _system(root: Path) -> None:
    root.chmod(0o755)
    for name in ("proc", "sys", "dev", "tmp", "greengrass", "home", "mnt"):
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    _host_programs(root)
    for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
        os.mknod(root / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        (root / "dev" / name).chmod(0o666)
    _node(root / "etc/passwd", "root:x:0:0::/root:/bin/sh\nggc_user:x:998:998::/:/usr/sbin/nologin\n")
    lines = (f"{name}:x:{gid}:" for name, gid in FACTS.groups.items())
    _node(root / "etc/group", "\n".join(lines) + "\n")


def _host_programs(root: Path) -> None:
    """Bind what a local board binds: the host's programs, and the running Python wherever it lies."""
    profile = load_profile("generic-x86_64")
    made, _ = machine.with_this_machine(boardplan.plan(BoardSpec(profile=profile)), profile)
    for item in made.items:
        if item.type == "link" and Path(item.path).parent == Path("/"):
            (root / item.path[1:]).symlink_to(str(item.target))
    for bind in made.binds:
        target = root / bind.path[1:]
        is_file = Path(bind.source).is_file()
        for place in (*reversed(target.parents), *(() if is_file else (target,))):
            if not place.exists():
                place.mkdir()
                place.chmod(0o755)
        if is_file:
            shutil.copyfile(bind.source, target)
        else:
            linux.bind(Path(bind.source), target, read_only=True)


def _volume(root: Path) -> None:
    shutil.copytree(EXAMPLE / "meter", root / "srv/meter")
    for path, mode in ((root / "srv/meter", 0o750), (root / "srv/meter/readings.csv", 0o640)):
        os.chown(path, 0, ADM)
        path.chmod(mode)


def example_group(scenario: Scenario) -> Group:
    assert scenario.definition.findings == ()
    group = scenario.definition.group
    return replace(
        group,
        code={
            f.id: FunctionCode(artifact_arn="arn:x", handler=c.handler, runtime=c.runtime, sha256="", size=1)
            for f in group.functions
            for c in scenario.code
            if c.function_arn == f.arn
        },
        artifacts={
            r.id: Artifact(arn=f"arn:mlmodel/{r.id}-uuid", sha256="", size=1, file_name="model")
            for r in group.resources
            if isinstance(r.data, Model)
        },
    )


def _folder(scenario: Scenario, address: str) -> Path:
    return next(s.path for s in scenario.sources if s.address == address and s.path)


def contents(scenario: Scenario, group: Group) -> dict[str, list[Content]]:
    found = {}
    for resource in group.resources:
        if isinstance(resource.data, Model):
            address = getattr(resource.data, "s3_uri", None) or resource.data.job_arn  # type: ignore[union-attr]
            folder = _folder(scenario, address)
            found[resource.id] = [
                Content(path=str(p.relative_to(folder)), type="directory" if p.is_dir() else "file")
                for p in sorted(folder.rglob("*"))
            ]
    return found


def lay(root: Path, group: Group, facts: HostFacts) -> None:
    """Make what the plan says, and put code and models into it."""
    scenario = load(EXAMPLE)
    (root / "greengrass/ggc").mkdir(exist_ok=True)
    for entry in plan(group, facts, contents(scenario, group)):
        path = root / entry.path.lstrip("/")
        with suppress(FileExistsError):
            if entry.node.type == "directory":
                path.mkdir()
            elif entry.node.type == "link":
                path.symlink_to(str(entry.node.target))
            else:
                path.touch(exist_ok=False)
        os.lchown(path, entry.node.uid, entry.node.gid)
        if entry.node.type != "link":
            path.chmod(entry.node.mode)
    for function in group.functions:
        code = next(c for c in scenario.code if c.function_arn == function.arn)
        shutil.copytree(code.folder, root / function_directory(facts, function).lstrip("/"), dirs_exist_ok=True)
    for resource in group.resources:
        if isinstance(resource.data, Model):
            top = root / model_directory(facts, resource, group.artifacts[resource.id]).lstrip("/")
            address = getattr(resource.data, "s3_uri", None) or resource.data.job_arn  # type: ignore[union-attr]
            for path in _folder(scenario, address).rglob("*"):
                if path.is_file():
                    (top / path.relative_to(_folder(scenario, address))).write_bytes(path.read_bytes())
