"""What it costs to say who may open what: 200 functions × 200 volumes, 10 attached each, against judging the group.

Both commands run whole, in this process and without their start. The number of lines is what a person has to read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from click.testing import CliRunner

from benchmarks.validate import COUNT, function
from edge_sim.cli.main import edge_sim

LIMIT_RATIO = 35
LIMIT_LINES = 1_000
ATTACHED = 10


def write(folder: Path) -> None:
    """Write the group: a profile does not know its volumes, which is the dearer case."""
    resources = [
        {
            "Id": f"r{n}",
            "Name": f"r{n}",
            "ResourceDataContainer": {
                "LocalVolumeResourceData": {"SourcePath": f"/srv/r{n}", "DestinationPath": f"/data/r{n}"}
            },
        }
        for n in range(COUNT)
    ]
    functions = [function(n, range(n, n + ATTACHED)) for n in range(COUNT)]
    (folder / "resources.json").write_text(json.dumps({"Resources": resources}))
    (folder / "functions.json").write_text(json.dumps({"Functions": functions}))


def run(command: str, folder: Path) -> tuple[float, int]:
    """Return what a command takes of a processor, and how many lines it prints."""
    start = time.process_time()
    done = CliRunner().invoke(edge_sim, [command, str(folder), "--profile", "raspberry-pi-3"])
    if done.exit_code:
        raise SystemExit(done.output)
    return time.process_time() - start, len(done.stdout.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        run("validate", Path(name))  # imports
        pairs = [(run("access", Path(name)), run("validate", Path(name))[0]) for _ in range(args.runs)]
    seconds, lines = statistics.median(taken for (taken, _), _ in pairs), pairs[0][0][1]
    ratio = round(statistics.median(taken / base for (taken, _), base in pairs), 2)
    ok = ratio <= LIMIT_RATIO and lines <= LIMIT_LINES
    result = {"access_s": round(seconds, 3), "lines": lines, "ratio": ratio, "ok": ok}
    if args.format == "json":
        print(json.dumps(result))
    else:
        print(f"access {seconds:.2f} s, {ratio} x validate (limit {LIMIT_RATIO}), {lines} lines (limit {LIMIT_LINES})")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
