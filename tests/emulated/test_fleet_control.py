"""A fleet's control sample in containers: the agent of a board takes part in the rollout of the simulated cores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_sim.profiles import load_profile
from tests.emulated.containers import edge_sim, ready

pytestmark = [pytest.mark.emulated, pytest.mark.network]
EXAMPLE = Path("examples/fleet/core.json")


@pytest.mark.parametrize(
    ("profiles", "options"),
    [
        (["raspberry-pi-3"], ("--control", "1")),
        (["generic-x86_64"], ("--tls",)),
        (["raspberry-pi-3", "generic-x86_64"], ()),
    ],
    ids=["armv7l beside a process", "x86_64 with its certificate", "two of different architectures"],
)
def test_boards_in_containers_take_part(
    client: Any, profiles: list[str], options: tuple[str, ...], tmp_path: Path
) -> None:
    ready(client, *profiles)
    (tmp_path / "core.json").write_bytes(EXAMPLE.read_bytes())
    document = {
        "edgeSim": 1,
        "name": "small",
        "boards": profiles,
        "group": {"core": "core.json"},
        "fleet": {"version": "1.11.6", "rolloutMinute": 1},
    }
    (tmp_path / "edge-sim.yaml").write_text(json.dumps(document))
    boards = (word for profile in profiles for word in ("--control-board", profile))
    done = edge_sim("fleet", str(tmp_path), "--cores", "10", *boards, *options, "--format", "json", check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, report["differences"], report["trouble"]) == (0, [], []), done.stderr
    real = [core["container"] for core in report["cores"] if core["real"] and core["container"]]
    assert real == [load_profile(profile).architecture for profile in profiles]
    assert {core["state"] for core in report["cores"]} == {"done"}
    ways = {core["thing"]: [state for _, state in core["changes"]] for core in report["cores"]}
    assert all(way == ["queued", "staging", "activating", "confirming", "done"] for way in ways.values()), ways
    assert report["parts"]["mqtt"].startswith("mqtts://" if "--tls" in options else "mqtt://")
