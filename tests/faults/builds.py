"""Builds that die, hang, eat memory, fork, ignore SIGTERM or leave children behind, as updates of a board.

``python -m tests.faults.builds [COUNT [SEED [WORD …]]]``; see ``trials.draw``. The processes are real; the clock is the
agent's own and is moved: a build that dies after 59 s of its stable window of 60 s takes no longer than one that dies
at once. Afterwards one core runs, nothing of the ill build does, and the next job succeeds.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from edge_sim.agent.config import STABLE_WINDOW_S
from edge_sim.agent.update.confinement import BuildLimits
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.emulation.corebuild import core_build
from tests.faults.armed import power
from tests.faults.trials import carry_out, draw, end, failed
from tests.processes import is_alive
from tests.unit.update_board import JOB, NEW, OLD, UpdateBoard, document
from tests.waiting import until

LATER = "1.11.7"
LOOP = "while :; do\n    sleep 3600 &"
"""The end of the daemon of a good build, before which an ill one does something else."""
AFTER_S = (0.05, 0.5, 1, 2, 3, 5, 10, 20, 30, 45, 59, 59.9)
LIMITS = BuildLimits(memory=48 << 20, processes=40)
START_LIMIT_S, STOP_LIMIT_S = 15.0, 0.3
LOOSE = """env -i /bin/sh -c '(setsid /bin/sh -c "echo \\$\\$ >LOOSE.new; mv LOOSE.new LOOSE; exec sleep 3600" &)'
while [ ! -e LOOSE ]; do sleep 0.01; done
"""
EAT = f"{sys.executable} -I -S -c 'import time; kept = bytearray(96 << 20); time.sleep(1000)' &\n"
FORK = "i=0; while [ $i -lt 120 ]; do env -i setsid sleep 1000 & i=$((i + 1)); done 2>/dev/null\n"


@dataclass(frozen=True, kw_only=True)
class Ill:
    """``does`` is what the daemon does once it is ready; ``before``: what it does in place of getting ready.

    ``dies_after_s`` is on the agent's clock, after the start. ``seen``: the window lasts until the agent sees trouble.
    """

    name: str
    does: str = ""
    before: str = ""
    dies_after_s: float | None = None
    seen: bool = False
    end: str = "FAILED"

    def __str__(self) -> str:
        return self.name


KINDS = (
    *(Ill(name=f"dies after {seconds:g} s", dies_after_s=seconds) for seconds in AFTER_S),
    Ill(name="dies after its stable window", dies_after_s=STABLE_WINDOW_S + 1, end="SUCCEEDED"),
    Ill(name="ends at once with status 0", before="exit 0\n"),
    Ill(name="hangs before it is ready", before="sleep 3600 & wait\n"),
    Ill(name="stops itself before it is ready", before="kill -STOP $$\n"),
    Ill(name="eats memory", does=EAT, seen=True),
    Ill(name="forks", does=FORK, seen=True),
    Ill(name="ignores SIGTERM", does="trap '' TERM\n", end="SUCCEEDED"),
    Ill(name="ignores SIGTERM and dies", does="trap '' TERM\n", dies_after_s=3),
    Ill(name="leaves a child with a cleared environment and ends", before=f"{LOOSE}exit 1\n"),
    Ill(name="leaves a child with a cleared environment and dies", does=LOOSE, dies_after_s=3),
    Ill(name="leaves a child with a cleared environment and hangs", before=f"{LOOSE}sleep 3600 & wait\n"),
)


class Clock:
    """The agent's: it moves when the agent sleeps, and ends the new core when its time has come."""

    def __init__(self, ill: Ill, root: Path) -> None:
        self._ill, self._root = ill, root
        self._slept = 0.0
        self.in_trouble: Callable[[], object] = lambda: True

    def sleep(self, seconds: float) -> None:
        before, self._slept = self._slept, self._slept + seconds
        after = self._ill.dies_after_s
        if after is not None and before < after <= self._slept:
            pids = [*_daemons(self._root, NEW)]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            until(lambda: not any(map(is_alive, pids)), "a killed core lives")
        if self._ill.seen:
            until(self.in_trouble, "no limit is broken")


def build(ill: Ill, loose: Path) -> bytes:
    """Return the build; what it leaves behind writes its process id into ``loose``."""
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(core_build(NEW))) as source,
        tarfile.open(fileobj=changed, mode="w:gz") as target,
    ):
        for member in source:
            file = source.extractfile(member)
            text = file.read().decode() if file is not None else ""
            if member.name.endswith("bin/daemon"):
                assert text.count(LOOP) == 1
                text = text.replace(LOOP, f"{ill.does}{LOOP}").replace("VERSION=", f"{ill.before}VERSION=", 1)
                text = text.replace("LOOSE", str(loose))
            member.size = len(text.encode())
            target.addfile(member, io.BytesIO(text.encode()))
    return changed.getvalue()


def install(ill: Ill, folder: Path) -> str:
    """Carry out an update to an ill build, and the next one; return the job's status."""
    folder.mkdir(exist_ok=True)
    root, loose = folder / "board", folder / "loose"
    clock = Clock(ill, root)
    UpdateBoard(folder, b"")  # lays the factory's core
    supervisor = Supervisor(
        root, sleep=clock.sleep, start_limit_s=START_LIMIT_S, stop_limit_s=STOP_LIMIT_S, limits=LIMITS
    )
    clock.in_trouble = lambda: supervisor.trouble(NEW)
    new = build(ill, loose)
    board = UpdateBoard(folder, new, checks=STABLE_WINDOW_S + 1, supervisor=supervisor)
    try:
        board.jobs.queue(JOB, document(new))
        board.start()
        board.updater.work()
        board.guard.look()
        job = board.jobs.get(JOB)
        assert job["status"] == ill.end, job["details"]
        _check(board, NEW if ill.end == "SUCCEEDED" else OLD)
        if loose.exists():
            assert not is_alive(int(loose.read_text())), "what the build left behind is alive"
        board.build = core_build(LATER)
        board.jobs.queue("GreengrassUpdateJob_next", document(board.build, version=LATER))
        board.updater.work()
        assert board.jobs.get("GreengrassUpdateJob_next")["status"] == "SUCCEEDED"
        _check(board, LATER)
        assert board.jobs.get(JOB) == job, "the job was done twice"
        return str(job["status"])
    finally:
        power.cut(str(root))
        supervisor.kill()


def _check(board: UpdateBoard, version: str) -> None:
    """One core runs, and link, journal and staging say that nothing else is to be done."""
    assert (board.running(), board.releases.current()) == (version, version)
    assert [_version(pid) for pid in _daemons(board.root)] == [version]
    assert board.journal.read() is None
    assert not board.releases.staging.exists()


def _daemons(root: Path, version: str = "") -> list[int]:
    """Return the ids of the daemons that run, without children that are about to be another program."""
    found = [pid for pid in power.processes(str(root)) if _version(pid) and version in _version(pid)]
    return [pid for pid in found if psutil.Process(pid).ppid() not in found]


def _version(pid: int) -> str:
    """Return the version whose daemon a process is, or nothing."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return Path(words[1]).parents[1].name if len(words) > 1 and words[1].endswith("/bin/daemon") else ""


def main() -> None:
    """Carry out all kinds and print the counts."""
    started = time.monotonic()
    results = carry_out(install, draw(KINDS, sys.argv[1:]))
    ends = Counter(result.value or "bad" for result in results)
    end("builds", f"{len(results)} of {len(KINDS)} ill builds, {dict(ends)}", failed(results), started)


if __name__ == "__main__":
    main()
