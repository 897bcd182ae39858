"""The pytest plugin on a real board: the same tests, and the board as it was afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulated.containers import LIMIT_S
from tests.emulated.ssh_boards import Ssh
from tests.emulated.test_ssh import debian, pytestmark, quick, ssh, unchanged

__all__ = ["debian", "pytestmark", "quick", "ssh", "unchanged"]
SUITE = """
import pytest

@pytest.fixture
def deployed(edge_group, edge_deploy):
    return edge_deploy(edge_group({scenario!r}))

@pytest.mark.usefixtures("deployed")
def test_access(assert_access):
    assert_access("read-digits", "digits-model", "ro")
    assert_access("sort-wine", "digits-model", "none")

def test_result(deployed):
    assert deployed.board == "debian"
    deployed.invoke("sort-wine", {{"calibrate": 40}}, expect={{"wines": 89}})

def test_update(edge_board, edge_update):
    assert edge_update("1.11.6", edge_board(stable_window=1)).running == "1.11.6"

def test_program(edge_board):
    edge_board().run("touch", "/srv/left")
"""


@pytest.mark.usefixtures("unchanged")
def test_the_same_tests_run_on_a_real_board_and_leave_it_as_it_was(ssh: Ssh, quick: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SUITE.format(scenario=quick), "utf-8")
    report = tmp_path / "report.json"
    words = ["--edge-driver=ssh://debian", f"--edge-report={report}", "-p", "no:cacheprovider", "-rs"]
    environment = {**os.environ, "PATH": f"{ssh.folder}/bin:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "pytest", *words]
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert "3 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "debian: not run on a real board" in done.stdout
    boards = json.loads(report.read_text("utf-8"))["boards"]
    assert {board["driver"] for board in boards} == {"ssh"}
    assert {row["agree"] for board in boards for row in board["access"]} == {True}
