"""What a fleet costs: ``edge-sim fleet`` with modelled times at zero, beside bare MQTT sessions on the same mosquitto.

A bare session is paho under gevent, one descriptor each, that subscribes and then sends a message to itself and waits
for it, as often as a core asks the Jobs service for something; no cloud answers. Both are measured in turn.
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
from pathlib import Path
from typing import Any

import psutil

from edge_sim.cloud.brokers.broker import start_broker

FEW, SOME, MANY = 500, 1000, 5000
SOME_S, MANY_S = 10.0, 60.0
KIB_A_CORE = 40.0
TWO_WORKERS = 1.6
FLAT = 1.25
"""How much more a core of 5,000 may cost than one of 500 for the cost to count as flat."""
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


class Memory(threading.Thread):
    """Watches how much the processes that run cores hold, as long as ``process`` runs."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.most = 0

    def run(self) -> None:
        while self._process.is_running():
            try:
                children = self._process.children()
                cores = [child for child in children if "edge_sim.fleet.program" in child.cmdline()]
                self.most = max(self.most, sum(child.memory_full_info().uss for child in cores))
            except psutil.Error:
                return
            time.sleep(0.3)


def fleet(folder: Path, cores: int, workers: int = 0) -> tuple[float, int]:
    """Return the seconds from CreateJob to the last end, and the bytes that the cores' processes held at most."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", "fleet", str(folder), "--cores", str(cores), "--format", "json"]
    argv += ["--rollout-minute", str(MINUTE_S), *(["--workers", str(workers)] if workers else [])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        memory = Memory(psutil.Process(process.pid))
        memory.start()
        output, _ = process.communicate()
    report = json.loads(output)
    if process.returncode or report["differences"]:
        raise SystemExit(f"{cores} cores: status {process.returncode}, {report.get('trouble') or report.get('error')}")
    return report["seconds"], memory.most


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

    from edge_sim.fleet.session import Broker, Session

    up, begin = [Event() for _ in range(number)], Event()

    def live(at: int) -> None:
        topic, came = f"bare/{at}", Event()
        session = Session(
            f"bare-{at}",
            Broker(url=url),
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
        few_s, few_bytes = fleet(folder, FEW)
        some_s, _ = fleet(folder, SOME)
        two_s, _ = fleet(folder, SOME, workers=2)
        many_s, many_bytes = fleet(folder, many)
        for name, value in {
            "few_s": few_s,
            "some_s": some_s,
            "two_workers_s": two_s,
            "many_s": many_s,
            "bare_some_s": bare(SOME),
            "kib_a_core": (many_bytes - few_bytes) / (many - FEW) / 1024,
        }.items():
            rows.setdefault(name, []).append(value)
    return {name: round(statistics.median(values), 3) for name, values in rows.items()}


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
    ratios = {
        f"{SOME} cores / {SOME} bare sessions": round(found["some_s"] / found["bare_some_s"], 2),
        "one worker / two workers": round(found["some_s"] / found["two_workers_s"], 2),
        f"a core of {args.many} / a core of {FEW}": round(
            found["many_s"] / args.many / (found["few_s"] / FEW),
            2,
        ),
    }
    one_two, flat = ratios["one worker / two workers"], ratios[f"a core of {args.many} / a core of {FEW}"]
    result: dict[str, Any] = {
        "runs": args.runs,
        "load_before": round(load, 2),
        **found,
        "ratios": ratios,
        "limits": {
            "some_s": SOME_S,
            "many_s": MANY_S,
            "kib_a_core": KIB_A_CORE,
            "two_workers": TWO_WORKERS,
            "flat": FLAT,
        },
        "ok": found["some_s"] <= SOME_S
        and found["many_s"] <= MANY_S
        and found["kib_a_core"] <= KIB_A_CORE
        and one_two >= TWO_WORKERS
        and flat <= FLAT,
    }
    if args.format == "json":
        print(json.dumps(result))
    else:
        print(f"CreateJob to the last end: {SOME} cores {found['some_s']} s, {args.many} cores {found['many_s']} s")
        print(f"memory: {found['kib_a_core']:.1f} KiB a core")
        for name, value in ratios.items():
            print(f"{name}: {value}")
        print(f"limits {result['limits']}, {args.runs} runs, load {load:.1f} before")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
