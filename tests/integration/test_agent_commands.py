"""``edge-sim agent layout|invoke`` as they are called on a board, with the agent's configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.deployment.deployer import deploy, group_of
from edge_sim.agent.host import LinuxHost
from tests.deployments import MODEL, Artifacts, board, document, owner


def agent(*arguments: str) -> tuple[int, dict[str, Any], str]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", "agent", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A board whose Greengrass root is a link, as on an OpenWrt board with its storage elsewhere."""
    root = tmp_path / "board"
    facts, store = board(root), Artifacts()
    (root / "mnt/data").mkdir(parents=True)
    (root / "greengrass").rename(root / "mnt/data/gg")
    (root / "greengrass").symlink_to("/mnt/data/gg")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(f"root:x:0:0::/:\nggc_user:x:{os.getuid() or 998}:{os.getgid() or 997}::/:\n")
    (root / "etc/group").write_text(f"root:x:0:\nggc_group:x:{os.getgid() or 997}:\nml:x:5150:\n")
    models = {"m1": (MODEL, "m.tar.gz", owner("ml"))}
    made = document(store, models, functions={"predict": ("NoContainer", ("m1",))})
    deploy(group_of(made), made, root, facts, LinuxHost(root), store.fetch)
    return root


def test_a_greengrass_root_that_is_a_link_of_the_board_is_followed_there(linked: Path) -> None:
    assert (linked / "mnt/data/gg/ggc/deployment/group/group.json").is_file()
    status, told, errors = agent("layout", "--root", str(linked))
    assert status == 0, (told.get("differences"), errors)
    assert any(row["resource"] == "m1" and row["path"].endswith("weights.bin") for row in told["layout"])


def test_the_agents_configuration_says_where_the_core_is(linked: Path, tmp_path: Path) -> None:
    (linked / "greengrass").unlink()
    config = tmp_path / "agent.json"
    about = {"thing": "board", "broker": "mqtt://h", "greengrassRoot": "/mnt/data/gg", "operatingSystem": "openwrt"}
    config.write_text(json.dumps(about))
    status, _, errors = agent("layout", "--root", str(linked))
    assert (status, "group.json: cannot be read" in errors) == (2, True)
    _, told, errors = agent("layout", "--root", str(linked), "--config", str(config))
    assert told["layout"][0]["path"].startswith("/mnt/data/gg/ggc/deployment"), errors


def test_a_configuration_that_cannot_be_read_is_named(linked: Path, tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"thing": "board"}')
    status, _, errors = agent("access", "--root", str(linked), "--config", str(config))
    assert (status, f"{config}: broker is missing" in errors) == (2, True)
