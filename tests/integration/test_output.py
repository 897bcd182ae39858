"""What ``edge-sim`` does when what it says cannot be written: no traceback, and a status that is not 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.network


def rules(stdout: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", "rules", "--format", "markdown"]
    env = {**os.environ, **environment}
    return subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False, env=env)


def test_a_reader_that_went_away_is_no_success() -> None:
    read, write = os.pipe()
    os.close(read)
    done = rules(write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_full_disk_is_said() -> None:
    with Path("/dev/full").open("wb") as full:
        done = rules(full.fileno())
    assert done.returncode == 6
    assert b"error: the output, or a file that was being made: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_locale_without_our_characters_is_no_error() -> None:
    done = rules(subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "…".encode("ascii", "backslashreplace") in done.stdout
