"""What a fleet costs: ``edge-sim fleet`` with modelled times at zero, beside bare MQTT sessions on the same mosquitto.

A bare session is paho under gevent, one descriptor each, that subscribes and then sends a message to itself and waits
for it, as often as a core asks the Jobs service for something; no cloud answers. Both are measured in turn.

What a core costs is processor time of the processes that run cores, without what each costs to start: the difference
between two fleets. How far two workers get is measured with each worker held to a fifth of a processor by the kernel:
on two processors the cloud, which is one process, would be what limits two workers, not they themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from edge_sim.cloud.brokers.broker import start_broker

FEWEST, FEW, SOME, MANY = 50, 500, 1000, 5000
SOME_S, MANY_S = 10.0, 60.0
KIB_A_CORE = 40.0
TWO_WORKERS = 1.6
FLAT = 1.25
"""How much more a core of 500 to 5,000 may cost than one of 50 to 500 for the cost to count as flat."""
SHARE = 0.2
"""Of a processor, for each held worker."""
PERIOD_US = 100_000
EXCHANGES = 10
"""A core asks so often: four times for work, and six reports of one update."""
MINUTE_S = 0.5
SCENARIO = """\
edgeSim: 1
name: zero
boards: [raspberry-pi-3]
group: {core: core.json}
fleet: {version: 1.11.6, badBoards: 3}
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a fleet took: seconds from CreateJob to the last end; bytes and processor time of its cores' processes."""

    seconds: float
    bytes: int
    cpu_s: float


class Watch(threading.Thread):
    """Watches the processes that run cores, as long as ``process`` runs; holds each to a share of a processor."""

    def __init__(self, process: psutil.Process, hold: Path | None) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._hold = hold
        self._cpu: dict[int, float] = {}
        self.most = 0

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu.values())

    def run(self) -> None:
        while self._process.is_running():
            try:
                children = self._process.children()
                cores = [child for child in children if "edge_sim.fleet.program" in child.cmdline()]
                for core in cores:
                    if self._hold is not None and core.pid not in self._cpu:
                        (group(self._hold, core.pid) / "cgroup.procs").write_text(str(core.pid))
                    times = core.cpu_times()
                    self._cpu[core.pid] = times.user + times.system
                self.most = max(self.most, sum(child.memory_full_info().uss for child in cores))
            except (psutil.Error, ProcessLookupError):
                continue
            time.sleep(0.1)


