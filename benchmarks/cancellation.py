"""How long a board goes on after its job was cancelled with force, while its download has stalled.

Nothing tells a device of a forced cancellation: the agent asks. The server sends half of the build and then nothing;
the job is cancelled some random time later, and the clock runs until the agent has given the update up.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.agent_world import good, world
from tests.scripted_server import Server, ok

LIMIT_S = 5.0
LONGEST_S = 6.0
"""Until the cancellation, at most: no turn of the agent's questions is favoured."""


def measure(folder: Path, chance: random.Random) -> float:
    """Return how many seconds passed between one forced cancellation and the agent's end of the update."""
    build = good()
    server = Server()
    server.script = [ok(build[: len(build) // 2] + b"<hang>", length=len(build))]
    try:
        with world(folder) as here:
            here.cloud.files.url = server.url.rpartition("/")[0]
            with here.agent() as agent:
                agent.wait_for(event="core", status="running")
                job = here.cloud.update_job("stalled", build)
                agent.wait_for(event="update", job=job, phase="STAGE")
                time.sleep(chance.uniform(0, LONGEST_S))
                started = time.monotonic()
                here.cloud.jobs.cancel_job(job, force=True)
                agent.wait_for(event="update", job=job, phase="CANCELED")
                return time.monotonic() - started
    finally:
        server.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    chance, waits = random.Random(1), []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory() as folder:
            waits.append(measure(Path(folder), chance))
    result = {
        "runs": args.runs,
        "median_s": round(statistics.median(waits), 2),
        "longest_s": round(max(waits), 2),
        "limit_s": LIMIT_S,
        "ok": max(waits) <= LIMIT_S,
    }
    text = f"{args.runs} cancellations in a stall: median {result['median_s']} s, longest {result['longest_s']} s"
    print(json.dumps(result) if args.format == "json" else f"{text} (limit {LIMIT_S:g} s)")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
