"""Children that end with what started them, also with what had ended before the kernel was asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_sim import process
from edge_sim.emulation.local import namespaces

pytestmark = pytest.mark.process


def test_a_daemon_is_found_where_a_users_path_does_not_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games")
    monkeypatch.setattr(process, "SBIN", f"{tmp_path}:/usr/sbin")
    assert process.daemon("edge-sim-daemon") is None
    file = tmp_path / "edge-sim-daemon"
    file.touch(0o755)
    assert process.daemon("edge-sim-daemon") == str(file)


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended: as a child's parent it has been replaced by another one."""
    with subprocess.Popen(["true"]) as done:
        return done.pid


def test_a_child_is_not_started_whose_parent_has_ended_since_it_was_forked(ended: int) -> None:
    started = subprocess.run(["true"], preexec_fn=process.ending_with(ended, signal.SIGTERM), check=False)
    assert started.returncode == 1


def test_a_child_ends_with_its_parent() -> None:
    program = (
        "import os, signal, subprocess; from edge_sim import process; child = subprocess.Popen(['sleep', '1000'], "
        "preexec_fn=process.ending_with(os.getpid(), signal.SIGTERM)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    # Its output ends with the child, which has it too.
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("lives", [True, False])
def test_a_process_of_a_board_goes_on_only_where_its_parent_lives(lives: bool) -> None:
    alive, held = os.pipe()
    if not lives:
        os.close(held)
    child = os.fork()
    if child == 0:
        if lives:
            os.close(held)
        namespaces.die_with_parent(alive)
        os._exit(0)
    os.close(alive)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if lives else 1)
    if lives:
        os.close(held)
