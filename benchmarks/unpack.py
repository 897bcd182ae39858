"""What unpacking a model costs, against ``tar`` and ``unzip`` with ``chgrp -R``, ``chmod -R`` and ``sync -f``.

350 MB of float weights and 3,000 small files; whole processes, in turn, in one run, on each file system. Ours reads
with all its checks, hashes, gives group and modes, and brings everything to the disk; once with ISA-L (extra
``[fast]``) and once with the standard library alone. For root a tmpfs and an ext4 image are mounted; else the place
given is measured.
"""

from __future__ import annotations

import argparse
import array
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LIMITS = {"fast": 0.5, "stdlib": 0.65}
"""At most this part of the usual programs' wall time."""
GROUP = os.getgid() if os.geteuid() else 1
OURS = """
import sys, time
if sys.argv[1] == "stdlib":
    sys.modules["isal"] = None
from pathlib import Path
from edge_sim.agent.archives import unpack
from edge_sim.greengrass.plan import Modes
modes = Modes(uid=-1, gid=int(sys.argv[4]), file=0o440, executable=0o550, directory=0o550)
wall, processor = time.perf_counter(), time.process_time()
unpack(Path(sys.argv[2]), Path(sys.argv[3]), file_name=Path(sys.argv[2]).name, modes=modes)
print(time.perf_counter() - wall, time.process_time() - processor)
"""
"""The agent runs already when a deployment comes, so that Python's start does not count."""
THEIRS = {
    "tar.gz": 'tar -xzf "$1" -C "$2" && chgrp -R "$3" "$2" && chmod -R u=rX,g=rX,o= "$2" && sync -f "$2"',
    "zip": 'unzip -q "$1" -d "$2" && chgrp -R "$3" "$2" && chmod -R u=rX,g=rX,o= "$2" && sync -f "$2"',
}
Spent = tuple[float, float]
"""Wall and processor seconds."""


def make_model(top: Path, megabytes: int) -> None:
    """Write normally distributed float32 weights in seven files, and 3,000 small ones in 30 directories."""
    chance = random.Random(7)
    block = array.array("f", (chance.gauss(0, 0.05) for _ in range(1_250_000))).tobytes()
    (top / "weights").mkdir(parents=True)
    for number in range(7):
        with (top / "weights" / f"layer{number}.bin").open("wb") as file:
            for _ in range(megabytes // 35):
                at = chance.randrange(len(block))
                file.write(block[at:] + block[:at])
    for number in range(3000):
        directory = top / "labels" / f"{number // 100:02d}"
        directory.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"label": number, "score": chance.random()}) + "\n"
        (directory / f"{number:04d}.json").write_text(line * chance.randrange(1, 60))


def ours(engine: str, archive: Path, target: Path) -> Spent:
    """Unpack as the agent does, in a new process."""
    argv = [sys.executable, "-c", OURS, engine, str(archive), str(target), str(GROUP)]
    wall, processor = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return float(wall), float(processor)


