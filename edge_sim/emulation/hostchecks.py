"""What this machine can do: one row a check, found by trying or reading, with the command that helps.

*ok*; *missing*: what the row is needed for does not work without it; *different*: it works, but not as on a real
core, or with less. ``edge-sim doctor`` prints the rows; its other half, a board's certificate, is ``doctor``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation import capabilities
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.containers import advice, engine
from edge_sim.emulation.drivers import DriverName, local_board
from edge_sim.errors import INSTALL, EdgeSimError, UnsupportedEnvironmentError
from edge_sim.process import daemon, run
from edge_sim.profiles import load_profile
from edge_sim.versions import numbers

Status = Literal["ok", "missing", "different"]
OLDEST_KERNEL = (5, 8)
"""For local boards: setns(2) with a pidfd for several namespaces at once."""
CORE_KERNEL, CORE_KERNEL_ADVISED = (3, 17), (4, 4)
"""What a V1 core itself needs, and what AWS recommends: developer guide, what-is-gg.md."""
FREE_MIB = 500
"""A board's update wants 400 MB free (developer guide, core-ota-update.md), and there is the board itself."""
DOCKER_FREE_MIB = 2048
"""Four images of 80 to 190 MB, their bases, and the boards' storage."""
BOTH, OPTIONAL, REAL_CORE = "local, docker", "optional", "a real core"


@dataclass(frozen=True, kw_only=True)
class HostCheck:
    """One row. ``needed_for``: one of the words above, or a driver, which may say after a colon for which boards.

    ``actual`` is what this machine has: ``found`` in JSON, as in every report.
    """

    check: str
    status: Status
    actual: str
    needed_for: str
    fix: str = ""

    def blocks(self, driver: DriverName) -> bool:
        return self.status == "missing" and driver in self.needed_for.partition(":")[0].split(", ")

    def as_json(self) -> dict[str, str]:
        """Return the row for the outside; a row that is ok has an empty fix."""
        return {"found" if name == "actual" else name: value for name, value in vars(self).items()}


def host_checks() -> list[HostCheck]:
    """Return all rows; makes a local board and asks the Docker engine, and leaves nothing behind."""
    info = engine_info()
    return [
        *kernel(platform.release()),
        cgroups(Path("/proc/self/cgroup")),
        subordinate_ids(),
        local_boards(),
        *interpreters(elsewhere=_is_elsewhere(info)),
        *docker(info),
        mosquitto(),
        _row("Python", "ok", platform.python_version(), BOTH),  # an older one than 3.10 would not get here
        packages(),
        room("free in TMPDIR", Path(tempfile.gettempdir()), FREE_MIB, "local", "Set TMPDIR to another directory."),
    ]


def missing(checks: Sequence[HostCheck], driver: DriverName) -> list[HostCheck]:
    """Return what keeps ``driver`` from working."""
    return [check for check in checks if check.blocks(driver)]


def _row(check: str, status: Status, actual: str, needed_for: str, fix: str = "") -> HostCheck:
    return HostCheck(
        check=check, status=status, actual=actual, needed_for=needed_for, fix="" if status == "ok" else fix
    )


def kernel(release: str) -> Iterator[HostCheck]:
    """Yield whether the kernel is new enough for local boards, and for a core itself."""
    version = numbers(release)
    status: Status = "ok" if version >= OLDEST_KERNEL else "missing"
    yield _row("kernel", status, release, "local", "Use a kernel of 5.8 or newer, or --driver docker.")
    status = "ok" if version >= CORE_KERNEL_ADVISED else "different" if version >= CORE_KERNEL else "missing"
    advice = "V1 needs 3.17, AWS recommends 4.4"
    yield _row("kernel for V1 itself", status, advice, REAL_CORE, "Use a kernel of 4.4 or newer on a real core.")


def cgroups(file: Path) -> HostCheck:
    """Return which version of control groups is used; ``file`` is a /proc/PID/cgroup."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = {name for line in lines for name in line.split(":")[1].split(",")}
    if {"memory", "devices"} <= names:
        return _row("cgroups", "ok", "v1", REAL_CORE)
    fix = "Simulated boards do not need it. For V1, boot the kernel with systemd.unified_cgroup_hierarchy=0."
    return _row("cgroups", "different", "v2" if lines else "none", REAL_CORE, fix)


def subordinate_ids() -> HostCheck:
    """Return whether this user's boards can have many ids."""
    if os.geteuid() == 0:
        return _row("subordinate ids", "ok", "root needs none", "local")
    lacks = capabilities.lacking_ids()
    if lacks is None:
        return _row("subordinate ids", "ok", f"{capabilities.IDS} or more", "local")
    why, fix = lacks
    return _row("subordinate ids", "missing", why, "local", fix)


