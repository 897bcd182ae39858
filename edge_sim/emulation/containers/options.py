"""How the engine is to make a board's container: pure, from a profile.

Least privilege: every capability is dropped but those that a core's own work needs, ``no-new-privileges`` is set,
devices are named one by one, memory, processors and processes are the profile's. SYS_ADMIN is granted only to a board
whose functions may run in containers: the agent then makes namespaces and mounts, as V1 did. The engine's own seccomp
profile stays; it lets mount, unshare and setns through exactly when SYS_ADMIN is granted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_sim.arch import ARCHITECTURES
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.boarditems import BoardPlan
from edge_sim.emulation.containers import devices

INIT = "/usr/lib/edge-sim/init.pyc"
"""``init`` in the image, compiled when that was built."""
PYTHON = "/usr/lib/edge-sim/python"
"""The agent's Python in the image: a link to the board's own, or what starts the bundle's."""
PIDS = 256
"""Processes and threads of a board; under QEMU each process has a thread more."""
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID")
"""What a core does as root: owners and modes of what it lays down, other users' files, functions with other ids."""
CONTAINER_CAPABILITIES = ("SYS_ADMIN", "SYS_CHROOT")
"""What containerised functions need on top: namespaces, mounts, a root of their own."""


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """What a board in a container is made with, beside its profile.

    ``contained``: functions may run in containers. ``life``: the board ends with whoever made it. ``volume``: the
    named volume of the Greengrass root. ``agent``: the module and the arguments of the program that the first process
    starts, none for a board without one. ``cpus``: how many this machine has.
    ``apparmor``: the engine confines containers with AppArmor, whose default profile refuses every mount.
    ``firewall``: the engine keeps members of a network apart. ``loops``: board path → its loop device.
    """

    name: str
    image: str
    network: str
    volume: str
    labels: Mapping[str, str]
    contained: bool = True
    life: bool = False
    agent: Sequence[str] = ()
    cpus: int
    apparmor: bool = False
    firewall: bool = True
    loops: Mapping[str, str] = field(default_factory=dict)


def for_create(profile: DeviceProfile, plan: BoardPlan, spec: ContainerSpec) -> dict[str, Any]:
    """Return the keyword arguments of the docker SDK's ``containers.create``."""
    memory = f"{profile.memory_kib}k"
    return {
        "image": spec.image,
        "name": spec.name,
        "entrypoint": [PYTHON, "-I", "-S", "-B", INIT],
        "command": [f"{profile.umask:04o}", *spec.agent],
        "hostname": profile.hostname,
        "user": "0:0",
        "working_dir": "/",
        "environment": environment(profile.architecture),
        "labels": dict(spec.labels),
        "network": spec.network,
        "cap_drop": ["ALL"],
        "cap_add": list(capabilities(contained=spec.contained)),
        "security_opt": list(_security(spec)),
        "devices": devices.passed(plan.devices, spec.loops),
        "volumes": {
            spec.volume: {"bind": profile.greengrass.root, "mode": "rw"},
            **{bind.source: {"bind": bind.path, "mode": "rw"} for bind in plan.binds},
        },
        "tmpfs": _tmpfs(plan),
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": min(profile.cpus, spec.cpus) * 1_000_000_000,
        "pids_limit": PIDS,
        "stdin_open": spec.life,
        "log_config": {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "1"}},
    }


def capabilities(*, contained: bool) -> tuple[str, ...]:
    """Return what the board's root may do."""
    return (*CAPABILITIES, *(CONTAINER_CAPABILITIES if contained else ()))


def environment(architecture: str) -> dict[str, str]:
    """Return the variables of every program on the board: which processor QEMU is to be, where that must be said."""
    cpu = ARCHITECTURES[architecture].qemu_cpu
    return {"QEMU_CPU": cpu} if cpu else {}


def for_init(profile: DeviceProfile, plan: BoardPlan, spec: ContainerSpec) -> dict[str, Any]:
    """Return what ``init`` reads at its PLAN: plain values, written as a Python literal."""
    return {
        "volumes": [profile.greengrass.root],
        "devices": devices.for_init(plan.devices),
        "may_mount": spec.contained,
        "life": spec.life,
    }


def notes(profile: DeviceProfile, plan: BoardPlan, spec: ContainerSpec) -> Iterator[str]:
    """Yield what differs from a real board, or what this container may do, one sentence each."""
    yield from devices.notes(plan.devices)
    capability_list = ", ".join(capabilities(contained=spec.contained))
    yield f"capabilities: {capability_list}" + (
        "" if spec.contained else "; none for mounts, so functions cannot run in containers"
    )
    if spec.contained:
        yield (
            "SYS_ADMIN and SYS_CHROOT are for containerised functions and their mounts; seccomp is the engine's own, "
            "which refuses pivot_root, so a function's root is moved into place"
        )
    if spec.contained and spec.apparmor:
        yield "AppArmor does not confine the board: the engine's own AppArmor profile refuses every mount"
    yield "the root file system is the container's writable layer, as a board's is writable; the image is never changed"
    if not spec.firewall:
        yield "boards reach each other: this machine's Docker engine sets no firewall rules (--iptables=false)"
    if profile.cpus > spec.cpus:
        yield f"{spec.cpus} processors instead of {profile.cpus}: this machine has no more"
    yield f"kernel: this machine's instead of {profile.kernel}; link protection and cgroups are this machine's, too"


def _security(spec: ContainerSpec) -> Iterator[str]:
    yield "no-new-privileges:true"
    if spec.contained and spec.apparmor:
        yield "apparmor=unconfined"


def _tmpfs(plan: BoardPlan) -> dict[str, str]:
    """``/run`` is in memory, so that it is empty after a restart; not where the scenario lays files there."""
    run = next((item for item in plan.items if item.path == "/run"), None)
    if run is None or run.type != "directory" or any(item.path.startswith("/run/") for item in plan.items):
        return {}
    return {"/run": "rw,exec,nosuid,nodev,mode=0755"}
