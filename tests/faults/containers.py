"""Crash points inside an armv7l board in a container, under QEMU: ``docker kill`` and ``docker restart`` at them.

``python -m tests.faults.containers [COUNT [SEED [WORD …]]]``; see ``trials.draw``. Needs root, Docker and QEMU. At its
point the board's agent waits while its container is killed, and started again, or is restarted, which tells it to end
first. The board's init starts its agent, and the update has to go on to its end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_sim.agent.version import VERSION
from edge_sim.emulation import drivers
from edge_sim.emulation.board import AgentSettings, Board, BoardSpec
from edge_sim.emulation.corebuild import core_build
from edge_sim.profiles import load_profile
from tests.faults.armed import container as armed
from tests.faults.board import NEXT, Update
from tests.faults.cloud import Served
from tests.faults.points import UPDATES, points_of
from tests.faults.trials import carry_out, draw, end, failed
from tests.integration.agent_world import OLD, THING
from tests.waiting import until

How = Literal["kill", "restart"]
COUNT = 12
WORKERS = os.cpu_count() or 1
"""Boards at once: under QEMU one takes a whole processor."""
PROFILE = load_profile("raspberry-pi-3")
PACKAGES = "/usr/lib/python3/dist-packages"
KEPT = ("config/config.json", "ggc/deployment/group/group.json")
"""Below the Greengrass root: what an update must keep (core-ota-update.md), as far as it is there."""
LIMIT_S = 900.0
"""For each step of an update, under QEMU beside others: far more than any takes."""
PATIENT = 's/"runtime": *{/&"postStartHealthCheckTimeout": 600000, /'
"""On a busy machine a core under QEMU is not ready within V1's 30 s."""
CONNECT_LIMIT_S = 600
"""For a new agent under QEMU, beside others: on a busy machine a real board's two minutes were not enough."""
LOOK_EVERY_S = 0.5
"""A look costs the board's processor more than what is waited for."""
STOP_S = "5"
"""How long ``docker restart`` lets a board end by itself."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """``point`` begins with the version of the agent that passes it."""

    update: Update
    point: str
    how: How

    def __str__(self) -> str:
        return f"{self.update}, {self.point}, docker {self.how}"


class ContainerBoard:
    """An armv7l board, its cloud, and what its agent is to do at which point."""

    def __init__(self, board: Board, cloud: Served, folder: Path) -> None:
        self._board, self.cloud, self._folder = board, cloud, folder
        self._name = str(getattr(board, "container"))  # noqa: B009 - other drivers' boards have none
        done = self._board.exec(["sed", "-i", PATIENT, f"{PROFILE.greengrass.root}/config/config.json"], LIMIT_S)
        assert done.returncode == 0, done.stderr
        self.kept = self._digests()

    def fired(self) -> bool:
        return (self._folder / "fired").exists()

    def stop(self, how: How) -> None:
        """Have the container killed and started again, or restarted."""
        if how == "kill":
            _docker("kill", self._name)
            _docker("start", self._name)
            return
        argv = ["docker", "restart", "--time", STOP_S, self._name]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
            (self._folder / "go-on").touch()
        assert process.returncode == 0, argv

    def status(self) -> Mapping[str, Any]:
        """Return what ``edge-sim ota status`` says on the board; empty while it is not up."""
        done = self._board.exec(["edge-sim", "ota", "status", "--format", "json"], LIMIT_S)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def cores(self) -> list[str]:
        """Return the versions of the cores that run, each as often as it does, as this machine sees them."""
        argv = ["docker", "top", self._name, "-eo", "pid,ppid,args"]
        lines = subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()[1:]
        running: dict[str, tuple[str, str]] = {}
        for pid, parent, *words in map(str.split, lines):
            daemon = next((word for word in words[:4] if word.endswith("/bin/daemon")), None)
            if daemon:
                running[pid] = parent, Path(daemon).parents[1].name
        return [version for parent, version in running.values() if parent not in running]

    def wait_for_core(self, version: str) -> None:
        """Wait until one core runs, of this version; what looks at the board itself costs a core its start there."""
        until(
            lambda: self.cores() == [version],
            lambda: f"{self.cores()} run, not {version} once",
            limit_s=LIMIT_S,
            every_s=LOOK_EVERY_S,
        )

    def wait_for(self, core: str, agent: str) -> None:
        """Wait until this core and agent run, each once, and no update is open."""

        def seen() -> tuple[object, ...]:
            found = self.status()
            running, own = found.get("running") or {}, found.get("ota_agent", {}).get("running") or {}
            return found.get("current"), running.get("version"), own.get("version"), found.get("update")

        self.wait_for_core(core)
        until(lambda: seen() == (core, core, agent, None), lambda: f"{seen()}", limit_s=LIMIT_S, every_s=LOOK_EVERY_S)
        assert self.cores() == [core]

    def end_of(self, job: str) -> str:
        over = ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED")
        until(
            lambda: self.cloud.execution(THING, job).status in over,
            lambda: self.story(job),
            limit_s=LIMIT_S,
            every_s=LOOK_EVERY_S,
        )
        return self.cloud.execution(THING, job).status

    def story(self, job: str) -> str:
        logs = subprocess.run(["docker", "logs", "--tail", "40", self._name], capture_output=True, text=True)
        return f"{self.cloud.execution(THING, job)}\n{logs.stdout}{logs.stderr}"

    def assert_kept(self) -> None:
        assert self._digests() == self.kept

    def _digests(self) -> str:
        paths = [f"{PROFILE.greengrass.root}/{path}" for path in KEPT]
        return self._board.exec(["sh", "-c", f"sha256sum {' '.join(paths)} 2>&1"], LIMIT_S).stdout


def stop(trial: Stop, folder: Path) -> str:
    """Carry out one trial and return the job's status."""
    update = trial.update
    with container(folder, trial.point) as found:
        found.wait_for_core(OLD)
        job = found.cloud.update_job("", update.build, version=update.new, software=update.software)
        until(
            found.fired, lambda: f"the point was not passed: {found.story(job)}", limit_s=LIMIT_S, every_s=LOOK_EVERY_S
        )
        found.stop(trial.how)
        status = found.end_of(job)
        assert status == update.end, found.story(job)
        runs = update.new if status == "SUCCEEDED" else update.old
        core, agent = (runs, VERSION) if update.software == "core" else (OLD, runs)
        found.wait_for(core, agent)
        found.assert_kept()
        ended = found.cloud.execution(THING, job)
        following = found.cloud.update_job("", core_build(NEXT), version=NEXT)
        assert found.end_of(following) == "SUCCEEDED", found.story(following)
        found.wait_for(NEXT, agent)
        assert found.cloud.execution(THING, job) == ended
    return status


