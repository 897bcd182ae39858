"""A board of Debian 11's age stands on Debian 11, with the agent's bundle, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_sim.emulation.containers import bases
from edge_sim.errors import UnsupportedEnvironmentError
from tests.emulated.containers import EXAMPLE, edge_sim, ready

pytestmark = pytest.mark.emulated
PROFILE = "raspberry-pi-zero-2-w"


def test_a_board_of_debian_11_has_its_libraries_and_its_python(client: Any) -> None:
    ready(client, PROFILE)
    try:
        bases.make("armv7l", print, bases.OLDER)
    except UnsupportedEnvironmentError as error:
        pytest.skip(f"no board of Debian 11 was run: {error.brief}")
    done = edge_sim("run", EXAMPLE, "--driver", "docker", "--profile", PROFILE, "--format", "json")
    board = json.loads(done.stdout)["boards"][0]
    rows = {row["fact"]: (row["found"], row["verdict"]) for row in board["certificate"]}
    assert rows["libc version"] == ("2.31", "true")
    assert rows["user land"] == ("debian 11", "not faithful"), "Raspbian's packages are built for themselves"
    assert rows["ELF machine"] == ("ARM", "true")
    assert rows["float ABI"] == ("hard", "true")
    assert "python3.9 stands in for python3.7, which is not on the board's PATH" in board["notes"]
    assert [row["ok"] for row in board["functions"]] == [True] * 3
    assert [row["status"] for row in board["updates"]] == ["SUCCEEDED", "FAILED"]
