"""Every block write of one update, replayed: a disk as it would be had the power failed right after each of them.

``python -m tests.faults.blocks [COUNT [SEED]]``, as root. The board's disk is a loop device on a FUSE export of
``qemu-storage-daemon``, whose ``blklogwrites`` writes down what reaches it, in order. Of each state the files are
looked at; of those that differ COUNT are drawn (``trials.draw``), and from each the board is started with a cloud that
knows what the real one knew at that moment. The update must go on to its end.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.agent import linux
from tests.faults.board import Board, Update, board, check
from tests.faults.disk import SIZE, _run, _succeeds
from tests.faults.trials import carry_out, draw, end, failed
from tests.waiting import until

COUNT = 40
_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
PASSED_OVER = (".log", ".txt", ".lock")
"""Files whose content no update depends on."""


@dataclass(frozen=True)
class Write:
    """One write to the disk: ``end`` is where its entry ends in the log."""

    offset: int
    data: bytes
    end: int


@dataclass(frozen=True)
class State:
    """The disk after so many writes, and the cloud's store as it was then."""

    folder: Path
    writes: int
    cloud: Path

    def __str__(self) -> str:
        return f"after {self.writes} block writes"


def record(folder: Path) -> None:
    """Carry out one update on a disk whose writes are logged, and leave image, log and the cloud's states."""
    image, log, export, place = (folder / name for name in ("image", "log", "export", "disk"))
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    shutil.copy(image, folder / "base")
    log.touch()
    export.touch()
    with ExitStack() as stack:
        daemon = subprocess.Popen(_exporting(image, log, export))
        stack.callback(daemon.wait)
        stack.callback(daemon.send_signal, signal.SIGTERM)
        until(lambda: export.stat().st_size == SIZE, "the disk is not exported")
        device = subprocess.check_output(["losetup", "--find", "--show", str(export)], text=True).strip()
        stack.callback(_succeeds, "losetup", "--detach", device)
        _run("mount", "-o", "errors=remount-ro", device, str(place))
        stack.callback(_succeeds, "umount", str(place))
        with board(folder / "board", Update(), place) as found:
            _run("sync", "-f", str(place))
            _keep_states(found, folder, log)
            agent = found.run_to_the_end(found.start())
            agent.wait_for(event="reported", job=found.job)
            _run("sync", "-f", str(place))
            (folder / "until").write_text(str(log.stat().st_size))
            found.down()


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


def writes(log: Path) -> Iterator[Write]:
    """Yield the writes in a log of ``blklogwrites``, in their order."""
    with log.open("rb") as file:
        _, _, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        file.seek(sector)
        for _number in range(count):
            start, length, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            file.seek(sector - _ENTRY.size, os.SEEK_CUR)
            data = b"" if flags & (_DISCARD | _MARK) else file.read(length * sector)
            if data:
                yield Write(start * sector, data, file.tell())


def states(folder: Path) -> tuple[int, list[State]]:
    """Return how many writes there are since the job began, and the states after them that differ in their files."""
    clouds = sorted(folder.glob("*.sqlite"))
    image, place = folder / "replayed", folder / "looked-at"
    place.mkdir()
    shutil.copy(folder / "base", image)
    seen: set[tuple[str, str]] = set()
    different: list[State] = []
    begun, over = int(clouds[0].stem), int((folder / "until").read_text())
    number = 0
    with image.open("r+b") as disk:
        for count, write in enumerate(writes(folder / "log"), start=1):
            disk.seek(write.offset)
            disk.write(write.data)
            disk.flush()
            if not begun <= write.end <= over:
                continue
            number += 1
            cloud = [each for each in clouds if int(each.stem) <= write.end][-1]
            key = _files(image, folder / "look", place), cloud.name
            if key not in seen:
                seen.add(key)
                different.append(State(folder, count, cloud))
    return number, different


def _files(image: Path, copy: Path, place: Path) -> str:
    """Return a digest of what an update may depend on in the files of a disk that has lost its power."""
    shutil.copy(image, copy)
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
    return digest.hexdigest()


def recover(state: State, folder: Path) -> str:
    """Start the board on a disk in this state and return the job's status in the end."""
    image, place = folder / "image", folder / "disk"
    place.mkdir()
    shutil.copy(state.folder / "base", image)
    with image.open("r+b") as disk:
        for count, write in enumerate(writes(state.folder / "log"), start=1):
            if count > state.writes:
                break
            disk.seek(write.offset)
            disk.write(write.data)
    with board(folder / "board", Update(), place) as found:
        settings = found.here.config.read_text()
        _run("mount", "-o", "loop,errors=remount-ro", str(image), str(place))
        try:
            found.here.config.write_text(settings)
            store: Any = found.here.cloud.device.records._store
            with store._lock, closing(sqlite3.connect(state.cloud)) as kept:
                kept.backup(store._db)
                (last,) = kept.execute("SELECT coalesce(max(position), 0) FROM outbox").fetchone()
                found.here.cloud.device.outbox._positions = itertools.count(last + 1)
            return check(found, found.run_to_the_end(found.start()), ["SUCCEEDED"])
        finally:
            found.down()
            _succeeds("umount", "--lazy", str(place))


def main() -> None:
    """Record one update, look at all states, recover from those that are drawn, and print the counts."""
    started = time.monotonic()
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", Path("/"), flags=linux.MS_REC | linux.MS_PRIVATE)
    with tempfile.TemporaryDirectory(prefix="edge-sim-faults-", ignore_cleanup_errors=True) as folder:
        record(Path(folder))
        number, different = states(Path(folder))
        results = carry_out(recover, draw(different, sys.argv[1:], COUNT))
    text = f"{number} block writes replayed, {len(different)} states that differ, {len(results)} started from"
    end("blocks", text, failed(results) + (number == 0), started)


if __name__ == "__main__":
    main()
