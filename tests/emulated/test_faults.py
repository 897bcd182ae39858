"""A sample of the crash points inside a board of armv7l; ``make faults-containers`` has more, and reaches all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.version import VERSION
from tests.emulated.containers import ready
from tests.faults import containers
from tests.faults.board import Update

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_board_that_docker_takes_down_in_the_switch_ends_on_one_whole_version(
    client: Any, tmp_path: Path, how: containers.How
) -> None:
    ready(client, containers.PROFILE.name)
    trial = containers.Stop(update=Update(), point=f"{VERSION} P19 link-renamed", how=how)
    assert containers.stop(trial, tmp_path) == "SUCCEEDED"
