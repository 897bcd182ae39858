"""``edge-sim matrix --real --driver docker``: what the rules compute is what boards of that processor do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_sim.emulation.containers import bases
from tests.emulated.containers import EXAMPLE, edge_sim, ready

pytestmark = pytest.mark.emulated
BOARDS = ("raspberry-pi-3", "openwrt-armv7")


def without_answers(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Have a cache without answers, and with the bases that there are."""
    if folder := bases.cache_directory():
        monkeypatch.setenv("EDGE_SIM_CACHE", str(folder.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def test_boards_in_containers_agree_with_the_rules(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(client, *BOARDS)
    without_answers(monkeypatch, tmp_path)
    chosen = [word for name in BOARDS for word in ("--profile", name)]
    done = edge_sim("matrix", EXAMPLE, *chosen, "--real", "--driver", "docker", "--format", "json", check=False)
    assert done.returncode == 3, "OpenWrt was asked for by name"
    cells = {cell["profile"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert (cells["raspberry-pi-3"]["status"], cells["raspberry-pi-3"]["real"]["status"]) == ("pass", "pass")
    assert (cells["openwrt-armv7"]["status"], cells["openwrt-armv7"]["real"]["refused"]) == ("unsupported", True)


def test_a_package_is_read_with_the_scenarios_limits_and_is_no_fault_of_the_definition(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(client, "generic-x86_64")
    without_answers(monkeypatch, tmp_path / "cache")
    group = tmp_path / "group"
    shutil.copytree(EXAMPLE, group)
    weights = next((group / "models").rglob("*.csv"))
    weights.with_name("newest.csv").symlink_to(weights.name)

    def real(status: int) -> dict[str, Any]:
        words = ("matrix", str(group), "--profile", "generic-x86_64", "--real", "--driver", "docker")
        done = edge_sim(*words, "--format", "json", check=False)
        (cell,) = json.loads(done.stdout)["cells"]
        assert (done.returncode, cell["status"], cell["real"]["refused"]) == (status, "pass", False), done.stderr
        return dict(cell["real"])

    assert "newest.csv is a symbolic link" in real(3)["message"]
    scenario = group / "edge-sim.yaml"
    scenario.write_text(f"{scenario.read_text()}\npackages: {{links: copy}}\n")
    assert real(0)["status"] == "pass"
