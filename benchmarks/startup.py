"""What ``edge-sim --help`` costs, against importing click alone: whole processes, in turn, in one run."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 2.0
"""At most this many times the price of importing click."""


def seconds(argv: list[str]) -> float:
    """Return how long a whole process takes; a failing one ends the benchmark."""
    start = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    ours = [str(Path(sys.executable).with_name("edge-sim")), "--help"]
    theirs = [sys.executable, "-c", "import click"]
    seconds(ours), seconds(theirs)  # warm the file cache
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(args.runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    result = {
        "runs": args.runs,
        "edge_sim_help_s": round(statistics.median(a for a, _ in pairs), 4),
        "import_click_s": round(statistics.median(b for _, b in pairs), 4),
        "ratios": {"help / import click": round(ratio, 2)},
        "limit": LIMIT,
        "ok": ratio <= LIMIT,
    }
    if args.format == "json":
        print(json.dumps(result))
    else:
        print(f"edge-sim --help {result['edge_sim_help_s']} s, import click {result['import_click_s']} s")
        print(f"ratio {ratio:.2f} (limit {LIMIT}), medians of {args.runs} pairs")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
