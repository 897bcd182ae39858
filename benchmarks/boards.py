"""What boards in containers cost: their start, the whole example on four of them, memory, and QEMU's own share.

Needs what ``make emulated`` needs. Each start is measured beside its rival, in turn: ``edge-sim board up`` (the whole
command, until the agent is connected) and ``docker run`` of the same image that imports the agent's four packages and
ends, on the board's network, from which alone a container reaches the cloud. QEMU's share is the rival's Python alone,
timed inside containers: emulated, and by this machine's processor.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psutil

from edge_sim.arch import ARCHITECTURES
from edge_sim.cli.board import ONE_OF_EACH
from edge_sim.emulation.containers import boards, engine, images, init, networks
from edge_sim.errors import EdgeSimError
from edge_sim.profiles import load_profile

START_LIMIT = 1.5
"""``board up`` against the bare container, for each architecture."""
EXAMPLE_LIMIT_S = 120.0
IDLE_LIMIT_MB = 75.0
"""Resident, in an emulated armv7l board."""
STEP_LIMIT_S = 300.0
EXAMPLE = "examples/no-container-ml"
IMPORTS = "import click, paho.mqtt.client, psutil, yaml"
ALONE = f"""
import subprocess, sys, time
for _ in range({{}} + 1):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "{IMPORTS}"], check=True)
    print(time.perf_counter() - start)
"""
EDGE_SIM = (sys.executable, "-m", "edge_sim.cli.main")


def seconds(argv: Sequence[str]) -> float:
    """Return how long a whole command takes; a failing one ends the benchmark."""
    start = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=STEP_LIMIT_S, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with status {done.returncode}\n{done.stderr}")
    return time.perf_counter() - start


@contextlib.contextmanager
def cloud() -> Iterator[str]:
    """Have a cloud where boards reach it; yield its broker's URL."""
    argv = [*EDGE_SIM, "cloud", "serve", "--bind", "docker", "--format", "json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["mqtt"])
        finally:
            process.terminate()
            process.wait(STEP_LIMIT_S)


def starts(profile: str, image: str, mqtt: str, runs: int) -> tuple[float, float, float]:
    """Return the medians of ``board up`` and ``docker run``, and the median of their ratios, pair by pair."""
    name = f"bench-{os.getpid()}"
    up = [*EDGE_SIM, "board", "up", "--profile", profile, "--name", name, "--mqtt", mqtt]
    bare = ["docker", "run", "--rm", "--network", networks.SHARED, image, "python3", "-c", IMPORTS]

    def board() -> float:
        try:
            return seconds(up)
        finally:
            subprocess.run([*EDGE_SIM, "board", "down", name], capture_output=True, timeout=STEP_LIMIT_S, check=False)

    board(), seconds(bare)  # warm the file cache
    pairs = [(board(), seconds(bare)) for _ in range(runs)]
    ups, bares = zip(*pairs, strict=True)
    return statistics.median(ups), statistics.median(bares), statistics.median(a / b for a, b in pairs)


def idle_mb(client: Any, mqtt: str, settle_s: float) -> float:
    """Return the resident memory of an idle, connected agent in an armv7l board, QEMU included: MB of 10^6 bytes."""
    name = f"bench-{os.getpid()}"
    try:
        seconds([*EDGE_SIM, "board", "up", "--profile", "raspberry-pi-3", "--name", name, "--mqtt", mqtt])
        time.sleep(settle_s)
        processes = client.api.top(boards.find(client, name).id, ps_args="-eo pid,comm")["Processes"]
        (pid,) = [int(pid) for pid, comm in processes if comm == init.NAME]
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    finally:
        subprocess.run([*EDGE_SIM, "board", "down", name], capture_output=True, timeout=STEP_LIMIT_S, check=False)


def python_alone(image: str, runs: int) -> float:
    """Return the median time that Python needs in a container to start, import the packages and end."""
    argv = ["docker", "run", "--rm", "--network", "none", image, "python3", "-c", ALONE.format(runs)]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=STEP_LIMIT_S, check=True).stdout.split()
    return statistics.median(float(text) for text in said[1:])


def measure(runs: int, settle_s: float) -> dict[str, Any]:
    profiles = {load_profile(name).architecture: name for name in ONE_OF_EACH}
    with contextlib.closing(engine.connect()) as client:
        tags = {name: images.build(name, None, lambda _: None, client) for name in ARCHITECTURES}
        with cloud() as mqtt:
            started = {name: starts(profiles[name], tags[name], mqtt, runs) for name in ARCHITECTURES}
            idle = idle_mb(client, mqtt, settle_s)
        alone = {name: python_alone(tags[name], runs) for name in ARCHITECTURES}
    chosen = [word for name in ONE_OF_EACH for word in ("--profile", name)]
    example = seconds([*EDGE_SIM, "run", EXAMPLE, "--driver", "docker", *chosen, "--format", "json"])
    native = alone[os.uname().machine]
    ratios = {name: round(ratio, 2) for name, (_, _, ratio) in started.items()}
    return {
        "runs": runs,
        "board_up_s": {name: round(up, 2) for name, (up, _, _) in started.items()},
        "docker_run_s": {name: round(bare, 2) for name, (_, bare, _) in started.items()},
        "python_alone_s": {name: round(found, 3) for name, found in alone.items()},
        "example_on_four_s": round(example, 1),
        "idle_agent_armv7l_mb": round(idle, 1),
        "ratios": {
            **{f"board up / docker run, {name}": ratio for name, ratio in ratios.items()},
            **{f"Python under QEMU / native, {name}": round(found / native, 1) for name, found in alone.items()},
        },
        "limits": {"board up / docker run": START_LIMIT, "example_s": EXAMPLE_LIMIT_S, "idle_mb": IDLE_LIMIT_MB},
        "ok": max(ratios.values()) <= START_LIMIT and example <= EXAMPLE_LIMIT_S and idle <= IDLE_LIMIT_MB,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--settle", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    try:
        result = measure(args.runs, args.settle)
    except EdgeSimError as error:
        print(error.explained(), file=sys.stderr)
        return error.exit_status
    if args.format == "json":
        print(json.dumps(result))
        return 0 if result["ok"] else 1
    for name in ARCHITECTURES:
        print(
            f"{name:<8} board up {result['board_up_s'][name]} s, docker run {result['docker_run_s'][name]} s, "
            f"ratio {result['ratios'][f'board up / docker run, {name}']} (limit {START_LIMIT}); "
            f"Python alone {result['ratios'][f'Python under QEMU / native, {name}']} × native"
        )
    print(f"the example on four boards {result['example_on_four_s']} s (limit {EXAMPLE_LIMIT_S:g})")
    print(f"idle agent, armv7l {result['idle_agent_armv7l_mb']} MB (limit {IDLE_LIMIT_MB:g})")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