def local_boards() -> HostCheck:
    """Make a local board and return what it proves: owners, ids and mounts are tried, not guessed."""
    name = "namespaces, mounts"
    try:
        with local_board(BoardSpec(profile=load_profile("generic-x86_64"))) as board:
            proves, mode = board.proves, board.mode
    except EdgeSimError as error:
        fix = error.hint or "Run as root, or use --driver docker."
        return _row(name, "missing", error.details or error.brief, "local", fix)
    if proves.everything:
        how = {"root": "as root", "mapped": "in a user namespace"}.get(mode, mode)
        return _row(name, "ok", f"created a board {how}", "local")
    first = proves.missing[0]
    lacking = ", ".join(item.claim for item in proves.missing)
    return _row(name, "missing", f"no {lacking}: {first.reason}", "local", first.help)


def interpreters(*, elsewhere: bool = False) -> Iterator[HostCheck]:
    """Yield for each QEMU whether boards of its architectures run, and with what.

    ``elsewhere``: the engine runs on another machine's kernel, whose interpreters cannot be seen from here.
    """
    foreign: dict[str, list[str]] = {}
    for name, row in ARCHITECTURES.items():
        if name != platform.machine():
            foreign.setdefault(row.qemu, []).append(name)
    registered = engine.interpreters()
    for qemu, architectures in foreign.items():
        purpose = f"docker: {', '.join(architectures)}"
        if elsewhere:
            yield _row(qemu, "different", "not seen: the Docker engine runs on another kernel", purpose)
        else:
            yield _interpreter(qemu, architectures[0], registered, purpose)


def _interpreter(qemu: str, architecture: str, registered: Mapping[str, engine.Interpreter], purpose: str) -> HostCheck:
    try:
        entry = engine.check(architecture, registered)
    except UnsupportedEnvironmentError as error:
        return _row(qemu, "missing", error.brief, purpose, error.hint or "")
    state = f"QEMU {engine.qemu_version(entry) or 'of unknown version'}, flags {entry.flags}"
    if entry.honours_set_id:
        return _row(qemu, "ok", state, purpose)
    fix = "Not needed: boards run with no-new-privileges, which ignores set-id bits as well."
    return _row(qemu, "different", f"{state}: no C, set-id bits are ignored", purpose, fix)


def engine_info() -> Mapping[str, Any] | EdgeSimError:
    """Return what the Docker engine says of itself, or why it says nothing."""
    try:
        with engine.connected() as client:
            info: Mapping[str, Any] = client.info()
    except EdgeSimError as error:
        return error
    return info


def docker(info: Mapping[str, Any] | EdgeSimError) -> Iterator[HostCheck]:
    """Yield whether an engine answers, and what room it has where it is this machine's."""
    if isinstance(info, EdgeSimError):
        yield _row("Docker engine", "missing", info.brief, "docker", info.hint or f"As root on Debian: {advice.ENGINE}")
        return
    state = f"{info.get('ServerVersion')}, {info.get('Driver')}"
    if engine.sets_firewall():
        yield _row("Docker engine", "ok", state, "docker")
    else:
        fix = "Start dockerd without --iptables=false."
        yield _row("Docker engine", "different", f"{state}; no firewall rules: boards reach each other", "docker", fix)
    root = Path(str(info.get("DockerRootDir")))
    if not _is_elsewhere(info) and root.is_dir():
        yield room("free for Docker", root, DOCKER_FREE_MIB, "docker", "docker image prune")


def _is_elsewhere(info: Mapping[str, Any] | EdgeSimError) -> bool:
    return not isinstance(info, EdgeSimError) and info.get("KernelVersion") != platform.release()


def mosquitto() -> HostCheck:
    """Return which broker a run will use."""
    program = daemon("mosquitto")
    if program is None:
        state = "none: the embedded broker is used, MQTT 3.1.1 only"
        return _row("mosquitto", "different", state, OPTIONAL, "apt-get install mosquitto")
    text = run([program, "-h"], timeout=10, check=False).stdout.decode(errors="replace")
    version = re.search(r"version (\S+)", text)
    return _row("mosquitto", "ok", version[1] if version else program, OPTIONAL)


def packages() -> HostCheck:
    """Return whether what the extra [sim] names is installed; pip has looked at the versions."""
    try:
        requirements = importlib.metadata.requires("edge-sim") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    needed = [text for text in requirements if "extra" not in text or re.search("extra == ['\"]sim['\"]", text)]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in needed]
    absent = [name for name in names if not _installed(name)]
    if names and not absent:
        return _row("Python packages", "ok", f"{len(names)} of {len(names)}", BOTH)
    state = f"without {', '.join(absent) or 'edge-sim itself'}"
    return _row("Python packages", "missing", state, BOTH, f"For {sys.executable}: {INSTALL}")


def _installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def room(name: str, place: Path, wanted_mib: int, driver: DriverName, fix: str) -> HostCheck:
    """Return whether ``wanted_mib`` MiB are free at ``place``."""
    free = shutil.disk_usage(place).free // 2**20
    status: Status = "ok" if free >= wanted_mib else "missing"
    return _row(name, status, f"{free} MiB in {place}", driver, f"{wanted_mib} MiB are needed. {fix}")
