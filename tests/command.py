"""``edge-sim`` called in this process, where what is tested is its answer and not that it is a program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from click.testing import CliRunner

from edge_sim.cli.faults import fault
from edge_sim.cli.main import edge_sim


def answer(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` and return what the program would have: its status and both outputs."""
    arguments, before = [str(word) for word in words], Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(edge_sim, arguments)
    finally:
        os.chdir(before)
    status, errors, error = done.exit_code, done.stderr, done.exception
    if isinstance(error, Exception):
        failure = fault(error)
        if failure is None:
            raise error
        status, errors = failure.exit_status, f"{errors}{failure.explained()}\n"
    return subprocess.CompletedProcess(arguments, status, done.stdout, errors)
