"""Collect every test twice: ``python -m tests.collection`` fails where an id depends on the moment or the process.

Each worker of pytest-xdist collects for itself, and no test runs when two of them differ. The second collection has
another hash seed and begins later, so a set's order and a time in the data of a parameter show.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from itertools import islice

SHOWN_DIFFERENCES = 10


def collect(hash_seed: int) -> list[str]:
    """Return the id of every test, in the order in which a worker would have them."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        "tests",
    ]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    ids = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return [line for line in ids if "::" in line]


def main() -> None:
    """Print how many ids there are, or the first differences; end with status 1 when there is one."""
    first, second = collect(1), collect(2)
    differences = [line for line in difflib.unified_diff(first, second, lineterm="", n=0) if "::" in line]
    print(*islice(differences, SHOWN_DIFFERENCES), sep="\n", end="\n" if differences else "")
    print(f"{len(first)} test ids, {len(differences)} differences between two collections")
    sys.exit(bool(differences) or not first)


if __name__ == "__main__":
    main()
