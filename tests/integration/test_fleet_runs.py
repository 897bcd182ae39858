"""``edge-sim fleet`` as a user starts it, in small: with real agents beside the simulated cores, and disturbed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.brokers.broker import start_broker
from tests.relay import Relay

EXAMPLE = Path(__file__).parents[2] / "examples/fleet"
LIMIT_S = 300.0
FLEET: dict[str, Any] = {"version": "1.11.6", "rolloutMinute": 1}

pytestmark = [pytest.mark.slow, pytest.mark.network]


def scenario(place: Path, **members: Any) -> Path:
    """Write a scenario with a fleet, and return its folder."""
    (place / "core.json").write_text((EXAMPLE / "core.json").read_text())
    document = {
        "edgeSim": 1,
        "name": "small",
        "boards": ["raspberry-pi-3"],
        "group": {"core": "core.json"},
        "fleet": {**FLEET, **members},
    }
    (place / "edge-sim.yaml").write_text(json.dumps(document))
    return place


def fleet(place: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a fleet; return its exit status and its report."""
    argv = [sys.executable, "-m", "edge_sim", "fleet", str(place), "--format", "json", *options]
    argv += ["--limit", str(LIMIT_S / 2)]  # what is lost would be waited for
    done = subprocess.run(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=LIMIT_S)
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


@pytest.mark.parametrize("options", [(), ("--tls",)], ids=["plain", "tls"])
def test_real_agents_take_part(options: Sequence[str], tmp_path: Path) -> None:
    status, report = fleet(scenario(tmp_path), "--cores", "20", "--control", "2", *options)
    assert (status, report["differences"], report["statuses"]) == (0, [], {"SUCCEEDED": 22})
    real = [core for core in report["cores"] if core["real"]]
    assert [(core["thing"], core["state"]) for core in real] == [
        ("fleet-control-000", "done"),
        ("fleet-control-001", "done"),
    ]
    assert not any(" a real agent " in finding for finding in report["findings"]), report["findings"]
    ways = [[state for _, state in core["changes"]] for core in report["cores"]]
    assert all(way == ["queued", "staging", "activating", "confirming", "done"] for way in ways), ways


TIMES = {"bandwidth": {"least": 20000, "most": 40000}, "staging": {"least": 0.2, "most": 1}, "stableWindow": 1}
"""So that there is a middle: some 4 s a board, and 8 s for the rollout's rate."""


@pytest.mark.parametrize(
    "storms",
    [
        pytest.param([{"what": "lost sessions", "after": 2, "down": 1}], id="all back at once"),
        pytest.param([{"what": "lost sessions", "after": 2, "down": 0, "spread": 3}], id="back with jitter"),
        pytest.param([{"what": "broker restart", "after": 2, "down": 1}], id="broker"),
        pytest.param([{"what": "cloud restart", "after": 2, "down": 1}], id="cloud"),
    ],
)
def test_a_storm_loses_and_doubles_nothing(storms: list[dict[str, Any]], tmp_path: Path) -> None:
    place = scenario(tmp_path, **TIMES, rollout={"maximumPerMinute": 5}, badBoards=10, storms=storms)
    status, report = fleet(place, "--cores", "40")
    assert (status, report["differences"], report["trouble"]) == (0, [], []), report
    assert report["statuses"] == {"SUCCEEDED": 36, "FAILED": 4}
    (passed,) = report["storms"]
    assert passed["kind"] == storms[0]["what"]
    assert under_way(report, passed["at"]), "it came in the middle"
    assert passed["sessions"]["lost"] == (0 if passed["kind"] == "cloud restart" else 40)
    if passed["kind"] == "lost sessions":
        assert passed["sessions"]["back"] == 40


def under_way(report: dict[str, Any], at: float) -> int:
    """Return how many cores were in the middle of their update then."""
    return sum(
        bool(core["changes"]) and core["changes"][0][0] < at < core["changes"][-1][0] for core in report["cores"]
    )


def test_hundreds_of_cores_come_back_from_every_storm_of_one_rollout(tmp_path: Path) -> None:
    storms = [
        {"what": "lost sessions", "after": 3, "down": 1},
        {"what": "lost sessions", "after": 8, "down": 0, "spread": 4},
        {"what": "broker restart", "after": 15, "down": 2},
        {"what": "cloud restart", "after": 22, "down": 2},
    ]
    place = scenario(tmp_path, **TIMES, rollout={"maximumPerMinute": 10}, badBoards=3, storms=storms)
    status, report = fleet(place, "--cores", "300")
    assert (status, report["differences"], report["trouble"]) == (0, [], []), report["trouble"]
    assert report["statuses"] == {"SUCCEEDED": 291, "FAILED": 9}
    assert [storm["kind"] for storm in report["storms"]] == [storm["what"] for storm in storms]
    sessions = [(storm["sessions"]["lost"], storm["sessions"]["back"]) for storm in report["storms"]]
    assert sessions == [(300, 300), (300, 300), (300, 300), (0, 0)]
    assert all(under_way(report, storm["at"]) for storm in report["storms"])


def test_a_named_broker_is_not_restarted(tmp_path: Path) -> None:
    place = scenario(tmp_path, storms=[{"what": "broker restart", "after": 1}])
    argv = [sys.executable, "-m", "edge_sim", "fleet", str(place), "--broker", "mqtt://127.0.0.1:1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 2
    assert "the scenario's storms restart the broker, but edge-sim can restart only its own" in done.stderr


def test_a_broker_that_acknowledges_nothing_for_a_while_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Every session is left and made anew in the middle of its update, and what was not acknowledged is sent twice."""
    sessions = 0
    each = 10 + 1 + 1  # simulated cores, a real agent, the cloud

    def withhold(packet: bytes) -> bytes:
        nonlocal sessions
        sessions += packet[0] >> 4 == packets.CONNACK
        return b"" if packet[0] >> 4 == packets.PUBACK and sessions <= each else packet

    with start_broker() as broker:
        relay = Relay(int(broker.url.rpartition(":")[2]), alter=withhold)
        place = scenario(tmp_path, stableWindow=60)
        status, report = fleet(place, "--cores", "10", "--control", "1", "--broker", relay.url)
        relay.cut()
    assert (status, report["differences"], report["trouble"]) == (0, [], []), report
    assert report["statuses"] == {"SUCCEEDED": 11}
    assert sessions >= 2 * each
