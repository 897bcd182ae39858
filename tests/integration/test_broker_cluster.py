"""A cluster of brokers by URL: cloud and agent on different nodes, and one of them is killed during an update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.version import VERSION
from tests import rabbitmq
from tests.faults.board import Board, Update, check
from tests.faults.cloud import Served
from tests.integration.agent_world import World
from tests.relay import Relay
from tests.waiting import until

DOWNLOADED = f"{VERSION} P10 hash-ok"

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rabbitmq.unpacked(tmp_path_factory.mktemp("system"))


@contextmanager
def updated(folder: Path, cloud_broker: str, agent_broker: str) -> Iterator[Board]:
    """A board with a job for it, whose agent waits in the middle of the update."""
    folder.mkdir()
    cloud = Served(folder, "--broker", cloud_broker)
    try:
        here: Any = cloud
        board = Board(World(folder, agent_broker, here, here), folder, Update())
        try:
            board.start(point=DOWNLOADED, action="wait")
            until(board.fired, board.story)
            yield board
        finally:
            board.down()
    finally:
        cloud.kill()


@pytest.mark.parametrize("mirrored", [False, True], ids=["own settings", "mirrored queues"])
def test_an_update_ends_when_the_clouds_node_was_killed_and_has_come_back(
    mirrored: bool, system: Path, tmp_path: Path
) -> None:
    """The agent stays connected to the other node, and gives its report up meanwhile."""
    with (
        rabbitmq.cluster(system, tmp_path / "nodes", ("one", "two"), mirrored=mirrored) as (ours, other),
        updated(tmp_path / "board", ours.url, other.url) as board,
    ):
        ours.kill()
        board.go_on()
        log = board.gg / "ggc/var/log/system/runtime.log"
        until(lambda: "The cloud did not answer." in log.read_text(), board.story, limit_s=rabbitmq.START_LIMIT_S)
        ours.start()
        assert check(board, board.run_to_the_end(board.agents[-1]), ["SUCCEEDED"]) == "SUCCEEDED"


def test_an_update_goes_on_over_the_node_that_is_left(system: Path, tmp_path: Path) -> None:
    """``check`` says that nothing is lost or done twice, on the board and in the cloud, and that the next job works."""
    with rabbitmq.cluster(system, tmp_path / "nodes", ("one", "two"), mirrored=True) as (ours, other):
        balancer = Relay(other.port, rabbitmq.HOST)
        try:
            with updated(tmp_path / "board", ours.url, f"mqtt://127.0.0.1:{balancer.port}") as board:
                other.kill()
                balancer.target = ours.port
                board.go_on()
                assert check(board, board.run_to_the_end(board.agents[-1]), ["SUCCEEDED"]) == "SUCCEEDED"
        finally:
            balancer.cut()
