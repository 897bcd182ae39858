"""``edge-sim matrix --real --driver docker``: what the rules compute is what boards of that processor do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.emulated.containers import EXAMPLE, edge_sim, ready

pytestmark = pytest.mark.emulated
BOARDS = ("raspberry-pi-3", "openwrt-armv7")


def test_boards_in_containers_agree_with_the_rules(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(client, *BOARDS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = [word for name in BOARDS for word in ("--profile", name)]
    done = edge_sim("matrix", EXAMPLE, *chosen, "--real", "--driver", "docker", "--format", "json", check=False)
    assert done.returncode == 3, "OpenWrt was asked for by name"
    cells = {cell["profile"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert (cells["raspberry-pi-3"]["status"], cells["raspberry-pi-3"]["real"]["status"]) == ("pass", "pass")
    assert (cells["openwrt-armv7"]["status"], cells["openwrt-armv7"]["real"]["refused"]) == ("unsupported", True)
