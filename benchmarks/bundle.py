"""The agent's bundle: its size, and what starting its Python costs against Debian's own, in containers, in turn."""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import time

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.bundle import archive
from edge_sim.emulation.containers import images

LIMIT = 1.5
"""At most this many times the start of Debian's Python with the same modules."""
IMPORTS = "import edge_sim.agent.program"
LIB = "/edge-sim/lib"
OURS = [
    f"{LIB}/loader",
    "--inhibit-cache",
    "--argv0",
    "/edge-sim/bin/python3.11",
    "--library-path",
    LIB,
    f"{LIB}/python",
]


def quiet(text: str) -> None:
    """Say nothing of a progress."""


def seconds(container: str, argv: list[str]) -> float:
    """Return how long a program takes in a running container; a failing one ends the benchmark."""
    start = time.perf_counter()
    subprocess.run(["docker", "exec", container, *argv], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(architecture: str, runs: int) -> dict[str, float]:
    """Return sizes, the start's ratio (the first start compiles, and is not counted), and the first start."""
    bundle = archive.bundle(architecture, quiet, newest=False)
    image = images.build(architecture, None, quiet)
    create = ["docker", "create", "--network", "none", "--entrypoint", "sleep", image, "3600"]
    container = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["docker", "cp", "-", f"{container}:/"], check=True, input=gzip.decompress(bundle.packed))
        subprocess.run(["docker", "start", container], check=True, stdout=subprocess.DEVNULL)
        nothing = statistics.median(seconds(container, ["true"]) for _ in range(runs))
        ours, theirs = [*OURS, "-I", "-c", IMPORTS], ["python3", "-I", "-c", IMPORTS]
        first = seconds(container, ours)
        seconds(container, theirs)
        pairs = [(seconds(container, ours), seconds(container, theirs)) for _ in range(runs)]
    finally:
        subprocess.run(["docker", "rm", "--force", container], check=True, stdout=subprocess.DEVNULL)
    return {
        "packed_mb": round(len(bundle.packed) / 1e6, 1),
        "unpacked_mb": round(bundle.unpacked / 1e6, 1),
        "first_start_s": round(first - nothing, 2),
        "start_s": round(statistics.median(a for a, _ in pairs) - nothing, 2),
        "ratio": round(statistics.median((a - nothing) / (b - nothing) for a, b in pairs), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), action="append")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    found = {name: measure(name, args.runs) for name in args.architecture or ARCHITECTURES}
    ok = all(
        one["ratio"] <= LIMIT and one["packed_mb"] * 1e6 <= archive.MOST_PACKED and one["unpacked_mb"] <= 40
        for one in found.values()
    )
    if args.format == "json":
        print(json.dumps({"bundles": found, "limit": LIMIT, "ok": ok}))
    else:
        for name, one in found.items():
            print(
                f"{name}: {one['packed_mb']} MB, {one['unpacked_mb']} MB unpacked; agent's imports {one['start_s']} s, "
                f"the first time {one['first_start_s']} s; ratio to Debian's Python {one['ratio']} (limit {LIMIT})"
            )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
