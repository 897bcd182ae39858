"""The block writes of one update, in order, and the disks that a power cut can leave of them.

The board's disk is a loop device on a FUSE export of ``qemu-storage-daemon``, whose ``blklogwrites`` writes down what
reaches it: writes and flushes, in their order. A disk keeps what was written before its last flush; of what came after
it, block by block, it may have anything. The model is dm-log-writes', with losses; ext4 replays its journal on each.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.process import ending_with
from tests.faults.board import Board, Update, board
from tests.faults.disk import SIZE, _run, _succeeds
from tests.waiting import until

_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
BLOCK = 4096
"""What a disk writes whole or not at all."""
PASSED_OVER = (".log", ".txt", ".lock")
"""Files whose content no update depends on."""
LOST = (1.0, 0.5, 0.15)
"""At each moment one disk has lost all that was not flushed, one some half of it, and one a little."""


@dataclass(frozen=True)
class Entry:
    """One entry of the log, which ends at ``end`` in it: blocks that were written, or none and a flush."""

    blocks: tuple[tuple[int, bytes], ...]
    flush: bool
    lasting: bool
    end: int


@dataclass(frozen=True, kw_only=True)
class State:
    """The disk after so many entries of the log, and the cloud's store as it was then.

    ``lost`` are the numbers of the blocks that did not reach the disk, of those written since the last flush.
    """

    update: Update
    folder: Path
    entries: int
    cloud: Path
    lost: frozenset[int] = frozenset()
    unflushed: int = 0

    def __str__(self) -> str:
        lost = f"{len(self.lost)} of {self.unflushed} blocks lost" if self.lost else "in order"
        return f"{self.update}, after {self.entries} writes and flushes, {lost}"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """How often an update wrote and flushed, how many disks were looked at, and those whose files differ.

    ``lossy`` of those that were looked at had lost blocks.
    """

    writes: int
    flushes: int
    looked_at: int
    lossy: int
    states: Sequence[State]


def record(base: Path, update: Update, _: Path) -> Recording:
    """Carry out ``update`` on a disk whose writes are logged, in a folder of its own below ``base``."""
    folder = base / f"{update.software}-{'good' if update.good else 'bad'}"
    folder.mkdir()
    image, log, export, place = (folder / name for name in ("image", "log", "export", "disk"))
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _copy(image, folder / "base")
    log.touch()
    export.touch()
    with ExitStack() as stack:
        ends_with_us = ending_with(os.getpid(), signal.SIGTERM)
        daemon = subprocess.Popen(_exporting(image, log, export), preexec_fn=ends_with_us)
        stack.callback(daemon.wait)
        stack.callback(daemon.send_signal, signal.SIGTERM)
        until(lambda: export.stat().st_size == SIZE, "the disk is not exported")
        _run("mount", "-o", "loop,errors=remount-ro", str(export), str(place))
        stack.callback(_succeeds, "umount", str(place))
        with board(folder / "board", update, place) as found:
            _run("sync", "-f", str(place))
            _keep_states(found, folder, log)
            agent = found.run_to_the_end(found.start())
            agent.wait_for(event="reported", job=found.job)
            _run("sync", "-f", str(place))
            over = log.stat().st_size
            found.down()
    return _look(folder, update, over)


def _exporting(image: Path, log: Path, export: Path) -> list[str]:
    return [
        *("qemu-storage-daemon", "--blockdev", f"file,node-name=disk,filename={image},discard=unmap"),
        *("--blockdev", f"file,node-name=log,filename={log}"),
        *("--blockdev", "blklogwrites,node-name=logged,file=disk,log=log", "--export"),
        f"type=fuse,id=export,node-name=logged,mountpoint={export},writable=on,growable=off,allow-other=off",
    ]


def _keep_states(found: Board, folder: Path, log: Path) -> None:
    """Keep the cloud's store as it is now, and after each message that it takes, named by the size of the log."""
    device: Any = found.here.cloud.device
    take = device.take

    def keep() -> None:
        with device._store._lock, closing(sqlite3.connect(folder / f"{log.stat().st_size:012}.sqlite")) as copy:
            device._store._db.backup(copy)

    def kept(batch: Sequence[tuple[str, bytes]]) -> None:
        take(batch)
        keep()

    keep()
    device.take = kept


