"""Updates of the OTA agent itself, on boards in containers: releases of the program that runs, good and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim.profiles import profile_folder
from tests.emulated.containers import EXAMPLE, edge_sim, those_ready

pytestmark = pytest.mark.emulated
SCENARIO = """
edgeSim: 1
name: agent-updates
boards: [raspberry-pi-3]
group: {core: core.json, resources: resources.json, functions: functions.json}
stableWindow: 1
updates:
  - {software: ota_agent, version: 1.3.0, starts: true, expect: {status: SUCCEEDED, version: 1.3.0}}
  - {software: ota_agent, version: 1.4.0, starts: false, expect: {status: FAILED, version: 1.3.0}}
"""
PHASES = ["PREFLIGHT", "STAGE", "VERIFY", "ACTIVATE", "HAND_OVER"]


def test_an_agent_in_a_container_is_replaced_and_a_broken_one_is_given_up(client: Any, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"  # a system that only the profile says takes ubuntu's builds
    text = (profile_folder() / "generic-x86_64.yaml").read_text(encoding="utf-8")
    own.write_text(text.replace("  ID: ubuntu", "  ID: poky"), encoding="utf-8")
    names = those_ready(client, ("generic-x86_64", "raspberry-pi-3", str(own)))
    (tmp_path / "edge-sim.yaml").write_text(SCENARIO)
    (tmp_path / "core.json").write_bytes(Path(EXAMPLE, "core.json").read_bytes())
    for kind in ("Resources", "Functions"):
        (tmp_path / f"{kind.lower()}.json").write_text(json.dumps({kind: []}))
    chosen = [word for name in names for word in ("--profile", name)]
    done = edge_sim("run", str(tmp_path), *chosen, "--driver", "docker", "--format", "json", check=False)
    value: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, [board["problems"] + board["not_proven"] for board in value["boards"]]
    for board in value["boards"]:
        good, broken = board["updates"]
        assert {good["software"], broken["software"]} == {"ota_agent"}
        assert [step["phase"] for step in good["timeline"]] == [*PHASES, "CONFIRM", "SUCCEEDED"]
        assert [step["phase"] for step in broken["timeline"]] == [*PHASES, "ROLL_BACK", "FAILED"]
        assert broken["reason"] == "the OTA agent 1.4.0 ended with status 1"
        core = [(event["status"], event["version"]) for update in board["updates"] for event in update["core"]]
        assert set(core) == {("running", "1.10.0")}, "it runs on while its agent is replaced"
