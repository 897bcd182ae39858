"""What a board's agent is told in its configuration, whichever driver makes the board."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.configfile import read_config
from edge_sim.emulation.board import AgentSettings, BoardSpec
from edge_sim.limits import NAMES, Limits
from edge_sim.profiles import load_profile
from tests import sources

PI = load_profile("raspberry-pi-3")
EVERY = Limits().changed([f"{name}={number}" for number, name in enumerate(NAMES, start=1)], "copy")


def agent_config(limits: Limits, cafile: str | None) -> dict[str, Any]:
    agent = AgentSettings(thing="core", broker="mqtt://h", packages=limits)
    return BoardSpec(profile=PI, agent=agent).agent_config(cafile)


@pytest.mark.parametrize("limits", [Limits(links="copy"), Limits(file_bytes=3_000_000_000), EVERY], ids=str)
def test_the_agent_reads_the_limits_that_the_scenario_says(tmp_path: Path, limits: Limits) -> None:
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(agent_config(limits, "/ca.pem")))
    read = read_config(file)
    assert read.packages == limits
    assert (read.thing, read.broker, read.cafile) == ("core", "mqtt://h", "/ca.pem")


def test_usual_limits_are_not_mentioned() -> None:
    assert agent_config(Limits(), None).keys() == {"thing", "broker", "greengrassRoot"}


def test_run_board_up_and_doctor_have_their_boards_from_one_place() -> None:
    makers = {
        name: set(re.findall(r"(?<!class )\b((?:Local|Docker|Ssh)Board)\(", sources.text(name)))
        for name in sources.mentioning(r"(Local|Docker|Ssh)Board\(")
    }
    assert {name: made for name, made in makers.items() if made} == {
        "emulation/drivers.py": {"LocalBoard", "DockerBoard", "SshBoard"},
    }
