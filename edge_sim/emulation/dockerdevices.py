"""A container's device nodes, worked out before the container is made: pure, from the board's plan.

``/dev/null``, ``zero`` and ``random`` come from the engine, one ``--device`` for each node of the profile; the board's
first process (``dockerinit``) gives them their groups and modes, and makes the pseudo terminals. Nothing needs
CAP_MKNOD.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from edge_sim.emulation.boardroot import BoardDevice
from edge_sim.emulation.peripherals import nmea

NMEA_SECONDS = 300
"""After this long the GPS receiver starts its way again; a board's first process reads it all at its start."""


def passed(devices: Sequence[BoardDevice]) -> list[str]:
    """Return the engine's device arguments: the kernel's own node at the board's path."""
    return [f"/dev/{device.backing}:{device.path}:rw" for device in devices if device.backing != "pty"]


def for_init(devices: Sequence[BoardDevice]) -> list[dict[str, Any]]:
    """Return what ``dockerinit`` has to know of each node; ``says`` has an entry a second."""
    return [
        {
            "path": device.path,
            "gid": device.gid,
            "mode": device.mode,
            "pty": device.backing == "pty",
            "says": list(_says(device)),
        }
        for device in devices
    ]


def notes(devices: Sequence[BoardDevice]) -> Iterator[str]:
    """Yield one sentence for each kind of backing."""
    backings = {device.backing: None for device in devices}
    for backing in backings:
        paths = ", ".join(device.path for device in devices if device.backing == backing)
        what = "pseudo terminals" if backing == "pty" else f"/dev/{backing} answers there"
        yield f"{paths}: {what}"


def _says(device: BoardDevice) -> Iterator[str]:
    if device.peer == "nmea":
        yield from (sentence.decode("ascii") for sentence in islice(nmea(), NMEA_SECONDS))
    elif device.peer == "lines":
        yield from (f"{line}\r\n" for line in device.lines)
