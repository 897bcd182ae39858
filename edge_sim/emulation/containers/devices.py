"""A container's device nodes, worked out before the container is made: pure, from the board's plan.

Nodes of the kernel and of this machine come from the engine, one ``--device`` for each; the board's first process
(``init``) gives them their groups and modes, and makes the pseudo terminals. Nothing needs CAP_MKNOD.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from edge_sim.emulation.boarddevices import BoardDevice
from edge_sim.emulation.peripherals import nmea

FRAMES = "/usr/lib/edge-sim/frames"
NMEA_SECONDS = 300
"""After this long the GPS receiver starts its way again; a board's first process reads it all at its start."""


def passed(devices: Sequence[BoardDevice], loops: Mapping[str, str]) -> list[str]:
    """Return the engine's device arguments, this machine's node at the board's path; ``loops`` has the board's own."""
    nodes = {device.path: _node(device, loops) for device in devices if device.backing != "pty"}
    return [f"{node}:{path}:rw" for path, node in nodes.items()]


def for_init(devices: Sequence[BoardDevice]) -> list[dict[str, Any]]:
    """Return what ``init`` has to know of each node; ``says`` has an entry a second, ``feeds`` are files."""
    return [
        {
            "path": device.path,
            "gid": device.gid,
            "mode": device.mode,
            "pty": device.backing == "pty",
            "says": list(_says(device)),
            "feeds": list(frames(device)),
        }
        for device in devices
    ]


def frames(device: BoardDevice) -> dict[str, str]:
    """Return where a device's frames lie on the board, with the files of this machine that they are."""
    place = f"{FRAMES}/{PurePosixPath(device.path).name}"
    return {f"{place}/{number:06}": file for number, file in enumerate(device.frames)}


def notes(devices: Sequence[BoardDevice]) -> Iterator[str]:
    """Yield one sentence for each kind of backing."""
    same: dict[str, list[str]] = {}
    for device in devices:
        same.setdefault(_what(device), []).append(device.path)
    yield from (f"{', '.join(paths)}: {what}" for what, paths in same.items())


def _what(device: BoardDevice) -> str:
    if device.backing == "pty":
        return "pseudo terminals" if not device.frames else f"a pseudo terminal that gives {len(device.frames)} files"
    if device.backing == "loop":
        return f"an empty loop device of {device.size_kib} KiB"
    return f"this machine's {device.host} answers there" if device.host else f"/dev/{device.backing} answers there"


def _node(device: BoardDevice, loops: Mapping[str, str]) -> str:
    return device.host or loops.get(device.path) or f"/dev/{device.backing}"


def _says(device: BoardDevice) -> Iterator[str]:
    if device.peer == "nmea":
        yield from (sentence.decode("ascii") for sentence in islice(nmea(), NMEA_SECONDS))
    elif device.peer == "lines":
        yield from (f"{line}\r\n" for line in device.lines)