@contextmanager
def container(folder: Path, point: str) -> Iterator[ContainerBoard]:
    """An armv7l board whose agent stops at ``point``, with a cloud that it is connected to; both end with the block."""
    faults = folder / "faults"
    faults.mkdir(parents=True)
    (faults / "point").write_text(point)
    shutil.copy(armed.__file__, faults / "edge_sim_armed.py")
    loaded = folder / "edge-sim-armed.pth"
    loaded.write_text(f"import sys; sys.path.append({str(armed.FOLDER)!r}); import edge_sim_armed\n")
    with drivers.docker([PROFILE], progress=_quiet, purpose="faults") as driver:
        cloud = Served(folder, "--bind", str(driver.bind))
        try:
            spec = BoardSpec(
                profile=PROFILE,
                agent=AgentSettings(thing=THING, broker=cloud.mqtt, stable_window_s=1, connect_limit_s=CONNECT_LIMIT_S),
                binds={str(armed.FOLDER): faults, f"{PACKAGES}/{loaded.name}": loaded},
                core=OLD,
            )
            with driver.board(spec) as board:
                yield ContainerBoard(board, cloud, faults)
        finally:
            cloud.kill()


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)


def _quiet(_: str) -> None:
    """Say nothing of images."""


def stops(update: Update, points: list[str]) -> list[Stop]:
    """Return the trials of an update: a bad build's way is the good one's until its core, or its agent, is started."""
    own = [point for point in points if update.good or point.split(" ")[1] >= "P16"]
    return [Stop(update=update, point=point, how=how) for point in own for how in ("kill", "restart")]


def main() -> None:
    """Carry out the trials and print the counts."""
    started = time.monotonic()
    wholes = carry_out(points_of, UPDATES)
    every = [trial for whole in wholes for trial in stops(whole.trial, whole.value or [])]
    results = carry_out(stop, draw(every, sys.argv[1:], COUNT, kind=lambda s: (s.update, s.how)), workers=WORKERS)
    how, ends = Counter(result.trial.how for result in results), Counter(result.value or "bad" for result in results)
    text = f"{len(results)} of {len(every)} stops of an armv7l board, {dict(how)}, {dict(ends)}"
    end("containers", text, failed(wholes) + failed(results), started)


if __name__ == "__main__":
    main()
