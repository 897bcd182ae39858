"""Every block write of an update, replayed: a disk as it can be had the power failed right after each of them.

``python -m tests.faults.blocks [COUNT [SEED [WORD …]]]``, as root. Each update of core and OTA agent, with a good and a
bad build, is recorded (``writelog``). Of each disk that a power cut can leave, with all that was written so far and
with part of what was not flushed lost, the files are looked at; of those that differ COUNT are drawn (``trials.draw``),
and from each the board is started with a cloud that knows what the real one knew at that moment. The update must go on
to its end.
"""

from __future__ import annotations

import itertools
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from edge_sim.agent import linux
from tests.faults.board import board, check
from tests.faults.disk import _run, _succeeds
from tests.faults.points import UPDATES
from tests.faults.trials import carry_out, draw, end, failed
from tests.faults.writelog import State, lay, record

COUNT = 80


def recover(state: State, folder: Path) -> str:
    """Start the board on a disk in this state and return the job's status in the end."""
    image, place = folder / "image", folder / "disk"
    place.mkdir()
    lay(image, state)
    with board(folder / "board", state.update, place) as found:
        settings = found.here.config.read_text()
        _run("mount", "-o", "loop,errors=remount-ro", str(image), str(place))
        try:
            found.here.config.write_text(settings)
            store: Any = found.here.cloud.device.records._store
            with store._lock, closing(sqlite3.connect(state.cloud)) as kept:
                kept.backup(store._db)
                (last,) = kept.execute("SELECT coalesce(max(position), 0) FROM outbox").fetchone()
                found.here.cloud.device.outbox._positions = itertools.count(last + 1)
            return check(found, found.run_to_the_end(found.start()), [state.update.end])
        finally:
            found.down()
            _succeeds("umount", "--lazy", str(place))


def main() -> None:
    """Record the updates, look at all states, recover from those that are drawn, and print the counts."""
    started = time.monotonic()
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", Path("/"), flags=linux.MS_REC | linux.MS_PRIVATE)
    with tempfile.TemporaryDirectory(prefix="edge-sim-faults-", ignore_cleanup_errors=True) as folder:
        recorded = carry_out(partial(record, Path(folder)), UPDATES)
        found = [(result.trial, result.value) for result in recorded if result.value is not None]
        every = [state for _, recording in found for state in recording.states]
        results = carry_out(recover, draw(every, sys.argv[1:], COUNT, kind=lambda state: state.update))
    for update, recording in found:
        only = sum(bool(state.lost) for state in recording.states)
        drawn = sum(result.trial.update == update for result in results)
        print(
            f"{update}: {recording.writes} block writes and {recording.flushes} flushes replayed, "
            f"{recording.looked_at} disks looked at, {recording.lossy} of them with lost blocks; "
            f"{len(recording.states)} states that differ, {only} of them with losses only; {drawn} started from"
        )
    idle = sum(0 in (recording.writes, recording.flushes, recording.lossy) for _, recording in found)
    text = f"{sum(recording.writes for _, recording in found)} block writes of {len(found)} updates replayed, "
    text += f"{len(results)} of {len(every)} states that differ started from"
    end("blocks", text, failed(recorded) + failed(results) + idle, started)


if __name__ == "__main__":
    main()
