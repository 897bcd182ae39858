"""The device nodes of a simulated board: the profile's, with what a scenario puts behind some of them.

Both drivers make what is said here: a pseudo terminal with somebody who speaks, one of the kernel's own nodes, a block
device of this machine that only the board uses, or a node of this machine passed through.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_sim.deviceprofile import Device, DeviceProfile
from edge_sim.errors import InvalidDefinitionError

if TYPE_CHECKING:
    from edge_sim.scenario import DeviceBacking

BLOCK_LIMIT_KIB = 64 << 20
FRAMES_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True)
class BoardDevice:
    """A node below ``/dev`` and what answers there: ``backing`` is a profile's word, or ``loop`` or ``host``.

    ``lines`` (with peer ``lines``) are said, ``frames`` (with peer ``frames``) are files of this machine that are fed.
    ``size_kib`` is a loop device's, ``host`` the node that is passed through.
    """

    path: str
    gid: int
    mode: int
    backing: str
    peer: str
    lines: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    size_kib: int = 0
    host: str = ""


def devices(profile: DeviceProfile, backings: Sequence[DeviceBacking]) -> Iterator[BoardDevice]:
    """Yield the nodes that the board has.

    Raises InvalidDefinitionError for a backing whose node the profile has not, or that cannot stand behind it.
    """
    instead = {backing.path: backing for backing in backings}
    known = {device.path: device for device in profile.devices}
    for path in instead:
        if path not in known:
            raise _error(path, f"the board {profile.name} has no device there", f"Its devices: {_names(known)}")
    for device in profile.devices:
        plain = BoardDevice(
            path=device.path,
            gid=profile.groups[device.group],
            mode=device.mode,
            backing=device.backing,
            peer=device.peer,
        )
        backing = instead.get(device.path)
        if backing:
            yield _backed(plain, device, backing, profile)
        elif device.backing != "none":
            yield plain


def _backed(plain: BoardDevice, device: Device, backing: DeviceBacking, profile: DeviceProfile) -> BoardDevice:
    if backing.lines:
        if device.backing != "pty":
            serial = [other.path for other in profile.devices if other.backing == "pty"]
            raise _error(device.path, f"the board {profile.name} has no serial device there", _names(serial))
        return replace(plain, peer="lines", lines=_lines(device.path, backing.lines))
    if backing.frames:
        _refuse_other(device, "char", "only a character device supplies frames")
        return replace(plain, backing="pty", peer="frames", frames=_frames(device.path, backing.frames))
    if backing.size_kib is not None:
        _refuse_other(device, "block", "only a block device has a size")
        if not 0 < backing.size_kib <= BLOCK_LIMIT_KIB:
            raise _error(device.path, f"the size of a block device must be 1 KiB to {BLOCK_LIMIT_KIB >> 20} GiB")
        return replace(plain, backing="loop", peer="silent", size_kib=backing.size_kib)
    return replace(plain, backing="host", peer="silent", host=_node(device, backing.host))


def _lines(path: str, file: Path) -> tuple[str, ...]:
    try:
        return tuple(file.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise _error(path, f"{file} is not a text file") from error


def _frames(path: str, folder: Path) -> tuple[str, ...]:
    files = sorted(str(file.resolve()) for file in folder.iterdir() if file.is_file())
    if not any(Path(file).stat().st_size for file in files):
        raise _error(
            path, f"{folder} holds no frames", "Put frames there as files; they are used in the order of their names"
        )
    if len(files) > FRAMES_LIMIT:
        raise _error(path, f"{folder} holds more than {FRAMES_LIMIT} frames")
    return tuple(files)


def _node(device: Device, host: Path | None) -> str:
    """Return the path of a node of this machine, once it is one of the board's type."""
    try:
        mode = Path(host or "").stat().st_mode
    except OSError as error:
        raise _error(device.path, f"{host} on this machine: {error.strerror}") from error
    if (stat.S_ISCHR(mode), stat.S_ISBLK(mode)) != (device.type == "char", device.type == "block"):
        raise _error(device.path, f"{host} on this machine is not a {device.type} device")
    return str(host)


def _refuse_other(device: Device, kind: Literal["char", "block"], rule: str) -> None:
    if device.type != kind:
        raise _error(device.path, f"{rule}, but this is a {device.type} device")


def _names(paths: Sequence[str] | dict[str, Device]) -> str:
    return ", ".join(paths) or "none"


def _error(path: str, what: str, hint: str | None = None) -> InvalidDefinitionError:
    return InvalidDefinitionError(f"{path}: {what}", hint=f"{hint}." if hint else None)
