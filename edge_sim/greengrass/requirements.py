"""What V1's core software needs of a board: each requirement of the developer guide, held against a board's facts.

Source, where a requirement names no other: what-is-gg.md, "Supported platforms and requirements". Pure; the rules
``board-*`` turn what is unmet into findings where a group needs it, ``edge-sim doctor --profile`` lists all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from edge_sim.facts import INTERPRETERS, SUBSYSTEMS, UPDATE_TOOLS, HostFacts
from edge_sim.versions import numbers

Subject = Literal["core", "containers", "functions", "stream manager", "updates"]
"""What does not work where a requirement is unmet: the whole core, functions in containers, one runtime or feature."""
State = Literal["met", "unmet", "unknown"]

GUIDE = "what-is-gg.md (requirements)"
CGROUPS_TEXT = "The following cgroup subsystems are not mounted: <subsystems>"
"""A core's launcher, as printed in aws-greengrass-samples issue 41."""
SOCKET_TEXT = "stat /greengrass/ggc/socket/greengrass_ipc.sock: permission denied"
SOCKET_PATH_TEXT = (
    "ds server failed to start listening to socket: listen unix <ggc-path>/ggc/socket/greengrass_ipc.sock: bind: "
    "invalid argument"
)
_ROOT_BYTES = 79
_KERNEL, _CONTAINER_KERNEL = (3, 17), (4, 4)
_LIBCS = {"glibc": (2, 14), "musl": (1, 1, 16)}
_UMASK = 0o022
_MIB = 1024
_MB_KIB = 1000 * 1000 / 1024
_MEMORY_KIB, _STREAM_MEMORY_KIB = round(128 * _MB_KIB), round(198 * _MB_KIB)
_DISK_KIB, _UPDATE_DISK_KIB = round(128 * _MB_KIB), round(400 * _MB_KIB)


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One requirement on one board: what the board has, what V1 needs, and what happens without it.

    ``aws_text`` is what a core printed, where that is known.
    """

    fact: str
    subject: Subject
    has: str
    needs: str
    state: State
    consequence: str
    source: str = GUIDE
    aws_text: str | None = None

    @property
    def as_json(self) -> dict[str, str | None]:
        return asdict(self)


def requirements(facts: HostFacts) -> tuple[Requirement, ...]:
    """Return every requirement on a board, those of the whole core first."""
    return (*_core(facts), *_containers(facts), *_features(facts))


def _core(facts: HostFacts) -> Iterator[Requirement]:
    kernel = numbers(facts.kernel)
    yield Requirement(
        fact="kernel",
        subject="core",
        has=facts.kernel or "not known",
        needs="3.17 or newer",
        state=_at_least(kernel, _KERNEL),
        consequence="the core does not run",
    )
    least = _LIBCS[facts.libc] if facts.libc in _LIBCS else _LIBCS["glibc"]
    yield Requirement(
        fact="C library",
        subject="core",
        has=f"{facts.libc} {facts.libc_version}".strip(),
        needs="glibc 2.14 or newer; on OpenWrt musl 1.1.16 or newer",
        state=_at_least(numbers(facts.libc_version), least),
        consequence="the core does not run",
    )
    yield from _start(facts)
    yield _size("memory", "core", facts.memory_kib, _MEMORY_KIB, "128 MB", "the core has too little memory")
    yield _size("storage", "core", facts.storage_kib, _DISK_KIB, "128 MB", "the core software has no room")
    lacking = [
        what
        for what, known in (
            (f"user {facts.greengrass.user}", facts.greengrass.user in facts.users),
            (f"group {facts.greengrass.group}", facts.greengrass.group in facts.groups),
        )
        if not known
    ]
    whole = {"users", "groups"} <= facts.whole
    yield Requirement(
        fact="accounts",
        subject="core",
        has=f"no {' and no '.join(lacking)}" if lacking else f"{facts.greengrass.user}, {facts.greengrass.group}",
        needs="ggc_user and ggc_group, unless the group's default identity names others",
        state="met" if not lacking else "unmet" if whole else "unknown",
        consequence="deployments fail",
        source="gg-troubleshooting.md; lambda-group-config.md",
    )


def _start(facts: HostFacts) -> Iterator[Requirement]:
    umask = facts.umask
    yield Requirement(
        fact="umask",
        subject="core",
        has="not known" if umask is None else f"{umask:04o}",
        needs="0022 or less strict",
        state="unknown" if umask is None else _state(not umask & ~_UMASK & 0o777),
        consequence="the core software does not start",
        source="gg-troubleshooting.md (umask)",
        aws_text=SOCKET_TEXT,
    )
    root = facts.greengrass.root
    yield Requirement(
        fact="install path",
        subject="core",
        has=root,
        needs=f"fewer than {_ROOT_BYTES} bytes",
        state=_state(met=len(root.encode()) < _ROOT_BYTES),
        consequence="the core software does not start",
        source="gg-troubleshooting.md (greengrass_ipc.sock: invalid argument)",
        aws_text=SOCKET_PATH_TEXT.replace("<ggc-path>", root),
    )


def _containers(facts: HostFacts) -> Iterator[Requirement]:
    yield Requirement(
        fact="kernel for containers",
        subject="containers",
        has=facts.kernel or "not known",
        needs="4.4 or newer",
        state=_at_least(numbers(facts.kernel), _CONTAINER_KERNEL),
        consequence="functions run only without containers, and the group's default must be NoContainer",
    )
    missing = missing_subsystems(facts)
    has: str = facts.cgroups or "not known"
    if facts.cgroups == "v1" and facts.cgroup_subsystems is not None:
        has += f" with {', '.join(sorted(facts.cgroup_subsystems)) or 'no subsystem'}"
    yield Requirement(
        fact="cgroups",
        subject="containers",
        has=has,
        needs="memory and devices of version 1, mounted",
        state="unknown" if missing is None else _state(not missing),
        consequence="no function starts in a container",
        source=f"{GUIDE}; that version 2 is not enough: aws-greengrass-samples issue 41",
        aws_text=CGROUPS_TEXT.replace("<subsystems>", ", ".join(missing)) if missing else None,
    )


def _features(facts: HostFacts) -> Iterator[Requirement]:
    yield _size(
        *("memory for stream manager", "stream manager", facts.memory_kib, _STREAM_MEMORY_KIB, "198 MB"),
        "stream manager has too little memory",
    )
    java = facts.has_program("java8")
    yield Requirement(
        fact="Java",
        subject="stream manager",
        has={True: "java8", False: "no java8", None: "not known"}[java],
        needs="Java 8, as java8 on PATH",
        state="unknown" if java is None else _state(java),
        consequence="stream manager does not start, and the deployment fails",
        source="stream-manager.md; gg-troubleshooting.md",
        aws_text="Unable to find java or java8 executables" if java is False else None,
    )
    yield from map(partial(_interpreter, facts), INTERPRETERS)
    yield from _updates(facts)


def _interpreter(facts: HostFacts, name: str) -> Requirement:
    has = facts.has_program(name)
    return Requirement(
        fact=name,
        subject="functions",
        has={True: name, False: f"no {name}", None: "not known"}[has],
        needs=f"{name} on PATH",
        state="unknown" if has is None else _state(has),
        consequence="functions with this runtime do not start",
        source=f"{GUIDE}; lambda-functions.md",
    )


def _updates(facts: HostFacts) -> Iterator[Requirement]:
    yield _size("storage for updates", "updates", facts.storage_kib, _UPDATE_DISK_KIB, "400 MB", "OTA updates fail")
    missing = [name for name in UPDATE_TOOLS if facts.has_program(name) is False]
    open_ = [name for name in UPDATE_TOOLS if facts.has_program(name) is None]
    if missing:
        has, state = f"missing or BusyBox's: {', '.join(missing)}", _state(met=False)
    elif open_:
        has, state = f"not known: {', '.join(open_)}" if len(open_) < len(UPDATE_TOOLS) else "not known", "unknown"
    else:
        has, state = "all of them", "met"
    yield Requirement(
        fact="tools for updates",
        subject="updates",
        has=has,
        needs="shell commands (wget, tar, readlink and others) that are not BusyBox's, and /bin/bash",
        state=state,
        consequence="the OTA update agent does not work",
    )
    proxy = facts.greengrass.network_proxy
    yield Requirement(
        fact="network proxy",
        subject="updates",
        has={True: "coreThing.networkProxy in config.json", False: "none", None: "not known"}[proxy],
        needs="none",
        state="unknown" if proxy is None else _state(not proxy),
        consequence="OTA updates are not supported",
        source="core-ota-update.md (requirements); gg-core.md (network proxy)",
    )


def missing_subsystems(facts: HostFacts) -> tuple[str, ...] | None:
    """Return the cgroup subsystems of version 1 that containers need and the board has not mounted; None: not known."""
    if facts.cgroups == "v2":
        return SUBSYSTEMS
    if facts.cgroups is None or facts.cgroup_subsystems is None:
        return None
    return tuple(name for name in SUBSYSTEMS if name not in facts.cgroup_subsystems)


def _size(fact: str, subject: Subject, kib: int, least: int, needs: str, consequence: str) -> Requirement:
    return Requirement(
        fact=fact,
        subject=subject,
        has=f"{kib // _MIB} MiB" if kib else "not known",
        needs=needs,
        state=_state(kib >= least) if kib else "unknown",
        consequence=consequence,
    )


def _state(met: bool) -> State:
    return "met" if met else "unmet"


def _at_least(has: tuple[int, ...], least: tuple[int, ...]) -> State:
    return _state(has >= least) if has else "unknown"
