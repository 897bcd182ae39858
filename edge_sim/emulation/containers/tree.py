"""What is laid into a board's container, as one tar archive with exact owners and modes.

The board's plan, the plan of its first process, and the agent's configuration. The first process waits for the last of
it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from edge_sim.emulation import itemtar
from edge_sim.emulation.boarditems import BoardPlan, Item
from edge_sim.emulation.containers import devices, init

AGENT_CONFIG = "/etc/edge-sim/agent.json"
FILES = {
    "cafile": "/etc/edge-sim/broker-ca.pem",
    "certificate": "/etc/edge-sim/certificate.pem",
    "key": "/etc/edge-sim/private-key.pem",
}
"""Where a board has the files that its agent's configuration names."""
ENGINES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Files that the engine lays over any others."""
_KERNELS = ("/", "/dev", "/proc", "/sys")


def items(plan: BoardPlan) -> tuple[Item, ...]:
    """Return the plan's items that are laid into the container, parents first.

    Directories above them that the plan does not have are the image's, or made by the engine: root's, 0755.
    """
    return tuple(item for item in plan.items if item.path not in (*ENGINES, *_KERNELS))


def notes(plan: BoardPlan) -> Iterator[str]:
    """Yield a sentence for each file of the scenario that the engine covers with its own."""
    covered = [item.path for item in plan.items if item.path in ENGINES and item.source]
    yield from (f"{path} is the Docker engine's, not the scenario's" for path in covered)


def own_files(
    init_plan: Mapping[str, Any], agent: Mapping[str, Any], files: Mapping[str, Path] | None = None
) -> tuple[Item, ...]:
    """Return edge_sim's files on the board; ``agent`` is its agent's configuration, empty for none.

    ``files`` are files of this machine, by the agent's setting that names them.
    """
    items = [Item(path=init.PLAN, type="file", mode=0o644, text=repr(dict(init_plan)))]
    if agent:
        items.append(Item(path=str(PurePosixPath(AGENT_CONFIG).parent), type="directory", mode=0o700))
        items.append(Item(path=AGENT_CONFIG, type="file", mode=0o600, text=json.dumps(agent)))
    for name, file in (files or {}).items():
        mode = 0o400 if name == "key" else 0o644
        items.append(Item(path=FILES[name], type="file", mode=mode, source=str(file)))
    return tuple(items)


def frames(plan: BoardPlan) -> tuple[Item, ...]:
    """Return the files that the board's first process feeds to its devices; only root reads them."""
    files = {path: file for device in plan.devices for path, file in devices.frames(device).items()}
    folders = {str(folder): None for path in files for folder in list(PurePosixPath(path).parents)[1::-1]}
    directories = [Item(path=folder, type="directory", mode=0o700) for folder in folders]
    return (*directories, *(Item(path=path, type="file", mode=0o600, source=file) for path, file in files.items()))


def archive(items: Sequence[Item]) -> IO[bytes]:
    """Return the archive, open at its beginning; closing it removes it."""
    return itemtar.archive((*items, Item(path=init.TREE_LAID, type="file", mode=0o644)))