def group(above: Path, pid: int) -> Path:
    """Make a control group for one process, held to ``SHARE`` of a processor."""
    place = above / str(pid)
    place.mkdir()
    if (place / "cpu.max").exists():
        (place / "cpu.max").write_text(f"{round(SHARE * PERIOD_US)} {PERIOD_US}")
    else:
        (place / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (place / "cpu.cfs_quota_us").write_text(str(round(SHARE * PERIOD_US)))
    return place


@contextmanager
def holding() -> Iterator[Path]:
    """Yield a control group below which processes can be held. Raises OSError where this machine has none for us."""
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    base = first if (first / "cpu.cfs_quota_us").exists() or (first / "cgroup.procs").exists() else second
    place = base / f"edge-sim-benchmark-{os.getpid()}"
    if base is second:
        (base / "cgroup.subtree_control").write_text("+cpu")
    place.mkdir()
    try:
        if base is second:
            (place / "cgroup.subtree_control").write_text("+cpu")
        yield place
    finally:
        for child in place.iterdir():
            if child.is_dir():
                child.rmdir()
        place.rmdir()


def fleet(folder: Path, cores: int, workers: int = 0, hold: Path | None = None) -> Cost:
    """Run a fleet to its end, each of its cores' processes in a group below ``hold``, if any."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", "fleet", str(folder), "--cores", str(cores), "--format", "json"]
    argv += ["--rollout-minute", str(MINUTE_S), *(["--workers", str(workers)] if workers else [])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        watch = Watch(psutil.Process(process.pid), hold)
        watch.start()
        output, _ = process.communicate()
    watch.join()
    report = json.loads(output)
    if process.returncode or report["differences"]:
        raise SystemExit(f"{cores} cores: status {process.returncode}, {report.get('trouble') or report.get('error')}")
    return Cost(seconds=report["seconds"], bytes=watch.most, cpu_s=watch.cpu_s)


def held(folder: Path) -> tuple[float, float] | str:
    """Return how long one held worker takes and how long two; or why no worker can be held here."""
    try:
        with holding() as place:
            one, two = (fleet(folder, FEW, workers, place).seconds for workers in (1, 2))
            return one, two
    except OSError as error:
        return str(error)


def bare(sessions: int) -> float:
    """Return the seconds in which so many bare sessions have sent what a fleet's cores send."""
    with start_broker(connections=sessions + 10) as broker:
        argv = [sys.executable, "-m", "benchmarks.fleet", "--bare", broker.url, "--sessions", str(sessions)]
        return float(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


def bare_sessions(url: str, number: int) -> float:
    """Connect so many sessions, and return how long their exchanges took together."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.event import Event

    from edge_sim.fleet.session import BrokerAddress, MqttSession

    up, begin = [Event() for _ in range(number)], Event()

    def live(at: int) -> None:
        topic, came = f"bare/{at}", Event()
        session = MqttSession(
            f"bare-{at}",
            BrokerAddress(url=url),
            [topic],
            on_message=lambda *_: came.set(),
            on_up=up[at].set,
            on_down=lambda why, _: sys.exit(why),
        )
        session.open()
        begin.wait()
        for _ in range(EXCHANGES):
            session.publish(topic, b'{"clientToken": "0123456789abcdef0123456789abcdef"}')
            came.wait()
            came.clear()

    greenlets = []
    for at in range(number):
        greenlets.append(gevent.spawn(live, at))
        if at % 50 == 49:
            gevent.sleep(0.05)
    for event in up:
        event.wait()
    start = time.perf_counter()
    begin.set()
    gevent.joinall(greenlets, raise_error=True)
    return time.perf_counter() - start


def measured(runs: int, folder: Path, many: int) -> dict[str, Any]:
    """Return the medians of so many runs, each beside bare sessions."""
    rows: dict[str, list[float]] = {}
    for _ in range(runs):
        fewest, few, some, most = (fleet(folder, cores) for cores in (FEWEST, FEW, SOME, many))
        workers = held(folder)
        for name, value in {
            "some_s": some.seconds,
            "many_s": most.seconds,
            "bare_some_s": bare(SOME),
            "cpu_ms_a_core_few": (few.cpu_s - fewest.cpu_s) / (FEW - FEWEST) * 1000,
            "cpu_ms_a_core_many": (most.cpu_s - few.cpu_s) / (many - FEW) * 1000,
            "kib_a_core": (most.bytes - few.bytes) / (many - FEW) / 1024,
            **({} if isinstance(workers, str) else dict(zip(("one_held_s", "two_held_s"), workers, strict=True))),
        }.items():
            rows.setdefault(name, []).append(value)
    why = {"not_held": workers} if isinstance(workers, str) else {}
    return {name: round(statistics.median(values), 3) for name, values in rows.items()} | why


def judged(found: dict[str, Any], many: int) -> dict[str, Any]:
    """Return the ratios of what was measured, the limits, and whether all of them hold; what is not known is None."""
    two = round(found["one_held_s"] / found["two_held_s"], 2) if "one_held_s" in found else None
    flat = round(found["cpu_ms_a_core_many"] / found["cpu_ms_a_core_few"], 2)
    ok = (
        found["some_s"] <= SOME_S
        and found["many_s"] <= MANY_S
        and found["kib_a_core"] <= KIB_A_CORE
        and (two is None or two >= TWO_WORKERS)
        and flat <= FLAT
    )
    ratios = {
        f"{SOME} cores / {SOME} bare sessions": round(found["some_s"] / found["bare_some_s"], 2),
        f"one worker / two workers, each held to {SHARE:g} of a processor": two,
        f"processor time of a core, {FEW} to {many} / {FEWEST} to {FEW}": flat,
    }
    limits = {"some_s": SOME_S, "many_s": MANY_S, "kib_a_core": KIB_A_CORE, "two_workers": TWO_WORKERS, "flat": FLAT}
    return {"ratios": ratios, "limits": limits, "ok": ok}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--many", type=int, default=MANY)
    parser.add_argument("--bare", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--sessions", type=int, default=SOME, help=argparse.SUPPRESS)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    if args.bare:
        print(bare_sessions(args.bare, args.sessions), flush=True)
        os._exit(0)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "edge-sim.yaml").write_text(SCENARIO)
        (folder / "core.json").write_text((Path(__file__).parents[1] / "examples/fleet/core.json").read_text())
        found = measured(args.runs, folder, args.many)
    result = {"runs": args.runs, "load_before": round(load, 2), **found, **judged(found, args.many)}
    if args.format == "json":
        print(json.dumps(result))
        return 0 if result["ok"] else 1
    print(f"CreateJob to the last end: {SOME} cores {found['some_s']} s, {args.many} cores {found['many_s']} s")
    print(f"memory: {found['kib_a_core']:.1f} KiB a core")
    few, most = found["cpu_ms_a_core_few"], found["cpu_ms_a_core_many"]
    print(f"processor time of the clients: {few:.1f} ms a core up to {FEW}, {most:.1f} ms from there to {args.many}")
    for name, value in result["ratios"].items():
        shown = f"not measured: {found['not_held']}" if value is None else value
        print(f"{name}: {shown}")
    print(f"limits {result['limits']}, {args.runs} runs, load {load:.1f} before")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
