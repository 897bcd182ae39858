"""The control sample of a fleet: what real agents say as a simulated core's lines, and how the two are compared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge_sim.fleet import control, sample
from edge_sim.fleet.account import CoreAccount, Execution, differences
from edge_sim.fleet.control import Translation
from edge_sim.fleet.model import CoreModel
from edge_sim.fleetkeys import Fleet
from edge_sim.profiles import load_profile
from tests.processes import is_alive
from tests.waiting import until

JOB = "GreengrassUpdateJob_fleet"
GOOD = ("PREFLIGHT", "STAGE", "VERIFY", "ACTIVATE", "CONFIRM", "SUCCEEDED")


def core(number: int, profile: str = "raspberry-pi-3", **changes: Any) -> CoreModel:
    place: dict[str, Any] = {"architecture": "armv7l", "operating_system": "raspbian"}
    return CoreModel(number=number, thing=f"fleet-{number:05}", profile=profile, **place, **changes)


def account(*phases: str, step: float = 1.0, real: bool = False, container: str = "", number: int = 0) -> CoreAccount:
    """Return the account of a core that says these phases, ``step`` seconds apart."""
    found, translation = CoreAccount(model=core(number), real=real, container=container), Translation()
    for at, phase in enumerate(phases):
        event: Mapping[str, Any] = {"event": "update", "job": JOB, "phase": phase, "from": "1.10.0", "to": "1.11.6"}
        for kind, members in translation.lines(event):
            found.hear(at * step, kind, members)
    return found


def test_an_agents_events_are_an_account() -> None:
    found = account(*GOOD)
    assert found.state == "done"
    assert [(end.job, end.execution, end.status, end.taken) for end in found.ends] == [(JOB, 1, "SUCCEEDED", False)]
    for kind, members in Translation().lines({"event": "reported", "job": JOB, "status": "SUCCEEDED"}):
        found.hear(9, kind, members)
    assert found.ends[0].taken
    cloud = Execution(job=JOB, thing=found.model.thing, number=1, status="SUCCEEDED")
    assert differences([found], [cloud]) == []


def test_a_retry_is_the_next_execution() -> None:
    failed = ("PREFLIGHT", "STAGE", "FAILED")
    found = account(*failed, *GOOD)
    assert [(end.execution, end.status) for end in found.ends] == [(1, "FAILED"), (2, "SUCCEEDED")]
    assert found.doubled == []


def test_connections_and_errors_are_told_as_well() -> None:
    events: list[Mapping[str, Any]] = [
        {"event": "connected"},
        {"event": "disconnected", "reason": "gone"},
        {"event": "disconnected", "reason": "refused", "lasting": True},
        {"event": "error", "error": "no"},
        {"event": "error", "error": "it has ended", "job": JOB, "status": "SUCCEEDED"},
        {"event": "core", "status": "running"},
        {"event": "update", "phase": "CANCELED", "job": JOB, "detail": "by an operator"},
    ]
    found = [line for event in events for line in Translation().lines(event)]
    assert [kind for kind, _ in found] == ["up", "down", "down", "error", "refused", "canceled"]
    assert [members["final"] for kind, members in found if kind == "down"] == [False, True]
    assert found[-1][1] == {"job": JOB, "text": "by an operator"}


def test_boards_are_like_those_of_the_fleet_but_for_its_faults() -> None:
    cores = [core(0, fault="dies", staging_s=4.0, stable_s=2.0), core(1, "jetson-nano"), core(2)]
    chosen = control.drawn(cores, Fleet(version="1.11.6", breaks=("jetson-nano",)), 5)
    assert [each.number for each in chosen] == [0, 2]
    first, second = control.models(chosen, first=3)
    assert (first.number, first.thing, first.fault, first.staging_s) == (3, "fleet-control-000", "none", 0.0)
    assert (first.profile, first.stable_s, second.thing) == ("raspberry-pi-3", 2.0, "fleet-control-001")


def test_a_sample_that_went_the_same_way_is_no_finding() -> None:
    assert sample.findings([account(*GOOD, real=True), account(*GOOD, step=0.9), account(*GOOD, step=1.1)]) == []


def test_another_end_another_way_and_another_time_are_findings() -> None:
    simulated = [account(*GOOD), account(*GOOD)]
    rolled_back = account("PREFLIGHT", "STAGE", "VERIFY", "ACTIVATE", "ROLL_BACK", "FAILED", real=True)
    open_ = account("PREFLIGHT", "STAGE", real=True)
    slow = account(*GOOD, step=10.0, real=True)
    thing = rolled_back.model.thing
    found = sample.findings([rolled_back, *simulated])
    assert f"{thing}: a real agent ended rolled back, but no simulated core did" in found
    assert f"{thing}: a real agent went queued, staging, activating, rolling back, rolled back" in " ".join(found)
    assert f"{thing}: a real agent is staging, and its update has not ended" in sample.findings([open_, *simulated])
    text = "staging: 20.00 s on 1 real agent, more than any simulated core's"
    assert any(line.startswith(text) for line in sample.findings([slow, *simulated]))


def test_containers_of_an_architecture_are_compared_by_themselves() -> None:
    """Under QEMU times are the emulator's: they must not hide among those of processes."""
    simulated = [account(*GOOD), account(*GOOD)]
    real = [account(*GOOD, real=True), account(*GOOD, step=9.0, real=True, container="armv7l")]
    lines = sample.findings([*real, *simulated])
    assert lines
    assert all(" on 1 real agent in containers of armv7l, more than any simulated core's" in line for line in lines)


def test_boards_in_containers_come_after_the_processes_and_are_their_profiles() -> None:
    cores, fleet, profile = [core(0), core(1)], Fleet(version="1.11.6", stable_s=3.0), load_profile("openwrt-armv7")
    process, container = control.boards(cores, fleet, 1, [profile], seed=1)
    assert (process.thing, process.profile) == ("fleet-control-000", "raspberry-pi-3")
    assert (container.thing, container.number, container.profile) == ("fleet-control-001", 3, "openwrt-armv7")
    assert (container.pair, container.stable_s) == (("openwrt", "armv7l"), 3.0)


SAMPLE = """
import time
from edge_sim.emulation.board import AgentSettings
from edge_sim.fleet.control import ControlAgents
from tests.unit.test_fleet_control import core

with ControlAgents(print) as control:
    settings = AgentSettings(thing="fleet-control-000", broker="mqtt://127.0.0.1:1", stable_window_s=1)
    control.start([core(0)], lambda _: settings)
    time.sleep(1000)
"""


@pytest.mark.process
def test_a_killed_fleet_leaves_no_agent_and_no_core(tmp_path: Path) -> None:
    def alive() -> list[str]:
        """The programs that were started, without those that have ended and that nobody has collected."""
        return [each.name() for each in started if is_alive(each)]

    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", SAMPLE], cwd=Path(__file__).parents[2], env=environment) as fleet:
        started: list[psutil.Process] = []
        try:
            until(lambda: list(tmp_path.glob("*/*/greengrass/ggc/var/state/core.json")))
            started = psutil.Process(fleet.pid).children(recursive=True)
            assert len(alive()) > 1
            fleet.kill()
            fleet.wait()
            until(lambda: not alive(), lambda: f"{alive()} go on")
        finally:
            fleet.kill()
            for each in started:
                if each.is_running():
                    each.kill()
