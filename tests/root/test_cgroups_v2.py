"""A build's limits where control groups are of version 2; ``make cgroups-v2`` has these tests in a virtual machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edge_sim.agent import cgroups
from edge_sim.agent.update.confinement import BuildLimits
from edge_sim.agent.update.supervisor import Supervisor
from tests.daemons import EATS_96_MIB, FORKS_120, READY, trouble_of_forks
from tests.factory import install_core
from tests.processes import is_alive
from tests.waiting import until

VERSION = "1.10.0"


def missing() -> str | None:
    """Return what keeps this process from limits of version 2."""
    if os.geteuid() != 0:
        return "needs root, to make control groups"
    places = [path for version, path in cgroups.hierarchies("memory") if version == "v2"]
    controllers = cgroups.read(places[-1] / "cgroup.controllers").split() if places else []
    lacking = [name for name in cgroups.CONTROLLERS if name not in controllers]
    if not lacking:
        return None
    seen = (
        f"version 2 has {', '.join(controllers) or 'no controllers'} here" if places else "there is no version 2 here"
    )
    return f"needs {' and '.join(lacking)} in control groups of version 2, and {seen}: make cgroups-v2"


pytestmark = [pytest.mark.skipif(missing() is not None, reason=missing() or ""), pytest.mark.process]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Path]:
    install_core(tmp_path, "/greengrass", VERSION)
    yield tmp_path
    Supervisor(tmp_path).kill()
    assert not groups(tmp_path), "what was made is removed"


def daemon(board: Path, body: str) -> None:
    (board / "greengrass/ggc/core/bin/daemon").write_text(f"#!/bin/sh\n{READY}\n{body}\n")


def groups(board: Path) -> list[Path]:
    """Return the control groups of the board's core."""
    place = (board / "greengrass").stat()
    name = f"edge-sim-core-{place.st_dev:x}-{place.st_ino:x}"
    parents = {path for version, path in cgroups.hierarchies("memory") if version == "v2"}
    return [parent / name for parent in parents if (parent / name).exists()]


def test_one_control_group_has_the_limits_and_all_that_a_core_starts(board: Path) -> None:
    core = Supervisor(board, limits=BuildLimits(memory=48 << 20, processes=40))
    daemon(board, "env -i setsid sleep 1000 & sleep 1000 & wait")
    running = core.start(VERSION)
    (group,) = groups(board)
    limits = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    assert [cgroups.read(group / name) for name in limits if (group / name).exists()] in (
        [str(48 << 20), "0", "1", "40"],
        [str(48 << 20), "1", "40"],  # a kernel without swap
    )
    inside = {int(pid) for pid in cgroups.read(group / "cgroup.procs").split()}
    found = psutil.Process(running.pid)
    assert {running.pid, *(child.pid for child in found.children(recursive=True))} <= inside
    assert core.trouble(VERSION) is None


def test_a_core_that_eats_memory_is_ended_whole_by_the_kernel(board: Path) -> None:
    core = Supervisor(board, limits=BuildLimits(memory=48 << 20))
    daemon(board, f"while [ ! -e {board}/go ]; do sleep 0.01; done; {EATS_96_MIB} & sleep 1000 & wait")
    running = core.start(VERSION)
    below = [child.pid for child in psutil.Process(running.pid).children(recursive=True)]
    (board / "go").touch()
    until(lambda: not any(map(is_alive, [running.pid, *below])), "something of it lives on")
    assert core.trouble(VERSION) == "the core used more than its 48 MiB of memory"


def test_a_core_that_forks_without_end_is_refused_more_by_the_kernel(board: Path) -> None:
    core = Supervisor(board, limits=BuildLimits(processes=40))
    daemon(board, f"{FORKS_120}; wait")
    assert "the core started more than its 40 processes" in trouble_of_forks(core, VERSION)
    core.kill()
    assert core._confinement.processes() == []


def test_what_a_killed_agent_has_left_is_taken_over_with_its_group(board: Path) -> None:
    child = board / "child"
    loose = f"env -i setsid /bin/sh -c 'echo $$ >{child}.new; mv {child}.new {child}; exec sleep 1000' &"
    daemon(board, f"{loose} while [ ! -e {child} ]; do sleep 0.01; done; sleep 1000 & wait")
    agent = os.fork()
    if agent == 0:
        Supervisor(board).start(VERSION)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(agent, 0)
    assert len(groups(board)) == 1
    another = Supervisor(board)
    until(child.exists)
    assert is_alive(int(child.read_text()))
    another.stop()
    assert not is_alive(int(child.read_text()))
