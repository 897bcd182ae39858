"""The keys of a device profile for what only a running system tells: control groups, mounts, programs on PATH."""

from __future__ import annotations

from typing import get_args

from edge_sim import keys
from edge_sim.documents import Place
from edge_sim.facts import MOUNT_FLAGS, PROGRAMS, SUBSYSTEMS, UPDATE_TOOLS, CgroupVersion
from edge_sim.keys import Key, KeyTable, Value

_CGROUP_VERSIONS: tuple[CgroupVersion, ...] = get_args(CgroupVersion)
_GNU = "gnu"
CGROUP_VERSION = Key("version", keys.choice(_CGROUP_VERSIONS), "Which version is mounted.")
_SUBSYSTEM_LIST = keys.each(keys.choice(SUBSYSTEMS))
CGROUP_SUBSYSTEMS = Key(
    "subsystems",
    Value(read=lambda place: frozenset(_SUBSYSTEM_LIST.read(place)), schema=_SUBSYSTEM_LIST.schema),
    "Which of the version 1 subsystems that V1 needs are mounted; omit it if unknown.",
    None,
)
_CGROUP_TABLE = KeyTable(keys=(CGROUP_VERSION, CGROUP_SUBSYSTEMS))
_PROGRAM_KEYS = tuple(Key(name, keys.FLAG, f"Whether {name} is on PATH.", None) for name in PROGRAMS)
_PROGRAM_TABLE = KeyTable(keys=_PROGRAM_KEYS)


def _read_programs(place: Place) -> dict[str, bool]:
    entries = _PROGRAM_TABLE.read(place)
    return {key.name: present for key in _PROGRAM_KEYS if (present := entries[key]) is not None}


_TOOLS = keys.choice((_GNU, "busybox"))
CGROUPS = Key(
    "cgroups",
    keys.table(_CGROUP_TABLE.read, _CGROUP_TABLE),
    "How control groups are mounted; omit it if unknown.",
    None,
)
_FLAG_LIST = keys.each(keys.choice(MOUNT_FLAGS))
_FLAGS = Value(read=lambda place: frozenset(_FLAG_LIST.read(place)), schema=_FLAG_LIST.schema)
_POINTS = keys.named(_FLAGS, "mount points to flags")


def _read_mounts(place: Place) -> dict[str, frozenset[str]]:
    for point, entry in place.entries().items():
        if not point.startswith("/"):
            entry.fail(f"{point!r} is not an absolute path")
    return _POINTS.read(place)


MOUNTS = Key(
    "mounts",
    Value(read=_read_mounts, schema={**_POINTS.schema, "propertyNames": {"pattern": "^/"}}),
    "Mount points and those of their flags that matter; paths below none of them are unknown. Only judged: "
    "simulated boards have mounts of their own.",
    {},
)
TOOLS = Key(
    "update_tools",
    Value(read=lambda place: dict.fromkeys(UPDATE_TOOLS, _TOOLS.read(place) == _GNU), schema=_TOOLS.schema),
    "The shell commands that the OTA update agent calls (wget, tar, readlink …, /bin/bash): gnu if the board has them, "
    "busybox if they are BusyBox's, which are not enough; omit it if unknown.",
    {},
)
ON_PATH = Key(
    "programs",
    keys.table(_read_programs, _PROGRAM_TABLE),
    "Whether a program is on PATH under the exact name that V1 looks for: the interpreters, and each of the update "
    "agent's commands that differs from update_tools. Programs that are not listed are unknown.",
    {},
)