def theirs(kind: str, archive: Path, target: Path) -> Spent:
    """Unpack with the programs a user would take."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(["sh", "-c", THEIRS[kind], "sh", str(archive), str(target), str(GROUP)], check=True)
    wall, after = time.perf_counter() - start, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])


def fresh(place: Path, run: Callable[[Path], Spent]) -> Spent:
    """Run into a new directory, with nothing left to write back from before, and remove it again."""
    target = place / "target"
    target.mkdir()
    os.sync()
    try:
        return run(target)
    finally:
        for directory, _, _ in os.walk(target):
            Path(directory).chmod(0o700)
        shutil.rmtree(target)


def check_same(place: Path, kind: str, archive: Path, engine: str) -> None:
    """Hold the two results against each other, once: the same files with the same bytes, group and modes."""
    listing = r"find . -mindepth 1 -printf '%p %y %g %m\n' | sort; find . -type f | sort | xargs -d '\n' cat | cksum"
    seen = []

    def listed(run: Callable[[Path, Path], Spent], target: Path) -> Spent:
        took = run(archive, target)
        seen.append(subprocess.run(["sh", "-c", listing], cwd=target, check=True, capture_output=True).stdout)
        return took

    fresh(place, lambda target: listed(partial(theirs, kind), target))
    fresh(place, lambda target: listed(partial(ours, engine), target))
    if seen[0] != seen[1]:
        raise SystemExit(f"{kind}: the results differ")


def measure(place: Path, kind: str, archive: Path, engine: str, runs: int) -> dict[str, Any]:
    """Alternate theirs and ours ``runs`` times; each ratio is of two neighbours in time."""
    check_same(place, kind, archive, engine)
    pairs = [
        (fresh(place, partial(theirs, kind, archive)), fresh(place, partial(ours, engine, archive)))
        for _ in range(runs)
    ]
    return {
        "ratio": median(mine[0] / usual[0] for usual, mine in pairs),
        "cpu_ratio": median(mine[1] / usual[1] for usual, mine in pairs),
        "ours_s": median(mine[0] for _, mine in pairs),
        "usual_s": median(usual[0] for usual, _ in pairs),
        "ours_cpu_s": median(mine[1] for _, mine in pairs),
        "usual_cpu_s": median(usual[1] for usual, _ in pairs),
    }


def median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


@contextmanager
def places(given: Path, megabytes: int) -> Iterator[dict[str, Path]]:
    """Yield where to unpack: for root a tmpfs and an ext4 of their own, else (or without loop devices) ``given``."""
    with tempfile.TemporaryDirectory(dir=given) as made, ExitStack() as mounted:
        top, found = Path(made), {}
        if os.geteuid() == 0:
            (top / "image").touch()
            os.truncate(top / "image", (3 * megabytes + 200) << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(top / "image")], check=True)
            for name, how in (("tmpfs", ["-t", "tmpfs", "none"]), ("ext4", [_disk(top / "image", mounted)])):
                (top / name).mkdir()
                if subprocess.run(["mount", *how, str(top / name)]).returncode == 0:
                    mounted.callback(subprocess.run, ["umount", str(top / name)], check=True)
                    found[name] = top / name
        yield found or {str(given): top}


def _disk(image: Path, until: ExitStack) -> str:
    """Return a loop device that is like a disk: with direct I/O, where ``image`` can be read and written so.

    Without it what is written to the "disk" ends in this machine's page cache, a second time.
    """
    for direct in (["--direct-io=on"], []):
        argv = ["losetup", *direct, "--find", "--show", str(image)]
        if (made := subprocess.run(argv, capture_output=True, text=True)).returncode == 0:
            until.callback(subprocess.run, ["losetup", "--detach", made.stdout.strip()], check=True)
            return made.stdout.strip()
    return str(image)


def archives(place: Path, megabytes: int) -> dict[str, Path]:
    """Make the model, pack it in both ways, and return the packages."""
    make_model(place / "model", megabytes)
    packed = {"tar.gz": place / "model.tar.gz", "zip": place / "model.zip"}
    subprocess.run(["tar", "-czf", str(packed["tar.gz"]), "model"], cwd=place, check=True)
    subprocess.run(["zip", "-qr", str(packed["zip"]), "model"], cwd=place, check=True)
    shutil.rmtree(place / "model")
    return packed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=350, help="of weights")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where everything is made")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what is mounted is taken away again
    engines = [engine for engine in LIMITS if engine == "stdlib" or find_spec("isal")]
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=args.dir) as made, places(args.dir, args.megabytes) as where:
        packed = archives(Path(made), args.megabytes)
        for (name, place), kind, engine in itertools.product(where.items(), packed, engines):
            found[f"{name} {kind} {engine}"] = measure(place, kind, packed[kind], engine, args.runs)
    ratios = {name: one["ratio"] for name, one in found.items()}
    ok = all(ratio <= LIMITS[name.rsplit(" ", 1)[1]] for name, ratio in ratios.items())
    result = {"runs": args.runs, "megabytes": args.megabytes, "ratios": ratios, "limits": LIMITS, "ok": ok}
    if args.format == "json":
        print(json.dumps({**result, "measured": found}))
        return 0 if ok else 1
    print(f"wall time against the usual programs, medians of {args.runs} pairs; limits {LIMITS}")
    for name, one in found.items():
        print(f"{name:<20} ratio {one['ratio']:.2f} ({one['ours_s']} s against {one['usual_s']} s)", end="")
        print(f", processor time {one['cpu_ratio']:.2f} ({one['ours_cpu_s']} s against {one['usual_cpu_s']} s)")
    if "fast" not in engines:
        print('not measured: the accelerated inflate, pip install ".[fast]"')
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
