"""What is read on a board for its certificate: header bytes, /proc, /etc, control groups, and one small experiment.

``edge_sim.certificate`` judges it. Files of the board are below ``root``; the kernel's, and the programs that run, are
those of whoever asks, which on a real board and in a container is the same.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from edge_sim.agent.elf import elf_header, running_emulator
from edge_sim.agent.probe import probe
from edge_sim.agent.rooted import inside
from edge_sim.certificate import LINK_PROTECTION, Claims, Observed
from edge_sim.errors import EdgeSimError, UsageError
from edge_sim.jsonobject import JsonObject
from edge_sim.process import run

_LIMIT_S = 20.0
"""For a program that only prints a line: under QEMU one that meets an unknown instruction can hang."""
_CGROUPS = Path("/sys/fs/cgroup")


def read_claims(text: str) -> Claims:
    """Return the claims in a profile's JSON; raises UsageError for anything else."""
    try:
        profile = JsonObject.parse(text, "the profile")
    except ValueError as error:
        raise UsageError(f"--expect: {error}", hint="edge-sim profiles show NAME --format json prints one.") from error
    return Claims.from_json(profile)


def observe(root: Path) -> Observed:
    """Look at the board below ``root``. What cannot be found out is None, or says so; it is no error."""
    facts, uname, status = probe(root), os.uname(), _fields("/proc/self/status")
    emulator = running_emulator()
    set_id, reason = _set_id(root, emulator)
    libc, libc_version = _libc()
    return Observed(
        machine=uname.machine,
        kernel=uname.release,
        cpuinfo=_fields("/proc/cpuinfo"),
        elf=elf_header(Path(shutil.which("sh") or sys.executable)),
        emulator=emulator,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        libc=libc,
        libc_version=libc_version,
        os_release=_release(inside(root, "/etc/os-release")),
        base_release=_release(inside(root, "/usr/lib/os-release")),
        users={name: (user.uid, user.gid) for name, user in facts.users.items()},
        groups=facts.groups,
        set_id=set_id,
        set_id_reason=reason,
        links={name: _text(Path("/proc/sys/fs") / name).strip() or None for name in LINK_PROTECTION},
        umask=int(status["Umask"], 8) if "Umask" in status else _umask(),
        cgroup=cgroup_version(_text(Path("/proc/self/cgroup"))),
        memory_kib=facts.memory_kib,
        memory_limit_kib=_memory_limit(facts.memory_kib),
        cpus=len(os.sched_getaffinity(0)),
        cpu_quota=_cpu_quota(),
    )


def cgroup_version(text: str) -> str:
    """Return v1, v2 or none for a /proc/PID/cgroup; v1 where the hierarchies a core uses are of version 1."""
    controllers = {name for line in text.splitlines() for name in line.split(":")[1].split(",") if line.count(":") >= 2}
    if {"memory", "devices"} <= controllers:
        return "v1"
    return "v2" if "0::" in text else "none"


def _set_id(root: Path, emulator: str | None) -> tuple[bool | None, str]:
    """Try whether a copy of ``id`` with the set-group-id bit gets the file's group; with the reason if not."""
    program = shutil.which("id")
    if program is None or Path(program).resolve().name == "busybox":  # busybox gives such rights back at once
        return None, "not checked: no program is available to try it with"
    try:
        with tempfile.TemporaryDirectory(dir=inside(root, "/tmp"), prefix=".set-id-") as place:
            copy = Path(shutil.copy(program, place))
            other = next(gid for gid in (1, 2) if gid != os.getegid())
            os.chown(copy, -1, other)
            copy.chmod(0o2755)
            text = run([str(copy), "-g"], timeout=_LIMIT_S).stdout.decode().strip()
            if text == str(other):
                return True, ""
            return False, _why_ignored(os.statvfs(place).f_flag, emulator)
    except (OSError, EdgeSimError) as error:
        return None, f"not checked: {error}"


def _why_ignored(flags: int, emulator: str | None) -> str:
    if _fields("/proc/self/status").get("NoNewPrivs") == "1":
        return "the board runs with no-new-privileges"
    if flags & os.ST_NOSUID:
        return "its file system is mounted nosuid"
    return f"{emulator} is registered without the flag C" if emulator else "the kernel ignores them"


def _libc() -> tuple[str, str | None]:
    """Return name and version of the C library that the board's programs run on; an agent may bring its own."""
    with suppress(EdgeSimError):
        name, _, version = run(["getconf", "GNU_LIBC_VERSION"], timeout=_LIMIT_S).stdout.decode().strip().partition(" ")
        if name:
            return name, version
    for loader in sorted(Path("/lib").glob("ld-musl-*.so.1")):
        text = run([str(loader)], timeout=_LIMIT_S, check=False).stderr.decode(errors="replace")
        return "musl", next((line.split()[1] for line in text.splitlines() if line.startswith("Version ")), None)
    return "unknown", None


def _memory_limit(total_kib: int) -> int | None:
    limits = [int(text) // 1024 for text in _limits("memory", "memory.limit_in_bytes", "memory.max") if text.isdigit()]
    return next((limit for limit in limits if limit < total_kib), None)


def _cpu_quota() -> float | None:
    """Return how many processors' time the control group gives, None without a limit."""
    for text in _limits("cpu", "cpu.cfs_quota_us", "cpu.max"):
        quota, _, period = text.partition(" ")
        period = period or next(_limits("cpu", "cpu.cfs_period_us", "cpu.max"), "")
        if quota.isdigit() and period.isdigit():
            return int(quota) / int(period)
    return None


def _limits(controller: str, v1: str, v2: str) -> Iterator[str]:
    """Yield what our control group's file holds, of either version; in a container it lies at the mount itself."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            tops, name = (_CGROUPS / names, _CGROUPS / controller), v1
        elif not names:
            tops, name = (_CGROUPS, _CGROUPS / "unified"), v2
        else:
            continue
        texts = (_text(place / name).strip() for top in tops for place in (top / path.lstrip("/"), top))
        yield from filter(None, texts)


def _release(file: Path) -> Mapping[str, str]:
    lines = (line.partition("=") for line in _text(file).splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in lines}


def _fields(path: str) -> dict[str, str]:
    """Return ``key: value`` lines; of a key that comes again the first counts, which is cpuinfo's first processor."""
    fields: dict[str, str] = {}
    for line in _text(Path(path)).splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