def entries(log: Path) -> Iterator[Entry]:
    """Yield the writes and flushes in a log of ``blklogwrites``, in their order."""
    with log.open("rb") as file:
        _, _, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        file.seek(sector)
        for _number in range(count):
            start, length, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            file.seek(sector - _ENTRY.size, os.SEEK_CUR)
            data = b"" if flags & (_DISCARD | _MARK) else file.read(length * sector)
            blocks = tuple((start * sector + at, data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))
            if blocks or flags & _FLUSH:
                yield Entry(blocks, bool(flags & _FLUSH), bool(flags & _FUA), file.tell())


def lay(image: Path, state: State) -> None:
    """Make ``image`` the disk in this state."""
    _copy(state.folder / "base", image)
    unflushed: list[tuple[int, bytes]] = []
    with image.open("r+b") as disk:
        for number, entry in enumerate(entries(state.folder / "log"), start=1):
            if number > state.entries:
                break
            unflushed = _flushed(disk, entry, unflushed)
        _write(disk, [block for at, block in enumerate(unflushed) if at not in state.lost])


def _flushed(disk: Any, entry: Entry, unflushed: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Write to ``disk`` what it has for good after ``entry``; return what it may lose."""
    if entry.flush:
        _write(disk, unflushed)
        unflushed = []
    if entry.lasting:
        _write(disk, entry.blocks)
        return unflushed
    return [*unflushed, *entry.blocks]


def _write(disk: Any, blocks: Sequence[tuple[int, bytes]]) -> None:
    for offset, data in blocks:
        disk.seek(offset)
        disk.write(data)


def _look(folder: Path, update: Update, over: int) -> Recording:
    """Look at the disks that a power cut can leave between the job's begin and ``over``, a place in the log."""
    clouds = sorted(folder.glob("*.sqlite"))
    durable, place, chance = folder / "durable", folder / "looked-at", random.Random(str(update))
    place.mkdir()
    _copy(folder / "base", durable)
    seen: dict[tuple[str, str], State] = {}
    unflushed: list[tuple[int, bytes]] = []
    writes = flushes = looked_at = lossy = 0
    with durable.open("r+b") as disk:
        for number, entry in enumerate(entries(folder / "log"), start=1):
            unflushed = _flushed(disk, entry, unflushed)
            disk.flush()
            if not int(clouds[0].stem) <= entry.end <= over:
                continue
            writes, flushes = writes + bool(entry.blocks), flushes + entry.flush
            if not entry.blocks:  # a flush alone changes nothing, and takes losses away
                continue
            cloud = [each for each in clouds if int(each.stem) <= entry.end][-1]
            for lost in (frozenset[int](), *_losses(len(unflushed), chance)):
                state = State(
                    update=update, folder=folder, entries=number, cloud=cloud, lost=lost, unflushed=len(unflushed)
                )
                files = _files(durable, [block for at, block in enumerate(unflushed) if at not in lost], place)
                looked_at, lossy = looked_at + 1, lossy + bool(lost)
                seen.setdefault((files, cloud.name), state)
    states = list(seen.values())
    return Recording(writes=writes, flushes=flushes, looked_at=looked_at, lossy=lossy, states=states)


def _losses(count: int, chance: random.Random) -> list[frozenset[int]]:
    """Return which of ``count`` blocks are lost, each choice once."""
    drawn = [frozenset(at for at in range(count) if chance.random() < share) for share in LOST]
    return list(dict.fromkeys(lost for lost in drawn if lost))


def _files(durable: Path, blocks: Sequence[tuple[int, bytes]], place: Path) -> str:
    """Return a digest of what an update may depend on in the files of a disk that has lost its power.

    The disk has what is in ``durable`` and ``blocks``; ext4 replays its journal, and has to be whole then.
    """
    copy = durable.with_name("look")
    _copy(durable, copy)
    with copy.open("r+b") as disk:
        _write(disk, blocks)
    digest = hashlib.sha256()
    _run("mount", "-o", "loop", str(copy), str(place))
    try:
        for path in sorted(place.rglob("*")):
            about = path.lstat()
            digest.update(f"{path.relative_to(place)} {about.st_mode:o}\n".encode())
            if path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif path.is_file() and path.suffix not in PASSED_OVER:
                digest.update(path.read_bytes())
    finally:
        _run("umount", str(place))
    _run("e2fsck", "-f", "-n", str(copy))
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Copy an image, holes as holes."""
    _run("cp", "--sparse=always", str(source), str(target))
