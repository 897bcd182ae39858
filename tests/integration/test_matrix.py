"""``edge-sim matrix --real``: what the rules compute is what simulated boards do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

EXAMPLE = "examples/no-container-ml"
BOARDS = ("raspberry-pi-3", "openwrt-armv7")
pytestmark = pytest.mark.network


def matrix(cache: Path) -> subprocess.CompletedProcess[str]:
    profiles = [word for name in BOARDS for word in ("--profile", name)]
    argv = [sys.executable, "-m", "edge_sim.cli.main", "matrix", EXAMPLE, *profiles, "--real", "--format", "json"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@needs.mounts
@pytest.mark.root
def test_boards_agree_with_the_rules_and_are_not_run_twice(tmp_path: Path) -> None:
    first = matrix(tmp_path)
    assert first.stdout, first.stderr
    assert first.returncode == 3, "OpenWrt was asked for by name"
    cells = {cell["profile"]: cell for cell in json.loads(first.stdout)["cells"]}
    assert {name: (cells[name]["status"], cells[name]["real"]["status"]) for name in BOARDS} == {
        "raspberry-pi-3": ("pass", "pass"),
        "openwrt-armv7": ("unsupported", "fail"),
    }
    assert cells["openwrt-armv7"]["real"]["refused"]
    assert "does not support ML inference" in cells["openwrt-armv7"]["real"]["message"]
    second = matrix(tmp_path)
    assert second.stdout == first.stdout
    assert "starting the local cloud" in first.stderr
    assert second.stderr == "", "nothing was started"
