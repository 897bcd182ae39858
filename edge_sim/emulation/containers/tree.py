"""What is laid into a board's container, as one tar archive with exact owners and modes.

The profile's accounts, directories and release files, the scenario's files, the factory core, the plan of the board's
first process, and the agent's configuration. What a local board would take from this machine is left out: in a
container the image has it. The first process waits for the last of it.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from edge_sim.emulation.boardroot import BoardPlan, Item
from edge_sim.emulation.containers import devices, init
from edge_sim.emulation.corebuild import install_core
from edge_sim.profiles import DeviceProfile

AGENT_CONFIG = "/etc/edge-sim/agent.json"
_ENGINES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Files that the engine lays over whatever is there."""
_KERNELS = ("/", "/dev", "/proc", "/sys")


def items(profile: DeviceProfile, plan: BoardPlan) -> tuple[Item, ...]:
    """Return the plan's items that belong into the container, parents first."""
    own = profile.directories()
    from_here = [bind.path for bind in plan.binds if bind.read_only]
    given = [PurePosixPath(bind.path) for bind in plan.binds if not bind.read_only]

    def is_the_boards(item: Item) -> bool:
        if item.path in (*_ENGINES, *_KERNELS) or (item.type == "link" and str(item.target).startswith("usr/")):
            return False
        if any(PurePosixPath(item.path).is_relative_to(bind) for bind in given):
            return False  # the engine lays the bind there, and what is in it belongs to this machine
        return item.path in own or not any(_related(item.path, place) for place in from_here)

    return tuple(item for item in plan.items if is_the_boards(item))


def own_files(init_plan: Mapping[str, Any], agent: Mapping[str, Any] | None) -> tuple[Item, ...]:
    """Return edge_sim's files on the board."""
    found = [Item(path=init.PLAN, type="file", mode=0o644, text=repr(dict(init_plan)))]
    if agent is not None:
        found.append(Item(path=str(PurePosixPath(AGENT_CONFIG).parent), type="directory", mode=0o700))
        found.append(Item(path=AGENT_CONFIG, type="file", mode=0o600, text=json.dumps(agent)))
    return tuple(found)


def frames(plan: BoardPlan) -> tuple[Item, ...]:
    """Return the files that the board's first process feeds to its devices; only root reads them."""
    files = {path: file for device in plan.devices for path, file in devices.frames(device).items()}
    folders = {str(folder): None for path in files for folder in list(PurePosixPath(path).parents)[1::-1]}
    directories = [Item(path=folder, type="directory", mode=0o700) for folder in folders]
    return (*directories, *(Item(path=path, type="file", mode=0o600, source=file) for path, file in files.items()))


def archive(laid: Sequence[Item], profile: DeviceProfile, core: str | None) -> IO[bytes]:
    """Return the archive, open at its beginning; closing it removes it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as into:
            for item in laid:
                _add(into, item)
            if core:
                for item in factory(profile, core):
                    _add(into, item)
            _add(into, Item(path=init.LAID, type="file", mode=0o644))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def factory(profile: DeviceProfile, version: str) -> Iterator[Item]:
    """Yield the Greengrass tree with the core as the factory leaves it, root's."""
    top = profile.greengrass.root
    with tempfile.TemporaryDirectory(prefix="edge-sim-core-") as place:
        install_core(
            Path(place),
            top,
            version,
            use_systemd=profile.init == "systemd",
            allow_functions_to_run_as_root=profile.greengrass.allow_functions_to_run_as_root,
        )
        start = Path(place) / top.lstrip("/")
        for path in (start, *sorted(start.rglob("*"))):
            yield _found(path, f"/{path.relative_to(place)}")


def _found(path: Path, name: str) -> Item:
    """Return an item for a path of this machine; of its mode only the executable bit counts, not this umask."""
    if path.is_symlink():
        return Item(path=name, type="link", target=str(path.readlink()))
    if path.is_dir():
        return Item(path=name, type="directory")
    mode = 0o755 if path.stat().st_mode & 0o100 else 0o600 if path.suffix == ".key" else 0o644
    return Item(path=name, type="file", mode=mode, text=path.read_text(encoding="utf-8"))


def _add(into: tarfile.TarFile, item: Item) -> None:
    entry = tarfile.TarInfo(item.path.lstrip("/"))
    entry.uid, entry.gid, entry.mode, entry.mtime = item.uid, item.gid, item.mode, int(time.time())
    if item.type == "directory":
        entry.type = tarfile.DIRTYPE
        into.addfile(entry)
    elif item.type == "link":
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, item.target or "", 0o777
        into.addfile(entry)
    elif item.source:
        with Path(item.source).open("rb") as content:
            entry.size = os.fstat(content.fileno()).st_size
            into.addfile(entry, content)
    else:
        data = item.text.encode()
        entry.size = len(data)
        into.addfile(entry, io.BytesIO(data))


def _related(path: str, place: str) -> bool:
    """Tell whether one of two paths is the other, or lies above or below it."""
    one, other = PurePosixPath(path), PurePosixPath(place)
    return one.is_relative_to(other) or other.is_relative_to(one)
