"""A function's process ends with the agent that started it, also where that was killed before the kernel was asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests import needs
from tests.processes import is_alive
from tests.waiting import until

pytestmark = [pytest.mark.root, needs.mounts]

CORE = """
import json, subprocess, sys
from edge_sim.agent.functions import launch
launch.start(json.load(open(sys.argv[1])), subprocess.DEVNULL)
sys.stdin.read()
"""
WAITS = """
import os
from edge_sim.agent import linux
asked = linux.die_with_parent
def wait(*arguments):
    if os.getpid() == 1 or {plain}:  # the first process of a container's namespaces
        open({fifo!r}).read()
    asked(*arguments)
linux.die_with_parent = wait
"""


@contextmanager
def core(folder: Path, isolation: str, fifo: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that starts a function as the agent does, and lives until it is killed.

    With ``fifo`` the function's process waits, before it asks the kernel, until something is written there.
    """
    for name in ("scratch", "armed", "root"):
        (folder / name).mkdir()
    spec = {
        "root": "/",
        "scratch": str(folder / "scratch"),
        "isolation": isolation,
        "identity": {"uid": 998, "gid": 998, "groups": []},
        "masked": [],
        "mounts": [],
        "sysfs": False,
        "runtime": None,
        "environment": {},
        "workingDirectory": "/",
        "argv": ["/bin/sleep", "1000"],
    }
    (folder / "spec").write_text(json.dumps(spec))
    if fifo is not None:
        waits = WAITS.format(plain=isolation == "NoContainer", fifo=str(fifo))
        (folder / "armed/sitecustomize.py").write_text(waits)
    started = subprocess.Popen(
        [sys.executable, "-c", CORE, str(folder / "spec")],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(folder / "armed")},
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [*filter(is_alive, processes)]


def end(processes: list[psutil.Process]) -> None:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()


@pytest.mark.parametrize("isolation", ["NoContainer", "GreengrassContainer"])
def test_a_function_that_runs_ends_with_a_killed_agent(tmp_path: Path, isolation: str) -> None:
    with core(tmp_path, isolation, None) as started:
        until(
            lambda: ["/bin/sleep", "1000"] in [each.cmdline() for each in below(started)], "the function is not there"
        )
        function = below(started)
        started.kill()
        try:
            until(lambda: not alive(function), lambda: f"{alive(function)} outlived the agent")
        finally:
            end(function)


@pytest.mark.parametrize("isolation", ["NoContainer", "GreengrassContainer"])
def test_a_function_whose_agent_is_killed_before_it_asks_to_end_with_it_ends(tmp_path: Path, isolation: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with core(tmp_path, isolation, tmp_path / "fifo") as started:
        writer = -1

        def asks() -> bool:
            nonlocal writer
            writer = opened(tmp_path / "fifo")
            return writer >= 0

        until(asks, "it does not ask")
        function = below(started)
        started.kill()
        started.wait()
        until(lambda: len(alive(function)) == 1, "the process that keeps the board's view outlived the agent")
        try:
            os.close(writer)  # it reads on
            until(lambda: not alive(function), lambda: f"{alive(function)} outlived the agent")
        finally:
            end(function)


def opened(fifo: Path) -> int:
    """Return the end of a FIFO that is written to, negative while nobody reads."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return -1
