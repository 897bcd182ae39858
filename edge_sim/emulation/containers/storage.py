"""A board's storage: the file system of its Greengrass root, and block devices of its own.

The Greengrass root is a named volume; as root: an ext4 in a sparse file behind a loop device, which the engine mounts.
Without root: a plain volume as large as the engine's disk, and a note that says so. The file behind a loop device has
no name any more once the device holds it, so that nothing but the device is left to remove; the board's data live until
it is removed or this machine restarts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim import interrupts
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.process import run

LOOP_LABEL = "edge-sim.loop"
"""Of a volume: its device. Of a container: its block devices, separated by spaces."""
_LIMIT_S = 60.0
_CONFLICT = 409
_EXT4 = ("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "nodiscard")
"""Without a journal: the file system does not outlive the machine's power."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """``volume``: its name at the engine. ``note``: what it is, one sentence."""

    volume: str
    note: str


def make(engine: Any, name: str, place: str, size_kib: int, labels: Mapping[str, str]) -> Storage:
    """Make the volume ``name`` for the board's path ``place``. Raises UnsupportedEnvironmentError."""
    import docker

    loop, why = _loop_device(name, size_kib, _EXT4)
    options = {"type": "ext4", "device": loop} if loop else {}
    marked = {**labels, **({LOOP_LABEL: loop} if loop else {})}
    try:
        engine.volumes.create(name, driver="local", driver_opts=options, labels=marked)
    except docker.errors.APIError as error:
        detach(loop, name)
        raise UnsupportedEnvironmentError(f"Docker refused to create volume {name}: {error.explanation}") from error
    except BaseException:
        detach(loop, name)
        raise
    size = f"{size_kib // 1024} MiB"
    if loop:
        return Storage(volume=name, note=f"{place} is an ext4 of {size} on a loop device; / itself has no limit")
    return Storage(volume=name, note=f"the board's {size} of storage are not enforced here: {why}")


def remove(engine: Any, name: str) -> None:
    """Remove a volume and the device behind it; a missing one is no fault."""
    import docker

    with interrupts.hold():  # between the two only the volume knows its device
        try:
            volume = engine.volumes.get(name)
            volume.remove(force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            raise UnsupportedEnvironmentError(f"could not remove volume {name}: {error.explanation}") from error
        detach((volume.attrs.get("Labels") or {}).get(LOOP_LABEL), name)


def block_device(name: str, path: str, size_kib: int) -> str:
    """Return an empty loop device for the node ``path`` of the board whose container is ``name``.

    ``remove_container`` lets it go. Raises UnsupportedEnvironmentError.
    """
    loop, why = _loop_device(name, size_kib, ())
    if loop is None:
        raise UnsupportedEnvironmentError(f"{path}: cannot provide a block device here: {why}")
    return loop


def remove_container(container: Any) -> None:
    """Remove a board's container and the block devices behind its nodes; a missing one is no fault."""
    import docker

    loops = str(container.labels.get(LOOP_LABEL) or "").split()
    with interrupts.hold():
        with contextlib.suppress(docker.errors.NotFound):
            try:
                container.remove(force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code != _CONFLICT:
                    raise
                container.wait(condition="removed", timeout=_LIMIT_S)  # another process removes it
        for loop in loops:
            detach(loop, container.name)


def _loop_device(name: str, size_kib: int, format_: Sequence[str]) -> tuple[str | None, str]:
    """Return a loop device on which ``format_`` has been run, or None and the reason."""
    if os.geteuid() != 0:
        return None, "a loop device needs root"
    missing = [program for program in (*format_[:1], "losetup") if not shutil.which(program)]
    if missing:
        return None, f"{missing[0]} is not installed"
    descriptor, file = tempfile.mkstemp(prefix=f"{name}-", suffix=".disk")
    try:
        os.truncate(descriptor, size_kib * 1024)
        if format_:
            run([*format_, file], timeout=_LIMIT_S)
        return run(["losetup", "--find", "--show", file], timeout=_LIMIT_S).stdout.decode().strip(), ""
    except UnsupportedEnvironmentError as error:
        return None, f"{error.brief} ({error.details})" if error.details else error.brief
    finally:
        os.close(descriptor)
        Path(file).unlink()


def detach(loop: str | None, name: str) -> None:
    """Let the device go, provided that it is still the one of this volume."""
    if not loop:
        return
    if _is_of(loop, name):
        result = run(["losetup", "--detach", loop], timeout=_LIMIT_S, check=False)
        if result.returncode and _is_of(loop, name):  # it is not so where another process was faster
            raise UnsupportedEnvironmentError(
                f"could not detach {loop}", details=result.stderr.decode(errors="replace").strip()
            )


def _is_of(loop: str, name: str) -> bool:
    backing = Path("/sys/block") / Path(loop).name / "loop/backing_file"
    try:
        return f"/{name}-" in backing.read_text(encoding="utf-8")
    except OSError:
        return False
